"""What do erasures look like in requests and answers?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Certificate", "EraseRequest", "Erasure", "Erasures", "Event", "Events", "Foreseen", "Left"]


class Event(Struct, frozen=True):
    """An event by its name (`SOURCE#HASH`) and position (`PARTITION:OFFSET`)."""

    name: str
    position: str


class Events(Struct, frozen=True):
    """How many events, and the first thousand of them."""

    count: int
    events: list[Event]


class Left(Struct, frozen=True):
    """Something that is left elsewhere; `until` is null where that is as long as it is kept."""

    what: str
    until: str | None


class Foreseen(Struct, frozen=True, kw_only=True):
    """What an erasure would come to. Nothing was changed."""

    customer: str
    events: int
    evidences: Annotated[int, Meta(description="Sets of identifiers, each with a key")]
    identifiers: Annotated[int, Meta(description="Identifiers that lead to nobody afterwards")]
    keys: int
    names_others: Annotated[Events, Meta(description="Her events that also name others as parties")]
    named_by_others: Annotated[Events, Meta(description="Events of others that name her as a party")]
    elsewhere: Annotated[Events, Meta(description="Events at home in others that say one of her identifiers")]


class Certificate(Struct, frozen=True, kw_only=True):
    """What was done; nothing personal. `hash`: SHA-256 of all the rest as JSON with sorted keys."""

    erasure: str
    customer: str
    at: datetime
    by: str
    why: str
    certified_at: datetime
    events: int
    evidences: int
    identifiers: int
    keys: Annotated[int, Meta(description="Keys that are destroyed")]
    letters: Annotated[int, Meta(description="Dead letters whose content went with it")]
    names_others: Events
    named_by_others: Events
    elsewhere: Events
    remains: list[Left]
    ledger: Annotated[str, Meta(description="Hash of the entry of the ledger before it")]
    hash: str


class Erasure(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One erasure. `step`: recorded, destroyed, searched, emptied, certified; `certificate` is there at the end."""

    id: str
    customer: str
    at: datetime
    by: str
    why: str
    step: str
    certificate: Certificate | None = None


class Erasures(Struct, frozen=True):
    """Erasures, newest first. `next` is the cursor to go on with, null at the end."""

    erasures: list[Erasure]
    next: str | None


class EraseRequest(BaseModel):
    """Why a customer is erased; no personal data. `dry_run`: only say what it would come to."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    why: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    dry_run: Annotated[bool, Field(description="Change nothing")] = False
