"""The projector: moves the log into the read models, for as long as it is let.

One projector is live; a second one stands by and takes over when the first is gone. Whatever happens to Postgres,
the log or the reader's process, it says so, waits a little longer each time, and goes on from its positions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from domain.errors import Fenced, LogDamaged, Unavailable
from eventlog.port import Log
from eventlog.sql import load
from projections.registry import MODELS, ReadModel
from projections.runner import Applied, Park, Runner

__all__ = ["Projector", "ProjectorMetrics"]

_SQL = load("consumers", "projector.sql")
_LONGEST_PAUSE = 10.0
_LAG_EVERY = 2.0
_logger = structlog.get_logger("storyline.projector")


class ProjectorMetrics:
    """What an operator sees of a projector, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("storyline_projected_events", "Records taken from the log", registry=registry)
        self.parked = Counter("storyline_projector_parked", "Records parked", registry=registry)
        self.batch_seconds = Histogram(
            "storyline_projector_batch_seconds", "Time of one transaction", registry=registry
        )
        self.troubles = Counter("storyline_projector_troubles", "Interruptions", ["kind"], registry=registry)
        self.position = Gauge("storyline_projector_position", "Next offset", ["partition"], registry=registry)
        self.lag = Gauge("storyline_projector_lag", "Records not yet visible", ["partition"], registry=registry)
        self.behind = Gauge(
            "storyline_projector_behind_seconds", "Age of the newest visible record", registry=registry
        )
        self.live = Gauge("storyline_projector_live", "1: this projector is live, 0: it stands by", registry=registry)

    def applied(self, applied: Applied, cursor: dict[int, int]) -> None:
        """One transaction was committed."""
        self.events.inc(applied.events)
        self.parked.inc(applied.parked)
        self.batch_seconds.observe(applied.seconds)
        if applied.newest:
            self.behind.set(max(0.0, time.time() - applied.newest))
        for partition, offset in cursor.items():
            self.position.labels(partition).set(offset)


@dataclass
class Projector:
    """One projector. `run` blocks until `stop` is set. `ready`: live or standing by, and the last try went well."""

    dsn: str
    log_url: str
    log: Log
    park: Park
    registry: CollectorRegistry
    models: Sequence[ReadModel] = MODELS
    batch: int = 10_000
    told: Callable[[Applied], None] = lambda applied: None
    ready: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.metrics = ProjectorMetrics(self.registry)
        self._lag_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Project until `stop` is set. Raises LogDamaged when the log is not what the positions say: to go on
        would make the read models wrong without a word."""
        pause = 0.1
        while not stop.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True, connect_timeout=5) as seat:
                    if self._seated(seat, stop):
                        self._project(seat, stop)
                pause = 0.1
            except LogDamaged:
                raise
            except (Unavailable, psycopg.OperationalError) as error:
                self._trouble("unavailable", error)
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            finally:
                self.ready = False
                self.metrics.live.set(0)

    def _seated(self, seat: psycopg.Connection, stop: threading.Event) -> bool:
        """Wait for the one live seat; it falls free when the session of who has it ends."""
        while not stop.is_set():
            row = seat.execute(_SQL["try_seat"]).fetchone()
            if row and row[0]:
                return True
            self.ready = True  # to stand by is what a second projector is for
            stop.wait(0.5)
        return False

    def _project(self, seat: psycopg.Connection, stop: threading.Event) -> None:
        runner = Runner(
            self.dsn, self.log_url, self.log.log_id, self.log.partitions, self.models, self.park, batch=self.batch
        )
        try:
            runner.start()
            self.ready = True
            self.metrics.live.set(1)
            _logger.info("projector.live", partitions=self.log.partitions)
            checked = time.monotonic()
            while not stop.is_set():
                if time.monotonic() - checked > 1:
                    seat.execute(_SQL["still_seated"])
                    checked = time.monotonic()
                self._step(runner)
        finally:
            runner.close()

    def _step(self, runner: Runner) -> None:
        try:
            applied = runner.step()
        except Fenced as error:
            # We hold the seat, so it was a rebuild that switched: take the partitions again and go on.
            self._trouble("fenced", error)
            runner.start()
            return
        if applied is not None:
            self.metrics.applied(applied, runner.cursor)
            self.told(applied)
        if time.monotonic() - self._lag_at > _LAG_EVERY:
            self._measure_lag(runner)

    def _measure_lag(self, runner: Runner) -> None:
        self._lag_at = time.monotonic()
        for partition, end in self.log.ends().items():
            self.metrics.lag.labels(partition).set(max(0, end - runner.cursor.get(partition, 0)))

    def _trouble(self, kind: str, error: Exception) -> None:
        self.metrics.troubles.labels(kind).inc()
        detail = getattr(error, "detail", type(error).__name__)
        _logger.warning("projector.trouble", kind=kind, detail=detail)
