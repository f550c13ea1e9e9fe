"""What do answers about tasks look like? Titles and texts are personal, and there with the scope `read` alone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.step_shapes import CustomerOf, Native, Positions, RefOf, Repeated, Said

__all__ = ["Task", "TaskDone", "TaskPage", "TaskShown", "Tasks"]


class Task(Struct, omit_defaults=True, kw_only=True):
    """A task."""

    id: str
    native: Native
    ref: RefOf
    revision: int
    status: str
    title: str = ""
    text: str = ""
    kind: str | None = None
    priority: str | None = None
    assignee: str | None = None
    team: str | None = None
    due: datetime | None = None
    remind_at: datetime | None = None
    created_at: datetime | None = None
    closed_at: datetime | None = None
    customer: CustomerOf = None


class TaskShown(Task, kw_only=True):
    """A task with its history."""

    refs: Annotated[list[str], Meta(description="What it is on: `KIND[/NAMESPACE]:CODE`")] = []
    history: list[Said] = []
    earlier: int | None = None
    happened_by: datetime | None = None


class TaskPage(Struct, frozen=True):
    """Tasks, the first due first."""

    tasks: list[Task]
    next: str | None


class TaskDone(Struct, omit_defaults=True, kw_only=True):
    """What was done of a task. `revision`: the ETag for the next change."""

    id: str
    revision: int
    positions: Positions = None
    repeated: Repeated = False
    task: TaskShown


Tasks = Annotated[list[Task], Meta(description="Open ones on it, the first due first, at most 20")]
