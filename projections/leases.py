"""Who works on which partitions? Members of one consumer share them in Postgres, each a fair number.

A member has a *seat*, which it keeps warm. Who is gone (its session ended) or frozen (not seen for a lease) loses its
seat, and the others share what it held. Taking a partition raises its epoch, so that whoever had it is refused when
it moves a position: two may believe that they hold a partition, only one can write. The clock is Postgres' own.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import psycopg

from eventlog.sql import load
from projections.anchors import Anchor

__all__ = ["Held", "Seat"]

_SQL = load("projections", "leases.sql")
_BEGIN = load("projections", "positions.sql")["begin"]


class Held(NamedTuple):
    """A partition that a member holds: where to go on, under which epoch, and what was applied last."""

    log_id: str
    partition: int
    offset: int
    epoch: int
    anchor: Anchor | None


class Seat:
    """A member's seat. `units`: the partitions that there are, by log id. `lease`: seconds unseen until it is lost.

    `enter` and `beat` belong to a connection of their own, beside the work; `settle`, `retake` and `leave` to the
    worker, between two batches.
    """

    def __init__(self, consumer: str, units: Mapping[str, Iterable[int]], lease: float) -> None:
        self.member = uuid.uuid4()
        self.lease = lease
        self._locked_by: psycopg.Connection | None = None
        pairs = [(log_id, partition) for log_id, partitions in units.items() for partition in partitions]
        self._total = len(pairs)
        self._names: dict[str, Any] = {
            "consumer": consumer,
            "member": self.member,
            "session_key": int.from_bytes(self.member.bytes[:8], "big", signed=True),
            "lease": lease,
            "units": " ".join(f"{log_id}/{len(set(units[log_id]))}" for log_id in sorted(units)),
            "host": socket.gethostname(),
            "process": os.getpid(),
            "log_ids": [log_id for log_id, _ in pairs],
            "partitions": [partition for _, partition in pairs],
        }

    @property
    def application_name(self) -> str:
        """What the member's sessions are called, so that they can be ended when it is frozen."""
        return _application(self.member)

    def enter(self, connection: psycopg.Connection) -> None:
        """Take the seat; it lasts as long as this session, if it is kept warm by `beat`."""
        connection.execute(_BEGIN, self._names)
        self._lock_session(connection)
        connection.execute(_SQL["seen"], self._names)

    def beat(self, connection: psycopg.Connection) -> bool:
        """Keep the seat, take away those of who is gone; gives whether there is something to `settle`."""
        self._lock_session(connection)
        connection.execute(_SQL["seen"], self._names)
        gone = [row[0] for row in connection.execute(_SQL["sweep"], self._names).fetchall()]
        if gone:
            connection.execute(_SQL["end_sessions"], {"names": [_application(member) for member in gone]})
        share, held, free = self._look(connection)
        return held > share or (held < share and free > 0)

    def settle(self, connection: psycopg.Connection) -> list[Held]:
        """Give back what is beyond our share, or claim what is free up to it; gives all that we hold now."""
        connection.execute(_SQL["seen"], self._names)  # by itself: to hold the row would keep our heart from beating
        with connection.transaction():
            connection.execute(_SQL["lock"], self._names)
            share, held, _ = self._look(connection)
            if held != share:
                change = "release" if held > share else "claim"
                connection.execute(_SQL[change], {**self._names, "number": abs(held - share)})
            return self._held(connection)

    def retake(self, connection: psycopg.Connection) -> list[Held]:
        """After Fenced: what is still ours, under a higher epoch. What another took is his."""
        connection.execute(_SQL["seen"], self._names)
        with connection.transaction():
            connection.execute(_SQL["lock"], self._names)
            connection.execute(_SQL["raise"], self._names)
            return self._held(connection)

    def leave(self, connection: psycopg.Connection) -> None:
        """Give everything back, so that nobody has to wait for the lease. After the last `beat`, which would take the
        seat again."""
        connection.execute(_SQL["leave"], self._names)

    def _lock_session(self, connection: psycopg.Connection) -> None:
        """Not waited for: a session of ours that broke off holds the lock, and the seat, until Postgres ends it."""
        if self._locked_by is connection:
            return
        if connection.execute(_SQL["try_lock_session"], self._names).fetchone() == (True,):
            self._locked_by = connection

    def _look(self, connection: psycopg.Connection) -> tuple[int, int, int]:
        """(our share of the partitions, how many we hold, how many nobody holds)"""
        members, rank, held, free = connection.execute(_SQL["look"], self._names).fetchone() or (1, 0, 0, 0)
        if rank is None:
            return held, held, 0  # the seat was taken away just now; the next beat brings it back
        each, more = divmod(self._total, members)
        return each + (rank < more), held, free

    def _held(self, connection: psycopg.Connection) -> list[Held]:
        rows = connection.execute(_SQL["held"], self._names).fetchall()
        return [
            Held(log_id, partition, offset, epoch, None if anchor is None else Anchor(at, bytes(anchor)))
            for log_id, partition, offset, epoch, at, anchor in rows
        ]


def _application(member: uuid.UUID) -> str:
    return f"storyline {member.hex}"
