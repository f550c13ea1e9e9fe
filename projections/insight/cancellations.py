"""Why do customers cancel, and what came before? Reasons and plans, and signals beside those of who stayed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window

__all__ = ["SAMPLE", "Cancellation", "CancellationsReader", "Count", "Reasons", "Signal"]

_SQL: Final = load("projections.insight", "cancellations.sql")
SAMPLE: Final = 2000
"""As many customers who left, and who stayed, are looked at for what came before."""


class Count(NamedTuple):
    """How many cancellations have a reason, or are of a plan. code: None where they say none."""

    code: str | None
    cancellations: int
    customers: int


class Reasons(NamedTuple):
    """All cancellations of the period, by reason and by plan."""

    whole: Count
    reasons: tuple[Count, ...]
    plans: tuple[Count, ...]


class Cancellation(NamedTuple):
    """One subscription that was cancelled. event: its name in full."""

    name: UUID
    event: str
    at: datetime
    reason: str | None
    plan: str | None
    customer: UUID | None


class Signal(NamedTuple):
    """What came before: of how many of the customers who left, and of how many who stayed."""

    signal: str
    left: int
    left_total: int
    stayed: int
    stayed_total: int


class CancellationsReader:
    """Asks for cancellations through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def reasons(self, window: Window, recorded_by: datetime) -> Reasons:
        """How many there were, why, and of which plans."""
        asked = {**window._asdict(), "recorded_by": recorded_by, "most": MOST_GROUPS}
        rows = await self._figures.fetch(_query("reasons"), asked)
        [whole] = [Count(*row[1:]) for row in rows if row[0] == 2]
        reasons, plans = (tuple(Count(*row[1:]) for row in rows if row[0] == what) for what in (0, 1))
        return Reasons(whole, reasons, plans)

    async def events(
        self, window: Window, recorded_by: datetime, reason: str | None, plan: str | None,
        before: tuple[datetime, UUID], limit: int,
    ) -> list[Cancellation]:  # fmt: skip
        """The cancellations, the latest first. reason, plan: None for any."""
        asked: dict[str, Any] = {
            **window._asdict(), "recorded_by": recorded_by, "reason": reason, "plan": plan,
            "before_at": before[0], "before_name": before[1], "limit": limit,
        }  # fmt: skip
        return [Cancellation(*row) for row in await self._figures.fetch(_query("events"), asked)]

    async def before(self, window: Window, recorded_by: datetime, days: int) -> list[Signal]:
        """What came within so many days before, what most of those who left had in common first."""
        asked = {
            **window._asdict(), "recorded_by": recorded_by, "days": days, "sample": SAMPLE, "most": 500,
        }  # fmt: skip
        return [Signal(*row) for row in await self._figures.fetch(_query("before"), asked)]


def _query(name: str) -> Query:
    return sql.SQL(_SQL[name]).format(cancelled=sql.SQL(_SQL["cancelled"]))
