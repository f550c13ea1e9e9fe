"""Which entries in the books are no trade? Bad debt that was adjusted, stock that was written off."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Amount, Code, Country, Currency, Record
from domain.catalogue.commerce import OrderLine
from domain.catalogue.wording import joined, money_text

__all__ = ["InvoiceAdjusted"]


class InvoiceAdjusted(Record):
    """An invoice was booked that is neither a purchase nor a refund: no money moved and nobody was in contact."""

    TYPE = "invoice.adjusted"

    amount: Annotated[Amount, PUBLIC] = Field(description="What it comes to, with its sign")
    currency: Annotated[Currency, PUBLIC] = Field(description="ISO 4217 code, such as GBP")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="The invoice's country, by code")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="bad_debt, stock_written_off, …")
    lines: list[OrderLine] = Field(default=[], max_length=5000, description="What was booked, line by line")

    def line(self) -> str:
        return joined("Invoice adjusted", self.reason, money_text(self.amount, self.currency))
