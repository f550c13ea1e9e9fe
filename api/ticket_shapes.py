"""What do answers about tickets look like? The subject is personal, and there with the scope `read` alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.step_shapes import CustomerOf, Move, Native, Positions, RefOf, Repeated, Said, Touchpoints
from api.task_shapes import Tasks

__all__ = [
    "Link",
    "StateSpent",
    "StateStay",
    "Ticket",
    "TicketDone",
    "TicketPage",
    "TicketShown",
]


class Link(Struct, omit_defaults=True, frozen=True):
    """Another ticket, by its id."""

    other: str
    relation: str | None = None


class StateStay(Struct, omit_defaults=True, frozen=True):
    """A time in one state; `until` is missing while it goes on."""

    state: str
    since: datetime
    until: datetime | None = None


class StateSpent(Struct, frozen=True):
    """How long it was in a state, all its stays together, in seconds."""

    state: str
    seconds: int


class Ticket(Struct, omit_defaults=True, kw_only=True):
    """A ticket. `respond_by`, `resolve_by`: what was promised; missing where nothing is due, or its clock stands."""

    id: str
    native: Native
    ref: RefOf
    revision: int
    state: str | None = None
    state_since: datetime | None = None
    subject: str = ""
    priority: str | None = None
    queue: str | None = None
    category: str | None = None
    product: str | None = None
    channel: str | None = None
    service_level: str | None = None
    assignee: str | None = None
    team: str | None = None
    level: int | None = None
    follows: str | None = None
    folded_into: str | None = None
    reason: str | None = None
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    responded_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    respond_by: datetime | None = None
    resolve_by: datetime | None = None
    clock_s: Annotated[int | None, Meta(description="Business seconds that its clock had run")] = None
    near: Annotated[list[str], Meta(description="Targets that are near: `first_response`, `resolution`")] = []
    missed: Annotated[list[str], Meta(description="Targets that were missed")] = []
    customer: CustomerOf = None


class TicketShown(Ticket, kw_only=True):
    """A ticket with its moves, what stands beside it, and its history."""

    moves: list[Move] = []
    links: list[Link] = []
    stays: list[StateStay] = []
    spent: Annotated[list[StateSpent], Meta(description="Time in each state, while it was not closed")] = []
    touchpoints: Touchpoints = []
    tasks: Tasks = []
    history: list[Said] = []
    earlier: Annotated[int | None, Meta(description="Pass it as `before` for earlier steps")] = None
    happened_by: datetime | None = None


class TicketPage(Struct, frozen=True):
    """Tickets, the first due first. `counts`: open ones of each state under the same filters."""

    tickets: list[Ticket]
    next: str | None
    counts: dict[str, int]


class TicketDone(Struct, omit_defaults=True, kw_only=True):
    """What was done of a ticket. `revision`: the ETag for the next change."""

    id: str
    revision: int
    positions: Positions = None
    repeated: Repeated = False
    ticket: TicketShown
