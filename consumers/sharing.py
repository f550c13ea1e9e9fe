"""How do several processes follow the log together? Each takes a seat, gets a fair share of the partitions, and hands
on what comes on them; what it has handed on it does not get again, unless it died before it had moved behind it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from consumers.seat import Heartbeat
from domain.errors import Fenced, Unavailable
from eventlog.port import Log, Logged
from projections.connecting import KEEPALIVE
from projections.leases import Held, Seat
from projections.positions import Positions

__all__ = ["Batch", "Share"]

_LONGEST_PAUSE = 10.0
_BEHIND = 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records of the log. end: the offset behind them, of each partition. `move` moves the position behind them,
    within a transaction; raises Fenced where another has taken over."""

    connection: psycopg.Connection
    records: Sequence[Logged]
    end: Mapping[int, int]
    move: Callable[[], None]


@dataclass
class Share:
    """One consumer's share of a log. lease: seconds unseen after which the others take it. batch: most records at
    once. trouble: told the kind of each interruption, and what is known of it. joining: called each time before it
    takes a seat."""

    consumer: str
    dsn: str
    log: Log
    lease: float = 10.0
    batch: int = 500
    trouble: Callable[[str, str], None] = lambda kind, detail: None
    joining: Callable[[psycopg.Connection], None] = lambda connection: None
    held: list[int] = field(init=False, default_factory=list)
    _heartbeat: Heartbeat | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._positions = Positions(self.consumer, self.log.log_id)
        self._cursor: dict[int, int] = {}

    @property
    def ready(self) -> bool:
        """Whether it has a seat; one without a partition stands by, and is as good."""
        heartbeat = self._heartbeat
        return heartbeat is not None and heartbeat.fresh

    def run(self, stop: threading.Event, take: Callable[[Batch], bool]) -> None:
        """Follow until `stop` is set. take: does what is to be done and moves; False: not yet, give it again.

        Raises LogDamaged when the log is not what the positions say.
        """
        pause = 0.1
        while not stop.is_set():
            try:
                self._take_part(stop, take)
                pause = 0.1
            except (Unavailable, Fenced, psycopg.Error) as error:
                kind = type(error).__name__.lower()
                self.trouble(kind, getattr(error, "detail", kind))
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _take_part(self, stop: threading.Event, take: Callable[[Batch], bool]) -> None:
        """Join the others, follow a fair share of the partitions, leave."""
        seat = Seat(self.consumer, {self.log.log_id: range(self.log.partitions)}, self.lease)
        with self._connected(seat) as connection:
            self.joining(connection)
            try:
                with Heartbeat(self.dsn, seat) as heartbeat:
                    self._heartbeat = heartbeat
                    self._follow(connection, seat, heartbeat, stop, take)
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
        self,
        connection: psycopg.Connection,
        seat: Seat,
        heartbeat: Heartbeat,
        stop: threading.Event,
        take: Callable[[Batch], bool],
    ) -> None:
        while not stop.is_set():
            if heartbeat.due():
                self._hold(seat.settle(connection))
            if not self._cursor:
                heartbeat.wait(0.5)
                continue
            records = self.log.read(self._cursor, self.batch, 0.5)
            if records and not self._handed(connection, records, take):
                stop.wait(_BEHIND)

    def _hold(self, held: Sequence[Held]) -> None:
        mine = [one for one in held if one.log_id == self.log.log_id]
        self._positions.epochs = {one.partition: one.epoch for one in mine}
        self._cursor = {one.partition: one.offset for one in mine}
        self.held = sorted(self._cursor)

    def _handed(
        self, connection: psycopg.Connection, records: Sequence[Logged], take: Callable[[Batch], bool]
    ) -> bool:
        end = {one.partition: one.offset + 1 for one in records}
        start = {partition: self._cursor[partition] for partition in end}

        def move() -> None:
            self._positions.move(connection, start, end)

        if not take(Batch(connection, records, end, move)):
            return False
        self._cursor.update(end)
        return True
