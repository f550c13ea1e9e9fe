"""What do answers about one organisation look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Organisation", "OrganisationContact"]


class OrganisationContact(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A person of an organisation, in one role. `name` and `title` are there with the scope `read` alone."""

    customer: Annotated[str, Meta(description="The customer's present id")]
    role: str
    name: str | None = None
    title: str | None = None
    since: Annotated[datetime, Meta(description="The first description that names the person so")]
    last: Annotated[datetime, Meta(description="The latest one, which says name and title")]
    present: Annotated[bool, Meta(description="The latest description of the organisation names the person so")]


class Organisation(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An organisation by its latest description. `name` and `website` are there with the scope `read` alone."""

    code: str
    namespace: str = ""
    name: str | None = None
    website: str | None = None
    industry: str | None = None
    country: str | None = None
    employees: int | None = None
    described_at: datetime
    event: Annotated[str, Meta(description="Of the event that describes it: its name, from `#` on")]
    contacts: list[OrganisationContact]
    timeline: Annotated[str, Meta(description="Its own story, with those of its contacts")]
