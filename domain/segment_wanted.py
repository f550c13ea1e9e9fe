"""What would have to happen to turn a leaf? Said of what people and channels do, where more of it turns the leaf.

Where only time, a correction or less of something would turn it, nothing is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from domain.segment_events import Seen
from domain.segment_leaves import EventsLeaf, FactLeaf, SequenceLeaf
from domain.segment_parts import Selection
from domain.segment_text import print_rule
from domain.segment_values import holds_at
from domain.segments import Rule

__all__ = ["Wanted", "wanted_of"]

_MOST_MORE: Final = 100
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Wanted(NamedTuple):
    """What would turn a leaf. types: of events; empty where it is no event of a certain type. times: how many more.
    text: for people."""

    types: tuple[str, ...]
    times: int
    text: str


def wanted_of(key: str, leaf: Any, seen: Seen) -> Wanted | None:
    """What would turn this leaf, after what was seen of it."""
    if isinstance(leaf, EventsLeaf):
        return _events(leaf, seen)
    if isinstance(leaf, SequenceLeaf):
        return _sequence(leaf, seen)
    if isinstance(leaf, FactLeaf):
        return _fact(leaf, seen)
    told = _OTHERS.get(key)
    return None if told is None else told(leaf, seen.holds)


def _events(leaf: EventsLeaf, seen: Seen) -> Wanted | None:
    words = _written(leaf)
    if leaf.window is not None and not (leaf.window.last or leaf.window.since):
        return None  # nothing that happens from now on lies in it
    match leaf.measure:
        case "count":
            more = _more(leaf, seen)
            return None if more is None else Wanted(leaf.types, more, f"{_times(more, seen)} {words}")
        case "sum":
            return _sum(leaf, seen, words)
        case "first" if seen.found is not None:
            return None
        case "days" if not seen.holds and seen.found is not None and not _holds(leaf, 0):
            return None
        case _:
            return Wanted(leaf.types, 1, f"{_times(1, seen)} {words}")


def _more(leaf: Any, seen: Seen) -> int | None:
    """How many more turn a comparison of a count; None where more does not."""
    found = int(seen.found or 0)
    for more in range(1, _MOST_MORE + 1):
        if _holds(leaf, found + more) != seen.holds:
            return more
    values = [int(one) for one in _values(leaf.value) if isinstance(one, int) and one >= found]
    return next((one + after - found for one in sorted(values) for after in (0, 1)
                 if one + after > found and _holds(leaf, one + after) != seen.holds), None)  # fmt: skip


def _values(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _holds(leaf: Any, found: Any) -> bool:
    return holds_at(leaf.is_, leaf.value, found, _ANY_TIME, UTC)


def _sum(leaf: EventsLeaf, seen: Seen, words: str) -> Wanted | None:
    rising = (leaf.is_ in {">", ">="}) != seen.holds and leaf.is_ in {">", ">=", "<", "<="}
    if not rising:
        return Wanted(leaf.types, 1, f"another {words}, which changes the sum of {leaf.field}")
    missing = Decimal(str(leaf.value)) - Decimal(str(seen.found))
    least = "more than" if leaf.is_ in {">", "<="} else "at least"
    return Wanted(leaf.types, 1, f"more {words}, together with {least} {missing} of {leaf.field}")


def _sequence(leaf: SequenceLeaf, seen: Seen) -> Wanted | None:
    if seen.holds:
        return None
    told = " then ".join([_written(one) for one in leaf.steps])
    if leaf.absent is not None:
        told += f", and then no {_written(leaf.absent)}"
    return Wanted(leaf.steps[-1].types, 1, told)


def _fact(leaf: FactLeaf, seen: Seen) -> Wanted | None:
    match leaf.name:
        case "touchpoints" | "orders":
            more = _more(leaf, seen)
            what = "touchpoint" if leaf.name == "touchpoints" else "order"
            types = ("contact",) if what == "touchpoint" else ("purchase.made",)
            in_currency = f" in {leaf.currency}" if leaf.currency else ""
            several = "" if more == 1 else "s"
            return None if more is None else Wanted(types, more, f"{_times(more, seen)} {what}{several}{in_currency}")
        case "first_at":
            return None if seen.found is not None else Wanted(("contact",), 1, "a touchpoint")
        case "last_at":
            return Wanted(("contact",), 1, "another touchpoint")
        case "refunds":
            return Wanted(("refund.made",), 1, f"another refund in {leaf.currency}")
        case _:
            return Wanted(("purchase.made",), 1, f"another purchase in {leaf.currency}")


def _consent(leaf: Any, holds: bool) -> Wanted | None:
    channel = f" on {leaf.channel}" if leaf.channel else ""
    wanted = leaf.is_ if not holds else {"granted": "withdrawn"}.get(leaf.is_, "granted")
    if wanted == "unknown":
        return None
    type = "consent.given" if wanted == "granted" else "consent.withdrawn"
    return Wanted((type,), 1, f"consent for {leaf.purpose}{channel} being {wanted}")


def _profile(leaf: Any, holds: bool) -> Wanted:
    what = getattr(leaf, "field", None) or f"address.{leaf.what}"
    other = "another value" if holds else "a value that fits"
    return Wanted(("profile.updated",), 1, f"a profile with {other} of {what}")


def _identifier(leaf: Any, holds: bool) -> Wanted | None:
    if (leaf.is_ == "unknown") == holds:
        return Wanted((), 1, f"an event that names an identifier of the kind {leaf.kind}")
    return None


_OTHERS: Final[Mapping[str, Callable[[Any, bool], Wanted | None]]] = {
    "consent": _consent,
    "profile": _profile,
    "place": _profile,
    "identifier": _identifier,
    "deal": lambda _leaf, _holds: Wanted((), 1, "a deal that is opened or changes"),
    "ticket": lambda _leaf, _holds: Wanted((), 1, "a ticket that is opened or changes"),
    "task": lambda _leaf, _holds: Wanted((), 1, "a task that is made or changes"),
    "lead": lambda _leaf, _holds: Wanted((), 1, "a lead that is captured or changes"),
    "segment": lambda leaf, holds: Wanted((), 1, f"being {'taken off' if holds else 'put on'} the list {leaf.code}"),
    "rfm": lambda _leaf, _holds: Wanted(("purchase.made",), 1, "another purchase"),
    "industry": lambda _leaf, _holds: Wanted((), 1, "a lead or an organisation with another industry"),
}


def _written(selection: Selection) -> str:
    """Events that are meant, as rules write them."""
    leaf = {"types": list(selection.types), "is": ">=", "value": 1}
    leaf["where"] = [one.model_dump(mode="json", by_alias=True) for one in selection.where]
    window = getattr(selection, "window", None)
    if window is not None:
        leaf["window"] = window.model_dump(mode="json", exclude_none=True)
    if selection.types == ("contact",):
        leaf["types"] = "contact"
    told = print_rule(Rule.model_validate({"events": leaf}))
    return told.partition("(")[2].removesuffix(")")


def _times(count: int, seen: Seen) -> str:
    if not seen.found:
        return "one" if count == 1 else str(count)
    return "another" if count == 1 else f"{count} more"
