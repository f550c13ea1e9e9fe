"""Which products make trouble, and which are asked about before they are bought?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.zones import Period
from eventlog.sql import load
from projections.figures.buyers import QUERIES as BUYERS
from projections.figures.credits import QUESTIONS, asks
from projections.figures.opinions import QUERIES as OPINIONS
from projections.figures.pieces import EVER, pieces
from projections.figures.sales import stale_in
from projections.insight.asking import Figures, Query, Window
from projections.insight.buying import whose_are_stale
from projections.insight.sentiment import pieces_asked

__all__ = ["Complained", "ProductsReader", "Questioned", "Voice"]

_SQL: Final = load("projections.insight", "products.sql")


class Complained(NamedTuple):
    """What spoke against a product: events and tickets, each once, and by kind; sold: how many were."""

    product: str
    complaints: int
    tickets: int
    reviews: int
    refunds: int
    moods: int
    sold: Decimal


class Questioned(NamedTuple):
    """Touchpoints about a product before its first purchase, of how many customers, and how long before (median)."""

    product: str
    questions: int
    customers: int
    median_s: float


class Voice(NamedTuple):
    """One event or ticket behind a figure. how: ticket, review, refund, mood, or the type of a touchpoint; event: its
    name in full, None for a ticket."""

    name: UUID
    how: str
    event: str | None
    at: datetime
    customer: UUID | None


class ProductsReader:
    """Asks for figures of products through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def complained(self, window: Window, product: str | None, limit: int) -> list[Complained]:
        """The products with most complaints, or one of them."""
        asked = {**window._asdict(), "product": product, "limit": limit}
        period = Period(window.start, window.end, ZoneInfo(window.zone))
        async with self._figures.moment() as cursor:
            stale = await stale_in(cursor.connection, period)
            asked |= pieces_asked(pieces(period.start, period.end, stale, ("m", "d")))
            voices = sql.SQL(OPINIONS["voices" if asked["starts"] else "no_voices"])
            query = sql.SQL(_SQL["complained"]).format(voices=voices)
            return [Complained(*row) for row in await (await cursor.execute(query, asked)).fetchall()]

    async def complaints(
        self, window: Window, product: str, before: tuple[datetime, UUID], limit: int
    ) -> list[Voice]:  # fmt: skip
        """What spoke against a product, the latest first."""
        return await self._voices("complaining", window, product, before, limit)

    async def questioned(self, window: Window, product: str | None, days: int, limit: int) -> list[Questioned]:
        """The products with most questions of who bought them within so many days, or one of them."""
        asked = {**window._asdict(), "product": product, "days": days, "limit": limit}
        async with self._figures.moment() as cursor:
            stale = await whose_are_stale(cursor, EVER[1])
            query = _query("questioned") if stale is None else _noted("some" if stale else "nobody")
            rows = await (await cursor.execute(query, {**asked, "customers": stale})).fetchall()
        return [Questioned(*row) for row in rows]

    async def questions(
        self, window: Window, product: str, days: int, before: tuple[datetime, UUID], limit: int
    ) -> list[Voice]:  # fmt: skip
        """The touchpoints behind them, the latest first."""
        return await self._voices("questioning", window, product, before, limit, days=days)

    async def _voices(
        self, query: str, window: Window, product: str, before: tuple[datetime, UUID], limit: int, **more: Any
    ) -> list[Voice]:  # fmt: skip
        asked = {
            **window._asdict(), "product": product, "before_at": before[0], "before_name": before[1],
            "limit": limit, **more,
        }  # fmt: skip
        return [Voice(*row) for row in await self._figures.fetch(_query(query), asked)]


def _query(name: str) -> Query:
    asked = sql.SQL(_SQL["questions"]).format(asks=sql.SQL(QUESTIONS["asks"]))
    return sql.SQL(_SQL[name]).format(voiced=sql.SQL(_SQL["complaints"]), asked=asked)


def _noted(whose: str) -> Query:
    """Questions out of what is noted of all but some, whose questions are read."""
    asked = sql.SQL(_SQL["noted"]).format(stale=sql.SQL(BUYERS[whose]), raw=asks(whose))
    return sql.SQL(_SQL["questioned"]).format(asked=asked)
