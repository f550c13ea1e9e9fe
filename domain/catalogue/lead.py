"""Which touchpoints does a lead have, from its capture to the deal that it becomes? The lead is the event's ref."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Count, Country, ShortText, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined

__all__ = ["LeadAssigned", "LeadCaptured", "LeadChanged", "LeadConverted", "LeadDisqualified", "LeadReopened"]


class _Lead(Touchpoint):
    CHANNEL = "lead"

    title: ShortText = Field(default="", description="What they are interested in, in a few words")
    message: Text = Field(default="", description="What they wrote")
    origin: Annotated[Code | None, PUBLIC] = Field(default=None, description="Where it came from, such as website")
    campaign: Annotated[Code | None, PUBLIC] = Field(
        default=None, description="The campaign that brought it, by code"
    )
    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="What they are interested in, by code")
    country: Annotated[Country | None, PUBLIC] = Field(
        default=None, description="Their country, ISO 3166 code or name"
    )
    industry: Annotated[Code | None, PUBLIC] = Field(default=None, description="Their industry, by code")
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it after this, by their code")
    team: Annotated[Code | None, PUBLIC] = Field(default=None, description="The team that has it, by code")
    assigned_by: Annotated[Code | None, PUBLIC] = Field(
        default=None, description="The rule that assigned it, by code"
    )
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the lead this is")

    def _told(self, what: str, *more: str | None) -> str:
        told = joined(f"Lead {what}", *more)
        return f"{told}: {excerpt(self.title or self.message)}" if self.title or self.message else told


class LeadCaptured(_Lead):
    """Somebody showed interest in buying."""

    TYPE = "lead.captured"
    DIRECTION = "in"

    def line(self) -> str:
        return self._told("captured", self.origin, self.campaign)


class LeadAssigned(_Lead):
    """A lead was given to a person or a team."""

    TYPE = "lead.assigned"

    def line(self) -> str:
        return self._told(f"assigned to {self.assignee or self.team}" if self.assignee or self.team else "assigned")


class LeadChanged(_Lead):
    """More became known of a lead."""

    TYPE = "lead.changed"

    def line(self) -> str:
        return self._told("changed")


class LeadConverted(_Lead):
    """A lead became a deal."""

    TYPE = "lead.converted"

    deal: Annotated[Code | None, PUBLIC] = Field(default=None, description="The deal that it became, by its id")

    def line(self) -> str:
        return self._told("became a deal")


class LeadDisqualified(_Lead):
    """A lead was given up."""

    TYPE = "lead.disqualified"

    def line(self) -> str:
        return self._told("given up", self.reason)


class LeadReopened(_Lead):
    """A lead that was given up was taken up again."""

    TYPE = "lead.reopened"

    def line(self) -> str:
        return self._told("reopened")
