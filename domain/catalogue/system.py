"""Which events come from Storyline alone? No fold reads them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, System
from domain.catalogue.wording import joined

__all__ = ["SegmentEntered", "SegmentLeft", "TargetBreached"]


class SegmentEntered(System):
    """A customer came to fulfil the rule of a segment."""

    TYPE = "segment.entered"

    segment: Annotated[Code, PUBLIC] = Field(description="The segment, by its code")

    def line(self) -> str:
        return f"Entered segment {self.segment}"


class SegmentLeft(System):
    """A customer no longer fulfils the rule of a segment."""

    TYPE = "segment.left"

    segment: Annotated[Code, PUBLIC] = Field(description="The segment, by its code")

    def line(self) -> str:
        return f"Left segment {self.segment}"


class TargetBreached(System):
    """A target time, such as that of a first answer, passed without its being met."""

    TYPE = "target.breached"

    target: Annotated[Code, PUBLIC] = Field(description="The target, by its code")
    policy: Annotated[Code | None, PUBLIC] = Field(default=None, description="The policy that sets it, by its code")

    def line(self) -> str:
        return joined(f"Target missed: {self.target}", self.policy)
