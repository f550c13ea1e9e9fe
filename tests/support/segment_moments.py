"""At which moments may time alone change who is in a segment? All that could, and more: each moment that anything
tells of, shifted by each length that a rule names, and the days that come round.

A test asks just before, at, and just after each of them, so that nothing that a clock decides goes unseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from domain.work import read_moment
from tests.support.plain_comparing import anniversaries, length_of, midnight
from tests.support.plain_world import World

__all__ = ["around", "lengths_in", "turning_points"]

_INSTANT = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_LENGTHS = {"last", "within"}
_RELATIVE = {"within last", "more than ago", "within next", "anniversary"}


def lengths_in(rule: Any) -> set[timedelta]:
    """Every length of time that a rule names, and the days that it counts to."""
    found: set[timedelta] = set()
    if isinstance(rule, list | tuple):
        return found.union(*map(lengths_in, rule))
    if not isinstance(rule, Mapping):
        return found
    if rule.get("is") in _RELATIVE:
        found.add(length_of(rule["value"]))
    if rule.get("measure") == "days":
        for value in _numbers(rule.get("value")):
            found |= {(value + more) * _DAY for more in (0, 1) if value + more > 0}
    found |= {length_of(rule[name]) for name in _LENGTHS & rule.keys() if isinstance(rule[name], str)}
    return found.union(*map(lengths_in, rule.values()))


def _numbers(value: Any) -> list[int]:
    return [int(one) for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]


def turning_points(world: World, rule: Any, after: datetime, until: datetime) -> list[datetime]:
    """Every moment between these two at which the rule may turn by time alone."""
    lengths = lengths_in(rule) | {days * _DAY for days in world.rfm.recency_days}
    told = set(_moments(world))
    found = {one + shift for one in told for length in lengths for shift in (length, -length)} | told
    for born in _birthdays(world):
        for day in anniversaries(born, range(after.year, until.year + 1)):
            begin, end = midnight(day, world.zone), midnight(day + _DAY, world.zone)
            found |= {end, begin, *[begin - length for length in lengths]}
    return sorted(one for one in found if after < one <= until)


def around(moments: Iterable[datetime]) -> list[datetime]:
    """Just before, at, and just after each."""
    return sorted({one + shift for one in moments for shift in (-_INSTANT, timedelta(), _INSTANT)})


def _moments(world: World) -> Iterator[datetime]:
    for one in world.events:
        yield one.at
        for value in one.content.values():
            if isinstance(value, str):
                if (moment := read_moment(value)) is not None:
                    yield moment
                elif (day := _day(value)) is not None:
                    yield midnight(day, world.zone)


def _birthdays(world: World) -> set[date]:
    told = [one.raw["data"].get("content", {}) for one in world.story.events.values()]
    told += [one["content"] for one in told if isinstance(one.get("content"), Mapping)]
    found = {_day(one.get("birthday")) for one in told}
    return {one for one in found if one is not None}


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        return None
