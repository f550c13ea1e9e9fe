"""Which touchpoints does a ticket have, kept here or in another system? The ticket is the event's ref.

Its state is folded out of these. Of a ticket that another system keeps nobody's past is refused, so any step may
follow any other. A field that an event leaves out stays as it was; one that is null is emptied.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Count, Direction, Seconds, ShortText, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined

__all__ = [
    "TicketAssigned",
    "TicketChanged",
    "TicketClosed",
    "TicketCommented",
    "TicketEscalated",
    "TicketFolded",
    "TicketLinked",
    "TicketOpened",
    "TicketPriorityChanged",
    "TicketReopened",
    "TicketResolved",
    "TicketStateChanged",
    "TicketUnlinked",
]


class _Ticket(Touchpoint):
    CHANNEL = "ticket"

    subject: ShortText = Field(default="", description="The ticket's subject")
    state: Annotated[Code | None, PUBLIC] = Field(default=None, description="The state after this, by its code")
    priority: Annotated[Code | None, PUBLIC] = Field(default=None, description="The priority after this, by its code")
    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue or group that has it, by code")
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it after this, by their code")
    team: Annotated[Code | None, PUBLIC] = Field(default=None, description="The team that has it, by code")
    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it is about, by category")
    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product that it is about, by code")
    service_level: Annotated[Code | None, PUBLIC] = Field(default=None, description="The service level, by its code")
    respond_by: Annotated[AwareDatetime | None, PUBLIC] = Field(
        default=None, description="When the first response is due"
    )
    respond_warn: Annotated[AwareDatetime | None, PUBLIC] = Field(
        default=None, description="When to warn that the first response is due"
    )
    resolve_by: Annotated[AwareDatetime | None, PUBLIC] = Field(
        default=None, description="When it is to be resolved; null while its clock stands still"
    )
    resolve_warn: Annotated[AwareDatetime | None, PUBLIC] = Field(
        default=None, description="When to warn that it is to be resolved"
    )
    clock_s: Annotated[Seconds | None, PUBLIC] = Field(
        default=None, description="Business seconds that the clock of the resolution has run"
    )
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the ticket this is")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was written with it")

    def _told(self, what: str, *more: str | None) -> str:
        told = joined(f"Ticket {what}", *more)
        about = excerpt(self.subject or self.comment)
        return f"{told}: {about}" if about else told


class TicketOpened(_Ticket):
    """A ticket was opened."""

    TYPE = "ticket.opened"
    DIRECTION = "in"

    channel: Annotated[Code | None, PUBLIC] = Field(default=None, description="Through which channel it came")
    follows: Annotated[Code | None, PUBLIC] = Field(
        default=None, description="The closed ticket that it follows, by id"
    )
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return self._told("opened", self.priority, self.queue, self.category)


class TicketAssigned(_Ticket):
    """A ticket was given to a person or a queue; who, by code, is the assignee."""

    TYPE = "ticket.assigned"

    def line(self) -> str:
        given = self.assignee or self.queue
        return self._told(f"assigned to {given}" if given else "assigned")


class TicketStateChanged(_Ticket):
    """A ticket moved to another state, for which no type of its own stands here."""

    TYPE = "ticket.state_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The state before, by its code")

    def line(self) -> str:
        return self._told(f"moved to {self.state}" if self.state else "moved", self.reason)


class TicketPriorityChanged(_Ticket):
    """A ticket was given another priority."""

    TYPE = "ticket.priority_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The priority before, by its code")

    def line(self) -> str:
        return self._told(f"priority {self.priority}" if self.priority else "priority changed", self.reason)


class TicketCommented(_Ticket):
    """Somebody wrote something into a ticket."""

    TYPE = "ticket.commented"

    by: Annotated[Literal["customer", "company"] | None, PUBLIC] = Field(default=None, description="Who wrote it")
    internal: Annotated[bool, PUBLIC] = Field(
        default=False, description="For colleagues only; no contact with the customer"
    )
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        who = {"customer": "by the customer", "company": "by us"}.get(self.by or "")
        told = joined("Ticket note" if self.internal else "Ticket comment", who)
        about = excerpt(self.comment or self.subject)
        return f"{told}: {about}" if about else told

    def flow(self) -> Direction | None:
        if self.internal or self.by is None:
            return None
        return "in" if self.by == "customer" else "out"


class TicketResolved(_Ticket):
    """A ticket was resolved."""

    TYPE = "ticket.resolved"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds from opening")

    def line(self) -> str:
        return self._told("resolved", self.reason, duration(self.duration_s))


class TicketReopened(_Ticket):
    """A ticket was opened again."""

    TYPE = "ticket.reopened"

    def line(self) -> str:
        return self._told("reopened", self.reason)


class TicketClosed(_Ticket):
    """A ticket was closed."""

    TYPE = "ticket.closed"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds from opening")

    def line(self) -> str:
        return self._told("closed", self.reason, duration(self.duration_s))


class TicketChanged(_Ticket):
    """Details of a ticket were changed, such as its subject, category, product or service level."""

    TYPE = "ticket.changed"

    def line(self) -> str:
        return self._told("changed", self.category, self.product)


class TicketEscalated(_Ticket):
    """A ticket was handed up, because it is urgent or late."""

    TYPE = "ticket.escalated"

    level: Annotated[Count | None, PUBLIC] = Field(default=None, description="How far up: 1 is the first step")

    def line(self) -> str:
        return self._told(f"escalated to {self.team or self.assignee}" if self.team or self.assignee else "escalated")


class _Linking(_Ticket):
    other: Annotated[Code | None, PUBLIC] = Field(default=None, description="The other ticket, by its id")
    relation: Annotated[Code | None, PUBLIC] = Field(default=None, description="How they are related, by code")


class TicketLinked(_Linking):
    """A ticket was linked to another one."""

    TYPE = "ticket.linked"

    def line(self) -> str:
        return self._told("linked", self.relation)


class TicketUnlinked(_Linking):
    """The link of a ticket to another one was taken away."""

    TYPE = "ticket.unlinked"

    def line(self) -> str:
        return self._told("unlinked", self.relation)


class TicketFolded(_Ticket):
    """A ticket was folded into another one that is about the same, which goes on for both."""

    TYPE = "ticket.folded"

    into: Annotated[Code | None, PUBLIC] = Field(default=None, description="The ticket that goes on, by its id")

    def line(self) -> str:
        return self._told("folded into another ticket")
