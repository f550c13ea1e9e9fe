"""What may be done with a task, and what became of it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from domain.errors import Refused
from domain.identifiers import Identifier, Ref
from domain.work import Step, Work, read_moment

__all__ = ["Task", "TaskClosed", "TaskNotDue", "TaskOpen", "TaskState"]


class TaskClosed(Refused):
    """The task is done or cancelled; reopen it first."""

    rule = "task-closed"


class TaskOpen(Refused):
    """The task is open, so there is nothing to reopen."""

    rule = "task-open"


class TaskNotDue(Refused):
    """Nobody asked to be reminded of it, or not yet."""

    rule = "task-not-due"


@dataclass(frozen=True, slots=True)
class TaskState:
    """What is known of a task."""

    status: Literal["open", "done", "cancelled"] = "open"
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


_STATUS: dict[str, Literal["open", "done", "cancelled"]] = {
    "task.done": "done", "task.cancelled": "cancelled", "task.reopened": "open",
}  # fmt: skip
_PLAIN = ("title", "text", "kind", "priority", "assignee", "team")
_MOMENTS = ("due", "remind_at")


class Task(Work):
    """Something that somebody is to do, on a customer, a deal or a ticket."""

    KIND: ClassVar[str] = "task"
    STATE: ClassVar[type] = TaskState
    PERSONAL: ClassVar[tuple[str, ...]] = ("title", "text")

    @classmethod
    def fold(cls, state: TaskState | None, step: Step) -> TaskState:
        """The state after a step."""
        if state is None:
            state = TaskState(created_at=step.at)
        changed: dict[str, Any] = {name: step.content[name] for name in _PLAIN if name in step.content}
        changed |= {name: read_moment(step.content[name]) for name in _MOMENTS if name in step.content}
        status = _STATUS.get(step.type)
        if status is not None:
            changed |= {"status": status, "closed_at": None if status == "open" else step.at}
        return replace(state, **changed)

    @classmethod
    def create(
        cls, id: UUID, content: Mapping[str, Any], *, at: datetime, actor: str | None,
        who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
    ) -> Self:  # fmt: skip
        """A new task. content: fields of `task.created`."""
        return cls.begin(id, "task.created", content, at=at, actor=actor, who=who, refs=refs)

    def change(self, content: Mapping[str, Any], *, at: datetime, actor: str | None) -> None:
        """Change its title, text, dates or priority. Raises TaskClosed."""
        self._must_be_open()
        self.happen("task.changed", content, at=at, actor=actor)

    def assign(self, *, assignee: str | None, team: str | None, at: datetime, actor: str | None) -> None:
        """Give it to somebody else. Raises TaskClosed."""
        self._must_be_open()
        self.happen("task.assigned", {"assignee": assignee, "team": team}, at=at, actor=actor)

    def finish(self, *, at: datetime, actor: str | None) -> None:
        """It was done. Raises TaskClosed."""
        self._must_be_open()
        self.happen("task.done", {}, at=at, actor=actor)

    def cancel(self, *, reason: str | None, at: datetime, actor: str | None) -> None:
        """It is not wanted any more. Raises TaskClosed."""
        self._must_be_open()
        self.happen("task.cancelled", {"reason": reason} if reason else {}, at=at, actor=actor)

    def reopen(self, *, at: datetime, actor: str | None) -> None:
        """Take it up again. Raises TaskOpen."""
        if self.state.status == "open":
            raise TaskOpen("The task is open already.", allowed=self.moves())
        self.happen("task.reopened", {}, at=at, actor=actor)

    def remind(self, *, at: datetime, actor: str | None) -> None:
        """Remind whoever has it. Raises TaskClosed, TaskNotDue."""
        self._must_be_open()
        if self.state.remind_at is None or self.state.remind_at > at:
            raise TaskNotDue("The task has no reminder that is due.", allowed=self.moves())
        due = {"due": self.state.due.isoformat()} if self.state.due else {}
        self.happen("task.reminded", {"assignee": self.state.assignee, **due}, at=at, actor=actor)

    def moves(self) -> tuple[str, ...]:
        """What may be done with it now."""
        return ("change", "assign", "finish", "cancel") if self.state.status == "open" else ("reopen",)

    def _must_be_open(self) -> None:
        if self.state.status != "open":
            raise TaskClosed(f"The task is {self.state.status}; reopen it first.", allowed=self.moves())
