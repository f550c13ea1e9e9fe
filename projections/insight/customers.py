"""How good are the customers, and do they come back? Scores and classes, cohorts, new and returning ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.configuration import Rfm
from domain.rfm import class_of
from eventlog.sql import load
from projections.figures.buyers import Buying
from projections.figures.pieces import EVER
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window, keys_of
from projections.insight.buying import (
    Loyalty,
    Returned,
    classes,
    cohorts,
    days_of,
    kept,
    loyalty,
)

__all__ = ["ClassSum", "Cohort", "CustomersReader", "Loyalty", "Returned", "Scored", "When"]

_SQL: Final = load("projections.insight", "customers.sql")
_DAY_SECONDS: Final = 86_400


class When(NamedTuple):
    """As of which moment: what had happened by `now`, and was recorded by then."""

    now: datetime
    recorded_by: datetime


class Scored(NamedTuple):
    """A customer with scores from 1 to 5 (best). revenue, refunds: in the currency of the rules."""

    customer: UUID
    first_at: datetime
    last_at: datetime
    orders: int
    revenue: Decimal
    refunds: Decimal
    recency: int
    frequency: int
    monetary: int


class ClassSum(NamedTuple):
    """The customers of one class. code: None for those that no class takes in."""

    code: str | None
    customers: int
    orders: int
    revenue: Decimal
    refunds: Decimal


class Cohort(NamedTuple):
    """Customers who bought first in one month, `since` months later. currency: None for all of them."""

    month: str
    since: int
    currency: str | None
    customers: int
    orders: int
    revenue: Decimal


class CustomersReader:
    """Asks for figures of customers through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def classes(self, when: When, rules: Rfm) -> list[ClassSum]:
        """The classes in their order, also empty ones, and last those that no class takes in, if there are any."""
        found: dict[str | None, ClassSum] = {
            one.code: ClassSum(one.code, 0, 0, Decimal(0), Decimal(0)) for one in rules.classes
        }
        for recency, frequency, monetary, *sums in await self._classes(when, rules):
            code = class_of(recency, frequency, monetary, rules)
            known = found.get(code, ClassSum(code, 0, 0, Decimal(0), Decimal(0)))
            found[code] = ClassSum(code, *[one + more for one, more in zip(known[1:], sums, strict=True)])
        return list(found.values())

    async def members(
        self, when: When, rules: Rfm, code: str | None, before: tuple[datetime, UUID], limit: int
    ) -> list[Scored]:
        """The customers of a class (None: of no class), who bought last first."""
        every = range(1, 6)
        triples = [one for one in product(every, every, every) if class_of(*one, rules=rules) == code]
        rs, fs, ms = ([one[place] for one in triples] for place in range(3))
        more = {"rs": rs, "fs": fs, "ms": ms, "before_at": before[0], "before_name": before[1], "limit": limit}
        return [Scored(*row) for row in await self._scored("members", when, rules, **more)]

    async def loyal(self, when: When, rules: Rfm, limit: int) -> list[Scored]:
        """The most loyal customers, the best first."""
        return [Scored(*row) for row in await self._scored("loyal", when, rules, limit=limit)]

    async def one(self, when: When, rules: Rfm, node: UUID) -> Scored | None:
        """The scores of the customer of any of her nodes; None for who has none."""
        query = sql.SQL(_SQL["one"]).format(scored=_scores(sql.SQL(_SQL["standing"])))
        rows = await self._figures.fetch(query, _asked(when, rules, node))
        return Scored(*rows[0]) if rows else None

    async def cohorts(self, window: Window, recorded_by: datetime) -> list[Cohort]:
        """Customers by the month of their first purchase, each month since."""
        asked = {**window._asdict(), "recorded_by": recorded_by, "most": MOST_GROUPS * 10}
        async with self._figures.moment() as cursor:
            known = await kept(cursor, window.now, recorded_by)
            days = days_of(window, known)
            if known is not None and days is not None:
                return [Cohort(*row) for row in await cohorts(cursor, known, days)]
            return [Cohort(*row) for row in await (await cursor.execute(_cohorts(), asked)).fetchall()]

    async def loyalty(
        self, window: Window, recorded_by: datetime, by: Literal["day", "week", "month"]
    ) -> tuple[Sequence[Loyalty], Sequence[Returned]]:
        """New and returning customers of the whole period (first), and of each day, week or month."""
        asked = {**window._asdict(), "recorded_by": recorded_by, "most": MOST_GROUPS}
        async with self._figures.moment() as cursor:
            known = await kept(cursor, EVER[1], recorded_by)
            days = days_of(window, known)
            if known is not None and days is not None:
                return await loyalty(cursor, known, window, days, by)
            rows = await (await cursor.execute(_bought(by), asked)).fetchall()
        counts = [Loyalty(key, *row[:6]) for key, currency, *row in rows if currency is None]
        return counts, [Returned(key, currency, *row[6:9]) for key, currency, *row in rows if currency is not None]

    async def _classes(self, when: When, rules: Rfm) -> list[Any]:
        """How many customers have which scores: out of sums, where those are by these rules."""
        async with self._figures.moment() as cursor:
            known = await kept(cursor, when.now, when.recorded_by)
            if known is not None and known.buying == Buying.of(known.buying.zone, rules):
                return await classes(cursor, known, when.now, rules)
        return await self._scored("classes", when, rules)

    async def _scored(self, name: str, when: When, rules: Rfm, **more: Any) -> list[Any]:
        """The rows of a query of scores: out of what is noted of each customer, where that is in their currency."""
        asked = {**_asked(when, rules), **more}
        async with self._figures.moment() as cursor:
            known = await kept(cursor, when.now, when.recorded_by)
            standing: Query = sql.SQL(_SQL["standing"])
            if known is not None and known.buying.currency == rules.currency:
                standing, asked = known.query(sql.SQL(_SQL["standing_kept"])), {**asked, **known.asked}
            query = sql.SQL(_SQL[name]).format(scored=_scores(standing))
            return await (await cursor.execute(query, asked)).fetchall()


def _asked(when: When, rules: Rfm, node: UUID | None = None) -> dict[str, Any]:
    return {
        **when._asdict(), "currency": rules.currency, "customer": node,
        "edges_recency": [days * _DAY_SECONDS for days in rules.recency_days],
        "edges_frequency": rules.frequency, "edges_monetary": rules.monetary,
    }  # fmt: skip


def _scores(standing: Query) -> sql.Composed:
    return sql.SQL(_SQL["scored"]).format(where_they_stand=standing)


def _cohorts() -> Query:
    return sql.SQL(_SQL["cohorts"]).format(several=sql.SQL(_SQL["several"]))


def _bought(by: str) -> Query:
    bought = sql.SQL(_SQL["bought"]).format(several=sql.SQL(_SQL["several"]), **keys_of(by))
    return sql.SQL(_SQL["loyalty"]).format(bought=bought, **keys_of(by))
