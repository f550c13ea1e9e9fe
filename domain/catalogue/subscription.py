"""Which touchpoints does a subscription have?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Amount, Code, Currency, Money, Text, Touchpoint
from domain.catalogue.wording import joined, money_text

__all__ = ["SubscriptionCancelled", "SubscriptionChanged", "SubscriptionRenewed", "SubscriptionStarted"]


class _Subscription(Touchpoint):
    CHANNEL = "subscription"
    DIRECTION = "in"

    plan: Annotated[Code | None, PUBLIC] = Field(default=None, description="The plan, by its code")
    period: Annotated[Code | None, PUBLIC] = Field(default=None, description="How often it renews, such as month")
    amount: Annotated[Amount | None, PUBLIC] = Field(
        default=None, description="What this event charged; leave it out where a purchase.made says it too"
    )
    currency: Annotated[Currency | None, PUBLIC] = Field(default=None, description="ISO 4217 code, such as GBP")

    def _told(self, what: str, *more: str | None) -> str:
        named = f"Subscription {self.plan} {what}" if self.plan else f"Subscription {what}"
        return joined(named, money_text(self.amount, self.currency), *more)

    def money(self) -> Money | None:
        if self.amount is None or self.currency is None:
            return None
        return Money(self.amount, self.currency)


class SubscriptionStarted(_Subscription):
    """A customer subscribed."""

    TYPE = "subscription.started"

    def line(self) -> str:
        return self._told("started", f"every {self.period}" if self.period else None)


class SubscriptionRenewed(_Subscription):
    """A customer's subscription was renewed for another period."""

    TYPE = "subscription.renewed"

    def line(self) -> str:
        return self._told("renewed", f"for a {self.period}" if self.period else None)


class SubscriptionChanged(_Subscription):
    """A customer's subscription moved to another plan or price."""

    TYPE = "subscription.changed"

    previous_plan: Annotated[Code | None, PUBLIC] = Field(default=None, description="The plan before, by its code")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")

    def line(self) -> str:
        return self._told("changed", f"from {self.previous_plan}" if self.previous_plan else None, self.reason)


class SubscriptionCancelled(_Subscription):
    """A customer's subscription was ended, by either side."""

    TYPE = "subscription.cancelled"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What the customer said about it")

    def line(self) -> str:
        return self._told("cancelled", self.reason)
