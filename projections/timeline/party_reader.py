"""In which events of others is a person named as a party? Page by page, newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable
from eventlog.sql import load

__all__ = ["Named", "PartyReader"]

_SQL = load("projections.timeline", "parties.sql")
_LAST: Final = UUID(int=2**128 - 1)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


class Named(NamedTuple):
    """One event that names an evidence as a party, in a role."""

    happened_at: datetime
    name: UUID
    evidence: UUID
    role: str
    log_partition: int
    log_offset: int
    record: bytes


class PartyReader:
    """Reads through `pool`, which its owner opens."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def pages(self, evidences: Sequence[UUID], limit: int) -> AsyncIterator[list[Named]]:
        """All of them, at most `limit` at a time. Raises Unavailable."""
        place: dict[str, Any] = {"at": _NEVER, "name": _LAST, "evidence": _LAST, "role": ""}
        while True:
            rows = await self._page({**place, "evidences": list(evidences), "limit": limit})
            if not rows:
                return
            yield rows
            last = rows[-1]
            place = {"at": last.happened_at, "name": last.name, "evidence": last.evidence, "role": last.role}

    async def _page(self, parameters: dict[str, Any]) -> list[Named]:
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                await cursor.execute(_SQL["before"], parameters)
                return [Named(*row) for row in await cursor.fetchall()]
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None
