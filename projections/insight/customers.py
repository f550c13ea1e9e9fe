"""How good are the customers, and do they come back? Scores and classes, cohorts, new and returning ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.configuration import Rfm
from domain.rfm import class_of
from eventlog.sql import load
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window, keys_of

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


class Loyalty(NamedTuple):
    """Customers of a group (key None: of the whole period): how many bought, how many of them for the first time, and
    how many had ordered twice or more by the end; orders of new and of returning ones, and of nobody known."""

    key: str | None
    customers: int
    new: int
    repeat: int
    new_orders: int
    returning_orders: int
    unknown_orders: int


class Returned(NamedTuple):
    """Revenue of new and of returning customers, and of nobody that is known, in one currency."""

    key: str | None
    currency: str
    new: Decimal
    returning: Decimal
    unknown: Decimal


class CustomersReader:
    """Asks for figures of customers through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def classes(self, when: When, rules: Rfm) -> list[ClassSum]:
        """The classes in their order, also empty ones, and last those that no class takes in, if there are any."""
        found: dict[str | None, ClassSum] = {
            one.code: ClassSum(one.code, 0, 0, Decimal(0), Decimal(0)) for one in rules.classes
        }
        for recency, frequency, monetary, *sums in await self._figures.fetch(_scored("classes"), _asked(when, rules)):
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
        asked = {
            **_asked(when, rules), "rs": rs, "fs": fs, "ms": ms, "before_at": before[0], "before_name": before[1],
            "limit": limit,
        }  # fmt: skip
        return [Scored(*row) for row in await self._figures.fetch(_scored("members"), asked)]

    async def loyal(self, when: When, rules: Rfm, limit: int) -> list[Scored]:
        """The most loyal customers, the best first."""
        asked = {**_asked(when, rules), "limit": limit}
        return [Scored(*row) for row in await self._figures.fetch(_scored("loyal"), asked)]

    async def one(self, when: When, rules: Rfm, node: UUID) -> Scored | None:
        """The scores of the customer of any of her nodes; None for who has none."""
        rows = await self._figures.fetch(_scored("one"), _asked(when, rules, node))
        return Scored(*rows[0]) if rows else None

    async def cohorts(self, window: Window, recorded_by: datetime) -> list[Cohort]:
        """Customers by the month of their first purchase, each month since."""
        asked = {**window._asdict(), "recorded_by": recorded_by, "most": MOST_GROUPS * 10}
        return [Cohort(*row) for row in await self._figures.fetch(_cohorts(), asked)]

    async def loyalty(
        self, window: Window, recorded_by: datetime, by: str
    ) -> tuple[Sequence[Loyalty], Sequence[Returned]]:
        """New and returning customers of the whole period (first), and of each day, week or month."""
        asked = {**window._asdict(), "recorded_by": recorded_by, "most": MOST_GROUPS}
        rows = await self._figures.fetch(_bought(by), asked)
        counts = [Loyalty(key, *row[:6]) for key, currency, *row in rows if currency is None]
        return counts, [Returned(key, currency, *row[6:9]) for key, currency, *row in rows if currency is not None]


def _asked(when: When, rules: Rfm, node: UUID | None = None) -> dict[str, Any]:
    return {
        **when._asdict(), "currency": rules.currency, "customer": node,
        "edges_recency": [days * _DAY_SECONDS for days in rules.recency_days],
        "edges_frequency": rules.frequency, "edges_monetary": rules.monetary,
    }  # fmt: skip


def _scored(query: str) -> Query:
    return sql.SQL(_SQL[query]).format(scored=sql.SQL(_SQL["scored"]))


def _cohorts() -> Query:
    return sql.SQL(_SQL["cohorts"]).format(several=sql.SQL(_SQL["several"]))


def _bought(by: str) -> Query:
    bought = sql.SQL(_SQL["bought"]).format(several=sql.SQL(_SQL["several"]), **keys_of(by))
    return sql.SQL(_SQL["loyalty"]).format(bought=bought, **keys_of(by))
