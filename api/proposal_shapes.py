"""What do answers about proposals of duplicates and the data's quality look like, and how is one decided?"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = [
    "STRUCTS",
    "DecisionRequest",
    "Proposal",
    "ProposalReason",
    "ProposalShown",
    "ProposalSide",
    "Proposals",
    "Quality",
    "QualityDay",
]


class ProposalReason(Struct, frozen=True):
    """A reason for or against; its code is documented in docs/duplicates.md."""

    code: str
    words: str
    weight: Annotated[float, Meta(description="In bits: positive for one person, negative against")]


class Proposal(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Two customers who may be one. `customers`: their ids now, equal once they are one."""

    id: str
    customers: tuple[str, str]
    score: Annotated[float, Meta(description="0 to 1")]
    reasons: Annotated[list[ProposalReason], Meta(description="The weightiest first")]
    state: Annotated[str, Meta(description="open, accepted, rejected or closed (by itself)")]
    found_at: datetime
    decided_at: datetime | None = None
    decided_by: Annotated[str | None, Meta(description="`cli` or the id of an API key")] = None
    label: Annotated[str | None, Meta(description="That key's label")] = None
    why: Annotated[
        str | None,
        Meta(description="The steward's words; where it closed itself: one, ruled, twin or unlike"),
    ] = None
    merge: Annotated[str | None, Meta(description="The event that merged them; retract it to undo")] = None


class Proposals(Struct, frozen=True):
    """Proposals, the likeliest first. `next`: the cursor to go on with, or null."""

    proposals: list[Proposal]
    next: str | None


class ProposalSide(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One of the two customers, readable."""

    id: Annotated[str, Meta(description="The customer's id")]
    profile: Annotated[dict[str, Any], Meta(description="Fields that are known")]
    identifiers: list[dict[str, str]]
    shared: Annotated[
        list[dict[str, str]], Meta(description="Identifiers that too many have to tell people apart")
    ] = []


class ProposalShown(Struct, frozen=True):
    """A proposal with both customers side by side."""

    proposal: Proposal
    sides: tuple[ProposalSide, ProposalSide]


class QualityDay(Struct, frozen=True):
    """The figures of the last run of a day."""

    day: date
    figures: Annotated[dict[str, float], Meta(description="By name, see docs/duplicates.md")]


class Quality(Struct, frozen=True):
    """The quality of the data over time, oldest day first."""

    days: list[QualityDay]


STRUCTS: Final[tuple[type[Struct], ...]] = (Proposal, Proposals, ProposalShown, Quality)
"""What answers are made of, for the OpenAPI document."""


class DecisionRequest(BaseModel):
    """Why a steward decides so. No personal data: it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    why: Annotated[str, StringConstraints(min_length=1, max_length=500), Field(description="In 1 to 500 letters")]
