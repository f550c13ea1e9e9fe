"""The scheduler: does what time asks for, for as long as it is let.

It holds no truth. What is due is derived from rows again and again, claimed in Postgres, and done by commands with an
idempotency key; so that any number of schedulers may run, each may die at any time, and after a day of standstill
nothing is missing and nothing is there twice. APScheduler only says when to look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import psycopg
import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import CollectorRegistry, Counter, Gauge
from psycopg_pool import ConnectionPool

from commands.claims import Claim, Claims, Outcome, Piece
from domain.errors import BadInput, Refused, Stale, StorylineError

__all__ = ["Chore", "Due", "Job", "Scheduler", "SchedulerMetrics", "TooLateError"]

_AT_ONCE: Final = 100
"""Most pieces of one look; the next look takes the next ones."""
_MOST_TRIES: Final = 10
_FIRST_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 3600.0
_STALE_PAUSE: Final = timedelta(seconds=5)
_SILENCE: Final = 60.0
"""Seconds beyond three of its turns, after which a job that did not come to an end makes the process unready."""
_GLANCE: Final = 1.0
"""Seconds between two glances at whether the clock was set back."""
_LONGEST_TURN: Final = 10.0
"""Seconds after which a chore makes a pause, so that it is seen to go on."""
_logger = structlog.get_logger("storyline.scheduler")


class TooLateError(Exception):
    """Raised by a job's act: this is of no use any more."""


class Due(NamedTuple):
    """A piece of due work: whose it is, and the moment from which on it is due; together its name within its job."""

    item: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of due work. every: seconds between two looks. missed: what fell due while nobody looked is done
    late, or skipped once it is later than `of_use` (None: once `act` says TooLateError). find: what is due now and
    neither settled nor in somebody's hands, the earliest first. act: does it, once however often it is called with
    the same key; it is given the present moment, too."""

    name: str
    every: float
    missed: Literal["late", "skip"]
    find: Callable[[psycopg.Connection, datetime, int], Sequence[Due]]
    act: Callable[[Due, str, datetime], None]
    of_use: timedelta | None = None

    def useless(self, due: Due, now: datetime) -> bool:
        """Is it too late for this?"""
        return self.missed == "skip" and self.of_use is not None and now > due.at + self.of_use


@dataclass(frozen=True, slots=True)
class Chore:
    """Due work that finds and holds its rows itself, many at once. every: seconds between two looks. do: a piece of
    it; False where nothing is left to do."""

    name: str
    every: float
    do: Callable[[], bool]

    def exhaust(self, stop: threading.Event) -> None:
        """Do all there is, or as much as there is time for: the next turn goes on."""
        until = time.monotonic() + _LONGEST_TURN
        while not stop.is_set() and self.do() and time.monotonic() < until:
            pass


class SchedulerMetrics:
    """What an operator sees of a scheduler, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.settled = Counter(
            "storyline_due_settled", "Pieces of due work by outcome", ["job", "outcome"], registry=registry
        )
        self.troubles = Counter("storyline_due_troubles", "Tries that did not work", ["job"], registry=registry)
        self.late = Gauge("storyline_due_late_seconds", "How late the latest piece was", ["job"], registry=registry)
        self.waiting = Gauge("storyline_due_waiting", "Pieces found at the last look", ["job"], registry=registry)


