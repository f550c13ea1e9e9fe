"""What is open about a customer? Deals, tickets, tasks and leads, by whose the identifiers are now."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from api.services import Services
from api.work_rows import deal_row, lead_row, task_row, texts_of, ticket_row
from api.work_shapes import Work
from projections.work.reader import WorkReader

__all__ = ["work_of"]

_MOST: Final = 20
"""Most of each kind in one answer."""


async def work_of(held: Services, customer: UUID, personal: bool) -> Work | None:
    """What is open about a customer; None where there is nothing."""
    reader = WorkReader(held.pool)
    found = await reader.of_customer(customer, _MOST + 1)
    if found is None or not any(found):
        return None
    kinds = {name: list(rows[:_MOST]) for name, rows in found._asdict().items()}
    texts = await texts_of(held, reader, [row for rows in kinds.values() for row in rows], personal)
    rules, at = held.parts.working.rules, held.parts.clock()
    return Work(
        deals=[deal_row(one, texts, rules, at) for one in kinds["deals"]],
        tickets=[ticket_row(one, texts, at) for one in kinds["tickets"]],
        tasks=[task_row(one, texts) for one in kinds["tasks"]],
        leads=[lead_row(one, texts) for one in kinds["leads"]],
        more=[name for name, rows in found._asdict().items() if len(rows) > _MOST],
    )
