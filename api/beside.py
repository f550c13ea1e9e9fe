"""What stands beside a deal or a ticket? Its customer's latest touchpoints and the open tasks on it, so that nobody
has to be asked how it goes.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from api.services import Services
from api.shapes import Item
from api.step_shapes import Touchpoint
from api.task_shapes import Task
from api.timelines import render
from api.work_rows import task_row, texts_of
from eventlog.record import ref_hash
from projections.timeline.reader import Customer, Filters
from projections.work.reader import TaskFilter, WorkReader
from projections.work.rows import Row

__all__ = ["tasks_on", "touchpoints_of"]

_TOUCHPOINTS: Final = 5
_TASKS: Final = 20
_LOOKED_AT: Final = 20
"""Among so many of the latest touchpoints those are sought that were not retracted."""


async def touchpoints_of(held: Services, reader: WorkReader, row: Row, kind: str, personal: bool) -> list[Touchpoint]:
    """The latest touchpoints of an item's customer, without the steps of its kind, which its history tells, and
    without what was retracted. None of nobody's, and none of a customer's who was erased."""
    if row.customer is None or row.evidence is None or await reader.erased(row.evidence):
        return []
    types = [
        one.name
        for one in held.parts.catalogue
        if one.category == "touchpoint" and not one.name.startswith(f"{kind}.")
    ]
    page = await held.reader.page(Customer(row.customer), Filters(types=types), None, _LOOKED_AT)
    rows = [one for one in page.rows if all(each.relation != "retracts" for each in one.corrections)]
    return [_touchpoint(one) for one in await render(held, rows[:_TOUCHPOINTS], personal)]


def _touchpoint(item: Item) -> Touchpoint:
    right = [one.line for one in item.corrections if one.relation == "corrects"]
    return Touchpoint(
        name=item.name,
        happened_at=item.happened_at,
        channel=item.channel,
        direction=item.direction,
        line=right[-1] if right else item.line,
    )


async def tasks_on(held: Services, reader: WorkReader, ref: str, personal: bool) -> list[Task]:
    """The open tasks on a ref in its clear form, the first due first."""
    page = await reader.tasks(TaskFilter(about=UUID(bytes=ref_hash(ref))), None, _TASKS)
    texts = await texts_of(held, reader, page.rows, personal)
    return [task_row(one, texts) for one in page.rows]
