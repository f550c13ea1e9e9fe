"""Where on the log is what was just saved? Asked until the relay has brought it there, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from psycopg_pool import AsyncConnectionPool

from commands.working_desk import SQL

__all__ = ["positions_of"]

_PAUSES: Final = (0.005, 0.01, 0.02, 0.03)


async def positions_of(
    pool: AsyncConnectionPool, notifications: Sequence[int], seconds: float = 2.0
) -> dict[int, int] | None:
    """`{partition: last offset}` of notifications. None where they are not on the log by then; without waiting where
    no relay is at work."""
    last, until, pauses = max(notifications), asyncio.get_running_loop().time() + seconds, list(_PAUSES)
    while True:
        rows = await _ask(pool, "relay", {})
        passed, works = rows[0] if rows else (0, False)
        if passed >= last:
            return dict(await _ask(pool, "relayed", {"notifications": list(notifications)})) or None
        if not works or asyncio.get_running_loop().time() > until:
            return None
        await asyncio.sleep(pauses.pop(0) if len(pauses) > 1 else pauses[0])


async def _ask(pool: AsyncConnectionPool, query: str, parameters: dict[str, Any]) -> list[Any]:
    async with pool.connection() as connection:
        return await (await connection.execute(SQL[query], parameters)).fetchall()
