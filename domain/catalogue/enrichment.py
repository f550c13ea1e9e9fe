"""Which record event carries what was derived from the text of a touchpoint?"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Record
from domain.catalogue.wording import joined, number

__all__ = ["TouchpointEnriched"]

_Share = Annotated[Decimal, Field(ge=0, le=1, max_digits=12, decimal_places=10)]
_Sentiment = Annotated[Decimal, Field(ge=-1, le=1, max_digits=12, decimal_places=10)]


class TouchpointEnriched(Record):
    """Language, sentiment or topics were derived from a touchpoint's text; `about` names it as `enriches`."""

    TYPE = "touchpoint.enriched"

    language: Annotated[Code | None, PUBLIC] = Field(default=None, description="BCP 47 code of the text's language")
    sentiment: Annotated[_Sentiment | None, PUBLIC] = Field(default=None, description="-1 (bad) to 1 (good)")
    topics: Annotated[list[Code], Field(max_length=50), PUBLIC] = Field(default=[], description="Topics, by code")
    confidence: Annotated[_Share | None, PUBLIC] = Field(default=None, description="How sure that is, 0 to 1")
    method: Annotated[Code | None, PUBLIC] = Field(default=None, description="What derived it, with its version")

    def line(self) -> str:
        mood = f"sentiment {number(self.sentiment)}" if self.sentiment is not None else None
        return joined("Derived from a touchpoint", self.language, mood, *self.topics[:5])
