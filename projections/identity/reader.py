"""Who is behind an id? Any id that ever named a customer leads to the one that it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable
from eventlog.sql import load

__all__ = ["IdentityReader", "Known"]

_SQL = load("projections.identity", "reading.sql")


class Known(NamedTuple):
    """A customer: its present id, and the evidences that are at home in it."""

    customer: UUID
    evidences: tuple[UUID, ...]


class IdentityReader:
    """Reads who is who through `pool` (opened by its owner)."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def customer(self, node: UUID) -> Known | None:
        """The customer that an id leads to; None where there never was one of that id."""
        found = await self._fetch("customer", {"node": node})
        return Known(found[0][0], tuple(row[1] for row in found if row[1] is not None)) if found else None

    async def customers_of(self, nodes: Sequence[UUID]) -> dict[UUID, UUID]:
        """`{id: present id of the customer}` of those that are known."""
        return dict(await self._fetch("customers_of", {"nodes": list(nodes)}))

    async def _fetch(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                await cursor.execute(_SQL[query], parameters)
                return await cursor.fetchall()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None