@dataclass
class Scheduler:
    """One scheduler. `run` blocks until `stop` is set; `tick` does all that is due at a moment, and returns."""

    pool: ConnectionPool
    jobs: Sequence[Job | Chore]
    registry: CollectorRegistry
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    claims: Claims = field(default_factory=Claims)
    _ended: dict[str, float] = field(init=False, default_factory=dict)
    _pauses: dict[str, tuple[float, float]] = field(init=False, default_factory=dict)
    _stop: threading.Event = field(init=False, default_factory=threading.Event)
    _clockwork: BackgroundScheduler | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.metrics = SchedulerMetrics(self.registry)

    @property
    def ready(self) -> bool:
        """Whether each job came to its end lately."""
        now = time.monotonic()
        return all(now - self._ended.get(job.name, float("-inf")) < 3 * job.every + _SILENCE for job in self.jobs)

    def shown(self) -> Mapping[str, Any]:
        """For `/readyz`: seconds since each job came to an end."""
        now = time.monotonic()
        return {"jobs": {name: round(now - ended, 1) for name, ended in sorted(self._ended.items())}}

    def run(self, stop: threading.Event) -> None:
        """Look for due work until `stop` is set. Each job has a thread: one that hangs holds up no other."""
        self._stop = stop
        self._clockwork = clockwork = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(self.jobs)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for job in self.jobs:
            clockwork.add_job(
                self._turn, IntervalTrigger(seconds=job.every, timezone=UTC), [job], id=job.name,
                next_run_time=datetime.now(UTC),
            )  # fmt: skip
        clockwork.start()
        try:
            while not stop.wait(_GLANCE):
                _pull_in(clockwork)
        finally:
            clockwork.shutdown(wait=True)

    def tick(self, now: datetime) -> None:
        """Do all that is due at `now`, job by job. For tests, and whoever has a clock of his own."""
        for job in self.jobs:
            self._look(job, now)

    def _turn(self, job: Job | Chore) -> None:
        """One turn of a job by the clock, unless its last trouble is too fresh."""
        again, _ = self._pauses.get(job.name, (0.0, 0.0))
        if time.monotonic() >= again:
            self._look(job, self.clock())

    def _look(self, job: Job | Chore, now: datetime) -> None:
        """Find and do what is due of one job; its troubles are its own."""
        try:
            if isinstance(job, Chore):
                job.exhaust(self._stop)
            else:
                self._exhaust(job, now)
        except Exception as error:  # whatever a job raises, the others go on
            _, pause = self._pauses.get(job.name, (0.0, job.every))
            self._pauses[job.name] = (time.monotonic() + pause, min(2 * pause, 60.0))
            self._trouble(job, error)
            return
        self._pauses.pop(job.name, None)
        self._ended[job.name] = time.monotonic()

    def _exhaust(self, job: Job, now: datetime) -> None:
        found: Sequence[Due] = ()
        while not self._stop.is_set():
            with self.pool.connection() as connection:
                found = job.find(connection, now, _AT_ONCE)
                claimed = self.claims.claim(connection, job.name, [_piece(one) for one in found], now)
            self.metrics.waiting.labels(job.name).set(len(found))
            for due in found:
                claim = claimed.get(_piece(due))
                if claim is not None and not self._stop.is_set():
                    self._do(job, due, claim, now)
            if len(found) < _AT_ONCE or not claimed:
                return

    def _do(self, job: Job, due: Due, claim: Claim, now: datetime) -> None:
        outcome: Outcome
        try:
            if job.useless(due, now):
                raise TooLateError
            job.act(due, _key_of(job, due), now)
            outcome = "done"
        except TooLateError:
            outcome = "skipped"
        except Stale:
            # It was changed after the read model was made; the next look sees what it is now.
            self._again(job, due, now + _STALE_PAUSE)
            return
        except Refused as error:
            _logger.info("scheduler.refused", job=job.name, rule=error.rule)
            outcome = "refused"
        except Exception as error:
            self._trouble(job, error)
            if claim.tries < _MOST_TRIES and not isinstance(error, BadInput):
                pause = min(_FIRST_PAUSE * 2 ** (claim.tries - 1), _LONGEST_PAUSE)
                self._again(job, due, now + timedelta(seconds=pause))
                return
            _logger.error("scheduler.failed", job=job.name, tries=claim.tries, kind=type(error).__name__)
            outcome = "failed"
        with self.pool.connection() as connection:
            self.claims.settle(connection, job.name, _piece(due), outcome, now)
        self.metrics.settled.labels(job.name, outcome).inc()
        self.metrics.late.labels(job.name).set(max(0.0, (now - due.at).total_seconds()))

    def _again(self, job: Job, due: Due, at: datetime) -> None:
        with self.pool.connection() as connection:
            self.claims.give_back(connection, job.name, _piece(due), at)

    def _trouble(self, job: Job | Chore, error: Exception) -> None:
        self.metrics.troubles.labels(job.name).inc()
        detail = error.detail if isinstance(error, StorylineError) else type(error).__name__
        _logger.error("scheduler.trouble", job=job.name, kind=type(error).__name__, detail=detail)


def _pull_in(clockwork: BackgroundScheduler) -> None:
    """After the clock was set back each job would wait until it is as late again as it was; it looks now instead."""
    now = datetime.now(UTC)
    for one in clockwork.get_jobs():
        if one.next_run_time is not None and one.next_run_time > now + 2 * one.trigger.interval:
            one.modify(next_run_time=now)


def _piece(due: Due) -> Piece:
    return Piece(due.item, due.at)


def _key_of(job: Job, due: Due) -> str:
    """The idempotency key of a piece: the same whoever does it, and whenever."""
    return f"{job.name}:{due.item}:{due.at.astimezone(UTC).isoformat()}"
