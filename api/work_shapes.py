"""What do answers about leads, colleagues and notes look like, and what is open about a customer?

Titles, texts and names are personal: they are there for keys with the scope `read` alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from api.deal_shapes import Deal, DealDone, DealPage, DealShown, Stalls
from api.step_shapes import CustomerOf, Native, Positions, RefOf, Repeated, Said
from api.task_shapes import Task, TaskDone, TaskPage, TaskShown
from api.ticket_shapes import Ticket, TicketDone, TicketPage, TicketShown

__all__ = [
    "STRUCTS",
    "BulkDone",
    "Lead",
    "LeadDone",
    "LeadPage",
    "LeadShown",
    "NoteDone",
    "Notice",
    "Notices",
    "OneDone",
    "Seen",
    "User",
    "UserDone",
    "Users",
    "Work",
]


class Lead(Struct, omit_defaults=True, kw_only=True):
    """A lead. `deal`: the one that it became."""

    id: str
    native: Native
    ref: RefOf
    revision: int
    status: str
    title: str = ""
    message: str = ""
    origin: str | None = None
    campaign: str | None = None
    product: str | None = None
    country: str | None = None
    industry: str | None = None
    assignee: str | None = None
    team: str | None = None
    assigned_by: str | None = None
    deal: str | None = None
    reason: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    closed_at: datetime | None = None
    customer: CustomerOf = None


class LeadShown(Lead, kw_only=True):
    """A lead with its history."""

    history: list[Said] = []
    earlier: int | None = None
    happened_by: datetime | None = None


class LeadPage(Struct, frozen=True):
    """Leads, the latest first."""

    leads: list[Lead]
    next: str | None


class User(Struct, omit_defaults=True, kw_only=True):
    """A colleague. `present`: they work here now."""

    code: str
    revision: int
    name: str = ""
    teams: list[str] = []
    roles: list[str] = []
    present: bool


class Users(Struct, frozen=True):
    """Colleagues who work here, by code. `next`: pass it as `cursor`."""

    users: list[User]
    next: str | None


class Notice(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Something that a colleague is told. `why`: mentioned, assigned, reminded, notified."""

    why: str
    happened_at: datetime
    line: str = ""
    kind: str | None = None
    id: str | None = None
    ref: str | None = None
    actor: str | None = None
    customer: CustomerOf = None
    seen: bool = False


class Notices(Struct, frozen=True):
    """What a colleague is told, the latest first."""

    notices: list[Notice]
    next: str | None
    seen_at: datetime | None


class Seen(Struct, frozen=True):
    """Up to when a colleague has seen what they were told."""

    seen_at: datetime


class LeadDone(Struct, omit_defaults=True, kw_only=True):
    """What was done of a lead. `revision`: the ETag for the next change."""

    id: str
    revision: int
    positions: Positions = None
    repeated: Repeated = False
    lead: LeadShown


class UserDone(Struct, omit_defaults=True, kw_only=True):
    """What was done of a colleague. `revision`: the ETag for the next change."""

    revision: int
    positions: Positions = None
    repeated: Repeated = False
    user: User


class OneDone(Struct, frozen=True):
    """One of several that were made."""

    id: str
    revision: int


class BulkDone(Struct, omit_defaults=True, kw_only=True):
    """What was made, in the order in which it was sent."""

    items: list[OneDone]
    positions: Positions = None
    repeated: Repeated = False


class NoteDone(Struct, omit_defaults=True, kw_only=True):
    """A note on the log."""

    id: str
    name: Annotated[str, Meta(description="Of its event, `SOURCE#HASH`")]
    positions: str
    repeated: Repeated = False


class Work(Struct, omit_defaults=True, kw_only=True):
    """What is open about a customer; `more`: kinds of which there is more than is shown."""

    deals: list[Deal] = []
    tickets: list[Ticket] = []
    tasks: list[Task] = []
    leads: list[Lead] = []
    more: list[str] = []


STRUCTS: Final = (
    DealPage,
    Stalls,
    DealShown,
    DealDone,
    TicketPage,
    TicketShown,
    TicketDone,
    TaskPage,
    TaskShown,
    TaskDone,
    LeadPage,
    LeadShown,
    LeadDone,
    Users,
    User,
    UserDone,
    Notices,
    Seen,
    BulkDone,
    NoteDone,
    Work,
)
