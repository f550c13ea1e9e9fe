"""What does a search ask, and what does it find?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["Hit", "Hits", "SearchRequest", "Why"]


class Why(Struct, omit_defaults=True, frozen=True):
    """Why a customer was found."""

    how: Annotated[str, Meta(description="exact, begins (it begins with what was typed) or alike")]
    what: Annotated[str, Meta(description="`name`, or the kind of the identifier or of the number")]
    found: Annotated[str | None, Meta(description="What it matches, folded; left out where only a hash is kept")] = (
        None
    )
    likeness: Annotated[float | None, Meta(description="0 to 1, of what is merely alike")] = None


class Hit(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A customer that was found."""

    id: Annotated[str, Meta(description="The customer's id")]
    name: str | None = None
    identifiers: Annotated[list[dict[str, str]], Meta(description="At most five, the strongest kinds first")] = []
    why: list[Why]
    touchpoints: int = 0
    last_contact: datetime | None = None


class Hits(Struct, frozen=True):
    """Customers, best first: by an identifier, a name, a number, a beginning, a likeness; then who was met last."""

    customers: list[Hit]
    more: Annotated[bool, Meta(description="Further customers match; type more to find them")]
    cut: Annotated[bool, Meta(description="Looking for what is alike took too long and was ended")] = False


class SearchRequest(BaseModel):
    """What an agent types: a name, or an identifier or a number in any spelling, or the beginning of one."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    q: Annotated[str, StringConstraints(min_length=1, max_length=200), Field(description="What to search for")]
    limit: Annotated[int, Field(ge=1, le=50, description="Most customers; there are no further pages")] = 20
