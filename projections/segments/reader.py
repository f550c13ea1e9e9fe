"""Who is in a segment, how many were there over time, and who would be by another rule? All of it read, nothing kept.

All methods are coroutines over one pool, and raise Unavailable where it does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import sqrt
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg import errors, sql
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.connecting import reading
from projections.registry import MODELS, on_schemas
from projections.segments.compiling import Program

__all__ = ["Counted", "Member", "Overlap", "SegmentReader", "Span", "Standing", "Version", "estimated"]

_SQL: Final = load("projections.segments", "queries.sql")
_FIRST: Final = UUID(int=0)
_FEWEST, _MOST = 500, 10_000
_WISHED: Final = 0.3
"""How many seconds one statement of a preview should take: its number of customers follows."""
_SPREAD: Final = 1.96
"""Of a normal distribution 95 in 100 lie so many standard deviations around its middle."""

Version = tuple[str, int]
"""A segment by its code, and the version of its rule that serves (0 for a list)."""


class Member(NamedTuple):
    """Who is in a segment. since: None where it is not known any more."""

    customer: UUID
    since: datetime | None


class Standing(NamedTuple):
    """Whether a customer is in a segment, and when and why that changed last."""

    member: bool
    at: datetime | None
    because: str | None


class Span(NamedTuple):
    """What became of a segment's size from one moment until another. size: at its end."""

    begin: datetime
    end: datetime
    entered: int
    left: int
    size: int


class Overlap(NamedTuple):
    """How many are in two segments, and in both."""

    a: int
    b: int
    both: int


class Counted(NamedTuple):
    """For how many customers a rule holds. looked: how many were looked at; exact: all were. low, high: between which
    numbers it lies, 19 times of 20 (None: nobody could be looked at). sample: some of them."""

    number: int
    low: int
    high: int | None
    exact: bool
    looked: int
    sample: tuple[UUID, ...]


class SegmentReader:
    """Reads segments through `pool`, which its owner opens."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def sizes(self, versions: Sequence[Version]) -> Mapping[str, int]:
        """How many are in each."""
        asked = {"segments": [code for code, _ in versions], "versions": [version for _, version in versions]}
        return dict(await self._rows("sizes", asked)) if versions else {}

    async def members(self, version: Version, after: UUID | None, limit: int) -> list[Member]:
        """Who is in it, behind a customer, in the order of their ids."""
        code, number = version
        asked = {"segment": code, "version": number, "after": after or _FIRST, "limit": limit}
        return [Member(*row) for row in await self._rows("members", asked)]

    async def standing(self, version: Version, customer: UUID) -> Standing:
        """Whether a customer is in it."""
        asked = {"segment": version[0], "version": version[1], "customer": customer}
        return Standing(*(await self._rows("is_member", asked))[0])

    async def customers_of(self, nodes: Sequence[UUID]) -> dict[UUID, UUID]:
        """Whose these nodes are, where they are somebody's."""
        return dict(await self._rows("customers_of", {"nodes": list(nodes)}))

    async def listed(self, code: str, customer: UUID) -> datetime | None:
        """Since when a customer is on a list; None: is not on it."""
        return (await self._rows("listed", {"segment": code, "customer": customer}))[0][0]  # type: ignore[no-any-return]

    async def over_time(self, code: str, bounds: Sequence[datetime]) -> list[Span]:
        """What became of its size between neighbouring bounds, of which there are two at least."""
        rows = await self._rows("over_time", {"segment": code, "bounds": list(bounds)})
        return [
            Span(bounds[span - 1], bounds[span], entered, left, size) for span, entered, left, size in rows if span
        ]

    async def overlap(self, a: Version, b: Version) -> Overlap:
        """What two segments share."""
        sizes = await self.sizes([a, b])
        asked = {"a": a[0], "a_version": a[1], "b": b[0], "b_version": b[1]}
        [[both]] = await self._rows("overlap", asked)
        return Overlap(sizes[a[0]], sizes[b[0]], both)

    async def count(self, program: Program, now: datetime, seconds: float, sample: int) -> Counted:
        """For how many customers a rule holds. Customers are looked at in the order of their ids, which are hashes:
        so those who were looked at when the time is over are as good as drawn by lot."""
        found: list[UUID] = []
        looked, count, after, limit, until = 0, 0, _FIRST, _FEWEST, time.monotonic() + seconds
        async with reading(self._pool) as connection:
            while (left := until - time.monotonic()) > 0:
                began = time.monotonic()
                try:
                    customers, held = await _chunk(connection, program, now, after, limit, left)
                except errors.QueryCanceled:
                    break
                looked, count = looked + len(customers), count + len(held)
                found += held[: sample - len(found)]
                if len(customers) < limit:
                    return Counted(count, count, count, True, looked, tuple(found))
                after = customers[-1]
                limit = _adapted(limit, time.monotonic() - began)
        return estimated(count, looked, after.int / 2**128, tuple(found))

    async def _rows(self, query: str, asked: Mapping[str, Any]) -> list[Any]:
        async with reading(self._pool) as connection:
            return await (await connection.cursor(binary=True).execute(_SQL[query], asked)).fetchall()


def _adapted(limit: int, took: float) -> int:
    return max(_FEWEST, min(_MOST, int(limit * _WISHED / max(took, 0.001))))


async def _chunk(
    connection: psycopg.AsyncConnection[Any],
    program: Program,
    now: datetime,
    after: UUID,
    limit: int,
    seconds: float,
) -> tuple[list[UUID], list[UUID]]:
    """The next customers, and those of them whom the rule holds for."""
    async with connection.transaction(), connection.cursor(binary=True) as cursor:
        await cursor.execute(on_schemas("search_path", *[model.name for model in MODELS]))
        await cursor.execute(_SQL["patience"], {"milliseconds": str(max(1, int(seconds * 1000)))})
        await cursor.execute(_SQL["next_customers"], {"after": after, "limit": limit})
        customers = [row[0] for row in await cursor.fetchall()]
        if not customers:
            return [], []
        query = sql.SQL(_SQL["held"]).format(program.query)
        await cursor.execute(query, {**program.parameters, "customers": customers, "now": now})
        return customers, [row[0] for row in await cursor.fetchall()]


def estimated(count: int, looked: int, share: float, sample: tuple[UUID, ...]) -> Counted:
    """What a part lets expect of the whole. Each customer for whom the rule holds is in the part with the probability
    `share`, so their number in it is binomially distributed, of a number that is asked for; the bounds are those
    numbers of which `count` lies no more than 1.96 standard deviations off (a score interval, as E. B. Wilson, 1927,
    has it for shares)."""
    if not looked or share <= 0:
        return Counted(0, 0, None, False, looked, sample)
    middle = 2 * count + _SPREAD**2 * (1 - share)
    spread = sqrt(max(0.0, middle**2 - 4 * count**2))
    low, high = (middle - spread) / (2 * share), (middle + spread) / (2 * share)
    return Counted(round(count / share), max(count, int(low)), int(high) + 1, False, looked, sample)
