"""Of which pieces is a sum over a period made? Of sums that are there already, as long ones as can be, and, where
those are stale or the period cuts through, of the rows themselves. Together they are the period, each moment once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

__all__ = [
    "EVER", "LONGEST", "QUARTER", "SHORTER", "Folded", "Level", "Piece", "Range", "Stale", "begin_of", "edges_of",
    "end_of", "fitting", "folded", "merged", "pieces",
]  # fmt: skip

Level = Literal["q", "h", "d", "m"]
"""How long a sum is: a quarter of an hour, an hour, a day or a month, in UTC."""
SHORTER: Final[dict[Level, Level]] = {"h": "q", "d": "h", "m": "d"}
"""Out of the sums of which level those of a longer one are made."""
LONGEST: Final[tuple[Level, ...]] = ("m", "d", "h", "q")
"""All of them, the longest first."""
Range = tuple[datetime, datetime]
QUARTER: Final = timedelta(minutes=15)
_LENGTHS: Final[dict[str, timedelta]] = {"q": QUARTER, "h": timedelta(hours=1), "d": timedelta(days=1)}
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
EVER: Final = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))
_MONTH: Final = timedelta(days=28)


class Folded(IntEnum):
    """What came of making sums once: FULL where there is more to do than is done at once."""

    NOTHING = 0
    SOME = 1
    FULL = 2


class Piece(NamedTuple):
    """From `start` to before `end`: by sums of a level, or (None) by the rows."""

    level: Level | None
    start: datetime
    end: datetime


class Stale(NamedTuple):
    """Of which times are the sums older than the rows? By their begin. What is shorter may be right."""

    quarters: Collection[datetime] = ()
    days: Collection[datetime] = ()
    months: Collection[datetime] = ()


def begin_of(level: Level, at: datetime) -> datetime:
    """When the time of this level begins that a moment lies in."""
    if level == "m":
        return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return at - (at - _START) % _LENGTHS[level]


def end_of(level: Level, begin: datetime) -> datetime:
    """When the time of this level ends that begins then."""
    if level == "m":
        return begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return begin + _LENGTHS[level]


def folded(done: int, most: int) -> Folded:
    """What it is to have done so much, of which at most so much is done at once."""
    return Folded.FULL if done >= most else Folded.SOME if done else Folded.NOTHING


def edges_of(ranges: Sequence[Range], **more: Any) -> dict[str, Any]:
    """Ranges as parameters of a query, with more of them."""
    return {"starts": [one for one, _ in ranges], "ends": [one for _, one in ranges], **more}


def merged(level: Level, begins: Iterable[datetime]) -> list[Range]:
    """These times of one level as ranges, those that meet as one."""
    found: list[Range] = []
    for begin in sorted(begins):
        end = end_of(level, begin)
        if found and found[-1][1] >= begin:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def pieces(
    start: datetime, end: datetime, stale: Stale, levels: Sequence[Level], cuts: Collection[datetime] = ()
) -> list[Piece]:
    """The pieces of a period, in UTC. levels: those that may be used, the longest first. cuts: no piece goes over
    one of these."""
    first, last = begin_of("q", start), begin_of("q", end)
    if first < start:
        first += QUARTER
    if first >= last:
        return _cut([Piece(None, start, end)], cuts)
    found = [Piece(None, start, first)] if start < first else []
    at = first
    for begin, until in merged("q", [one for one in stale.quarters if first <= one < last]):
        found += _summed(at, begin, stale, levels, sorted(cuts))
        found.append(Piece(None, begin, until))
        at = until
    found += _summed(at, last, stale, levels, sorted(cuts))
    if last < end:
        found.append(Piece(None, last, end))
    return _cut(found, cuts)


def _summed(
    start: datetime, end: datetime, stale: Stale, levels: Sequence[Level], cuts: Sequence[datetime]
) -> Iterator[Piece]:
    """A time without a stale quarter by the longest sums there are."""
    inside = [cut for cut in cuts if start < cut < end]
    for begin, until in zip([start, *inside], [*inside, end], strict=True):
        yield from _levelled(begin, until, stale, levels)


def _levelled(start: datetime, end: datetime, stale: Stale, levels: Sequence[Level]) -> Iterator[Piece]:
    if start >= end:
        return
    if not levels:
        yield Piece(None, start, end)
        return
    level, shorter = levels[0], levels[1:]
    first, last = begin_of(level, start), begin_of(level, end)
    if first < start:
        first = end_of(level, first)
    if first >= last:
        yield from _levelled(start, end, stale, shorter)
        return
    yield from _levelled(start, first, stale, shorter)
    at = first
    outdated = {"d": stale.days, "m": stale.months}.get(level, ())
    for begin, until in merged(level, [one for one in outdated if first <= one < last]):
        if at < begin:
            yield Piece(level, at, begin)
        yield from _levelled(begin, until, stale, shorter)
        at = until
    if at < last:
        yield Piece(level, at, last)
    yield from _levelled(last, end, stale, shorter)


def _cut(found: Sequence[Piece], cuts: Collection[datetime]) -> list[Piece]:
    """The same, none of the rows over a cut."""
    parts = []
    for piece in found:
        inside = sorted(cut for cut in cuts if piece.start < cut < piece.end)
        edges = [piece.start, *inside, piece.end]
        parts += [Piece(piece.level, one, other) for one, other in pairwise(edges)]
    return parts


def fitting(zone: ZoneInfo, start: datetime, end: datetime) -> Level:
    """How long may sums be that are put together to days and hours of a zone? An hour, or less where its clock
    differs from UTC by half an hour, or once did."""
    at = start
    while at < end + _MONTH:
        offset = at.astimezone(zone).utcoffset() or timedelta()
        if offset % timedelta(hours=1):
            return "q"
        at += _MONTH
    return "h"
