"""How is a connection to the read models' database had, and what is said when it does not answer?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable

__all__ = ["ENDING_WITH_US", "KEEPALIVE", "claiming", "connected", "reading"]

KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""So that a session whose server has gone without a word is noticed within seconds."""

ENDING_WITH_US: Final = "-c client_connection_check_interval=2s"
"""So that a long statement ends, and lets go of its locks, within seconds of the process that asked it. A server on
Windows would refuse it."""


@contextmanager
def connected(dsn: str, *, patience: int = 10, way_out: str = "") -> Iterator[psycopg.Connection]:
    """An autocommit connection for a short piece of work. Raises Unavailable, which ends with `way_out`, where the
    database does not answer within `patience` seconds or falls silent within the block."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=patience) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer ({type(error).__name__}).{way_out}") from None


def claiming(dsn: str, name: str) -> psycopg.Connection:
    """An autocommit session for a process that claims rows and holds them while it works on them. name: what it is
    called in Postgres. Raises psycopg.OperationalError."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        connect_timeout=5,
        application_name=name,
        # a process that froze within a transaction would keep its row from the others
        options="-c lock_timeout=30s -c idle_in_transaction_session_timeout=120s",
        **KEEPALIVE,
    )


@asynccontextmanager
async def reading(pool: AsyncConnectionPool) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of the readers' pool. Raises Unavailable where the database does not answer, or falls silent
    within the block."""
    try:
        async with pool.connection() as connection:
            yield connection
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None
