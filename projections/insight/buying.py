"""Do customers come back? Told out of sums where those are of the zone and the days that are asked for, else out of
all purchases; either way in one snapshot, and exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from domain.configuration import Rfm
from domain.zones import Period, midnight
from eventlog.sql import load
from projections.figures.buyers import QUERIES, Buying, customers_query, kept_in, put_together, voices_query
from projections.figures.pieces import EVER, pieces
from projections.figures.sales import Unit, levels_of, stale_in
from projections.insight.asking import MOST_GROUPS, Window

__all__ = ["Kept", "Loyalty", "Returned", "classes", "cohorts", "days_of", "kept", "loyalty", "whose_are_stale"]

_SQL: Final = load("projections.insight", "buying.sql")
_LABELS: Final = {"day": "YYYY-MM-DD", "week": 'IYYY"-W"IW', "month": "YYYY-MM"}
_BITS: Final = {"day": 0, "week": 2, "month": 1}
_ZERO: Final = Decimal(0)
_NONE: Final[Sequence[Any]] = (0, 0, 0, _ZERO, _ZERO)
"""The numbers of a row that is not there."""
_DAY: Final = timedelta(days=1)
_HOURS: Final = timedelta(hours=3)
"""So far from midnight clocks are put back, and a day may come twice."""
_Cursor = psycopg.AsyncCursor[Any]


class Loyalty(NamedTuple):
    """Customers of a group (key None: of the whole period): how many bought, how many of them for the first time, and
    how many had ordered twice or more by the end; orders of new and of returning ones, and of nobody known."""

    key: str | None
    customers: int
    new: int
    repeat: int
    new_orders: int
    returning_orders: int
    unknown_orders: int


class Returned(NamedTuple):
    """Revenue of new and of returning customers, and of nobody that is known, in one currency."""

    key: str | None
    currency: str
    new: Decimal
    returning: Decimal
    unknown: Decimal


class Days(NamedTuple):
    """From `first` to before `last`."""

    first: date
    last: date


class Kept(NamedTuple):
    """What is summed up. asked: with what queries of it are asked; whose: of which trades they have to read, as
    `put_together` has it."""

    buying: Buying
    asked: Mapping[str, Any]
    whose: str

    def query(self, text: sql.SQL) -> sql.Composed:
        """A query with its parts filled in."""
        return put_together(text, self.whose)


class _Nobody(NamedTuple):
    """Purchases of nobody that is known: different orders by group, amounts by group and currency."""

    orders: Mapping[str | None, int]
    amounts: Mapping[tuple[str | None, str], Decimal]


async def kept(cursor: _Cursor, until: datetime, recorded_by: datetime) -> Kept | None:
    """How what was bought is summed up in the build that serves; None where it is not, or where it is asked for as it
    was known then. until: later purchases do not count."""
    buying = kept_in(await (await cursor.execute(QUERIES["kept"])).fetchone())
    if buying is None or recorded_by < EVER[1]:
        return None
    asked = {**buying.asked(), "until": until, "customers": []}
    stale = [row[0] for row in await (await cursor.execute(customers_query(), asked)).fetchall()]
    return Kept(buying, {**asked, "customers": stale}, "some" if stale else "nobody")


async def whose_are_stale(cursor: _Cursor, recorded_by: datetime) -> list[UUID] | None:
    """Of whom it is not noted right what of their purchases falls to campaigns, and what they asked before; None
    where it is of nobody, or where it is asked for as it was known then."""
    kept_as = kept_in(await (await cursor.execute(QUERIES["kept"])).fetchone())
    if kept_as is None or recorded_by < EVER[1]:
        return None
    return [row[0] for row in await (await cursor.execute(voices_query(), {"until": EVER[1]})).fetchall()]


def days_of(window: Window, known: Kept | None) -> Days | None:
    """The days that a window is, where they are those that are summed up, and there is no doubt when each begins."""
    if known is None or known.buying.zone != window.zone:
        return None
    zone = ZoneInfo(window.zone)
    days = Days(*[edge.astimezone(zone).date() for edge in (window.start, window.end)])
    for day, edge in zip(days, (window.start, window.end), strict=True):
        begins = {datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (0, 1)}
        if begins != {edge}:
            return None
    return days


async def cohorts(cursor: _Cursor, known: Kept, days: Days) -> list[Any]:
    """Rows of cohorts, out of sums."""
    asked = {**known.asked, **days._asdict(), "most": MOST_GROUPS * 10}
    return await (await cursor.execute(known.query(sql.SQL(_SQL["cohorts"])), asked)).fetchall()


async def classes(cursor: _Cursor, known: Kept, now: datetime, rules: Rfm) -> list[Any]:
    """Rows of (scores, how many customers, their orders, revenue and refunds), out of sums by the day of the last
    purchase; of the days in which a score of recency ends, customer by customer."""
    zone = ZoneInfo(known.buying.zone)
    cut = sorted({(now - timedelta(days=days)).astimezone(zone).date() for days in rules.recency_days})
    around = [(midnight(one, zone) - _HOURS, midnight(one + _DAY, zone) + _HOURS) for one in cut]
    asked = {
        **known.asked, "now": now, "edges_recency": [days * 86_400 for days in rules.recency_days], "cut": cut,
        "starts": [start for start, _ in _apart(around)], "ends": [end for _, end in _apart(around)],
    }  # fmt: skip
    return await (await cursor.execute(known.query(sql.SQL(_SQL["classes"])), asked)).fetchall()


def _apart(ranges: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Ranges in the order of their begins, none of them over another one."""
    found: list[tuple[datetime, datetime]] = []
    for start, end in ranges:
        found.append((max(start, found[-1][1]) if found else start, end))
    return found


