"""What do leaves about events ask in SQL? Sums of touchpoints first; records of events where those leave it open.

Within a window only the first and the last touchpoint of a sum are known: whether one lies in it is told by the last,
whether all do by both; how many do is counted where it makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor
from typing import Final, LiteralString, NamedTuple

from psycopg import sql
from psycopg.sql import Composable

from domain.segment_leaves import EventsLeaf
from domain.segment_parts import Comparison
from projections.segments.compiling_choosing import Chooser, Span, Sums
from projections.segments.compiling_parts import NEVER, NO, YES, Building, Verdict, both, fragment, length
from projections.segments.compiling_values import json, moment, number

__all__ = ["asks_whether", "events"]

_STRICT: Final[dict[str, tuple[LiteralString, LiteralString]]] = {
    ">=": ("<", "<="), "<": ("<", "<="), ">": ("<=", "<"), "<=": ("<=", "<"),
}  # fmt: skip
_WHETHER: Final = {(">=", 1), (">", 0), ("=", 0), ("!=", 0), ("<", 1), ("<=", 0)}
_DAY_S: Final = 86_400
_MOST_DAYS: Final = 40_000
"""More than a hundred years are nobody's concern."""


class _Told(NamedTuple):
    """Columns of what was counted among the events that were read."""

    chosen: sql.Identifier
    many: Composable
    first: Composable
    last: Composable


def events(chooser: Chooser, leaf: EventsLeaf) -> Verdict:
    """Whether a leaf about events holds."""
    span = chooser.span(leaf.window)
    sums = chooser.sums(leaf)
    if sums is None or not chooser.is_summed(leaf) or leaf.field is not None:
        return _read(chooser, leaf, span, sums)
    if leaf.measure == "count":
        return _counted(chooser, leaf, span, sums)
    return _moment(chooser, leaf, span, sums)


def _outside(span: Span, sums: Sums) -> Composable:
    """None lies in the window, by the sums; null sums are told of beforehand."""
    found: list[Composable] = []
    if span.after is not None:
        found.append(sql.SQL("{} <= {}").format(sums.last, span.after))
    if span.since is not None:
        found.append(sql.SQL("{} < {}").format(sums.last, span.since))
    if span.before is not None:
        found.append(sql.SQL("{} >= {}").format(sums.first, span.before))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(found)) if found else NO


def _may_be(span: Span, sums: Sums | None) -> Composable:
    """Whether events of these types can lie in the window at all."""
    if sums is None:
        return YES
    filled = {"last": sums.last, "outside": _outside(span, sums)}
    return fragment("may_be", **filled)


def _inside(span: Span, sums: Sums) -> Composable:
    return both(span.holds(sums.first), span.holds(sums.last))


def _counted(chooser: Chooser, leaf: EventsLeaf, span: Span, sums: Sums) -> Verdict:
    """How many touchpoints, by sums; counted only where they do not tell."""
    building = chooser.building
    if leaf.window is None:
        return Verdict(number(building, sums.many, leaf))
    outside, inside = _outside(span, sums), _inside(span, sums)
    bounds = fragment("in_bounds", last=sums.last, outside=outside, inside=inside, many=sums.many)
    by_sums = number(building, bounds, leaf)
    at_least = 0 if leaf.window.between is not None else 1
    undecided = _undecided(building, leaf, sums.many, at_least)
    if undecided is None:
        return Verdict(by_sums, _turns(leaf, by_sums, _leaving(leaf, span, sums)))
    straddles = fragment("straddles", last=sums.last, outside=outside, inside=inside, undecided=undecided)
    open = both(chooser.gate("newest", leaf, span, straddles), straddles)
    newest = chooser.newest(leaf, span, open, _needed(leaf))
    many = fragment("how_many_newest", newest=newest)
    holds = fragment("case", open=open, first=number(building, many, leaf), second=by_sums)
    leaving = _leaving(leaf, span, sums)
    if leaving is not None and span.length is not None:
        counted = sql.SQL("({} + {})").format(fragment("oldest_of_newest", newest=newest), span.length)
        leaving = fragment("case", open=open, first=counted, second=leaving)
    return Verdict(holds, _turns(leaf, holds, leaving))


