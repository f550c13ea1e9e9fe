"""What is a colleague told? Rows of what concerns them, with the line of the event that says so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from api.services import Services
from api.work_rows import items_of
from api.work_shapes import Notice, Notices
from projections.work.reader import Page
from projections.work.rows import NoticeRow, Sealed

__all__ = ["notices_told"]


def notices_told(
    held: Services,
    page: Page[NoticeRow],
    sealed: Mapping[UUID, Sealed],
    seen_at: datetime | None,
    personal: bool,
) -> Notices:
    """A page of notices. Blocks on the key store."""
    items = items_of(held, [one.record for one in sealed.values()], personal)
    lines = {name: item.line for name, item in zip(sealed, items, strict=True)}
    told = [
        Notice(
            why=row.why,
            happened_at=row.happened_at,
            line=lines.get(row.name, ""),
            kind=row.kind,
            id=row.item.hex if row.item is not None else None,
            ref=row.ref,
            actor=row.actor,
            customer=row.customer.hex if row.customer is not None else None,
            seen=seen_at is not None and row.happened_at <= seen_at,
        )
        for row in page.rows
    ]
    return Notices(told, page.after, seen_at)
