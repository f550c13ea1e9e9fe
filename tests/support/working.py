"""How does a test get an event store? On a story's database, with the story's keys and a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from domain.identifiers import Identifier
from domain.task import Task
from eventlog.store import WorkStore
from tests.support.story import START, Story

__all__ = ["ANN", "new_task", "store_of"]

ANN = (Identifier("email", "ann@example.org"),)


@contextmanager
def store_of(story: Story, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[WorkStore]:
    """An event store on a story's database, until the block ends."""
    store = WorkStore(story.dsn, story.catalogue, story.sealer, story.keyring, clock)
    try:
        yield store
    finally:
        store.close()


def new_task(
    title: str = "Call back", *, id: UUID | None = None, who: tuple[Identifier, ...] = ANN, steps: int = 0
) -> Task:
    """A task that is not saved yet; with so many changes after the first event."""
    task = Task.create(id or uuid4(), {"title": title}, at=START, actor="user:anna", who=who)
    for step in range(steps):
        task.change({"title": f"{title} {step}"}, at=START, actor="user:anna")
    return task
