"""How does a test carry out commands? On a story's database, with a configuration and a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from psycopg_pool import ConnectionPool

from commands.working import Actor, Working
from domain.configuration import Configuration, builtin_configuration
from eventlog.relay import Relay
from tests.support.story import Story
from tests.support.working import store_of

__all__ = ["ANNA", "MANAGER", "at_once", "relay", "working_of"]

T = TypeVar("T")

ANNA = Actor("user:anna", "anna")
MANAGER = Actor("user:maria", "maria", frozenset({"manager"}))


def at_once(work: Callable[[int], T], number: int) -> list[T]:
    """What `work(0..number-1)` give, all begun at the same moment."""
    gate = Barrier(number)

    def begin(index: int) -> T:
        gate.wait()
        return work(index)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


@contextmanager
def working_of(
    story: Story,
    rules: Configuration | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **more: Any,
) -> Iterator[Working]:
    """Commands on a story's database, until the block ends."""
    pool = ConnectionPool(story.dsn, min_size=1, max_size=8, open=True, kwargs={"autocommit": True})
    with store_of(story, clock) as store, pool:
        yield Working(
            store,
            pool,
            rules or builtin_configuration(),
            story.catalogue,
            publisher=lambda: story.publisher,
            clock=clock,
            zone=ZoneInfo("Europe/London"),
            **more,
        )


def relay(story: Story) -> None:
    """Take all that was saved to the log, as the relay does, and leave it."""
    one = Relay(story.dsn, story.log, story.hasher)
    try:
        assert one.take()
        while one.step():
            pass
    finally:
        one.leave()
        one.drop()
