"""What do the steps of deals, tickets, tasks and leads look like, and what is told of each of those?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

__all__ = [
    "Broken",
    "CustomerOf",
    "Move",
    "Native",
    "Positions",
    "RefOf",
    "Repeated",
    "Said",
    "Touchpoint",
    "Touchpoints",
]

CustomerOf = Annotated[str | None, Meta(description="Whom it is about, by the customer's present id")]
Native = Annotated[bool, Meta(description="Kept here; false: told by another system, and not to be changed here")]
RefOf = Annotated[str, Meta(description="`KIND[/NAMESPACE]:CODE`; its timeline is that ref's")]
Positions = Annotated[str | None, Meta(description="Pass it on as `after_positions`; missing: not on the log yet")]
Repeated = Annotated[bool, Meta(description="It was done before, under the same Idempotency-Key")]


class Move(Struct, omit_defaults=True, frozen=True):
    """A move that may be made, and what it still asks for. `approval`: the role that must approve it first."""

    to: str
    missing: list[str] = []
    approval: str | None = None


class Broken(Struct, frozen=True):
    """A rule that a step of another system would have broken here."""

    rule: str
    detail: str


class Said(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One step of a history. `name`: of its event."""

    name: str
    revision: int = 0
    type: str
    happened_at: datetime
    actor: str | None = None
    line: str
    content: Any = None
    erased: bool = False
    unreadable: str | None = None
    broken: Annotated[list[Broken], Meta(description="Of another system: rules that it would have broken here")] = []


class Touchpoint(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A touchpoint of its customer, in short. `name`: of its event."""

    name: str
    happened_at: datetime
    channel: str | None = None
    direction: str | None = None
    line: str


Touchpoints = Annotated[list[Touchpoint], Meta(description="The latest of its customer, the last one first")]
