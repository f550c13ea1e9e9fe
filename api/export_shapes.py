"""What does an export hold, which gives a person everything that is held about them?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api import customer_shapes, identity_shapes
from api.shapes import Item

__all__ = ["Export", "NamedIn", "Notice"]


class Notice(Struct, frozen=True):
    """An erasure: what was personal until then was destroyed."""

    id: str
    at: datetime


class NamedIn(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An event of somebody else that names the person: the person's own part of it alone."""

    name: Annotated[str, Meta(description="`SOURCE#HASH`")] = ""
    position: Annotated[str, Meta(description="`PARTITION:OFFSET` on the log")]
    happened_at: datetime
    time: Annotated[str, Meta(description="When it happened, as sent")] = ""
    type: str = ""
    role: str
    who: Annotated[list[dict[str, str]] | None, Meta(description="As sent; missing where it cannot be opened")] = None
    erased: bool = False
    unreadable: str | None = None


class Export(Struct, frozen=True, kw_only=True):
    """Everything that is held about one person. `complete` comes last: without it the file was broken off."""

    exported_at: datetime
    erasures: list[Notice]
    customer: customer_shapes.Customer
    identity: identity_shapes.CustomerIdentity
    consents: Annotated[list[customer_shapes.WordSaid], Meta(description="All that was said, newest first")]
    events: Annotated[list[Item], Meta(description="In full, newest first")]
    named_in: Annotated[list[NamedIn], Meta(description="Events of others, newest first")]
    complete: bool
