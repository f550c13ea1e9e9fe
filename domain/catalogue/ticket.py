"""Which touchpoints does a ticket in another system have? The ticket is the event's ref.

Its state is folded out of these later; nobody's past is refused, so any step may follow any other.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Direction, Seconds, ShortText, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined

__all__ = [
    "TicketAssigned",
    "TicketClosed",
    "TicketCommented",
    "TicketOpened",
    "TicketPriorityChanged",
    "TicketReopened",
    "TicketResolved",
    "TicketStateChanged",
]


class _Ticket(Touchpoint):
    CHANNEL = "ticket"

    subject: ShortText = Field(default="", description="The ticket's subject")
    state: Annotated[Code | None, PUBLIC] = Field(default=None, description="The state after this, by its code")
    priority: Annotated[Code | None, PUBLIC] = Field(default=None, description="The priority after this, by its code")
    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue or group that has it, by code")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was written with it")

    def _told(self, what: str, *more: str | None) -> str:
        told = joined(f"Ticket {what}", *more)
        about = excerpt(self.subject or self.comment)
        return f"{told}: {about}" if about else told


class TicketOpened(_Ticket):
    """A ticket was opened in another system."""

    TYPE = "ticket.opened"
    DIRECTION = "in"

    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it is about, by category")
    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product that it is about, by code")
    service_level: Annotated[Code | None, PUBLIC] = Field(default=None, description="The service level, by its code")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return self._told("opened", self.priority, self.queue, self.category)


class TicketAssigned(_Ticket):
    """A ticket in another system was given to a person or a queue; who, by code, is the assignee."""

    TYPE = "ticket.assigned"

    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it now, by their code")

    def line(self) -> str:
        given = self.assignee or self.queue
        return self._told(f"assigned to {given}" if given else "assigned")


class TicketStateChanged(_Ticket):
    """A ticket in another system moved to another state, for which no type of its own stands here."""

    TYPE = "ticket.state_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The state before, by its code")

    def line(self) -> str:
        return self._told(f"moved to {self.state}" if self.state else "moved", self.reason)


class TicketPriorityChanged(_Ticket):
    """A ticket in another system was given another priority."""

    TYPE = "ticket.priority_changed"

    previous: Annotated[Code | None, PUBLIC] = Field(default=None, description="The priority before, by its code")

    def line(self) -> str:
        return self._told(f"priority {self.priority}" if self.priority else "priority changed", self.reason)


class TicketCommented(_Ticket):
    """Somebody wrote something into a ticket in another system."""

    TYPE = "ticket.commented"

    by: Annotated[Literal["customer", "company"] | None, PUBLIC] = Field(default=None, description="Who wrote it")
    internal: bool = Field(default=False, description="For colleagues only; no contact with the customer")
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
    """A ticket in another system was resolved."""

    TYPE = "ticket.resolved"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds from opening")

    def line(self) -> str:
        return self._told("resolved", self.reason, duration(self.duration_s))


class TicketReopened(_Ticket):
    """A ticket in another system was opened again."""

    TYPE = "ticket.reopened"

    def line(self) -> str:
        return self._told("reopened", self.reason)


class TicketClosed(_Ticket):
    """A ticket in another system was closed."""

    TYPE = "ticket.closed"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds from opening")

    def line(self) -> str:
        return self._told("closed", self.reason, duration(self.duration_s))