def _needed(leaf: EventsLeaf) -> int:
    """How many events have to be found until it makes no difference how many more there are."""
    if isinstance(leaf.value, tuple):
        return int(max(leaf.value)) + 1
    value = int(leaf.value)
    return value if leaf.is_ in {">=", "<"} else value + 1


def _may_matter(building: Building, leaf: EventsLeaf, sums: Sums | None) -> Composable:
    """Whether there are enough events of these types that their count can differ from what none of them comes to."""
    if sums is None or leaf.measure != "count" or isinstance(leaf.value, tuple) or leaf.value == 0:
        return YES
    needed = leaf.value + 1 if leaf.is_ in {">", "<="} else leaf.value
    return sql.SQL("{} >= {}").format(sums.many, building.parameter(needed, "bigint"))


def _undecided(building: Building, leaf: EventsLeaf, many: Composable, at_least: int) -> Composable | None:
    """Whether a count from `at_least` to `many` makes a difference; None where it never does."""
    if at_least == 1 and _only_whether(leaf):
        return None
    if isinstance(leaf.value, tuple):
        return YES
    low, high = _STRICT.get(leaf.is_, ("<=", "<="))
    wanted = building.parameter(leaf.value, "bigint")
    least = building.parameter(at_least, "bigint")
    return sql.SQL("({} {} {} AND {} {} {})").format(least, sql.SQL(low), wanted, wanted, sql.SQL(high), many)


def _only_whether(compared: Comparison) -> bool:
    """Does it make no difference how many, but whether one?"""
    return (compared.is_, compared.value) in _WHETHER


def asks_whether(leaf: EventsLeaf) -> bool:
    """Does it ask for no more than whether there is such an event?"""
    return leaf.measure == "count" and leaf.field is None and _only_whether(leaf)


def _leaving(leaf: EventsLeaf, span: Span, sums: Sums) -> Composable | None:
    """When what lies in the last while leaves it: the last of it, where only that makes a difference."""
    if span.length is None or span.after is None:
        return None
    if _only_whether(leaf):
        return fragment("last_leaves_at", last=sums.last, lower=span.after, length=span.length)
    return fragment("leaves_at", first=sums.first, last=sums.last, lower=span.after, length=span.length)


def _turns(leaf: EventsLeaf, holds: Composable, leaving: Composable | None) -> tuple[Composable, ...]:
    """When a count, which by time alone only falls, may change what holds: not where less of it changes nothing."""
    if leaving is None:
        return ()
    if leaf.is_ in {">=", ">"}:
        return (fragment("case", open=holds, first=leaving, second=NEVER),)
    if leaf.is_ in {"<", "<="}:
        return (fragment("case", open=holds, first=NEVER, second=leaving),)
    return (leaving,)


def _unless_shown(building: Building, leaf: EventsLeaf, told: _Told) -> _Told:
    """The same where it is known that there is one: then one was counted, at a moment that is not too late."""
    shown = building.shown(leaf)
    many = fragment("case", open=shown, first=building.parameter(1, "bigint"), second=told.many)
    first, last = [fragment("case", open=shown, first=fragment("shown_at"), second=one) for one in told[2:]]
    return _Told(told.chosen, many, first, last)


def _told(chooser: Chooser, leaf: EventsLeaf, span: Span, open: Composable) -> _Told:
    """Columns of what is counted among the events that are read."""
    open = both(chooser.gate("told", leaf, span, open), open)
    if asks_whether(leaf):
        open = both(open, sql.SQL("NOT {}").format(chooser.building.shown(leaf)))
    chosen = chooser.marked(leaf, span, open, leaf.field)
    names = ("counted", "earliest", "latest")
    many, first, last = [chooser.building.column("told", fragment(name, chosen=chosen)) for name in names]
    return _Told(chosen, many, first, last)


def _whether(chooser: Chooser, leaf: EventsLeaf, span: Span, open: Composable) -> _Told:
    """The same of a leaf that asks whether there is one: a story that is long is read from its end, up to the last
    that there is."""
    building, long = chooser.building, chooser.is_long()
    told = _told(chooser, leaf, span, both(open, sql.SQL("NOT {}").format(long)))
    unknown = sql.SQL("NOT {}").format(building.shown(leaf))
    open = both(chooser.gate("last_such", leaf, span, open), open, long, unknown)
    latest = chooser.latest(leaf, span, open)
    first, last = [sql.SQL("coalesce({}, {})").format(latest, one) for one in told[2:]]
    return _Told(told.chosen, fragment("one_or", at=latest, many=told.many), first, last)


