"""Which record events does a task have? The task is the event's ref, and so is what it is about."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from domain.catalogue.base import PUBLIC, Code, Count, Record, ShortText, Text
from domain.catalogue.wording import excerpt

__all__ = ["TaskAssigned", "TaskCancelled", "TaskChanged", "TaskCreated", "TaskDone", "TaskReopened"]


class _Task(Record):
    title: ShortText = Field(default="", description="What is to be done")
    text: Text = Field(default="", description="More about it")
    kind: Annotated[Code | None, PUBLIC] = Field(default=None, description="What kind of task, such as call")
    priority: Annotated[Code | None, PUBLIC] = Field(default=None, description="How urgent, by code")
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it after this, by their code")
    team: Annotated[Code | None, PUBLIC] = Field(default=None, description="The team that has it, by code")
    due: Annotated[AwareDatetime | None, PUBLIC] = Field(default=None, description="When it is due")
    remind_at: Annotated[AwareDatetime | None, PUBLIC] = Field(default=None, description="When to remind of it")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the task this is")

    def _told(self, what: str) -> str:
        return f"Task {what}: {excerpt(self.title)}" if self.title else f"Task {what}"


class TaskCreated(_Task):
    """A task was given to a person or a team."""

    TYPE = "task.created"
    NEEDS = ("title",)

    def line(self) -> str:
        return self._told(f"for {self.assignee or self.team}" if self.assignee or self.team else "created")


class TaskChanged(_Task):
    """A task was changed: its title, text, date or reminder."""

    TYPE = "task.changed"

    def line(self) -> str:
        return self._told("changed")


class TaskAssigned(_Task):
    """A task was given to somebody else."""

    TYPE = "task.assigned"

    def line(self) -> str:
        return self._told(f"assigned to {self.assignee or self.team}" if self.assignee or self.team else "assigned")


class TaskDone(_Task):
    """A task was done."""

    TYPE = "task.done"

    def line(self) -> str:
        return self._told("done")


class TaskReopened(_Task):
    """A task that was done or cancelled was taken up again."""

    TYPE = "task.reopened"

    def line(self) -> str:
        return self._told("reopened")


class TaskCancelled(_Task):
    """A task is not wanted any more."""

    TYPE = "task.cancelled"

    def line(self) -> str:
        return self._told("cancelled")
