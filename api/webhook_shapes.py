"""What do answers about webhooks look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Webhook", "Webhooks"]


class Webhook(Struct, frozen=True):
    """A webhook on its way, or at its end. What it holds is made when it is sent, of what is public of the event."""

    id: str
    rule: str
    event: Annotated[str, Meta(description="The event's name")]
    url: str
    state: Literal["waiting", "delivered", "parked", "discarded"]
    tries: int
    made_at: datetime
    again_at: Annotated[datetime, Meta(description="When it is tried next, if it waits")]
    status: Annotated[int | None, Meta(description="What the receiver answered last")]
    why: Annotated[str | None, Meta(description="Why it was not taken, by code")]
    done_at: datetime | None


class Webhooks(Struct, frozen=True):
    """Webhooks of a state, the oldest first. `next`: the cursor to go on with, or null."""

    webhooks: list[Webhook]
    next: str | None
