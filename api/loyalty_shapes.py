"""What do answers about loyalty look like: RFM, cohorts, new and returning customers, and cancellations?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.insight_shapes import Key, Periodic, Share

__all__ = [
    "STRUCTS",
    "AsOfMoment",
    "BeforeCancelling",
    "CancellationCount",
    "CancellationEvents",
    "CancellationTold",
    "Cancellations",
    "CohortMonth",
    "CohortTold",
    "Cohorts",
    "CurrencyRevenue",
    "CustomersBought",
    "CustomersGroup",
    "RevenueSplit",
    "RfmClassTold",
    "RfmClasses",
    "RfmCustomer",
    "RfmCustomers",
    "RfmScores",
    "SignalTold",
]

Money = Annotated[str, Meta(description="In major units, exact")]
Score = Annotated[int, Meta(ge=1, le=5, description="1 to 5, of which 5 is best")]


class AsOfMoment(Struct, omit_defaults=True, kw_only=True, frozen=True):
    """As of which moment, and in which currency revenue is told."""

    at: datetime
    currency: str
    recorded_by: datetime | None = None


class RfmClassTold(Struct, frozen=True):
    """A class of customers. `code` null: those that no class takes in. `value`: revenue less refunds."""

    code: str | None
    customers: int
    share: Share
    orders: int
    revenue: Money
    refunds: Money
    value: Money


class RfmClasses(AsOfMoment, kw_only=True, frozen=True):
    """The classes of all customers who bought, in their order."""

    customers: int
    classes: list[RfmClassTold]


class RfmScores(Struct, frozen=True):
    """A customer's scores, and the class that they make."""

    recency: Score
    frequency: Score
    monetary: Score
    code: str | None


class RfmCustomer(Struct, frozen=True):
    """A customer with scores. `value`: revenue less refunds so far."""

    customer: str
    scores: RfmScores
    first_at: datetime
    last_at: datetime
    orders: int
    revenue: Money
    refunds: Money
    value: Money


class RfmCustomers(AsOfMoment, kw_only=True, frozen=True):
    """Customers with scores."""

    customers: list[RfmCustomer]
    next: str | None = None


class CurrencyRevenue(Struct, frozen=True):
    """Revenue in one currency, before refunds."""

    currency: str
    revenue: Money


class CohortMonth(Struct, frozen=True):
    """A cohort `since` months after the first purchase: how many of it bought, their share, and for how much."""

    since: int
    customers: int
    share: Share
    orders: int
    revenue: list[CurrencyRevenue]


class CohortTold(Struct, frozen=True):
    """The customers who bought for the first time in a month; months in which none of them bought are left out."""

    month: str
    customers: int
    months: list[CohortMonth]


class Cohorts(Periodic, kw_only=True, frozen=True):
    """Retention by the month of the first purchase."""

    cohorts: list[CohortTold]


class RevenueSplit(Struct, frozen=True):
    """Revenue of new and of returning customers, and of nobody that is known, in one currency."""

    currency: str
    new: Money
    returning: Money
    unknown: Money


class CustomersGroup(Struct, frozen=True):
    """Who bought. `new`: for the first time; `repeat_rate`: the share who had ordered twice or more by the end of the
    period."""

    key: Key
    customers: int
    new: int
    returning: int
    repeat: int
    repeat_rate: Share
    new_orders: int
    returning_orders: int
    unknown_orders: int
    revenue: list[RevenueSplit]


class CustomersBought(Periodic, kw_only=True, frozen=True):
    """New and returning customers."""

    by: str
    total: CustomersGroup
    series: list[CustomersGroup]


class CancellationCount(Struct, frozen=True):
    """How many cancellations, of how many customers; `code`: a reason or plan, null where none is said."""

    code: str | None
    cancellations: int
    customers: int


class SignalTold(Struct, frozen=True):
    """What came before: the type of a touchpoint, `mood.negative` or `score.low`; the share of customers who left to
    whom it happened, that of those who stayed, and how many times as many."""

    signal: str
    left: int
    left_share: Share
    stayed: int
    stayed_share: Share
    lift: float | None


class BeforeCancelling(Struct, frozen=True):
    """What came within so many days before; of a sample of 2,000 customers each at most."""

    days: int
    left: int
    stayed: int
    signals: list[SignalTold]


class Cancellations(Periodic, kw_only=True, frozen=True):
    """Why customers cancelled, and what came before."""

    cancellations: int
    customers: int
    reasons: list[CancellationCount]
    plans: list[CancellationCount]
    before: BeforeCancelling


class CancellationTold(Struct, omit_defaults=True, frozen=True):
    """One subscription that was cancelled."""

    event: str
    at: datetime
    reason: str | None = None
    plan: str | None = None
    customer: str | None = None


class CancellationEvents(Periodic, kw_only=True, frozen=True):
    """A page of cancellations, the latest first."""

    events: list[CancellationTold]
    next: str | None = None


STRUCTS = (RfmClasses, RfmCustomers, RfmCustomer, Cohorts, CustomersBought, Cancellations, CancellationEvents)
