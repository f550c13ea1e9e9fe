"""Which campaign and which channel brought which sales? By a model of attribution, within a window before each; with
the usual one out of what is noted of each customer, else out of all purchases and answers. Either tells the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.attribution import DECAY, USUAL_DAYS, Model
from domain.zones import Period
from eventlog.sql import load
from projections.figures.buyers import QUERIES as BUYERS
from projections.figures.credits import CREDITS, shared
from projections.figures.pieces import Piece, Stale, pieces
from projections.figures.sales import levels_of, stale_in
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window
from projections.insight.buying import whose_are_stale

__all__ = ["Attributed", "AttributionReader", "By", "Credit", "Question", "Sale"]

_SQL: Final = load("projections.insight", "attribution.sql")
By = Literal["campaign", "channel"]
_Cursor = psycopg.AsyncCursor[Any]


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
        async with self._figures.moment() as cursor:
            rows = await _credits(cursor, window, question)
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
        query = sql.SQL(_SQL["purchases"]).format(raw=shared("of_times"), key=sql.Identifier(question.by))
        return [Sale(*row) for row in await self._figures.fetch(query, asked)]


async def _credits(cursor: _Cursor, window: Window, question: Question) -> list[Any]:
    """Rows of `attributed`."""
    asked = _asked(window, question)
    stale = await whose_are_stale(cursor, question.recorded_by) if question.days == USUAL_DAYS else None
    if stale is None:
        return await (await cursor.execute(_query(question, "nobody", "of_times"), asked)).fetchall()
    period = Period(window.start, window.end, ZoneInfo(window.zone))
    found = pieces(period.start, period.end, Stale(), ("m", "d"))
    levels = levels_of("", "all", period)
    sold = pieces(period.start, period.end, await stale_in(cursor.connection, period), levels)
    asked |= {**_pieces("", found), **_pieces("sold_", sold), "customers": stale}
    query = _query(question, *(("some", "of_stale") if stale else ("nobody", "nothing")), summed=True)
    return await (await cursor.execute(query, asked)).fetchall()


def _pieces(what: str, found: Sequence[Piece]) -> dict[str, list[Any]]:
    return {
        f"{what}levels": [one.level for one in found],
        f"{what}begins": [one.start for one in found],
        f"{what}untils": [one.end for one in found],
    }


def _asked(window: Window, question: Question) -> dict[str, Any]:
    more = {"models": [question.model], "decay": list(DECAY), "most": MOST_GROUPS}
    return {**window._asdict(), **question._asdict(), **more}


def _query(question: Question, whose: str, of: str, summed: bool = False) -> Query:
    """summed: out of what is noted of all but some (`whose`), whose purchases (`of`) are read."""
    named = {"key": sql.Identifier(question.by), "model": sql.Identifier(question.model)}
    return sql.SQL(_SQL["attributed"]).format(
        stale=sql.SQL(BUYERS[whose]),
        raw=shared(of),
        grouped=sql.SQL((CREDITS if summed else _SQL)["grouped"]).format(**named),
        turnover=sql.SQL(_SQL["turnover_summed" if summed else "turnover"]),
    )
