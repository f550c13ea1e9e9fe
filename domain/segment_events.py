"""What do the events of a story answer to a rule? Counts, sums, first and last, and sequences."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from domain.segment_leaves import EventsLeaf, SequenceLeaf, Step
from domain.segment_parts import CONTACT, RELATIVE, Selection, Where, Window
from domain.segment_story import NOBODY, CustomerStory, Happened
from domain.segment_values import any_of, holds_at, turns_of

__all__ = ["Asker", "EventsAsker", "Seen", "SequenceAsker", "chosen", "fulfils", "said"]

_DAY: Final = timedelta(days=1)


class Seen(NamedTuple):
    """What was found at a moment: whether the leaf holds, the value that was compared, and the events behind it, the
    oldest first."""

    holds: bool
    found: Any
    events: Sequence[Happened] = ()


class Asker(Protocol):
    """A leaf, asked of one story. Nothing that happens later than the story's end is known to it."""

    def at(self, now: datetime) -> Seen:
        """What it finds at a moment, which does not lie before the story's end."""

    def turns(self) -> Iterator[datetime]:
        """The moments at which time alone may turn it, in no order."""


def chosen(story: CustomerStory, selection: Selection, zone: tzinfo, now: datetime) -> list[Happened]:
    """The events that a selection means, the oldest first."""
    types = frozenset(selection.types)
    every = CONTACT in types
    return [
        one
        for one in story.events
        if (one.touch if every else one.type in types)
        and all(fulfils(story, one, where, zone, now) for where in selection.where)
    ]


def fulfils(story: CustomerStory, event: Happened, where: Where, zone: tzinfo, now: datetime) -> bool:
    """Whether an event of a story fulfils a condition. Of the story only the categories of products matter."""
    several = _SEVERAL.get(where.field)
    if several is not None:
        return any_of(where.is_, where.value, several(story, event), now, zone)
    return holds_at(where.is_, where.value, _single(event, where.field), now, zone)


def said(event: Happened, field: str) -> Any:
    """What an event says under the name of something that it can be asked for; a list for what it may say several
    of, without what only the catalogue says of products."""
    several = _SEVERAL.get(field)
    return _single(event, field) if several is None else several(NOBODY, event)


def _single(event: Happened, field: str) -> Any:
    """What it says of something that it can be asked for once."""
    if field.startswith("content."):
        return _into(event.content, field.removeprefix("content.").split("."))
    return getattr(event, field)


