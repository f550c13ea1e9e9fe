"""What do answers about attribution look like: what falls to campaigns and channels, and the sales behind it?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from api.insight_shapes import Key, Periodic

__all__ = ["STRUCTS", "AttributedSales", "Attribution", "CreditTold", "SaleTold", "Turnover"]

Money = Annotated[str, Meta(description="In major units, exact")]


class Turnover(Struct, frozen=True):
    """All counted purchases of one currency, and what of them falls to some campaign, and to none."""

    currency: str
    purchases: int
    revenue: Money
    attributed: Money
    unattributed: Money


class CreditTold(Struct, frozen=True):
    """What falls to a campaign or channel. `cost`: of the campaign in all, in the same currency; `return`: what came
    in above it, per unit of cost."""

    key: Key
    currency: str
    purchases: int
    amount: Money
    cost: Money | None
    return_: float | None = field(name="return")


class Attribution(Periodic, kw_only=True, frozen=True):
    """Which campaigns or channels brought which sales."""

    model: str
    window_days: int
    by: str
    currencies: list[Turnover]
    credits: list[CreditTold]


class SaleTold(Struct, frozen=True):
    """A purchase, and the share of it that falls to whom was asked for."""

    event: str
    at: datetime
    amount: Money
    share: Money
    currency: str
    customer: str


class AttributedSales(Periodic, kw_only=True, frozen=True):
    """A page of purchases, the latest first."""

    model: str
    window_days: int
    by: str
    key: Key
    sales: list[SaleTold]
    next: str | None = None


STRUCTS = (Attribution, AttributedSales)
