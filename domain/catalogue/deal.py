"""Which touchpoints does a deal in another system have? The deal is the event's ref.

A deal's value is what is hoped for, so `money()` stays None: what comes in is told by purchases.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Amount, Code, Currency, ShortText, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined, money_text, number

__all__ = [
    "DealAssigned",
    "DealCreated",
    "DealLost",
    "DealReopened",
    "DealStageChanged",
    "DealValueChanged",
    "DealWon",
]


class _Deal(Touchpoint):
    CHANNEL = "deal"

    title: ShortText = Field(default="", description="The deal's title")
    stage: Annotated[Code | None, PUBLIC] = Field(default=None, description="The stage after this, by its code")
    pipeline: Annotated[Code | None, PUBLIC] = Field(default=None, description="The pipeline, by its code")
    amount: Annotated[Amount | None, PUBLIC] = Field(default=None, description="What the deal is worth, as expected")
    currency: Annotated[Currency | None, PUBLIC] = Field(default=None, description="ISO 4217 code, such as GBP")
    probability: Annotated[Decimal | None, Field(ge=0, le=100, max_digits=8, decimal_places=4), PUBLIC] = Field(
        default=None, description="Per cent, 0 to 100"
    )
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was written with it")

    def _told(self, what: str, *more: str | None) -> str:
        likely = f"{number(self.probability)} %" if self.probability is not None else None
        told = joined(f"Deal {what}", money_text(self.amount, self.currency), likely, *more)
        return f"{told}: {excerpt(self.title)}" if self.title else told


class DealCreated(_Deal):
    """A deal was created in another system."""

    TYPE = "deal.created"

    def line(self) -> str:
        return self._told("created", self.stage)


class DealStageChanged(_Deal):
    """A deal in another system moved to another stage."""

    TYPE = "deal.stage_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The stage before, by its code")

    def line(self) -> str:
        return self._told(f"moved to {self.stage}" if self.stage else "moved", self.reason)


class DealValueChanged(_Deal):
    """A deal in another system was given another value or probability."""

    TYPE = "deal.value_changed"

    def line(self) -> str:
        return self._told("value changed", self.reason)


class DealAssigned(_Deal):
    """A deal in another system was given to somebody."""

    TYPE = "deal.assigned"

    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it now, by their code")

    def line(self) -> str:
        return self._told(f"assigned to {self.assignee}" if self.assignee else "assigned")


class DealWon(_Deal):
    """A deal in another system was won."""

    TYPE = "deal.won"

    def line(self) -> str:
        return self._told("won", self.reason)


class DealLost(_Deal):
    """A deal in another system was lost."""

    TYPE = "deal.lost"

    def line(self) -> str:
        return self._told("lost", self.reason)


class DealReopened(_Deal):
    """A deal in another system that was won or lost was taken up again."""

    TYPE = "deal.reopened"

    def line(self) -> str:
        return self._told("reopened", self.reason)
