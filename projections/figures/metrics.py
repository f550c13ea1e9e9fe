"""What does a metric of the deployment come to, over time and by its dimensions, and which events are behind it?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.catalogue.registry import Catalogue
from domain.configuration import Metric
from domain.errors import NotFound, Refused
from domain.zones import Period
from eventlog.sql import load
from projections.connecting import reading
from projections.figures.compiling import QUERIES, compiled
from projections.figures.filling import Definition, Fill, definitions_in, fills_in
from projections.figures.pieces import pieces
from projections.figures.sales import Behind, Unit, behind, stale_in
from projections.registry import MODELS, on_schemas
from projections.segments.compiling_raising import upcasts_of

__all__ = ["Known", "MetricReader", "Value"]

_SNAPSHOT: Final = load("projections.figures", "sales.sql")["snapshot"]
_EXACT: Final = Context(prec=50)


class Known(NamedTuple):
    """A metric, and how far the past was counted by it."""

    code: str
    metric: Metric
    fill: Fill | None


class Value(NamedTuple):
    """What a metric comes to. bucket: as that of sales; group: of a dimension, "" for none. value: None where nothing
    was counted that it could be made of. events: of how many."""

    bucket: datetime | None
    group: str
    value: Decimal | None
    events: int


class MetricReader:
    """Reads metrics through `pool`, which its owner opens. Raises Unavailable; NotFound for what is no metric;
    Refused for one that has not counted all of the past yet."""

    def __init__(self, pool: AsyncConnectionPool, catalogue: Catalogue, metrics: Mapping[str, Metric]) -> None:
        self._pool, self._catalogue, self._metrics = pool, catalogue, metrics

    async def all(self) -> list[Known]:
        """All metrics of the configuration, and how far each was counted."""
        async with reading(self._pool) as connection, connection.transaction():
            await _begin(connection)
            known = await _definitions(connection)
        return [self._known(code, known) for code in self._metrics]

    async def values(
        self, code: str, period: Period, unit: Unit, by: str, filters: Mapping[str, str]
    ) -> tuple[Known, list[Value]]:
        """Values by bucket and group, in no order. by, filters: dimensions of the metric, by their names."""
        async with reading(self._pool) as connection, connection.transaction():
            await _begin(connection)
            known, one = await self._serving(connection, code)
            query = compiled(one.metric, upcasts_of(self._catalogue))
            found = pieces(period.start, period.end, await stale_in(connection, period), ("q",))
            rows, sums = [each for each in found if not each.level], [each for each in found if each.level]
            asked = {
                **query.parameters,
                **_chosen(one, by, filters),
                "metric": code,
                "version": one.version,
                "unit": unit,
                "zone": period.zone.key,
                "starts": [each.start for each in rows],
                "ends": [each.end for each in rows],
                "sum_starts": [each.start for each in sums],
                "sum_ends": [each.end for each in sums],
            }
            told = await (await connection.cursor(binary=True).execute(query.value, asked)).fetchall()
        return known, [_value(one.metric, row) for row in told]

    async def events(
        self, code: str, period: Period, filters: Mapping[str, str], after: tuple[datetime, UUID], limit: int
    ) -> list[Behind]:
        """The events behind a metric, the latest first, those before `after`; `amount` is the value of each."""
        async with reading(self._pool) as connection, connection.transaction():
            await _begin(connection)
            _, one = await self._serving(connection, code)
            query = compiled(one.metric, upcasts_of(self._catalogue))
            asked = {
                **query.parameters, **_chosen(one, "", filters), "starts": [period.start], "ends": [period.end],
                "at": after[0], "name": after[1], "limit": limit,
            }  # fmt: skip
            rows = await (await connection.cursor(binary=True).execute(query.events, asked)).fetchall()
        return [behind(row) for row in rows]

    def _known(self, code: str, known: Mapping[str, list[tuple[Definition, Fill | None]]]) -> Known:
        """The newest definition that has counted all of the past, else the newest, and how far that is."""
        metric = self._metrics.get(code)
        if metric is None:
            raise NotFound("There is no such metric; GET /v1/analytics/metrics lists all.")
        found = known.get(code, [])
        serving = next((one for one, fill in found if fill is not None and fill.complete), None)
        if serving is not None:
            return Known(code, serving.metric, next(fill for one, fill in found if one is serving))
        return Known(code, metric, found[0][1] if found else None)

    async def _serving(self, connection: psycopg.AsyncConnection[Any], code: str) -> tuple[Known, Definition]:
        known = await _definitions(connection)
        told = self._known(code, known)
        for one, fill in known.get(code, []):
            if fill is not None and fill.complete:
                return told, one
        share = 0 if told.fill is None else int(100 * told.fill.share)
        raise Refused(
            f"The metric {code} is being backfilled, {share} %: the past is not counted yet. Ask again later; "
            "it is the scheduler that counts.",
        )


async def _begin(connection: psycopg.AsyncConnection[Any]) -> None:
    """One moment for all that is asked, of the live build."""
    await connection.execute(_SNAPSHOT)
    await connection.execute(on_schemas("search_path", *[model.name for model in MODELS]))


async def _definitions(
    connection: psycopg.AsyncConnection[Any],
) -> dict[str, list[tuple[Definition, Fill | None]]]:
    """By code, the newest first, with how far each was counted."""
    fills = fills_in(await (await connection.execute(QUERIES["fills"])).fetchall())
    found: dict[str, list[tuple[Definition, Fill | None]]] = {}
    for one in definitions_in(await (await connection.execute(QUERIES["definitions"])).fetchall()):
        found.setdefault(one.code, []).append((one, fills.get((one.code, one.version))))
    return found


def _chosen(one: Definition, by: str, filters: Mapping[str, str]) -> dict[str, Any]:
    """Places of dimensions, by their names; those that the definition does not have say nothing."""
    places = {name: place for place, name in enumerate(one.metric.dimensions)}
    return {
        "place": places.get(by, -1),
        "places": [places[name] for name in filters if name in places],
        "wanted": [value for name, value in filters.items() if name in places],
    }


def _value(metric: Metric, row: Any) -> Value:
    bucket, group, events, total, least, most, told, customers = row
    match metric.measure:
        case "count":
            value: Decimal | None = Decimal(events)
        case "customers":
            value = Decimal(customers)
        case "sum":
            value = total
        case "avg":
            value = _EXACT.divide(total, Decimal(told)) if told else None
        case "min":
            value = least
        case "max":
            value = most
    return Value(bucket, group, value, events)
