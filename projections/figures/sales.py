"""What do sales come to, by time and by what they were of, and which events are behind a figure?

Of one dimension they are put together of sums; where a question combines two, or asks as of a moment of the past, of
the rows. Figures of different currencies are apart, unless rates convert them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from typing import Any, Final, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.catalogue import load_catalogue
from domain.catalogue.registry import Catalogue
from domain.configuration import Analytics
from domain.zones import Period
from eventlog.sql import load
from projections.connecting import reading
from projections.figures.pieces import Level, Piece, Stale, fitting, pieces
from projections.figures.then import Moment, as_known, then_query

__all__ = ["Behind", "By", "Figure", "Filters", "SalesReader", "Unit", "behind", "levels_of", "stale_in"]

_SQL: Final = load("projections.figures", "sales.sql")
Unit = Literal["all", "day", "week", "month", "hour", "weekday", "weekhour"]
"""What time is grouped by: all of it as one; days, weeks and months one after the other; hours of the day, days of
the week, and hours of the week."""
By = Literal["", "channel", "country", "campaign", "rep", "team", "type", "product", "category"]
_DIMENSIONS: Final = tuple(one for one in get_args(By) if one)
_LINED: Final = ("product", "category")
_ACTED: Final = ("rep", "team")
_EXACT: Final = Context(prec=100)
_ZERO: Final = Decimal(0)
_USER: Final = "user:"
_TEAM: Final = "team:"


@dataclass(frozen=True, slots=True)
class Filters:
    """Only what fits all that is given. rep: the code of a colleague; team: of a team; campaign: a ref in clear
    (`campaign:spring`); type: of the event."""

    channel: str | None = None
    country: str | None = None
    campaign: str | None = None
    rep: str | None = None
    team: str | None = None
    type: str | None = None
    product: str | None = None
    category: str | None = None

    def given(self) -> dict[str, str]:
        """Those that are given."""
        told = {one: getattr(self, one) for one in _DIMENSIONS}
        return {name: value for name, value in told.items() if value is not None}


class Figure(NamedTuple):
    """What sales come to. bucket: the moment of the zone's clock that it begins with (of hours and weekdays in the
    week of 3 January 2000), None for all time. value: of the dimension, "" for what says none. converted: by a rate.
    """

    bucket: datetime | None
    value: str
    currency: str
    purchases: int
    returns: int
    revenue: Decimal
    refunds: Decimal
    units: Decimal
    orders: int
    converted: bool = False

    @property
    def net(self) -> Decimal:
        """What is left of the revenue."""
        return _EXACT.subtract(self.revenue, self.refunds)


class Behind(NamedTuple):
    """An event behind a figure. name: in full, as its publisher was told it."""

    id: UUID
    name: str
    happened_at: datetime
    type: str
    customer: UUID | None
    amount: Decimal | None
    currency: str | None
    partition: int
    offset: int


@dataclass(slots=True)
class _Sum:
    """A figure on its way. keys: of orders that other purchases tell of, too."""

    purchases: int = 0
    returns: int = 0
    revenue: Decimal = _ZERO
    refunds: Decimal = _ZERO
    units: Decimal = _ZERO
    orders: int = 0
    keys: set[str] = field(default_factory=set)
    converted: bool = False

    def add(self, row: Sequence[Any], rate: Decimal | None) -> None:
        purchases, returns, revenue, refunds, units, orders, keys = row
        if rate is not None:
            revenue, refunds, self.converted = _EXACT.multiply(revenue, rate), _EXACT.multiply(refunds, rate), True
        self.purchases += purchases
        self.returns += returns
        self.revenue = _EXACT.add(self.revenue, revenue)
        self.refunds = _EXACT.add(self.refunds, refunds)
        self.units = _EXACT.add(self.units, units)
        self.orders += orders
        if keys:
            self.keys.update(keys.split(","))

    def told(self, bucket: datetime | None, value: str, currency: str) -> Figure:
        orders = self.orders + len(self.keys)
        amounts = (self.revenue, self.refunds, self.units)
        return Figure(
            bucket, value, currency, self.purchases, self.returns, *amounts, orders, self.converted
        )  # fmt: skip


class SalesReader:
    """Reads sales through `pool`, which its owner opens. Raises Unavailable. rates: those of the configuration."""

    def __init__(
        self, pool: AsyncConnectionPool, rates: Analytics | None = None, catalogue: Catalogue | None = None
    ) -> None:
        self._pool, self._rates, self._catalogue = pool, rates or Analytics(), catalogue or load_catalogue()

    async def sales(
        self, period: Period, unit: Unit, by: By, filters: Filters, currency: str | None = None,
        moment: Moment | None = None,
    ) -> list[Figure]:  # fmt: skip
        """Figures by bucket, value and currency, in no order. currency: convert into it what there are rates for.
        moment: as it was known then. Raises BadInput."""
        rates = self._rates if currency is not None and currency == self._rates.currency else None
        cuts = [] if rates is None else [datetime.combine(day, time(), UTC) for day in rates.days()]
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["snapshot"])
            await connection.execute(_SQL["room"])
            asked = await self._asked(connection, period, unit, by, filters, cuts, moment)
            query = sql.SQL(_SQL["sales"]) if moment is None else then_query("sales")
            rows = await (await connection.cursor(binary=True).execute(query, asked)).fetchall()
            teams = await _teams(connection) if by == "team" else {}
        return _put_together(rows, by, teams, rates, cuts)

    async def events(
        self, period: Period, filters: Filters, after: tuple[datetime, UUID], limit: int,
        weekday: int | None = None, hour: int | None = None, moment: Moment | None = None,
    ) -> list[Behind]:  # fmt: skip
        """The trades behind a figure, the latest first, those before `after`; of one weekday (1: Monday) or hour."""
        given = filters.given()
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["snapshot"])
            asked = {
                **_filtering(filters, await _actors(connection, filters)),
                "start": period.start, "end": period.end, "at": after[0], "name": after[1], "limit": limit,
                "by_line": not given.keys().isdisjoint(_LINED), "zone": period.zone.key,
                "weekday": weekday, "hour": hour,
            }  # fmt: skip
            if moment is not None:
                asked |= await as_known(connection, self._catalogue, moment)
            query = sql.SQL(_SQL["events"]) if moment is None else then_query("events")
            rows = await (await connection.cursor(binary=True).execute(query, asked)).fetchall()
        return [behind(row) for row in rows]

    async def _asked(
        self, connection: psycopg.AsyncConnection[Any], period: Period, unit: Unit, by: By, filters: Filters,
        cuts: Sequence[datetime], moment: Moment | None,
    ) -> dict[str, Any]:  # fmt: skip
        """What the query of sales is asked with: the pieces of the period, and what is chosen of each."""
        given = filters.given()
        actors = await _actors(connection, filters)
        used = {"actor" if one in _ACTED else one for one in [*given, *([by] if by else [])]}
        dimension = next(iter(used), "")
        found = [Piece(None, period.start, period.end)]
        then: dict[str, Any] = {"start": period.start, "end": period.end}
        if moment is not None:
            then |= await as_known(connection, self._catalogue, moment)
        elif len(used) <= 1:
            levels = levels_of(dimension, unit, period)
            found = pieces(period.start, period.end, await stale_in(connection, period), levels, cuts)
        values = actors if dimension == "actor" else [given[dimension]] if dimension in given else None
        return {
            **_filtering(filters, actors),
            **then,
            "levels": [one.level for one in found],
            "starts": [one.start for one in found],
            "ends": [one.end for one in found],
            "by": "actor" if by in _ACTED else by,
            "by_line": not used.isdisjoint(_LINED),
            "dimension": dimension,
            "values": values,
            "unit": unit,
            "zone": period.zone.key,
            "cuts": list(cuts),
        }


def levels_of(dimension: str, unit: Unit, period: Period) -> tuple[Level, ...]:
    """Which sums there are that can be put together to what is asked for, the longest first."""
    if unit == "all":
        return ("m", "d") if dimension == "product" else ("m", "d", "h", "q")
    if dimension == "product":
        return ()
    return ("h", "q") if fitting(period.zone, period.start, period.end) == "h" else ("q",)


async def stale_in(connection: psycopg.AsyncConnection[Any], period: Period) -> Stale:
    """Which sums of a period are older than the rows."""
    asked = {"start": period.start, "end": period.end}
    rows = await (await connection.execute(_SQL["stale"], asked)).fetchall()
    of = {level: {at.astimezone(UTC) for its, at in rows if its == level} for level in ("q", "d", "m")}
    return Stale(of["q"], of["d"], of["m"])


async def _teams(connection: psycopg.AsyncConnection[Any]) -> dict[str, str]:
    """Whose figures are a team's: those of the team itself, and of colleagues whose first team it is."""
    rows = await (await connection.execute(_SQL["teams"])).fetchall()
    return {f"{_USER}{code}": team for code, team in rows}


