"""Which campaign and which channel brought which sales? By a model of attribution, within a window before each."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.attribution import DECAY, Model
from eventlog.sql import load
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window

__all__ = ["Attributed", "AttributionReader", "By", "Credit", "Question", "Sale"]

_SQL: Final = load("projections.insight", "attribution.sql")
By = Literal["campaign", "channel"]


class Question(NamedTuple):
    """How sales are attributed. days: how long before a purchase an answer counts; by: `campaign`, or the `channel`
    of the answer."""

    model: Model
    days: int
    by: By
    recorded_by: datetime


class Credit(NamedTuple):
    """What falls to a campaign or channel in one currency: of how many purchases, how much of their amounts. cost: of
    the campaign in all, in that currency."""

    key: str | None
    currency: str
    purchases: int
    amount: Decimal
    cost: Decimal | None


class Attributed(NamedTuple):
    """All counted purchases of the period in one currency, and what of their amounts falls to some campaign."""

    currency: str
    purchases: int
    amount: Decimal
    attributed: Decimal


class Sale(NamedTuple):
    """A purchase behind a figure, and which share of its amount falls to whom was asked for."""

    name: UUID
    event: str
    at: datetime
    amount: Decimal
    currency: str
    share: Decimal
    customer: UUID


class AttributionReader:
    """Attributes sales through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def credits(self, window: Window, question: Question) -> tuple[list[Attributed], list[Credit]]:
        """(all sales by currency, what falls to whom)."""
        rows = await self._figures.fetch(_query("attributed", question.by), _asked(window, question))
        whole = [Attributed(currency, *told[:3]) for all_, _, currency, *told in rows if all_]
        credits = [Credit(key, currency, told[0], *told[2:]) for all_, key, currency, *told in rows if not all_]
        return sorted(whole, key=lambda one: one.currency), credits

    async def sales(
        self, window: Window, question: Question, key: str | None, before: tuple[datetime, UUID], limit: int
    ) -> list[Sale]:
        """The purchases of which something falls to a campaign or channel, the latest first."""
        asked = {
            **_asked(window, question), "wanted": key, "before_at": before[0], "before_name": before[1],
            "limit": limit,
        }  # fmt: skip
        return [Sale(*row) for row in await self._figures.fetch(_query("purchases", question.by), asked)]


def _asked(window: Window, question: Question) -> dict[str, Any]:
    return {**window._asdict(), **question._asdict(), "decay": list(DECAY), "most": MOST_GROUPS}


def _query(name: str, by: str) -> Query:
    return sql.SQL(_SQL[name]).format(shared=sql.SQL(_SQL["shared"]), key=sql.Identifier(by))
