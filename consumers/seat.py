"""How does a member keep its seat while it works? A thread with a session of its own beats; the worker asks, between
two batches, whether there is something to settle.

A batch may take longer than a lease. The seat is lost only when the whole process stands still, or its session ends.
"""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg
import structlog

from projections.connecting import KEEPALIVE
from projections.leases import Seat

__all__ = ["Heartbeat"]

_EVERY = 1.0
_logger = structlog.get_logger("storyline.seat")


class Heartbeat:
    """The thread that keeps a seat. Take the seat by `with Heartbeat(dsn, seat) as heartbeat`."""

    def __init__(self, dsn: str, seat: Seat) -> None:
        self._dsn, self._seat = dsn, seat
        self._every = min(_EVERY, seat.lease / 5)
        self._due = threading.Event()
        self._end = threading.Event()
        self._beaten = float("-inf")
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        """Raises psycopg.OperationalError if Postgres does not answer."""
        connection = self._connect()
        self._due.set()
        self._first: psycopg.Connection | None = connection
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    @property
    def fresh(self) -> bool:
        """Whether the seat was seen within the lease."""
        return time.monotonic() - self._beaten < self._seat.lease

    def due(self) -> bool:
        """Whether there is something to settle; says so once."""
        if not self._due.is_set():
            return False
        self._due.clear()
        return True

    def wait(self, seconds: float) -> None:
        """Wait until there is something to settle, `seconds` at most."""
        self._due.wait(seconds)

    def _connect(self) -> psycopg.Connection:
        connection = psycopg.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            application_name=self._seat.application_name,
            options="-c statement_timeout=10s",
            **KEEPALIVE,
        )
        try:
            self._seat.enter(connection)
        except BaseException:
            connection.close()
            raise
        self._beaten = time.monotonic()
        return connection

    def _run(self) -> None:
        connection, self._first = self._first, None
        while not self._end.is_set():
            try:
                connection = connection or self._connect()
                if self._seat.beat(connection):
                    self._due.set()
                self._beaten = time.monotonic()
            except Exception as error:  # whatever it is: a heart that stops is told by nobody
                _logger.warning("seat.trouble", kind=type(error).__name__)
                _close(connection)
                connection = None
            self._end.wait(self._every)
        _close(connection)


def _close(connection: psycopg.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(psycopg.Error):
            connection.close()
