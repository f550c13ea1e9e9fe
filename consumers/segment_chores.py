"""What does the scheduler do about segments? It looks at those whose moment has come, fills new rules, and announces
who entered and left.

Each is a chore of its own, on a session of its own: rows are found, held and written in one statement for many, and
what holds them is a transaction, so that no claims are needed (`projections/segments/`, `commands/announcing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg
from prometheus_client import CollectorRegistry

from commands.announcing import Announcing
from consumers.scheduler import Chore
from consumers.segment_metrics import SegmentMetrics, count_changes
from projections.connecting import KEEPALIVE
from projections.segments.backfilling import Backfiller
from projections.segments.compiling import Facing
from projections.segments.evaluating import Moment
from projections.segments.waking import Waker

__all__ = ["SegmentChores"]

_SOON: Final = 1.0
"""Seconds between two looks: who is due is found within one of them."""
_OPTIONS: Final = (
    "-c statement_timeout=120s -c lock_timeout=30s -c idle_in_transaction_session_timeout=120s -c work_mem=64MB "
    "-c jit=off -c client_min_messages=warning"
)


@dataclass
class _Session:
    """A session that is opened when it is needed, and anew after it broke."""

    dsn: str
    name: str
    _connection: psycopg.Connection | None = field(init=False, default=None)

    def run(self, work: Callable[[psycopg.Connection], bool]) -> bool:
        """Do a piece of work on it."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.dsn,
                autocommit=True,
                connect_timeout=5,
                application_name=self.name,
                options=_OPTIONS,
                **KEEPALIVE,
            )
        try:
            return work(self._connection)
        except psycopg.OperationalError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class SegmentChores:
    """The chores, each for a thread of its own. caught_up: have the read models all that is on the log? clock: None
    for the database's."""

    dsn: str
    facing: Facing
    announcing: Announcing
    registry: CollectorRegistry
    caught_up: Callable[[], bool] = lambda: True
    clock: Moment | None = None

    def __post_init__(self) -> None:
        self.metrics = SegmentMetrics(self.registry)
        self._waker = Waker(self.facing, self.clock)
        self._backfiller = Backfiller(self.facing, self.clock, self.caught_up)
        names = ("segment_time", "segment_rules", "segment_news")
        self._sessions = {name: _Session(self.dsn, f"storyline {name}") for name in names}

    def chores(self) -> tuple[Chore, ...]:
        """What the scheduler runs."""
        works = (self._look, self._backfiller.step, self._announce)
        return tuple(
            Chore(name, _SOON, self._on(session, work))
            for (name, session), work in zip(self._sessions.items(), works, strict=True)
        )

    @staticmethod
    def _on(session: _Session, work: Callable[[psycopg.Connection], bool]) -> Callable[[], bool]:
        return lambda: session.run(work)

    def _look(self, connection: psycopg.Connection) -> bool:
        calls = self._waker.take_calls(connection)
        looked = self._waker.look(connection)
        count_changes(self.metrics.changes, self._waker.changes)
        self.metrics.due.set(self._waker.waiting(connection) if looked else 0)
        return bool(calls or looked)

    def _announce(self, connection: psycopg.Connection) -> bool:
        told, skipped = self.announcing.step(connection)
        self.metrics.announced.labels("told").inc(told)
        self.metrics.announced.labels("skipped").inc(skipped)
        self.metrics.waiting.set(self.announcing.waiting(connection))
        return bool(told or skipped)

    def close(self) -> None:
        """Let go of the sessions."""
        for session in self._sessions.values():
            session.close()
