"""How does a test ask a reader of figures? By a pool of its own, with the session that the API has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from hypothesis import HealthCheck, Phase, settings
from psycopg_pool import AsyncConnectionPool

from projections.insight.asking import Window

__all__ = ["LAST", "ask", "by_rows", "days", "histories", "percentile"]

T = TypeVar("T")
LAST = (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
"""Where a first page begins: before everything."""
_SESSION = "-c default_transaction_read_only=on -c timezone=UTC -c jit=off -c plan_cache_mode=force_custom_plan"


def ask(dsn: str, question: Callable[[AsyncConnectionPool], Awaitable[T]]) -> T:
    """What a reader on a pool answers."""

    async def answer() -> T:
        kwargs = {"autocommit": True, "options": _SESSION}
        async with AsyncConnectionPool(dsn, min_size=1, max_size=2, open=False, kwargs=kwargs) as pool:
            return await question(pool)

    return asyncio.run(answer())


@contextmanager
def by_rows(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Readers find nothing noted of what customers bought meanwhile: it is kept of other people."""
    kept = connection.execute("UPDATE figures.buyers_kept SET people = 0 RETURNING people").fetchall()
    yield
    if kept:
        connection.execute("UPDATE figures.buyers_kept SET people = 'identity.evidences'::regclass::oid")


def histories(examples: int) -> settings:
    """So many histories are tried, each of which takes a while, and none is made smaller."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )


def days(start: datetime, count: int, zone: str = "UTC", now: datetime | None = None) -> Window:
    """Some days from a moment on."""
    end = start.astimezone(UTC) + timedelta(days=count)
    return Window(start.astimezone(UTC), end, zone, now or end)


def percentile(values: list[float], share: float) -> float | None:
    """The value below which this share lies, between two values where it falls there; as the SQL standard has
    PERCENTILE_CONT."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
