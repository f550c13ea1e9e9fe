"""Does a comparison of a rule hold of what was found, at a moment? And when might it, by time alone?

Values are compared as `domain/conditions.py` does it, but for text, which is compared as it is. Moments of a story
are told in the deployment's time zone, so that a day is a day there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

from domain.conditions import compare
from domain.segment_parts import ANNIVERSARY, DAY, RELATIVE, length_of
from domain.work import read_moment

__all__ = ["any_of", "dug", "holds_at", "turns_of"]

_NEGATED: Final = {"!=": "=", "not in": "in"}
_TEXTUAL: Final[Mapping[str, Any]] = {
    "contains": lambda found, wanted: wanted in found,
    "starts with": lambda found, wanted: found.startswith(wanted),
    "ends with": lambda found, wanted: found.endswith(wanted),
}


def holds_at(is_: str, wanted: Any, found: Any, now: datetime, zone: tzinfo) -> bool:
    """Whether `found is_ wanted` holds at a moment."""
    if is_ in RELATIVE:
        return _is_relative(is_, length_of(wanted), _moment(found, zone), now)
    if is_ == ANNIVERSARY:
        day = _day(found, zone)
        return day is not None and any(
            begin <= now < end for begin, end in _returns(day, length_of(wanted), now, zone)
        )
    if is_ in _TEXTUAL and isinstance(found, str):
        return bool(_TEXTUAL[is_](found, wanted))
    if is_ in {"starts with", "ends with"}:
        return isinstance(found, list | tuple) and any(holds_at(is_, wanted, one, now, zone) for one in found)
    if isinstance(found, datetime):
        found = found.astimezone(zone)
    return compare(is_, wanted, found)


def any_of(is_: str, wanted: Any, found: Collection[Any], now: datetime, zone: tzinfo) -> bool:
    """The same of something that may have several values: one of them is enough, and for `!=` and `not in` none may
    be so."""
    if is_ in {"known", "unknown"}:
        return bool(found) == (is_ == "known")
    if is_ in _NEGATED:
        return not any(holds_at(_NEGATED[is_], wanted, one, now, zone) for one in found)
    return any(holds_at(is_, wanted, one, now, zone) for one in found)


def turns_of(is_: str, wanted: Any, found: Any, now: datetime, zone: tzinfo) -> Iterator[datetime]:
    """The moments at which `found is_ wanted` may turn by time alone, in no order; of what comes round every year
    those of this year, the last and the next two."""
    if is_ in RELATIVE:
        at = _moment(found, zone)
        if at is not None:
            yield from (at, *_shifted(at, length_of(wanted)))
    elif is_ == ANNIVERSARY:
        day = _day(found, zone)
        if day is not None:
            for begin, end in _returns(day, length_of(wanted), now, zone):
                yield from (begin, end)


def dug(values: Mapping[str, Any], name: str) -> Any:
    """What stands under a dotted name: as it is written, else part by part. None for what is not there."""
    if name in values:
        return values[name]
    first, _, rest = name.partition(".")
    while rest:
        inner = values.get(first)
        if isinstance(inner, Mapping):
            return dug(inner, rest)
        more, _, rest = rest.partition(".")
        first = f"{first}.{more}"
    return None


def _is_relative(is_: str, length: timedelta, at: datetime | None, now: datetime) -> bool:
    if at is None:
        return False
    match is_:
        case "within last":
            return now - length < at <= now
        case "more than ago":
            return at <= now - length
        case _:
            return now < at <= now + length


def _shifted(at: datetime, length: timedelta) -> Iterator[datetime]:
    for one in (-length, length):
        try:
            yield at + one
        except OverflowError:
            continue


def _moment(found: Any, zone: tzinfo) -> datetime | None:
    """A moment, in UTC, in which time is counted evenly; a day begins at 00:00 in the zone."""
    if isinstance(found, datetime):
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(found, date):
        return datetime(found.year, found.month, found.day, tzinfo=zone).astimezone(UTC)
    if not isinstance(found, str):
        return None
    if DAY.fullmatch(found):
        try:
            return _moment(date.fromisoformat(found), zone)
        except ValueError:
            return None
    at = read_moment(found)
    return None if at is None else at.astimezone(UTC)


def _day(found: Any, zone: tzinfo) -> date | None:
    at = _moment(found, zone)
    return None if at is None else at.astimezone(zone).date()


def _returns(day: date, before: timedelta, now: datetime, zone: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """From when to when each yearly return of a day is near: `before` it begins, until it ends. 29 February returns
    on 28 February where there is none."""
    far = before // timedelta(days=365)
    for year in range(now.astimezone(zone).year - 1, now.astimezone(zone).year + far + 3):
        back = _in_year(day, year)
        begin = datetime(back.year, back.month, back.day, tzinfo=zone).astimezone(UTC)
        after = back + timedelta(days=1)
        yield begin - before, datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)


def _in_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)
