"""What is a proposal, which shapes does it take, and how does it stand in the tables?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID

from commands.publishing import Receipt
from commands.rulings import Candidate, Why
from domain.errors import BadInput, NotFound, Problem
from domain.identifiers import Identifier
from domain.profile import ProfileField
from domain.similarity import REASONS, Reason
from eventlog.sql import load

__all__ = [
    "SQL",
    "STATES",
    "Figure",
    "Merges",
    "Proposal",
    "Run",
    "Side",
    "State",
    "check_why",
    "id_of",
    "proposal_id_of",
    "proposal_of",
    "told",
]

SQL: Final = load("commands", "proposing.sql")

State = Literal["open", "accepted", "rejected", "closed"]
STATES: Final[tuple[State, ...]] = ("open", "accepted", "rejected", "closed")


class Proposal(NamedTuple):
    """Two customers who may be one. `customers`: the ids of both now, equal once they are one. `score`: 0 to 1.
    `decided_by`: `cli` or an API key's id, whose label is `label`; None where it closed itself, and `why` then is
    `one`, `ruled`, `twin` or `unlike`. `merge`: the name of the event that made them one."""

    id: str
    customers: tuple[str, str]
    score: float
    reasons: tuple[Reason, ...]
    state: str
    found_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    label: str | None
    why: str | None
    merge: str | None


class Side(NamedTuple):
    """One of the two customers, readable: personal data. `shared`: those of its identifiers that link nobody."""

    customer: str
    identifiers: tuple[Identifier, ...]
    shared: tuple[Identifier, ...]
    profile: tuple[ProfileField, ...]


class Figure(NamedTuple):
    """One figure of data quality on a day."""

    day: date
    figure: str
    value: float


class Run(NamedTuple):
    """What a run came to. `oversized`: blocks that were too large to be compared. `compared`: pairs. `proposed`:
    pairs that were alike enough; `new`: of these not proposed before."""

    customers: int
    blocks: int
    oversized: int
    compared: int
    proposed: int
    new: int
    seconds: float


class Merges(Protocol):
    """Publishes a merge: `commands.rulings.Rulings`."""

    def merge(self, sides: Sequence[Sequence[Candidate]], why: Why, by: str) -> Receipt: ...


def id_of(a: UUID, b: UUID) -> UUID:
    """The id of the proposal about two customers, the lesser id first."""
    return UUID(bytes=blake2b(a.bytes + b.bytes, digest_size=16, person=b"storyline.pair").digest())


def proposal_id_of(text: str) -> UUID:
    """An id out of its text. Raises NotFound for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no proposal of that id; GET /v1/proposals lists them.") from None


def proposal_of(row: Sequence[Any]) -> Proposal:
    """A row of `page` or `one`."""
    found, a, b, score, reasons, *rest = row
    return Proposal(found.hex, (a.hex, b.hex), score, tuple([Reason(*one) for one in reasons]), *rest)


def told(reason: Reason) -> str:
    """A reason in words; one of another release by its code."""
    return REASONS.get(reason.code, reason.code)


def check_why(why: str) -> None:
    """Raise BadInput unless a steward's words fit."""
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise BadInput([Problem("why", "is empty, too long or not printable.", "Say why, in 1 to 500 letters.")])
