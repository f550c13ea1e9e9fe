"""How does automation follow the log? It adds a run for each rule that an event sets off, and moves its position, in
one transaction.

Any number of processes share the partitions, as projectors do. It is a consumer of its own: a rebuild of the read
models does not come by here, and what is read twice adds nothing, since there is one run for each rule and event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from commands.runs import Run, Runs
from consumers.sharing import Batch, Share
from domain.automation import Happening, due_at, sets_off
from domain.configuration import Rule
from domain.errors import Poison
from domain.event import happened_at, read_time
from domain.work import SOURCE
from eventlog.port import Log, Logged
from eventlog.record import Record, decode

__all__ = ["CONSUMER", "Follower", "happening_of"]

CONSUMER = "automation"
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
    _since: dict[str, datetime] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._enabled = [rule for rule in self.rules if rule.enabled]
        self._types = frozenset(type_ for rule in self._enabled for type_ in rule.on)
        self.share = Share(
            CONSUMER, self.dsn, self.log, self.lease, self.batch, trouble=self._trouble, joining=self._begin
        )
        self._seen = Counter("storyline_automation_events", "Records taken from the log", registry=self.registry)
        self._added = Counter("storyline_automation_runs_added", "Runs of rules", ["rule"], registry=self.registry)
        self._troubles = Counter(
            "storyline_automation_troubles", "Interruptions of following the log", ["kind"], registry=self.registry
        )
        partitions = Gauge("storyline_automation_partitions", "Partitions that it follows", registry=self.registry)
        partitions.set_function(lambda: len(self.share.held))

    @property
    def ready(self) -> bool:
        """Whether it has a seat."""
        return self.share.ready

    @property
    def held(self) -> Sequence[int]:
        """The partitions that it follows."""
        return self.share.held

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set. Raises LogDamaged when the log is not what the positions say."""
        self.share.run(stop, self._take)

    def _trouble(self, kind: str, detail: str) -> None:
        self._troubles.labels(kind).inc()
        _logger.warning("automation.trouble", kind=kind, detail=detail)

    def _begin(self, connection: psycopg.Connection) -> None:
        """A rule that was never seen holds from now on, and what nobody followed yet is followed from its end on."""
        ends = self.log.ends()
        with connection.transaction():
            runs = Runs(connection)
            runs.begin(self.log.log_id, ends, self._enabled, self.clock())
            self._since = runs.since(self._enabled)

    def _take(self, batch: Batch) -> bool:
        """Add what these records set off, and move behind them."""
        happened = [one for one in map(self._happening, batch.records) if one is not None]
        with batch.connection.transaction():
            batch.move()
            runs = Runs(batch.connection)
            added = [run for one in happened for run in self._set_off(runs, one)]
            runs.add(added)
            self.before_move()
        self._seen.inc(len(batch.records))
        for run in added:
            self._added.labels(run.rule).inc()
        return True

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
