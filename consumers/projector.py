"""The projector: moves the log into the read models, for as long as it is let.

Any number of projectors share the partitions of a log by leases (`projections/leases.py`); one of them may come, go,
die or freeze at any time. Whatever happens to Postgres, the log or the reader's process, it says so, waits a little
longer each time, and goes on from its positions.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.seat import Heartbeat
from consumers.segment_metrics import changes_counter, count_changes
from consumers.watchdog import Watchdog
from domain.errors import Fenced, LogDamaged, Misconfigured, Unavailable
from eventlog.port import Log
from projections.deriving import Reading
from projections.leases import Held, Seat
from projections.registry import refuse_changed
from projections.runner import Applied, Park, Runner

__all__ = ["Projector", "ProjectorMetrics"]

_LONGEST_PAUSE = 10.0
_logger = structlog.get_logger("storyline.projector")


class ProjectorMetrics:
    """What an operator sees of a projector, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("storyline_projected_events", "Records taken from the log", registry=registry)
        self.parked = Counter("storyline_projector_parked", "Records parked", registry=registry)
        self.unopened = Counter(
            "storyline_projector_unopened", "Events whose key the key store does not know", registry=registry
        )
        self.batch_seconds = Histogram(
            "storyline_projector_batch_seconds", "Time of one transaction", registry=registry
        )
        self.troubles = Counter("storyline_projector_troubles", "Interruptions", ["kind"], registry=registry)
        self.position = Gauge("storyline_projector_position", "Next offset", ["partition"], registry=registry)
        self.lag = Gauge("storyline_projector_lag", "Records not yet visible", ["partition"], registry=registry)
        self.behind = Gauge(
            "storyline_projector_behind_seconds", "Age of the newest visible record", registry=registry
        )
        self.held = Gauge("storyline_projector_partitions", "Partitions that this projector holds", registry=registry)
        self.segments = changes_counter(registry)

    def applied(self, applied: Applied, cursor: dict[int, int]) -> None:
        """One transaction was committed."""
        self.events.inc(applied.events)
        self.parked.inc(applied.parked)
        if applied.unopened:
            self.unopened.inc(applied.unopened)
            _logger.error(
                "projector.unknown_keys",
                events=applied.unopened,
                detail="restore the key store's backup, then rebuild",
            )
        self.batch_seconds.observe(applied.seconds)
        if applied.newest:
            self.behind.set(max(0.0, time.time() - applied.newest))
        for partition, offset in cursor.items():
            self.position.labels(partition).set(offset)

    def holds(self, cursor: dict[int, int]) -> None:
        """It holds these partitions from now on; what it knew of others is not true any more."""
        self.held.set(len(cursor))
        self.position.clear()
        self.lag.clear()

    def lags(self, lag: dict[int, int]) -> None:
        """So many records of each partition are not visible yet."""
        for partition, records in lag.items():
            self.lag.labels(partition).set(records)


@dataclass
class Projector:
    """One projector. `run` blocks until `stop` is set. `ready`: it has a seat, and the last try went well.

    lease: seconds unseen after which the others take its partitions. stall: seconds of lag without movement after
    which it rejoins. give_up: ends the process, when even that is not possible.
    """

    dsn: str
    log_url: str
    log: Log
    park: Park
    registry: CollectorRegistry
    reading: Reading
    batch: int = 10_000
    lease: float = 10.0
    stall: float = 60.0
    told: Callable[[Applied], None] = lambda applied: None
    give_up: Callable[[], None] = lambda: None
    held: list[int] = field(init=False, default_factory=list)
    _heartbeat: Heartbeat | None = field(init=False, default=None)
    _size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._size = self.batch
        self.metrics = ProjectorMetrics(self.registry)

    @property
    def ready(self) -> bool:
        """Whether it has a seat; one without a partition stands by, and is as good."""
        heartbeat = self._heartbeat
        return heartbeat is not None and heartbeat.fresh

    def run(self, stop: threading.Event) -> None:
        """Project until `stop` is set. Raises LogDamaged when the log is not what the positions say, Misconfigured
        when the tables are not those of this release: to go on would make the read models wrong without a word."""
        pause = 0.1
        while not stop.is_set():
            began = time.monotonic()
            try:
                self._take_part(stop)
            except (LogDamaged, Misconfigured):
                raise
            except (Unavailable, psycopg.Error) as error:
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = 0.1
                self._trouble("unavailable", error)
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _take_part(self, stop: threading.Event) -> None:
        """Join the others, work on a fair share of the partitions, leave."""
        seat = Seat("live", {self.log.log_id: range(self.log.partitions)}, self.lease)
        runner = Runner(
            self.dsn, self.log_url, self.log.log_id, self.log.partitions, self.park, self.reading,
            batch=self._size, session=seat.application_name,
        )  # fmt: skip
        watchdog = Watchdog(
            self.log,
            lambda: dict(runner.cursor),
            lambda: runner.anchors,
            runner.interrupt,
            self.give_up,
            stall=self.stall,
        )
        try:
            runner.prepare()  # before it has a seat: what it holds nobody else reads
            refuse_changed(runner.connection)
            try:
                with self._seated(seat) as heartbeat, watchdog:
                    self._work(runner, seat, heartbeat, watchdog, stop)
            finally:
                with contextlib.suppress(psycopg.Error):
                    seat.leave(runner.connection)
        finally:
            if runner.too_slow:
                self._size = max(1, runner.batch // 2)
            runner.close()
            self._hold_nothing()

    def _work(
        self, runner: Runner, seat: Seat, heartbeat: Heartbeat, watchdog: Watchdog, stop: threading.Event
    ) -> None:
        try:
            while not stop.is_set():
                if heartbeat.due():
                    self._hold(runner, seat.settle(runner.connection))
                if runner.cursor:
                    self._step(runner, seat)
                    self.metrics.lags({part: watchdog.lag.get(part, 0) for part in runner.cursor})
                else:
                    heartbeat.wait(0.5)
                if watchdog.damage is not None:
                    raise watchdog.damage
        except Unavailable:
            if watchdog.damage is not None:
                raise watchdog.damage from None
            raise

    @contextmanager
    def _seated(self, seat: Seat) -> Iterator[Heartbeat]:
        with Heartbeat(self.dsn, seat) as heartbeat:
            self._heartbeat = heartbeat
            try:
                yield heartbeat
            finally:
                self._heartbeat = None

    def _step(self, runner: Runner, seat: Seat) -> None:
        try:
            applied = runner.step()
        except Fenced as error:
            # While we stood still another took over, or a rebuild switched. What is left to us we take again.
            self._trouble("fenced", error)
            self._hold(runner, seat.retake(runner.connection), anchors=True)
            return
        if applied is not None:
            if applied.seconds < self.stall / 10:
                self._size = self.batch  # when it joins the next time
            self.metrics.applied(applied, runner.cursor)
            count_changes(self.metrics.segments, runner.family.keeper.changes)
            self.told(applied)

    def _hold(self, runner: Runner, held: Sequence[Held], anchors: bool = False) -> None:
        refuse_changed(runner.connection)  # after the partitions were taken: who switches tables later fences us
        runner.hold(held, anchors)
        self.held = sorted(runner.cursor)
        self.metrics.holds(runner.cursor)
        _logger.info("projector.holds", partitions=self.held)

    def _hold_nothing(self) -> None:
        self.held = []
        self.metrics.holds({})

    def _trouble(self, kind: str, error: Exception) -> None:
        self.metrics.troubles.labels(kind).inc()
        detail = getattr(error, "detail", type(error).__name__)
        _logger.warning("projector.trouble", kind=kind, detail=detail)
