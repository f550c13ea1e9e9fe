"""Does one value compare with another as a rule of segments says? Plainly, value by value.

Numbers, moments and texts are compared by `domain/conditions.py`, which the rules name as their definition; what
rules have beyond it (beginnings and ends of texts, relative moments, anniversaries, lists) stands here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.conditions import compare
from domain.work import read_moment

__all__ = ["Asked", "anniversaries", "length_of", "midnight"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXTS = ("contains", "starts with", "ends with")


def length_of(text: str) -> timedelta:
    """`90d` as a length of elapsed time."""
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def anniversaries(born: date, years: range) -> Iterator[date]:
    """The yearly returns of a day in these years."""
    for year in years:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        yield date(year, 2, 28) if (born.month, born.day) == (2, 29) and not leap else born.replace(year=year)


class Asked:
    """A comparison, at a moment. ours: whether a moment is one of Storyline's own, whose day is that of `zone`."""

    def __init__(self, leaf: Any, now: datetime, zone: ZoneInfo) -> None:
        self.op, self.wanted = leaf["is"], leaf.get("value")
        self.now, self.zone = now, zone

    def of(self, found: Any, ours: bool = False) -> bool:
        """Does it hold of one value, None where nothing is known?"""
        if isinstance(found, datetime) and ours:
            found = found.astimezone(self.zone)
        if self.op in _TEXTS and isinstance(found, str):
            return self._text(found)
        if self.op in ("starts with", "ends with"):
            return isinstance(found, list) and any(self.of(one) for one in found)
        if self.op == "anniversary":
            return self._returns(found)
        if self.op in ("within last", "more than ago", "within next"):
            return self._near(found)
        return compare(self.op, self.wanted, found)

    def of_any(self, found: list[Any]) -> bool:
        """Does it hold of a thing that has several values?"""
        if self.op in ("known", "unknown"):
            return bool(found) is (self.op == "known")
        if self.op in ("!=", "not in"):
            return all(self.of(one) for one in found)
        return any(self.of(one) for one in found)

    def _text(self, found: str) -> bool:
        wanted = str(self.wanted)
        if self.op == "contains":
            return wanted in found
        return found.startswith(wanted) if self.op == "starts with" else found.endswith(wanted)

    def _near(self, found: Any) -> bool:
        moment = self._moment(found)
        if moment is None:
            return False
        length = length_of(self.wanted)
        if self.op == "within last":
            return self.now - length < moment <= self.now
        if self.op == "within next":
            return self.now < moment <= self.now + length
        return moment <= self.now - length

    def _moment(self, found: Any) -> datetime | None:
        """A moment, or when a day begins."""
        if isinstance(found, str) and len(found) == len("2026-01-31"):
            try:
                found = date.fromisoformat(found)
            except ValueError:
                return None
        if isinstance(found, date) and not isinstance(found, datetime):
            return midnight(found, self.zone)
        return read_moment(found)

    def _returns(self, found: Any) -> bool:
        try:
            born = date.fromisoformat(found)
        except (TypeError, ValueError):
            return False
        length = length_of(self.wanted)
        last = self.now.year + 2 + length // timedelta(days=365)
        return any(
            midnight(day, self.zone) - length <= self.now < midnight(day + timedelta(days=1), self.zone)
            for day in anniversaries(born, range(self.now.year - 1, last))
        )
