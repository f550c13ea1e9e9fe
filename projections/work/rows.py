"""What does a row of `work` hold? As the tables have it, with the customer's present id.

`titled`: events that may hold the title, the oldest first; the last one that does tells it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from uuid import UUID

__all__ = ["DealRow", "HistoryRow", "LeadRow", "NoticeRow", "Row", "Sealed", "TaskRow", "TicketRow"]


class DealRow(NamedTuple):
    """A deal. stage_since: since when it is in its stage, or when it was last reopened there."""

    item: UUID
    ref: str
    native: bool
    source: str
    evidence: UUID | None
    status: Literal["open", "won", "lost"]
    pipeline: str | None
    stage: str | None
    stage_since: datetime | None
    amount: Decimal | None
    currency: str | None
    probability: Decimal | None
    assignee: str | None
    team: str | None
    products: tuple[str, ...]
    expected_close: date | None
    next_step_on: date | None
    origin: str | None
    reason: str | None
    created_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    revision: int
    titled: tuple[UUID, ...]
    customer: UUID | None


class TicketRow(NamedTuple):
    """A ticket. due: when the next thing is due while it is open; reopened: how often."""

    item: UUID
    ref: str
    native: bool
    source: str
    evidence: UUID | None
    status: Literal["open", "resolved", "closed"]
    state: str | None
    state_since: datetime | None
    priority: str | None
    queue: str | None
    category: str | None
    product: str | None
    channel: str | None
    service_level: str | None
    assignee: str | None
    team: str | None
    level: int | None
    opened_at: datetime
    changed_at: datetime
    responded_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    reopened: int
    respond_by: datetime | None
    respond_warn: datetime | None
    resolve_by: datetime | None
    resolve_warn: datetime | None
    clock_s: int | None
    due: datetime | None
    folded_into: str | None
    follows: str | None
    reason: str | None
    revision: int
    titled: tuple[UUID, ...]
    customer: UUID | None


class TaskRow(NamedTuple):
    """A task."""

    item: UUID
    ref: str
    native: bool
    source: str
    evidence: UUID | None
    status: Literal["open", "done", "cancelled"]
    kind: str | None
    priority: str | None
    assignee: str | None
    team: str | None
    due: datetime | None
    remind_at: datetime | None
    reason: str | None
    created_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    revision: int
    titled: tuple[UUID, ...]
    customer: UUID | None


class LeadRow(NamedTuple):
    """A lead. deal: the id of the one that it became."""

    item: UUID
    ref: str
    native: bool
    source: str
    evidence: UUID | None
    status: Literal["open", "converted", "disqualified"]
    origin: str | None
    campaign: str | None
    product: str | None
    country: str | None
    industry: str | None
    assignee: str | None
    team: str | None
    assigned_by: str | None
    deal: str | None
    reason: str | None
    captured_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    revision: int
    titled: tuple[UUID, ...]
    customer: UUID | None


Row = DealRow | TicketRow | TaskRow | LeadRow


class NoticeRow(NamedTuple):
    """Something that a colleague is told by an event. item, ref: what it is about, of this kind, if anything."""

    name: UUID
    why: Literal["mentioned", "assigned", "reminded", "notified"]
    happened_at: datetime
    kind: str | None
    item: UUID | None
    ref: str | None
    actor: str | None
    customer: UUID | None


class HistoryRow(NamedTuple):
    """A step of an item. folds: false for what Storyline announced. public: what it says, moments in UTC, numbers as
    text. record: of its event, still sealed; amendment: of the event that put it right."""

    name: UUID
    kind: str
    type: str
    happened_at: datetime
    recorded_at: datetime
    revision: int
    actor: str | None
    source: str
    native: bool
    folds: bool
    ref: str
    public: Mapping[str, Any]
    record: bytes
    amendment: bytes | None


class Sealed(NamedTuple):
    """The record of an event, and of the one that put it right."""

    record: bytes
    amendment: bytes | None