def _into(content: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if not isinstance(content, Mapping):
            return None
        content = content.get(part)
    return content


def _refs(event: Happened, kind: str) -> list[str]:
    """The values of an event's refs of a kind."""
    found = [one for one in event.refs if one.startswith((f"{kind}:", f"{kind}/"))]
    return [one.partition(":")[2] for one in found]


def _campaigns(_story: CustomerStory, event: Happened) -> list[str]:
    """Both spellings of each: in clear (`campaign:spring`) and its value alone."""
    clear = [one for one in event.refs if one.startswith(("campaign:", "campaign/"))]
    return [*clear, *_refs(event, "campaign")]


def _of_lines(event: Happened, name: str) -> list[str]:
    lines = event.content.get("lines")
    told = [one.get(name) for one in lines if isinstance(one, Mapping)] if isinstance(lines, list | tuple) else []
    return [one for one in (event.content.get(name), *told) if isinstance(one, str) and one]


def _products(_story: CustomerStory, event: Happened) -> list[str]:
    return [*_refs(event, "product"), *_of_lines(event, "product")]


def _categories(story: CustomerStory, event: Happened) -> list[str]:
    own = _of_lines(event, "category")
    return own + [story.categories[one] for one in _products(story, event) if one in story.categories]


_SEVERAL: Final[Mapping[str, Callable[[CustomerStory, Happened], list[str]]]] = {
    "campaign": _campaigns,
    "product": _products,
    "category": _categories,
}


class EventsAsker:
    """Counts, sums, first and last of chosen events."""

    def __init__(self, leaf: EventsLeaf, story: CustomerStory, zone: tzinfo, now: datetime) -> None:
        self._leaf, self._zone, self._now = leaf, zone, now
        self._chosen = chosen(story, leaf, zone, now)

    def at(self, now: datetime) -> Seen:
        within = _within(self._chosen, self._leaf.window, now, self._zone)
        found, behind = self._measured(within, now)
        return Seen(holds_at(self._leaf.is_, self._leaf.value, found, now, self._zone), found, behind)

    def turns(self) -> Iterator[datetime]:
        leaf = self._leaf
        for one in self._chosen:
            if leaf.window is not None and leaf.window.last is not None:
                yield one.happened_at + leaf.window.last
            if leaf.measure in {"first", "last"} and leaf.is_ in RELATIVE:
                yield from turns_of(leaf.is_, leaf.value, self._said(one), self._now, self._zone)
        if leaf.measure == "days" and self._chosen:
            yield from self._days()

    def _days(self) -> Iterator[datetime]:
        """Whole days since the last event, as many as make a difference."""
        values = self._leaf.value if isinstance(self._leaf.value, tuple) else (self._leaf.value,)
        for value in values:
            if value is None:
                continue
            whole = int(Decimal(str(value)).to_integral_value(rounding="ROUND_FLOOR"))
            for days in (whole, whole + 1):
                if 0 < days < 100_000:
                    yield self._chosen[-1].happened_at + days * _DAY

    def _said(self, event: Happened) -> Any:
        return event.happened_at if self._leaf.field is None else _single(event, self._leaf.field)

    def _measured(self, within: Sequence[Happened], now: datetime) -> tuple[Any, Sequence[Happened]]:
        match self._leaf.measure:
            case "count":
                return len(within), within
            case "first":
                return (self._said(within[0]) if within else None), within[:1]
            case "last":
                return (self._said(within[-1]) if within else None), within[-1:]
            case "days":
                return ((now - within[-1].happened_at) // _DAY if within else None), within[-1:]
            case measure:
                return self._of_numbers(measure, within)

    def _of_numbers(self, measure: str, within: Sequence[Happened]) -> tuple[Any, Sequence[Happened]]:
        numbers = [(one, number) for one in within if (number := _number(self._said(one))) is not None]
        if measure == "sum":
            return sum((number for _, number in numbers), Decimal(0)), [one for one, _ in numbers]
        if not numbers:
            return None, ()
        pick = min if measure == "min" else max
        event, number = pick(numbers, key=lambda pair: pair[1])
        return number, [event]


def _within(events: Sequence[Happened], window: Window | None, now: datetime, zone: tzinfo) -> Sequence[Happened]:
    if window is None:
        return events
    bounds = window.bounds(now, zone)
    return [one for one in events if bounds.hold(one.happened_at)]


def _number(value: Any) -> Decimal | None:
    """A number however it is written; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    if isinstance(value, str) and not _is_number(value):
        return None
    number = Decimal(str(value))
    return number if number.is_finite() else None


def _is_number(text: str) -> bool:
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = whole.isascii() and whole.isdigit() and len(whole) <= 30
    return digits and ("." not in text or (fraction.isascii() and fraction.isdigit() and len(fraction) <= 30))


class SequenceAsker:
    """Events one after the other. Of all ways to choose them it is enough to know, for each event that may be a step,
    the latest first event of a way to it: what lies between is the least then."""

    def __init__(self, leaf: SequenceLeaf, story: CustomerStory, zone: tzinfo, now: datetime) -> None:
        self._leaf, self._zone = leaf, zone
        self._order = {one.name: place for place, one in enumerate(story.events)}
        self._events = story.events
        self._steps = [chosen(story, step, zone, now) for step in leaf.steps]
        self._between = self._places(chosen(story, leaf.without, zone, now)) if leaf.without else []
        self._absent = chosen(story, leaf.absent, zone, now) if leaf.absent else []

    def _places(self, events: Sequence[Happened]) -> list[int]:
        return [self._order[one.name] for one in events]

    def at(self, now: datetime) -> Seen:
        ways: dict[int, tuple[int, ...]] = {}
        for number, step in enumerate(self._leaf.steps):
            within = _within(self._steps[number], self._leaf.window, now, self._zone)
            ways = self._first(within) if number == 0 else self._next(within, ways, step)
        for last, way in ways.items():
            if self._is_free(way[0], last) and self._is_over(self._events[last], now):
                return Seen(True, len(way), [self._events[one] for one in way])
        return Seen(False, None)

    def turns(self) -> Iterator[datetime]:
        last = None if self._leaf.window is None else self._leaf.window.last
        if last is not None:
            yield from (one.happened_at + last for step in self._steps for one in step)
        if self._leaf.absent is not None:
            yield from (one.happened_at + self._leaf.absent.within for one in self._steps[-1])

    def _first(self, events: Sequence[Happened]) -> dict[int, tuple[int, ...]]:
        return {place: (place,) for place in self._places(events)}

    def _next(
        self, events: Sequence[Happened], before: Mapping[int, tuple[int, ...]], step: Step
    ) -> dict[int, tuple[int, ...]]:
        """Of each event that may be the step the way to it whose first event is the latest."""
        found: dict[int, tuple[int, ...]] = {}
        waiting, best = deque(sorted(before)), deque[int]()
        for place in self._places(events):
            while waiting and waiting[0] < place:
                one = waiting.popleft()
                while best and before[best[-1]][0] <= before[one][0]:
                    best.pop()
                best.append(one)
            while best and step.within is not None and self._apart(best[0], place) > step.within:
                best.popleft()
            if best:
                found[place] = (*before[best[0]], place)
        return found

    def _apart(self, one: int, other: int) -> timedelta:
        return self._events[other].happened_at - self._events[one].happened_at

    def _is_free(self, first: int, last: int) -> bool:
        """Does nothing that must not come lie between?"""
        place = bisect_left(self._between, first + 1)
        return place == len(self._between) or self._between[place] >= last

    def _is_over(self, last: Happened, now: datetime) -> bool:
        """Is the time after the last step over, and did nothing come in it?"""
        if self._leaf.absent is None:
            return True
        end = last.happened_at + self._leaf.absent.within
        if end > now:
            return False
        return not any(last.place < one.place and one.happened_at <= end for one in self._absent)
