"""How does automation follow the log? It adds a run for each rule that an event sets off, and moves its position, in
one transaction.

Any number of processes share the partitions, as projectors do. It is a consumer of its own: a rebuild of the read
models does not come by here, and what is read twice adds nothing, since there is one run for each rule and event.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from commands.runs import Run, Runs
from consumers.seat import Heartbeat
from domain.automation import Happening, due_at, sets_off
from domain.configuration import Rule
from domain.errors import Fenced, Poison, Unavailable
from domain.event import happened_at, read_time
from domain.work import SOURCE
from eventlog.port import Log, Logged
from eventlog.record import Record, decode
from projections.connecting import KEEPALIVE
from projections.leases import Held, Seat
from projections.positions import Positions

__all__ = ["CONSUMER", "Follower", "happening_of"]

CONSUMER = "automation"
_LONGEST_PAUSE = 10.0
_ACTS = "automation:"
_logger = structlog.get_logger("storyline.automation")


def happening_of(record: Record) -> Happening:
    """What of an event is in clear, out of its record. Raises ValueError for times that are none."""
    head = record.head
    recorded = read_time(record.recorded_at)
    sent = read_time(head.senttime) if head.senttime else None
    happened, _ = happened_at(read_time(head.time), sent, recorded)
    return Happening(
        head.name, head.source, head.type, happened, recorded, head.channel, head.direction, head.actor, head.refs,
        head.public,
    )  # fmt: skip


@dataclass
class Follower:
    """Follows the log until `stop` is set. `ready`: it has a seat.

    rules: those of the configuration. lease: seconds unseen after which the others take its partitions. before_move:
    called before each transaction's end, for tests.
    """

    dsn: str
    log: Log
    rules: Sequence[Rule]
    registry: CollectorRegistry
    clock: Callable[[], datetime]
    lease: float = 10.0
    batch: int = 5000
    before_move: Callable[[], None] = lambda: None
    held: list[int] = field(init=False, default_factory=list)
    _heartbeat: Heartbeat | None = field(init=False, default=None)
    _since: dict[str, datetime] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._enabled = [rule for rule in self.rules if rule.enabled]
        self._types = frozenset(type_ for rule in self._enabled for type_ in rule.on)
        self._positions = Positions(CONSUMER, self.log.log_id)
        self._cursor: dict[int, int] = {}
        self._seen = Counter("storyline_automation_events", "Records taken from the log", registry=self.registry)
        self._added = Counter("storyline_automation_runs_added", "Runs of rules", ["rule"], registry=self.registry)
        self._troubles = Counter(
            "storyline_automation_troubles", "Interruptions of following the log", ["kind"], registry=self.registry
        )
        self._held = Gauge("storyline_automation_partitions", "Partitions that it follows", registry=self.registry)

    @property
    def ready(self) -> bool:
        """Whether it has a seat; one without a partition stands by, and is as good."""
        heartbeat = self._heartbeat
        return heartbeat is not None and heartbeat.fresh

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set. Raises LogDamaged when the log is not what the positions say."""
        pause = 0.1
        while not stop.is_set():
            try:
                self._take_part(stop)
                pause = 0.1
            except (Unavailable, Fenced, psycopg.Error) as error:
                kind = type(error).__name__.lower()
                self._troubles.labels(kind).inc()
                _logger.warning("automation.trouble", kind=kind, detail=getattr(error, "detail", kind))
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _take_part(self, stop: threading.Event) -> None:
        """Join the others, follow a fair share of the partitions, leave."""
        seat = Seat(CONSUMER, {self.log.log_id: range(self.log.partitions)}, self.lease)
        with self._connected(seat) as connection:
            ends = self.log.ends()
            with connection.transaction():
                runs = Runs(connection)
                runs.begin(self.log.log_id, ends, self._enabled, self.clock())
                self._since = runs.since(self._enabled)
            try:
                with Heartbeat(self.dsn, seat) as heartbeat:
                    self._heartbeat = heartbeat
                    self._follow(connection, seat, heartbeat, stop)
            finally:
                self._heartbeat = None
                self._hold([])
                with contextlib.suppress(psycopg.Error):
                    seat.leave(connection)

    @contextlib.contextmanager
    def _connected(self, seat: Seat) -> Iterator[psycopg.Connection]:
        with psycopg.connect(
            self.dsn,
            autocommit=True,
            connect_timeout=5,
            application_name=seat.application_name,
            options="-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s",
            **KEEPALIVE,
        ) as connection:
            yield connection

    def _follow(
        self, connection: psycopg.Connection, seat: Seat, heartbeat: Heartbeat, stop: threading.Event
    ) -> None:
        while not stop.is_set():
            if heartbeat.due():
                self._hold(seat.settle(connection))
            if not self._cursor:
                heartbeat.wait(0.5)
                continue
            records = self.log.read(self._cursor, self.batch, 0.5)
            if records:
                self._take(connection, records)

    def _hold(self, held: Sequence[Held]) -> None:
        mine = [one for one in held if one.log_id == self.log.log_id]
        self._positions.epochs = {one.partition: one.epoch for one in mine}
        self._cursor = {one.partition: one.offset for one in mine}
        self.held = sorted(self._cursor)
        self._held.set(len(self._cursor))

    def _take(self, connection: psycopg.Connection, records: Sequence[Logged]) -> None:
        """Add what these records set off, and move behind them."""
        happened = [one for one in map(self._happening, records) if one is not None]
        end = {one.partition: one.offset + 1 for one in records}
        start = {partition: self._cursor[partition] for partition in end}
        with connection.transaction():
            self._positions.move(connection, start, end)
            runs = Runs(connection)
            added = [run for one in happened for run in self._set_off(runs, one)]
            runs.add(added)
            self.before_move()
        self._cursor.update(end)
        self._seen.inc(len(records))
        for run in added:
            self._added.labels(run.rule).inc()

    def _happening(self, logged: Logged) -> Happening | None:
        """What a record tells, if it is of a type that a rule waits for. What cannot be read the projector parks."""
        try:
            record = decode(logged.value)
            return happening_of(record) if record.head.type in self._types else None
        except (Poison, ValueError):
            return None

    def _set_off(self, runs: Runs, happening: Happening) -> Iterator[Run]:
        depth = _depth(runs, happening)
        for rule in self._enabled:
            since = self._since.get(rule.code)
            if since is not None and sets_off(rule, happening, since, depth):
                yield Run(rule.code, happening.name, due_at(rule, happening), depth + 1)


def _depth(runs: Runs, happening: Happening) -> int:
    """How many rules led to an event: that stands with the run that made it, found by the item and its revision."""
    if not (happening.actor or "").startswith(_ACTS) or not happening.source.startswith(SOURCE):
        return 0
    if happening.actor == f"{_ACTS}scheduler" or not happening.refs:
        return 0
    revision = happening.public.get("revision")
    return runs.depth(happening.refs[0].partition(":")[2], revision if isinstance(revision, int) else 0)