async def loyalty(
    cursor: _Cursor, known: Kept, window: Window, days: Days, by: Unit
) -> tuple[list[Loyalty], list[Returned]]:  # fmt: skip
    """New and returning customers of the whole period (first), and of each day, week or month, out of sums."""
    asked = {**known.asked, **days._asdict(), **_pieces(days, by), "bit": _BITS[by]}
    rows = await (await cursor.execute(known.query(sql.SQL(_SQL["loyalty"])), asked)).fetchall()
    return _told(rows, await _nobody(cursor, window, by))


def _pieces(days: Days, by: str) -> dict[str, list[Any]]:
    """Of which sums the period is made, and of which its groups: whole months, and days where they are cut."""
    months, cut = _mixed(days)
    mixed = [("m", one) for one in months] + [("d", one) for one in cut]
    found = dict.fromkeys(mixed, (True, by == "month"))
    if by != "month":
        every = [("d", one) for one in _between(*days)]
        found |= {one: (one in found, True) for one in every}
    rows = []
    for (level, at), uses in found.items():
        start = _START[by](at)
        key = f"{at:%G-W%V}" if by == "week" else start.isoformat()[: 7 if by == "month" else 10]
        rows.append((level, at, key, start, max(start, days.first), *uses))
    names = ("levels", "ats", "keys", "begins", "edges", "whole", "each")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _mixed(days: Days) -> tuple[list[date], list[date]]:
    """(months that lie in the period as a whole, days that lie in none of them)."""
    months, at = [], days.first if days.first == _month(days.first) else _next(_month(days.first))
    first = at
    while at < _month(days.last):
        months.append(at)
        at = _next(at)
    if not months:
        return [], _between(*days)
    return months, _between(days.first, first) + _between(at, days.last)


def _between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days)]


def _month(day: date) -> date:
    return day.replace(day=1)


def _next(month: date) -> date:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


_START: Final[dict[str, Callable[[date], date]]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": _month,
}
"""When the group begins that a day lies in."""


async def _nobody(cursor: _Cursor, window: Window, by: Unit) -> _Nobody:
    period = Period(window.start, window.end, ZoneInfo(window.zone))
    found = pieces(*period[:2], await stale_in(cursor.connection, period), levels_of("", by, period))
    asked = {
        "levels": [one.level for one in found], "starts": [one.start for one in found],
        "ends": [one.end for one in found], "by": by, "zone": window.zone, "label": _LABELS[by],
    }  # fmt: skip
    orders: dict[str | None, int] = defaultdict(int)
    amounts: dict[tuple[str | None, str], Decimal] = defaultdict(Decimal)
    keys: dict[str | None, set[str]] = defaultdict(set)
    for key, currency, _, amount, alone, several in await (await cursor.execute(_SQL["nobody"], asked)).fetchall():
        for group in (key, None):
            orders[group] += alone
            amounts[group, currency] += amount
            keys[group].update(several.split(",") if several else ())
    return _Nobody({group: count + len(keys[group]) for group, count in orders.items()}, amounts)


def _told(rows: Iterable[Sequence[Any]], nobody: _Nobody) -> tuple[list[Loyalty], list[Returned]]:
    """Rows of the sums, and what nobody that is known bought, as figures: the whole period first, then by group."""
    of: dict[str, dict[Any, Sequence[Any]]] = {"a": {}, "b": {}, "r": {}}
    for kind, key, currency, *numbers in rows:
        of[kind][key if kind != "a" else (key, currency)] = numbers
    orders: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
    for key, told in [*[(key, one) for (key, _), one in of["a"].items()], *of["r"].items()]:
        orders[key] = [one + more for one, more in zip(orders[key], told, strict=False)]
    counts = [
        Loyalty._make([key, *of["b"].get(key, _NONE)[:3], *orders[key], nobody.orders.get(key, 0)])
        for key in _first({*of["b"], *nobody.orders})
    ]
    sums = [
        Returned._make([*one, *of["a"].get(one, _NONE)[3:5], nobody.amounts.get(one, _ZERO)])
        for one in sorted({*of["a"], *nobody.amounts}, key=lambda one: (one[0] or "", one[1]))
    ]
    return counts[:MOST_GROUPS], sums[:MOST_GROUPS]


def _first(keys: Iterable[str | None]) -> list[str | None]:
    return sorted(keys, key=lambda one: one or "")