async def _actors(connection: psycopg.AsyncConnection[Any], filters: Filters) -> list[str] | None:
    """The actors that the filters let through; None: all."""
    if filters.rep is not None and filters.team is not None:
        teams = await _teams(connection)
        told = f"{_USER}{filters.rep}"
        return [told] if teams.get(told) == filters.team else []
    if filters.rep is not None:
        return [f"{_USER}{filters.rep}"]
    if filters.team is None:
        return None
    return [
        f"{_TEAM}{filters.team}",
        *[one for one, team in (await _teams(connection)).items() if team == filters.team],
    ]


def _filtering(filters: Filters, actors: list[str] | None) -> dict[str, Any]:
    told = {one: getattr(filters, one) for one in _DIMENSIONS if one not in _ACTED}
    return {**told, "actors": actors}


def _put_together(
    rows: Iterable[Sequence[Any]], by: By, teams: Mapping[str, str], rates: Analytics | None,
    cuts: Sequence[datetime],
) -> list[Figure]:  # fmt: skip
    """Rows by bucket, value, currency and era as figures: converted as far as there are rates, values as told."""
    sums: dict[tuple[datetime | None, str, str], _Sum] = {}
    for bucket, value, currency, era, *rest in rows:
        rate, into = None, currency
        if rates is not None and rates.currency is not None:
            found = rates.rate(currency, date.min if era == 0 else cuts[era - 1].date())
            if found is not None:
                rate, into = found, rates.currency
        told = sums.setdefault((bucket, _value(by, value, teams), into), _Sum())
        told.add(rest, None if currency == into else rate)
    return [one.told(*key) for key, one in sums.items()]


def _value(by: By, value: str, teams: Mapping[str, str]) -> str:
    if by == "rep":
        return value.removeprefix(_USER) if value.startswith(_USER) else ""
    if by == "team":
        return value.removeprefix(_TEAM) if value.startswith(_TEAM) else teams.get(value, "")
    return value


class _Named(msgspec.Struct):
    name: str


_name = msgspec.json.Decoder(_Named).decode


def behind(row: Sequence[Any]) -> Behind:
    """An event behind a figure, out of its row, which holds its record."""
    name, at, type, customer, amount, currency, record, partition, offset = row
    return Behind(name, _name(record).name, at, type, customer, amount, currency, partition, offset)
