"""How do rows of the boards become what an answer tells? With their titles, as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api.deal_shapes import Deal
from api.items import Renderer
from api.services import Services
from api.shapes import Item
from api.task_shapes import Task
from api.ticket_shapes import Ticket
from api.work_shapes import Lead
from api.work_told import missed_by
from domain.configuration import Configuration
from domain.event import read_time
from eventlog.record import decode
from projections.timeline.reader import Row as TimelineRow
from projections.work.reader import WorkReader
from projections.work.rows import DealRow, LeadRow, Row, Sealed, TaskRow, TicketRow

__all__ = [
    "Texts",
    "deal_row",
    "items_of",
    "lead_row",
    "personal_of",
    "task_row",
    "texts_of",
    "ticket_row",
]

Texts = Mapping[UUID, Mapping[str, str]]
"""By item, the personal texts that a list shows."""
_SHOWN = ("title", "subject", "text", "message")
_NOTHING: Mapping[str, str] = {}


async def texts_of(held: Services, reader: WorkReader, rows: Sequence[Row], personal: bool) -> Texts:
    """The titles of rows, unsealed; none for a caller who may not see them."""
    names = [name for row in rows for name in row.titled]
    if not personal or not names:
        return {}
    sealed = await reader.records(names)

    def work() -> Texts:
        said = dict(zip(sealed, _said_in(held, list(sealed.values()), True), strict=True))
        return {row.item: _last([said[name] for name in row.titled if name in said]) for row in rows}

    return await held.unseal(work)


def _last(contents: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of each text the last one that was said."""
    found: dict[str, str] = {}
    for content in contents:
        found |= {name: content[name] for name in _SHOWN if isinstance(content.get(name), str)}
    return found


def items_of(held: Services, records: Sequence[bytes], personal: bool) -> list[Item]:
    """Records as a person reads them. Blocks on the key store."""
    rows = []
    for record in records:
        read = decode(record)
        name = UUID(hex=read.head.name.rpartition("#")[2])
        at, recorded_at = read_time(read.head.time), read_time(read.recorded_at)
        rows.append(TimelineRow(name, at, recorded_at, False, -1, -1, record))
    return Renderer(held.parts.keyring, held.parts.catalogue).items(rows, personal)


def _said_in(held: Services, sealed: Sequence[Sealed], personal: bool) -> list[Mapping[str, Any]]:
    """What events say, each as it was put right if it was. Blocks on the key store."""
    items = items_of(held, [one.amendment or one.record for one in sealed], personal)
    return [personal_of(item) for item in items]


def personal_of(item: Item) -> Mapping[str, Any]:
    """The content of an event, or of the one that it puts right."""
    content = item.content if isinstance(item.content, dict) else {}
    inner = content.get("content") if item.type == "event.amended" else content
    return inner if isinstance(inner, dict) else {}


def _common(row: Row) -> dict[str, Any]:
    return {
        "id": row.item.hex,
        "native": row.native,
        "ref": row.ref,
        "revision": row.revision,
        "customer": row.customer.hex if row.customer is not None else None,
    }


def deal_row(row: DealRow, texts: Texts, rules: Configuration, at: datetime) -> Deal:
    """A deal of a board."""
    pipeline = rules.pipelines.get(row.pipeline or rules.default_pipeline)
    stage = pipeline.stage(row.stage) if pipeline is not None and row.status == "open" else None
    after = stage.stalled_after if stage is not None else None
    return Deal(
        **_common(row),
        status=row.status,
        pipeline=row.pipeline,
        stage=row.stage,
        stage_since=row.stage_since,
        stalled=after is not None and row.stage_since is not None and at - row.stage_since >= after,
        title=texts.get(row.item, _NOTHING).get("title", ""),
        amount=None if row.amount is None else f"{row.amount:f}",
        currency=row.currency,
        probability=None if row.probability is None else f"{row.probability:f}",
        assignee=row.assignee,
        team=row.team,
        products=list(row.products),
        expected_close=row.expected_close,
        next_step_on=row.next_step_on,
        origin=row.origin,
        reason=row.reason,
        created_at=row.created_at,
        changed_at=row.changed_at,
        closed_at=row.closed_at,
    )


def ticket_row(row: TicketRow, texts: Texts, at: datetime) -> Ticket:
    """A ticket of a queue."""
    near, missed = missed_by(row, at)
    same = (
        "state", "state_since", "priority", "queue", "category", "product", "channel", "service_level", "assignee",
        "team", "level", "follows", "folded_into", "reason", "opened_at", "changed_at", "responded_at", "resolved_at",
        "closed_at", "reopened", "respond_by", "resolve_by", "clock_s",
    )  # fmt: skip
    return Ticket(
        **_common(row),
        **{name: getattr(row, name) for name in same},
        subject=texts.get(row.item, _NOTHING).get("subject", ""),
        near=near,
        missed=missed,
    )


def task_row(row: TaskRow, texts: Texts) -> Task:
    """A task of a list."""
    same = ("status", "kind", "priority", "assignee", "team", "due", "remind_at", "created_at", "closed_at")
    said = texts.get(row.item, _NOTHING)
    return Task(
        **_common(row),
        **{name: getattr(row, name) for name in same},
        title=said.get("title", ""),
        text=said.get("text", ""),
    )


def lead_row(row: LeadRow, texts: Texts) -> Lead:
    """A lead of a list."""
    same = (
        "status", "origin", "campaign", "product", "country", "industry", "assignee", "team", "assigned_by", "deal",
        "reason", "changed_at", "closed_at",
    )  # fmt: skip
    said = texts.get(row.item, _NOTHING)
    return Lead(
        **_common(row),
        **{name: getattr(row, name) for name in same},
        created_at=row.captured_at,
        title=said.get("title", ""),
        message=said.get("message", ""),
    )
