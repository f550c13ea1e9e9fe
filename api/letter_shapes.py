"""What do answers about dead letters look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Kind", "Kinds", "Letter", "Letters", "Settled", "Step"]


class Step(Struct, omit_defaults=True, frozen=True):
    """What was done with a dead letter. `by`: `cli`, or an API key's id, whose label stands beside it."""

    at: datetime
    did: Annotated[str, Meta(description="unsealed, stayed (tried in vain), redriven, amended, discarded")]
    by: str
    label: str | None = None
    why: str | None = None


class Letter(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A dead letter; by itself with its history. Unsealed, `detail` says what exactly is wrong and `content` holds
    the text, which goes when the letter is settled."""

    id: str
    kind: Annotated[str, Meta(description="What letters with one cause and one remedy share")]
    consumer: str
    reason: str
    detail: str
    origin: str
    partition: int | None = None
    offset: int | None = None
    source: str | None = None
    type: str | None = None
    parked_at: datetime
    status: str
    status_at: datetime
    status_why: str | None = None
    status_by: str | None = None
    content: str | None = None
    unreadable: str | None = None
    history: tuple[Step, ...] = ()


class Letters(Struct, frozen=True):
    """Dead letters, oldest first. `next`: the cursor to go on with, or null."""

    letters: list[Letter]
    next: str | None


class Kind(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Dead letters with one cause and one remedy. `letters` and `overdue` are exact up to 100,000, which stands for
    that many or more."""

    id: str
    consumer: str
    reason: str
    detail: Annotated[str, Meta(description="Why they wait")]
    remedy: Annotated[str, Meta(description="What to do about them")]
    origin: str
    type: str | None = None
    oldest: datetime
    newest: datetime
    letters: Annotated[int, Meta(description="How many wait")]
    overdue: Annotated[int, Meta(description="How many wait longer than STORYLINE_DEAD_LETTER_ALARM_HOURS")]


class Kinds(Struct, frozen=True):
    """Kinds of dead letters that wait; within a page those with the oldest letter first. `next`: the cursor to go on
    with, or null."""

    kinds: list[Kind]
    next: str | None


class Settled(Struct, frozen=True):
    """What one step over the letters of a kind came to. Call again with `next` as the cursor until it is null."""

    settled: Annotated[int, Meta(description="Redriven or discarded now")]
    stayed: Annotated[int, Meta(description="Tried, and refused again")]
    remaining: Annotated[int, Meta(description="Of this kind still parked; 100,000 stands for that many or more")]
    next: str | None
