"""Which moments does a period of days hold, in a time zone? Days begin at midnight where the reader is, or, where a
clock was put on at midnight, with the first moment of that day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from domain.errors import BadInput, Problem

__all__ = ["LONGEST", "Period", "midnight", "named_zone", "period_of"]

LONGEST: Final = timedelta(days=3660)
"""Longest period that is asked about at once: ten years."""
_RECENT: Final = timedelta(days=30)
_SECOND: Final = timedelta(seconds=1)


class Period(NamedTuple):
    """From `start` to before `end`, both in UTC; days are those of `zone`."""

    start: datetime
    end: datetime
    zone: ZoneInfo


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a zone, in UTC. A midnight that comes twice is the first of the two; in place of one that
    the clock leaps over stands the moment of the leap."""
    local = datetime.combine(day, time(), zone)
    at = local.astimezone(UTC)
    if at.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return at
    # Leapt over: the day begins with the leap, which lies between what the two offsets make of the time.
    early, late = local.replace(fold=1).astimezone(UTC), at
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        if middle.astimezone(zone).date() < day:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def named_zone(name: str | None, default: ZoneInfo) -> ZoneInfo:
    """The zone of an IANA name. Raises BadInput."""
    if name is None:
        return default
    if name not in _names():
        way_out = "Send a name of the IANA time zone database, such as Europe/London."
        raise BadInput([Problem("zone", "is no time zone.", way_out)])
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    """The names that everybody knows: not what this machine alone calls its own."""
    return frozenset(available_timezones()) - {"localtime", "Factory", "posixrules"}


def period_of(start: datetime | date | None, end: datetime | date | None, zone: ZoneInfo, now: datetime) -> Period:
    """The period between two moments or days. A day as start is meant from its beginning on, as end to its end. Left
    out: the end is now, the start is 30 days before the end. Raises BadInput."""
    until = now if end is None else _edge(end, zone, 1)
    since = until - _RECENT if start is None else _edge(start, zone, 0)
    if since >= until:
        raise BadInput([Problem("from", "does not lie before `to`.", "Send an earlier `from`, or a later `to`.")])
    if until - since > LONGEST:
        way_out = "Ask for ten years at most."
        raise BadInput([Problem("from", "lies too long before `to`.", way_out)])
    return Period(since, until, zone)


def _edge(told: datetime | date, zone: ZoneInfo, days: int) -> datetime:
    if isinstance(told, datetime):
        return told.astimezone(UTC)
    return midnight(told + timedelta(days=days), zone)
