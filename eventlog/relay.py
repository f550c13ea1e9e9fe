"""How do events get from the event store to the log? In the order of their commits, in batches, once in effect.

A batch is appended, then noted by a compare-and-set. Whoever dies, or does not know, in between leaves records on the
log that nobody noted: whoever takes the relay first looks at what the log got since the noted ends, and passes over
what he finds there. What he finds there that is not in the store was written by a store that was since restored.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from domain.errors import Fenced, LogDamaged, Misconfigured
from eventlog.port import Log, Position, Settling
from eventlog.record import stamp
from eventlog.relay_records import Native, entry_of, natives, same
from eventlog.relay_status import relay_status
from eventlog.sql import load
from eventlog.tokens import Hasher

__all__ = ["Relay"]

_SQL = load("eventlog", "relay.sql")
_MOST_BYTES: Final = 16_000_000
"""A batch has fewer events where they are larger than this together."""
_PRUNE_EVERY: Final = 10_000
"""Notifications between two cleanings of what nobody waits for any more."""


def _now() -> datetime:
    return datetime.now(UTC)


class Relay:
    """One instance of the relay; of several the one that took it works. Not thread-safe.

    lease: seconds unseen after which another may take it. followed: whether the history of a log (by its id) moved to
    the one that is ours. `notification`: the last one that is on the log, as far as we know.

    What `step` and `beat` raise leaves it to be taken anew: what was appended then is looked for on the log.
    """

    def __init__(
        self,
        dsn: str,
        log: Log,
        hasher: Hasher,
        *,
        lease: float = 10.0,
        batch: int = 2000,
        followed: Callable[[str], bool] = lambda log_id: False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._dsn, self._log, self._hasher, self._followed, self._clock = dsn, log, hasher, followed, clock
        self.holder = uuid.uuid4()
        self.lease, self._batch = lease, batch
        self._connection: psycopg.Connection | None = None
        self.notification = 0
        self._epoch = -1
        self._ends: dict[int, int] = {}
        self._floor: dict[int, int] = {}
        self._there: dict[int, Position] = {}
        self._seen = self._pruned = 0.0

    def take(self) -> bool:
        """Take the relay if nobody works, and find out what is on the log already; gives whether it is ours.

        Raises LogDamaged where the log is ahead of the store, Misconfigured for a log that is not the one it knows.
        """
        connection = self._connected()
        connection.execute(_SQL["begin"], {"log_id": self._log.log_id})
        asked = {"holder": self.holder, "lease": self.lease}
        row = connection.execute(_SQL["take"], asked).fetchone()
        if row is None:
            return False
        log_id, self.notification, ends, self._epoch = row
        self._seen = time.monotonic()
        try:
            if log_id != self._log.log_id:
                ends = self._adopt(log_id)
            self._look({int(partition): offset for partition, offset in ends.items()})
        except (LogDamaged, Misconfigured):
            self.leave()
            raise
        return True

    def step(self) -> int:
        """Take the next batch to the log; gives how many notifications that were. Raises Fenced where another took
        the relay, Unavailable and psycopg's errors as they come."""
        asked = {"after": self.notification, "limit": self._batch, "bytes": _MOST_BYTES}
        rows = self._connected().execute(_SQL["next"], asked).fetchall()
        if not rows:
            return 0
        if time.monotonic() - self._seen > self.lease / 2:
            self.beat()  # who stood still must not append: another may have done it
        self._append(rows)
        return len(rows)

    def beat(self) -> None:
        """Keep the relay, and note the log's ends while nothing of ours is under way. Raises Fenced."""
        self._ends = dict(self._log.ends())
        asked = {"epoch": self._epoch, "ends": self._noted_ends()}
        if self._connected().execute(_SQL["beat"], asked).fetchone() is None:
            raise _fenced()
        self._seen = time.monotonic()
        if self.notification - self._pruned > _PRUNE_EVERY:
            self._connected().execute(_SQL["prune"], {"notification": self.notification})
            self._pruned = self.notification

    def lag(self) -> int:
        """How many events are not on the log yet."""
        found = relay_status(self._connected())
        return 0 if found is None else found.lag

    def leave(self) -> None:
        """Give the relay back, if it is ours."""
        if self._connection is not None and not self._connection.closed:
            self._connection.execute(_SQL["leave"], {"epoch": self._epoch})

    def drop(self) -> None:
        """Let go of the connection; the next `take` makes another. Harmless when repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self.holder = uuid.uuid4()  # a new one: the server may not know yet that our last session ended
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=5,
                application_name=f"storyline relay {self.holder.hex}",
                # What a crash of Postgres forgets of our notes is found on the log again.
                options="-c statement_timeout=30s -c synchronous_commit=off",
            )
            connection.execute(_SQL["lock_session"], {"session_key": int(self.holder.hex[:15], 16)})
            self._connection = connection
        return self._connection

    def _adopt(self, log_id: str) -> dict[str, int]:
        if not self._followed(log_id):
            raise Misconfigured(
                f"The relay took what it had to the log {log_id}, and LOG_URL names another, {self._log.log_id}. Set "
                "LOG_URL to that one; `storyline log move` is the way to another log."
            )
        asked = {"log_id": self._log.log_id, "epoch": self._epoch}
        self._connected().execute(_SQL["adopt"], asked)
        return {}

    def _look(self, start: Mapping[int, int]) -> None:
        """What the log got since the noted ends: ours that nobody noted, and what our store does not know."""
        if isinstance(self._log, Settling):
            self._log.settle()  # the commit of whoever was killed may be under way still
        ends = self._log.ends()
        self._there, lost = {}, 0
        for found in natives(self._log, start, ends, self._hasher, self._keep):
            known = self._known(found)
            lost += len(found) - len(known)
            for notification, position in known.items():
                if notification > self.notification:
                    self._there.setdefault(notification, position)
        if lost:
            raise LogDamaged(
                f"The log holds {lost:,} events that the event store does not have, or has otherwise: the store was "
                "restored to an earlier point. `storyline relay repair` copies them back; see docs/relay.md."
            )
        self._ends, self._floor = dict(ends), dict(start)
        self.beat()

    def _keep(self) -> None:
        """A long look must not lose us the relay."""
        if time.monotonic() - self._seen > self.lease / 5:
            if self._connected().execute(_SQL["keep"], {"epoch": self._epoch}).fetchone() is None:
                raise _fenced()
            self._seen = time.monotonic()

    def _noted_ends(self) -> Jsonb:
        """From where on the next one has to look: from where we did, until all that was found there is noted; he
        would not find it again."""
        ends = self._floor if self._there else self._ends
        return Jsonb({str(partition): offset for partition, offset in ends.items()})

    def _known(self, found: Sequence[Native]) -> dict[int, Position]:
        """{notification: position} of those that the store has, just so."""
        asked = {"ids": [one.id for one in found], "versions": [one.version for one in found]}
        rows = self._connected().execute(_SQL["known"], asked).fetchall() if found else []
        there = [(found[place - 1], notification, bytes(state)) for place, notification, state in rows]
        return {notification: one.position for one, notification, state in there if same(one.value, state)}

    def _append(self, rows: Sequence[Any]) -> None:
        stamped = stamp(self._clock()).encode("ascii")
        placed: dict[int, Position] = {}
        entries, ours = [], []
        for notification, state, partition, offset in rows:
            if partition is not None:
                placed[notification] = Position(partition, offset)
            elif notification in self._there:
                placed[notification] = self._there.pop(notification)
            else:
                entries.append(entry_of(bytes(state), stamped))
                ours.append(notification)
        positions = self._log.append(entries) if entries else []
        placed.update(zip(ours, positions, strict=True))
        for partition, offset in positions:
            self._ends[partition] = max(self._ends.get(partition, 0), offset + 1)
        self._note(rows[-1][0], placed)

    def _note(self, notification: int, placed: Mapping[int, Position]) -> None:
        asked = {
            "epoch": self._epoch,
            "before": self.notification,
            "notification": notification,
            "ends": self._noted_ends(),
            "notifications": list(placed),
            "partitions": [position.partition for position in placed.values()],
            "offsets": [position.offset for position in placed.values()],
        }
        if self._connected().execute(_SQL["note"], asked).fetchone() != (1,):
            raise _fenced()
        self.notification, self._seen = notification, time.monotonic()


def _fenced() -> Fenced:
    return Fenced("Another instance took over the relay; this one stands by.")
