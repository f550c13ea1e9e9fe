"""Which record events say that two sets of identifiers are, or are not, one person?

The identifiers of the one side are the event's `who`, those of the other sides its parties, so that they reach the
log as tokens. Only a publisher with the right to it may say this; see `commands/publishing.py`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Record, Text
from domain.catalogue.wording import joined

__all__ = ["IdentityMerged", "IdentitySplit"]


class _Ruling(Record):
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What the data steward wrote")


class IdentityMerged(_Ruling):
    """A data steward ruled that `who` and the parties are one person."""

    TYPE = "identity.merged"

    def line(self) -> str:
        return joined("Merged with another customer", self.reason)


class IdentitySplit(_Ruling):
    """A data steward ruled that `who` and the parties are different people."""

    TYPE = "identity.split"

    def line(self) -> str:
        return joined("Split into several customers", self.reason)
