"""What do answers about figures of tickets look like, and what do all of those share that are asked of a period?"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct, field

__all__ = [
    "STRUCTS",
    "Backlog",
    "BacklogDay",
    "Key",
    "Periodic",
    "Promises",
    "Running",
    "Service",
    "ServiceGroup",
    "ServiceTicket",
    "ServiceTickets",
    "Share",
    "TimesTold",
]

Key = Annotated[str | None, Meta(description="Of the group: a day, an hour, a code …; null where there is none")]
Share = Annotated[float | None, Meta(description="0 to 1; null where nothing was counted")]


class Periodic(Struct, omit_defaults=True, kw_only=True, frozen=True):
    """What was asked about: from this moment to before that one, with the days of a time zone."""

    from_: datetime = field(name="from")
    to: datetime
    zone: str
    happened_by: datetime | None = None
    recorded_by: datetime | None = None


class TimesTold(Struct, frozen=True):
    """How long something took, in seconds."""

    count: int
    median_s: float | None
    p90_s: float | None
    mean_s: float | None


class Promises(Struct, frozen=True):
    """How often a target was met and missed in the period, and the share of those met."""

    met: int
    missed: int
    share: Share


class ServiceGroup(Struct, frozen=True):
    """What happened to tickets in the period. `first_response` and `resolution`: by the clock on the wall;
    `business`: the resolution in business time, of tickets kept here. `reopen_rate`: reopened per resolved."""

    key: Key
    opened: int
    resolved: int
    closed: int
    reopened: int
    reopen_rate: Share
    first_response: TimesTold
    resolution: TimesTold
    business: TimesTold
    response_target: Promises
    resolution_target: Promises


class Running(Struct, frozen=True):
    """Tickets that are open now, and of how many a target is due and not over."""

    open: int
    response: int
    resolution: int


class Service(Periodic, kw_only=True, frozen=True):
    """How well customers are served."""

    by: str
    total: ServiceGroup
    running: Running
    series: list[ServiceGroup]


class ServiceTicket(Struct, omit_defaults=True, frozen=True):
    """A ticket behind a figure. `id`: as `/v1/tickets/{id}` has it."""

    id: str
    ref: str
    at: datetime
    seconds: float | None = None
    business_s: float | None = None
    customer: str | None = None


class ServiceTickets(Periodic, kw_only=True, frozen=True):
    """A page of the tickets behind a figure, the latest first."""

    what: str
    tickets: list[ServiceTicket]
    next: str | None = None


class BacklogDay(Struct, frozen=True):
    """How many tickets were open when the day ended; how many were opened on it or taken up again, and ended."""

    day: date
    open: int
    opened: int
    ended: int


class Backlog(Periodic, kw_only=True, frozen=True):
    """The backlog of each day."""

    days: list[BacklogDay]


STRUCTS = (Service, ServiceTickets, Backlog)
