"""Which touchpoints does a deal have, kept here or in another system? The deal is the event's ref.

A deal's value is what is hoped for, so `money()` stays None: what comes in is told by purchases. A field that is left
out stays as it was; one that is null is emptied. What happens at one moment goes by `revision`, then by name.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Amount, Code, Count, Currency, ShortText, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined, money_text, number

__all__ = [
    "DealApproved",
    "DealAssigned",
    "DealChanged",
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
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it after this, by their code")
    team: Annotated[Code | None, PUBLIC] = Field(default=None, description="The team that has it, by code")
    products: Annotated[list[Code] | None, PUBLIC] = Field(default=None, description="What it is about, by code")
    expected_close: Annotated[date | None, PUBLIC] = Field(default=None, description="Day it is expected to be won")
    next_step: ShortText = Field(default="", description="What comes next")
    next_step_on: Annotated[date | None, PUBLIC] = Field(default=None, description="Day of the next step")
    origin: Annotated[Code | None, PUBLIC] = Field(default=None, description="Where it came from, by code")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the deal this is")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was written with it")

    def _told(self, what: str, *more: str | None) -> str:
        likely = f"{number(self.probability)} %" if self.probability is not None else None
        told = joined(f"Deal {what}", money_text(self.amount, self.currency), likely, *more)
        return f"{told}: {excerpt(self.title)}" if self.title else told


class DealCreated(_Deal):
    """A deal was created."""

    TYPE = "deal.created"

    def line(self) -> str:
        return self._told("created", self.stage)


class DealStageChanged(_Deal):
    """A deal moved to another stage."""

    TYPE = "deal.stage_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The stage before, by its code")

    def line(self) -> str:
        return self._told(f"moved to {self.stage}" if self.stage else "moved", self.reason)


class DealValueChanged(_Deal):
    """A deal was given another value or probability."""

    TYPE = "deal.value_changed"

    def line(self) -> str:
        return self._told("value changed", self.reason)


class DealAssigned(_Deal):
    """A deal was given to somebody."""

    TYPE = "deal.assigned"

    def line(self) -> str:
        return self._told(f"assigned to {self.assignee}" if self.assignee else "assigned")


class DealWon(_Deal):
    """A deal was won."""

    TYPE = "deal.won"

    def line(self) -> str:
        return self._told("won", self.reason)


class DealLost(_Deal):
    """A deal was lost."""

    TYPE = "deal.lost"

    def line(self) -> str:
        return self._told("lost", self.reason)


class DealReopened(_Deal):
    """A deal that was won or lost was taken up again."""

    TYPE = "deal.reopened"

    def line(self) -> str:
        return self._told("reopened", self.reason)


class DealChanged(_Deal):
    """Details of a deal were changed, such as its title, products, next step or expected close."""

    TYPE = "deal.changed"

    def line(self) -> str:
        return self._told("changed", f"next: {excerpt(self.next_step)}" if self.next_step else None)


class DealApproved(_Deal):
    """Somebody whose role allows it approved that a deal moves to a stage."""

    TYPE = "deal.approved"

    role: Annotated[Code | None, PUBLIC] = Field(default=None, description="The role that approved, by code")
    approved: Annotated[Code | None, PUBLIC] = Field(default=None, description="The stage approved, by its code")

    def line(self) -> str:
        return self._told(f"approved for {self.approved}" if self.approved else "approved", self.role)
