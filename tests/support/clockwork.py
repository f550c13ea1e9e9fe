"""How does a test let time pass? A clock that it sets, and a small system that keeps up with it: commands, the jobs
of the scheduler, relay and projection, each when the test says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from commands.working import Working
from consumers.jobs import jobs_of
from consumers.scheduler import Scheduler
from domain.configuration import Configuration, builtin_configuration
from eventlog.record import decode
from eventlog.relay import Relay
from projections.runner import Runner
from tests.support.commanding import ANNA, working_of
from tests.support.story import Story, story

__all__ = ["ANN", "Clockwork", "clockwork"]

ANN = [{"kind": "email", "value": "ann@example.org"}]


@dataclass
class Clockwork:
    """A story whose time is `now`. `began`: when the present test did; what was before is not shown."""

    story: Story
    rules: Configuration
    now: datetime
    working: Working = field(init=False)
    pool: ConnectionPool = field(init=False)
    runner: Runner = field(init=False)
    relay: Relay = field(init=False)
    began: datetime = field(init=False)
    scheduler: Scheduler = field(init=False)

    def clock(self) -> datetime:
        return self.now

    def settle(self) -> None:
        """Everything that was saved is on the log, and in the read models."""
        while self.relay.step():
            pass
        self.runner.run_to(self.story.log.ends())

    def begin(self) -> None:
        """A Monday morning months later; whatever was left undone has fallen due by then."""
        self.now += timedelta(days=70)
        self.now = self.now.replace(hour=9, minute=0, second=0) - timedelta(days=self.now.weekday())
        self.tick()
        self.now += timedelta(days=7)
        self.began = self.now

    def tick(self, at: datetime | None = None) -> None:
        """It is `at` now, and a scheduler looks."""
        self.now = at or self.now
        self.scheduler.tick(self.now)
        self.settle()

    def another(self) -> Scheduler:
        """A second scheduler on the same rows."""
        return Scheduler(
            self.pool, jobs_of(self.rules, self.working, self.pool), CollectorRegistry(), clock=self.clock
        )

    def events(self, *types: str) -> list[tuple[str, str, datetime, dict[str, Any]]]:
        """(type, ref, when, public content) of events in the order of their time."""
        query = (
            "SELECT record FROM timeline.events WHERE type = ANY (%s) AND happened_at >= %s "
            "ORDER BY happened_at, name"
        )
        rows = self.story.rows(query, list(types), self.began)
        heads = [decode(bytes(record)).head for (record,) in rows]
        return [(head.type, head.refs[0], datetime.fromisoformat(head.time), head.public) for head in heads]

    def outcomes(self, job: str, *items: UUID) -> list[str | None]:
        """What became of the pieces of a job about these items."""
        query = "SELECT outcome FROM storyline.due WHERE job = %s AND item = ANY (%s) ORDER BY at"
        return [outcome for (outcome,) in self.story.rows(query, job, [one.hex for one in items])]


@contextmanager
def clockwork(
    dsn: str,
    now: datetime = datetime(2021, 3, 1, 9, tzinfo=UTC),
    rules: Configuration | None = None,
    people: Sequence[str] = ("anna", "bob"),
) -> Iterator[Clockwork]:
    """A system whose time stands at `now`, a Monday; `people` work there."""
    with story(dsn, f"{dsn}&partitions=2") as small:
        made = Clockwork(small, rules or builtin_configuration(), now)
        with (
            working_of(small, made.rules, made.clock) as working,
            ConnectionPool(dsn, min_size=1, max_size=4, open=True, kwargs={"autocommit": True}) as pool,
        ):
            made.working, made.pool = working, pool
            made.scheduler, made.runner = made.another(), small.runner()
            made.relay, made.began = Relay(small.dsn, small.log, small.hasher, lease=600), now
            assert made.relay.take()
            try:
                for code in people:
                    working.register_user(code, {"name": code.title()}, actor=ANNA)
                made.settle()
                made.now += timedelta(seconds=1)
                yield made
            finally:
                made.runner.close()
                made.relay.drop()
