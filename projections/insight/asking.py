"""How is a figure asked for? Over a period in a time zone, by moments or a column, out of one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.connecting import reading

__all__ = ["BUCKETS", "MOST_GROUPS", "Figures", "Query", "Times", "Window", "keys_of"]

_SQL: Final = load("projections.insight", "keys.sql")
BUCKETS: Final = ("day", "week", "month", "hour", "weekday")
"""What moments are grouped by; every other grouping is by a column."""
MOST_GROUPS: Final = 4000
"""As many groups are given: every day of ten years."""

Query = sql.SQL | sql.Composed


class Window(NamedTuple):
    """From `start` to before `end`; days and hours are those of the IANA zone. now: the moment of what goes on."""

    start: datetime
    end: datetime
    zone: str
    now: datetime


class Times(NamedTuple):
    """How long something took, in seconds; a percentile lies between two values where it falls there."""

    measured: int
    median: float | None
    p90: float | None
    mean: float | None


def _key_of(by: str) -> sql.Composable:
    """The expression that groups facts: by the moment `at` in the zone, or by the column `by`, a name of ours."""
    return sql.SQL(_SQL[by]) if by in BUCKETS else sql.Identifier(by)


def _group_of(by: str) -> sql.Composable:
    """The same for figures of groups alone: what sorts as `_key_of` and costs less per row; `_label_of` tells it."""
    return sql.SQL(_SQL[f"{by}_group"]) if by in BUCKETS else sql.SQL(_SQL["column_group"]).format(sql.Identifier(by))


def _label_of(by: str) -> sql.Composable:
    """What `_key_of` tells of a group, out of its `key`, which is by `_group_of`."""
    return sql.SQL(_SQL[f"{by}_label" if by in BUCKETS else "column_label"])


def keys_of(by: str) -> dict[str, sql.Composable]:
    """What queries that group have in braces: {key}, {group} and {label}."""
    return {"key": _key_of(by), "group": _group_of(by), "label": _label_of(by)}


class Figures:
    """Asks queries through `pool`, which its owner opens. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def fetch(self, query: Query, asked: Mapping[str, Any]) -> list[Any]:
        """The rows of one query."""
        [found] = await self.fetch_all([query], asked)
        return found

    @asynccontextmanager
    async def moment(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        """A cursor for what has to be of one moment, though one answer says what to ask next. Bare names of tables
        are of the builds that serve."""
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["snapshot"])
            await connection.execute(_SQL["room"])
            await connection.execute(_SQL["live"])
            yield connection.cursor(binary=True)

    async def fetch_all(self, queries: Sequence[Query], asked: Mapping[str, Any]) -> list[list[Any]]:
        """The rows of several queries, all of one moment."""
        async with self.moment() as cursor:
            return [await (await cursor.execute(query, asked)).fetchall() for query in queries]
