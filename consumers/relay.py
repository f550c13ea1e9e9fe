"""The relay: moves the event store's notifications to the log, in order, for as long as it is let.

Any number may run, one works, the others stand by. It looks every few milliseconds for what is new, since whoever
issued a command waits to see it; after a while without news less often.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from domain.errors import Fenced, Unavailable
from eventlog.port import Log
from eventlog.relay import Relay
from eventlog.tokens import Hasher
from projections.connecting import connected
from projections.moves import move_from, refuse_moved

__all__ = ["RelayMetrics", "Relaying"]

_SHORT, _LONG = 0.01, 0.1
"""Seconds between two looks for something new, at work and when nothing happens."""
_QUIET: Final = 5.0
_LONGEST_PAUSE: Final = 5.0
_BEAT: Final = 1.0
_logger = structlog.get_logger("storyline.relay")


class RelayMetrics:
    """What an operator sees of a relay, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("storyline_relayed_events", "Events taken to the log", registry=registry)
        self.lag = Gauge("storyline_relay_lag", "Events not on the log yet; only where it works", registry=registry)
        self.works = Gauge("storyline_relay_works", "1 where this one works, 0 where it stands by", registry=registry)
        self.troubles = Counter("storyline_relay_troubles", "Interruptions", ["kind"], registry=registry)


@dataclass
class Relaying:
    """One instance. `run` blocks until `stop` is set. `ready`: the last try went well, at work or standing by.

    lease: seconds unseen after which another takes over. batch: most events at once.
    """

    dsn: str
    log: Log
    hasher: Hasher
    registry: CollectorRegistry
    lease: float = 10.0
    batch: int = 2000
    works: bool = field(init=False, default=False)
    _well: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self.metrics = RelayMetrics(self.registry)

    @property
    def ready(self) -> bool:
        """Whether it was well within the lease."""
        return time.monotonic() - self._well < self.lease

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set. Raises LogDamaged where the log is ahead of the store, Misconfigured where
        LOG_URL names another log: to go on would make two histories."""
        relay = Relay(self.dsn, self.log, self.hasher, lease=self.lease, batch=self.batch, followed=self._followed)
        pause = _SHORT
        try:
            while not stop.is_set():
                try:
                    self._take_part(relay, stop)
                    pause = _SHORT
                except (Unavailable, Fenced, psycopg.Error) as error:
                    self._trouble(error)
                    relay.drop()
                    self._refuse_moved()
                    stop.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            with contextlib.suppress(psycopg.Error):
                relay.leave()
            relay.drop()

    def _take_part(self, relay: Relay, stop: threading.Event) -> None:
        """Work until something goes wrong, or look once whether somebody has to take over."""
        taken = relay.take()
        self._well = time.monotonic()
        if not taken:
            stop.wait(min(0.5, self.lease / 5))
            return
        _logger.info("relay.works", notification=relay.notification)
        try:
            self.works = True
            self.metrics.works.set(1)
            self._work(relay, stop)
        finally:
            self.works = False
            self.metrics.works.set(0)

    def _work(self, relay: Relay, stop: threading.Event) -> None:
        beaten = moved = time.monotonic()
        while not stop.is_set():
            number = relay.step()
            now = self._well = time.monotonic()
            if number:
                moved = now
                self.metrics.events.inc(number)
            if now - beaten > min(_BEAT, self.lease / 5):
                beaten = now
                relay.beat()
                self.metrics.lag.set(relay.lag())
            if not number:
                stop.wait(_SHORT if now - moved < _QUIET else _LONG)

    def _followed(self, log_id: str) -> bool:
        """Whether the history of that log moved here, at once or by way of others."""
        with connected(self.dsn) as connection:
            while (away := move_from(connection, log_id)) is not None and away.switched_at is not None:
                log_id = away.to_log_id
        return log_id == self.log.log_id

    def _refuse_moved(self) -> None:
        """Raises Misconfigured once another log took the place of ours."""
        with contextlib.suppress(Unavailable), connected(self.dsn) as connection:
            refuse_moved(connection, self.log.log_id)

    def _trouble(self, error: Exception) -> None:
        self.metrics.troubles.labels(type(error).__name__.lower()).inc()
        _logger.warning("relay.trouble", kind=type(error).__name__, detail=getattr(error, "detail", ""))
