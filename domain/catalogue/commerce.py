"""Which touchpoints does trade have? Purchases, refunds, carts; orders and invoices are the event's refs."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import (
    PUBLIC,
    Amount,
    Code,
    Country,
    Currency,
    Money,
    Part,
    Quantity,
    ShortText,
    Touchpoint,
)
from domain.catalogue.wording import joined, money_text, plural

__all__ = ["CartAbandoned", "CartUpdated", "OrderLine", "PurchaseMade", "RefundMade"]


class OrderLine(Part):
    """One line of an order, a refund or a cart. Returned goods and discounts stand in negative lines."""

    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product's code")
    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product's category, by code")
    description: ShortText = Field(default="", description="The product as the customer saw it")
    quantity: Annotated[Quantity, PUBLIC] = Field(default=Decimal(1), description="How many, or how much")
    unit_price: Annotated[Amount | None, PUBLIC] = Field(default=None, description="Price of one")
    amount: Annotated[Amount | None, PUBLIC] = Field(default=None, description="What the line comes to")


class _Trade(Touchpoint):
    amount: Annotated[Amount, PUBLIC] = Field(description="What it comes to in all, in major units of the currency")
    currency: Annotated[Currency, PUBLIC] = Field(description="ISO 4217 code, such as GBP")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="The customer's country, by code")
    lines: list[OrderLine] = Field(default=[], max_length=5000, description="What was bought, line by line")

    def _told(self, what: str) -> str:
        items = sum((line.quantity for line in self.lines if line.quantity > 0), start=Decimal(0))
        return joined(f"{what} of {plural(items, 'item')}" if items else what, money_text(self.amount, self.currency))


class PurchaseMade(_Trade):
    """A customer bought something."""

    TYPE = "purchase.made"
    CHANNEL = "shop"
    DIRECTION = "in"

    discount: Annotated[Amount | None, PUBLIC] = Field(default=None, description="Taken off, already in the amount")
    tax: Annotated[Amount | None, PUBLIC] = Field(default=None, description="Tax, already in the amount")
    shipping: Annotated[Amount | None, PUBLIC] = Field(default=None, description="Shipping, already in the amount")
    comment: ShortText = Field(default="", description="What the customer wrote with the order")

    def line(self) -> str:
        return self._told("Purchase")

    def money(self) -> Money | None:
        return Money(self.amount, self.currency)


class RefundMade(_Trade):
    """The company gave a customer money back. Amounts and quantities are positive: what went back."""

    TYPE = "refund.made"
    CHANNEL = "shop"
    DIRECTION = "out"

    amount: Annotated[Amount, Field(ge=0), PUBLIC] = Field(description="What was given back in all, positive")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: ShortText = Field(default="", description="What was said about it")

    def line(self) -> str:
        return joined(self._told("Refund"), self.reason)

    def money(self) -> Money | None:
        return Money(-self.amount, self.currency)


class _Cart(Touchpoint):
    CHANNEL = "web"
    DIRECTION = "in"

    amount: Annotated[Amount | None, PUBLIC] = Field(default=None, description="What is in it would come to")
    currency: Annotated[Currency | None, PUBLIC] = Field(default=None, description="ISO 4217 code, such as GBP")
    lines: list[OrderLine] = Field(default=[], max_length=1000, description="What is in the cart")

    def _told(self, what: str) -> str:
        items = sum((line.quantity for line in self.lines if line.quantity > 0), start=Decimal(0))
        held = plural(items, "item") if self.lines else None
        return joined(what, held, money_text(self.amount, self.currency))


class CartUpdated(_Cart):
    """A customer put something into a cart, or took something out of it."""

    TYPE = "cart.updated"

    def line(self) -> str:
        return self._told("Cart updated")


class CartAbandoned(_Cart):
    """A customer left a cart without buying what is in it."""

    TYPE = "cart.abandoned"

    def line(self) -> str:
        return self._told("Cart abandoned")