def _moment(chooser: Chooser, leaf: EventsLeaf, span: Span, sums: Sums) -> Verdict:
    """When the first or the last touchpoint was, or how long ago, by sums; found out only where they do not tell: the
    first of all lies before a window, or the last of all after it."""
    edge = sums.first if leaf.measure == "first" else sums.last
    if leaf.window is None:
        return _of_moment(chooser, leaf, edge, span)
    lies_in = span.holds(edge)
    by_sums = fragment("case", open=lies_in, first=edge, second=NEVER)
    if (span.lower is None) if leaf.measure == "first" else (span.before is None):
        return _of_moment(chooser, leaf, by_sums, span)
    open = fragment("straddles", last=sums.last, outside=_outside(span, sums), inside=lies_in, undecided=YES)
    told = _told(chooser, leaf, span, open)
    found = told.first if leaf.measure == "first" else told.last
    return _of_moment(chooser, leaf, fragment("case", open=open, first=found, second=by_sums), span)


def _of_moment(chooser: Chooser, leaf: EventsLeaf, at: Composable, span: Span) -> Verdict:
    """What a leaf says of a moment, null where there is none."""
    leaving: tuple[Composable, ...] = ()
    if span.length is not None:
        leaving = (sql.SQL("({} + {})").format(at, span.length),)
    if leaf.measure != "days":
        found = moment(chooser.building, at, leaf)
        return Verdict(found.holds, (*found.wakes, *leaving))
    holds = number(chooser.building, fragment("whole_days", moment=at), leaf)
    if leaf.is_ in {"known", "unknown"}:
        return Verdict(holds, leaving)
    days = sorted({day for day in _days(leaf) if 0 < day <= _MOST_DAYS})
    seconds = [chooser.building.parameter(day * _DAY_S, "double precision") for day in days]
    turns = [sql.SQL("({} + {})").format(at, length(one)) for one in seconds]
    return Verdict(holds, (*[fragment("later", x=one) for one in turns], *leaving))


def _days(leaf: EventsLeaf) -> Iterator[int]:
    """From how many whole days on what holds may be something else."""
    for one in leaf.value if isinstance(leaf.value, tuple) else (leaf.value,):
        if leaf.is_ not in {">", "<="}:
            yield ceil(float(one))
        if leaf.is_ not in {">=", "<"}:
            yield floor(float(one)) + 1


def _read(chooser: Chooser, leaf: EventsLeaf, span: Span, sums: Sums | None) -> Verdict:
    """What only the events themselves say; they are read where there can be any."""
    building = chooser.building
    open = both(_may_be(span, sums), _may_matter(building, leaf, sums))
    if asks_whether(leaf):
        told = _unless_shown(building, leaf, _whether(chooser, leaf, span, open))
    else:
        told = _told(chooser, leaf, span, open)
    leaving: Composable | None = None
    if span.length is not None:
        edge = told.last if asks_whether(leaf) else told.first
        leaving = sql.SQL("({} + {})").format(edge, span.length)
    if leaf.measure == "count":
        holds = number(building, told.many, leaf)
        return Verdict(holds, _turns(leaf, holds, leaving))
    if leaf.field is None:
        return _of_moment(chooser, leaf, told.first if leaf.measure == "first" else told.last, span)
    turns = () if leaving is None else (leaving,)
    if leaf.measure in {"sum", "min", "max"}:
        filled = {"chosen": told.chosen, "value": chooser.number(leaf.field)}
        return Verdict(
            number(building, building.column("told", fragment(f"{leaf.measure}_of", **filled)), leaf), turns
        )
    filled = {"chosen": told.chosen, "value": chooser.value(leaf.field)}
    found = json(building, building.column("told", fragment(f"{leaf.measure}_of", **filled)), leaf)
    return Verdict(found.holds, (*found.wakes, *turns))
