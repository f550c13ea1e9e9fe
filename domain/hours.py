"""How much of a stretch of time is business time, and when is so much of it over?

A moment is within business hours when a clock on the wall there shows a time within the hours of that day, and the
day is no day off. So an hour that is skipped in spring counts for nobody, and one that comes twice in autumn counts
twice. Everything is counted in whole microseconds since 1970, a UTC day at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain.configuration.calendars import DAYS, Calendar, Hours
from domain.errors import BadInput, Problem

__all__ = ["WorkingHours", "working_hours"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_MICRO: Final = timedelta(microseconds=1)
_DAY: Final = 86_400
_IDLE: Final = 2 * 366
"""After so many days without an opening nothing is looked for any more."""
_KEPT: Final = 4096
"""So many days of one calendar are remembered, about 300 bytes each."""

_Spans = tuple[tuple[int, int], ...]


class WorkingHours:
    """The business hours of a calendar. Whoever shares one may use it from several threads."""

    def __init__(self, calendar: Calendar, zone: ZoneInfo) -> None:
        """zone: that of the deployment, for a calendar without one."""
        self._zone = calendar.zone(zone)
        self._off = calendar.holidays
        always = ((0, _DAY),)
        self._week = tuple(_spans(calendar.hours.get(day, [])) if calendar.hours else always for day in DAYS)
        self._special = {day: _spans(hours) for day, hours in calendar.special.items()}
        self._days: dict[int, _Spans] = {}
        self._years: dict[int, frozenset[date]] = {}

    def add(self, start: datetime, amount: timedelta) -> datetime:
        """The earliest moment by which so much business time has passed since `start`, in UTC.

        Nothing or less has passed at `start` itself. Raises BadInput where nothing opens for two years.
        """
        left, at = amount // _MICRO, (start - _EPOCH) // _MICRO
        if left <= 0:
            return start.astimezone(UTC)
        day, idle = at // (_DAY * 1_000_000), 0
        while idle < _IDLE:
            idle += 1
            for begin, end in self._open(day):
                room = end - max(begin, at)
                if room >= left:
                    return _EPOCH + (max(begin, at) + left) * _MICRO
                if room > 0:
                    left, idle = left - room, 0
            day += 1
        raise BadInput([Problem("calendars", "has one that opens on no day of two years.", "Give it hours.")])

    def between(self, start: datetime, end: datetime) -> timedelta:
        """How much business time lies between two moments; none if `end` is not after `start`."""
        first, last = (start - _EPOCH) // _MICRO, (end - _EPOCH) // _MICRO
        passed = 0
        for day in range(first // (_DAY * 1_000_000), last // (_DAY * 1_000_000) + 1):
            for opens, closes in self._open(day):
                passed += max(0, min(closes, last) - max(opens, first))
        return passed * _MICRO

    def _open(self, day: int) -> _Spans:
        """The stretches of a UTC day, counted from 1970, that are business time: in microseconds since then."""
        found = self._days.get(day)
        if found is None:
            if len(self._days) >= _KEPT:
                self._days = {}
            seconds = [span for piece in self._pieces(day) for span in self._within(*piece)]
            found = self._days[day] = tuple((begin * 1_000_000, end * 1_000_000) for begin, end in seconds)
        return found

    def _pieces(self, day: int) -> Iterator[tuple[int, int, int]]:
        """A UTC day in pieces (begin, end, offset from UTC) of one offset each, in seconds."""
        begin, end = day * _DAY, (day + 1) * _DAY
        early, late = self._offset(begin), self._offset(end - 1)
        if early == late:
            yield begin, end, early
            return
        before, after = begin, end - 1  # the clocks go over somewhere in between
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (middle, after) if self._offset(middle) == early else (before, middle)
        yield begin, after, early
        yield after, end, late

    def _offset(self, second: int) -> int:
        offset = (_EPOCH + timedelta(seconds=second)).astimezone(self._zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    def _within(self, begin: int, end: int, offset: int) -> Iterator[tuple[int, int]]:
        """The business time of a piece, in seconds since 1970."""
        for local in range((begin + offset) // _DAY, (end - 1 + offset) // _DAY + 1):
            for opens, closes in self._spans_of(date.fromordinal(_FIRST_DAY + local)):
                first, last = local * _DAY + opens - offset, local * _DAY + closes - offset
                if max(first, begin) < min(last, end):
                    yield max(first, begin), min(last, end)

    def _spans_of(self, day: date) -> _Spans:
        """The hours of a day there, in seconds since its midnight as a clock on the wall shows them."""
        if day in self._special:
            return self._special[day]
        return () if day in self._days_off(day.year) else self._week[day.weekday()]

    def _days_off(self, year: int) -> frozenset[date]:
        found = self._years.get(year)
        if found is None:
            off = set(self._off.days)
            if self._off.country is not None:
                import holidays  # noqa: PLC0415 - of hundreds of countries, and most calendars name none

                off |= set(holidays.country_holidays(self._off.country, self._off.subdivision, years=year))
            found = self._years[year] = frozenset(off - set(self._off.working))
        return found


def _spans(hours: list[Hours]) -> _Spans:
    """Hours in order, in seconds since midnight."""
    return tuple(
        (begin.hour * 3600 + begin.minute * 60, end.hour * 3600 + end.minute * 60 if end else _DAY)
        for begin, end in sorted(hours, key=lambda one: one.start)
    )


_MADE: Final[dict[tuple[int, str], tuple[Calendar, WorkingHours]]] = {}


def working_hours(calendar: Calendar, zone: ZoneInfo) -> WorkingHours:
    """The business hours of a calendar, made once for it: what they remember of days is worth keeping."""
    key = (id(calendar), zone.key)
    found = _MADE.get(key)
    if found is None:
        if len(_MADE) >= 64:
            _MADE.clear()
        found = _MADE[key] = (calendar, WorkingHours(calendar, zone))  # as long as we hold it the id is its own
    return found[1]
