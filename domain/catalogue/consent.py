"""Which record events carry a person's consent, per purpose and channel?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Record, Text
from domain.catalogue.wording import joined

__all__ = ["ConsentGiven", "ConsentWithdrawn"]


class _Consent(Record):
    purpose: Annotated[Code, PUBLIC] = Field(description="What for, by code, such as marketing")
    channel: Annotated[Code | None, PUBLIC] = Field(default=None, description="On which channel; left out: on all")
    wording: Text = Field(default="", description="What the person was shown or said")
    proof: Attachments = Field(default=[])

    def _told(self, what: str) -> str:
        return joined(f"{what}: {self.purpose}", f"by {self.channel}" if self.channel else "on all channels")


class ConsentGiven(_Consent):
    """A person allowed the company to use their data for a purpose."""

    TYPE = "consent.given"

    basis: Annotated[Code | None, PUBLIC] = Field(default=None, description="Legal basis, by code")

    def line(self) -> str:
        return self._told("Consent given")


class ConsentWithdrawn(_Consent):
    """A person took a consent back."""

    TYPE = "consent.withdrawn"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")

    def line(self) -> str:
        return self._told("Consent withdrawn")
