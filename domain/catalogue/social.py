"""Which touchpoints come from social networks and from customers who send their friends?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Count, Link, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined, plural

__all__ = ["ReferralMade", "SocialMentioned"]


class SocialMentioned(Touchpoint):
    """A person mentioned the company in a social network."""

    TYPE = "social.mentioned"
    CHANNEL = "social"
    DIRECTION = "in"

    network: Annotated[Code | None, PUBLIC] = Field(default=None, description="The network, by its code")
    reach: Annotated[Count | None, PUBLIC] = Field(default=None, description="How many could see it")
    text: Text = Field(default="", description="What was written")
    url: Link = Field(default="", description="Its address")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        seen = f"seen by {plural(self.reach, 'person', 'people')}" if self.reach else None
        told = joined(f"Mentioned on {self.network}" if self.network else "Mentioned in a social network", seen)
        return f"{told}: {excerpt(self.text)}" if self.text else told


class ReferralMade(Touchpoint):
    """A customer recommended the company to somebody, who is the event's party."""

    TYPE = "referral.made"
    CHANNEL = "referral"
    DIRECTION = "in"

    program: Annotated[Code | None, PUBLIC] = Field(default=None, description="The referral programme, by its code")
    code: Annotated[Code | None, PUBLIC] = Field(default=None, description="The referral code that was used")
    message: Text = Field(default="", description="What the customer wrote")

    def line(self) -> str:
        return joined("Referred somebody", self.program, self.code)
