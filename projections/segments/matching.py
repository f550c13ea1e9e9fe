"""Which topics does an event tell of? Its type, that it is a touchpoint, and of the conditions and windows that rules
choose events by those that it fulfils.

Read out of the packed row: most events are told apart by their type and time alone; of the rest the record is
decoded, once. What cannot be told for sure is told, and said not to be sure: then a rule is asked that need not have
been.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from domain.segment_events import fulfils, said
from domain.segment_parts import ANNIVERSARY, CONTACT, RELATIVE, Selection, Where, Window
from domain.segment_story import NOBODY, Happened
from projections.columns import LENGTH, micros_of
from projections.contacts import TEXTS, TOUCH, happened_at

__all__ = ["Matcher", "Wanted", "is_told_whole", "wanted_of"]

_TEXT_COLUMNS: Final = 3
_BEGIN_NUMBERS: Final = tuple("-0123456789")
_MARGIN: Final = timedelta(hours=1)
"""By how much clocks may differ: what left a window by less is told still."""
_LISTS: Final = ("campaign", "product")
_ALWAYS: Final = (-(2**63), 2**63, -(2**63))
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError)
Times = tuple[int, int, int]
"""(from, before, not sure up to), as Postgres counts microseconds"""


class Wanted(NamedTuple):
    """Events of one type (`contact`: all touchpoints) that lie in a window and fulfil conditions, as a rule means
    them."""

    type: str
    where: tuple[Where, ...] = ()
    window: Window | None = None


def wanted_of(selection: Selection, window: Window | None, raised: Container[str]) -> Iterator[Wanted]:
    """What a rule means by a selection, type by type, as far as an event alone tells it: not what the catalogue says
    of its products, not what depends on when it is asked. raised: types whose older contents read otherwise by
    now."""
    for type in selection.types:
        yield Wanted(type, tuple([one for one in selection.where if _is_told(one, type, raised)]), window)


def is_told_whole(selection: Selection, raised: Container[str]) -> bool:
    """Does an event alone tell whether a rule means it?"""
    return all(_is_told(one, type, raised) for type in selection.types for one in selection.where)


def _is_told(where: Where, type: str, raised: Container[str]) -> bool:
    if where.field == "category" or where.is_ in {*RELATIVE, ANNIVERSARY}:
        return False
    return not (where.field.startswith("content.") and (type == CONTACT or type in raised))


class _Record(msgspec.Struct, gc=False):
    """What conditions ask of a record."""

    source: str = ""
    refs: tuple[str, ...] = ()
    actor: str | None = None
    channel: str | None = None
    direction: str | None = None
    public: Any = None


class _Choice(NamedTuple):
    """A topic with conditions. where: those that are still to be looked at; window: its number."""

    where: tuple[Where, ...]
    window: int
    bit: int


class _Plan(NamedTuple):
    """What is to be found out of events of a type. told: topics of each of them; timed: of those in a window, by its
    number. keyed: by a field and what it has to say, those that may be fulfilled; others: all others with conditions,
    windows: theirs."""

    type: str
    touch: bool
    told: int
    timed: tuple[tuple[int, int], ...]
    keyed: Mapping[str, Mapping[str, list[_Choice]]]
    others: list[_Choice]
    windows: tuple[int, ...]


class Matcher:
    """Finds topics of events. bits: the number of each topic, one bit each. For one thread."""

    def __init__(self, bits: Mapping[Wanted, int], zone: tzinfo) -> None:
        self._bits, self._zone = bits, zone
        self._plans: dict[tuple[int, bytes], _Plan] = {}
        self._decoder = msgspec.json.Decoder(_Record, float_hook=Decimal)
        self._windows: list[Window | None] = list(dict.fromkeys([one.window for one in bits]))
        self._times: list[Times] = []
        self._now = datetime.now(UTC)

    def begin(self, now: datetime) -> None:
        """Windows are those of this moment from now on."""
        self._now = now
        self._times = [_ALWAYS if window is None else self._bounds(window) for window in self._windows]

    def _bounds(self, window: Window) -> Times:
        bounds = window.bounds(self._now, self._zone)
        lower = bounds.after or bounds.since
        before = _ALWAYS[1] if bounds.before is None else micros_of(bounds.before.astimezone(UTC))
        if lower is None:
            return _ALWAYS[0], before, _ALWAYS[2]
        at = lower.astimezone(UTC)
        return micros_of(at - _MARGIN), before, micros_of(at)

    def of(self, row: bytes) -> tuple[int, bool]:
        """The topics of an event, by its packed row of `events`, and whether it tells of each of them for sure."""
        [length] = LENGTH.unpack_from(row, TEXTS)
        key = row[TOUCH], row[TEXTS + 4 : TEXTS + 4 + length]
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(key[1].decode(), row[TOUCH] == 1)
        told, sure = plan.told, True
        if plan.timed or plan.windows:
            times = self._times
            at = happened_at(row)
            for window, bit in plan.timed:
                begin, before, unsure = times[window]
                if begin <= at < before:
                    told |= bit
                    sure = sure and at > unsure
            for window in plan.windows:
                begin, before, _ = times[window]
                if begin <= at < before:
                    more, all_sure = self._matched(row, plan, at)
                    return told | more, sure and all_sure
        return told, sure

    def _plan(self, type: str, touch: bool) -> _Plan:
        told, timed = 0, dict[int, int]()
        keyed: dict[str, dict[str, list[_Choice]]] = {}
        others: list[_Choice] = []
        windows: dict[int, None] = {}
        for one, bit in self._bits.items():
            if one.type != type and not (touch and one.type == CONTACT):
                continue
            window = self._windows.index(one.window)
            key = next((where for where in one.where if _is_key(where)), None)
            if one.where:
                windows[window] = None
                rest = tuple(where for where in one.where if where is not key)
                among = others if key is None else keyed.setdefault(key.field, {}).setdefault(str(key.value), [])
                among.append(_Choice(rest, window, bit))
            elif one.window is None:
                told |= bit
            else:
                timed[window] = timed.get(window, 0) | bit
        return _Plan(type, touch, told, tuple(timed.items()), keyed, others, tuple(windows))

    def _matched(self, row: bytes, plan: _Plan, at: int) -> tuple[int, bool]:
        """Topics with conditions that an event fulfils, and whether it does for sure; all of them if it cannot be
        read."""
        told, sure = 0, True
        try:
            event = self._event(row, plan)
            for one in _candidates(plan, event):
                begin, before, unsure = self._times[one.window]
                if begin <= at < before and (not one.where or self._fulfils(event, one.where)):
                    told |= one.bit
                    sure = sure and at > unsure
        except _UNREADABLE:
            sure = False
            for one in (*plan.others, *chain(*[few for values in plan.keyed.values() for few in values.values()])):
                told |= one.bit
        return told, sure

    def _fulfils(self, event: Happened, conditions: Sequence[Where]) -> bool:
        return all(fulfils(NOBODY, event, where, self._zone, self._now) for where in conditions)

    def _event(self, row: bytes, plan: _Plan) -> Happened:
        """What conditions may ask of an event; its name and time are not among it."""
        place = TEXTS
        for _ in range(_TEXT_COLUMNS):
            place += 4 + max(LENGTH.unpack_from(row, place)[0], 0)
        record = self._decoder.decode(row[place + 4 :])
        return Happened(
            NOBODY.customer, self._now, plan.type, plan.touch, record.channel, record.direction, record.source,
            record.actor, record.refs, record.public if isinstance(record.public, dict) else {},
        )  # fmt: skip


def _is_key(where: Where) -> bool:
    """Is it fulfilled by one text alone? What stands in a content may also be a number that the text spells."""
    if where.is_ != "=" or not isinstance(where.value, str):
        return False
    return not where.field.startswith("content.") or where.value[:1] not in _BEGIN_NUMBERS


def _candidates(plan: _Plan, event: Happened) -> Iterator[_Choice]:
    """Those that an event may fulfil: what it says is what they are kept under."""
    yield from plan.others
    for field, values in plan.keyed.items():
        found = said(event, field)
        if isinstance(found, str):
            yield from values.get(found, ())
        elif isinstance(found, list) and field in _LISTS:
            for one in dict.fromkeys(found):
                yield from values.get(one, ())
