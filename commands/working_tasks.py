"""Which commands are there on tasks?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from commands.working_deals import MovedOn
from commands.working_desk import Actor, Deed, Done, Key
from commands.working_part import WorkingPart
from domain.identifiers import Identifier, Ref
from domain.task import Task

__all__ = ["TaskCommands"]


class TaskCommands(WorkingPart):
    """Commands on tasks. Each raises the error of the rule that forbids it (`domain/task.py`), NotFound, Stale where
    `expected` is not the revision that it has, and BadInput."""

    def create_task(
        self, content: Mapping[str, Any], *, who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
        actor: Actor, key: Key | None = None,
    ) -> Done:  # fmt: skip
        """A new task. content: fields of `task.created`. refs: the deal, ticket or lead that it is on."""

        def deed() -> Deed:
            id = self.desk.fresh()
            task = Task.create(id, content, at=self.desk.clock(), actor=actor.code, who=who, refs=refs)
            return Deed((task,), (task,))

        return self.desk.carry_out(deed, key)[0]

    def change_task(
        self,
        id: UUID,
        content: Mapping[str, Any],
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """Another title, text, date, reminder or priority."""

        def act(task: Task) -> None:
            task.change(content, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, expected)

    def assign_task(
        self, id: UUID, assignee: str | None = None, team: str | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Give it to a colleague, a team, or (both None) nobody."""

        def act(task: Task) -> None:
            task.assign(assignee=assignee, team=team, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, expected)

    def finish_task(self, id: UUID, *, actor: Actor, key: Key | None = None, expected: int | None = None) -> Done:
        """It was done."""

        def act(task: Task) -> None:
            task.finish(at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, expected)

    def cancel_task(
        self,
        id: UUID,
        reason: str | None = None,
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """It is not wanted any more."""

        def act(task: Task) -> None:
            task.cancel(reason=reason, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, expected)

    def reopen_task(self, id: UUID, *, actor: Actor, key: Key | None = None, expected: int | None = None) -> Done:
        """Take up again what was done or cancelled."""

        def act(task: Task) -> None:
            task.reopen(at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, expected)

    def remind_task(self, id: UUID, due: datetime, *, actor: Actor, key: Key | None = None) -> Done:
        """Remind whoever has it. due: when the reminder was due; raises MovedOn where another one is set since."""

        def act(task: Task) -> None:
            if task.state.remind_at != due:
                raise MovedOn("The task has another reminder since.")
            task.remind(at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Task, id, act, key, None)
