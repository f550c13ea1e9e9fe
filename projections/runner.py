"""How does a batch become rows? One transaction: move the positions by compare-and-set, apply it to the read models,
park what cannot be applied. The live projector and a rebuild run the same code.

The positions move first, not last: so the transaction holds them, and a rebuild that switches in between batches
knows that every batch before it is in the old tables and every batch after it goes into the new ones.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg

from domain.errors import Unavailable
from eventlog.sql import load
from projections.anchors import Anchor
from projections.connecting import ENDING_WITH_US, KEEPALIVE
from projections.deriving import Deriver, Reading
from projections.directory.model import CREATE_STAGING
from projections.family import Family, GoAloneError, Lost
from projections.fetching import Fetcher, Span
from projections.leases import Held
from projections.opening import Opener
from projections.positions import Positions
from projections.registry import use
from projections.rows import Batch
from projections.segments.keeping import Keeper

__all__ = ["Applied", "Park", "Parked", "Runner"]

_STAGING = load("projections", "staging.sql")
_RETRIED = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.UniqueViolation,  # another projector brought the same new name a moment before; now it is known
)


class Parked(NamedTuple):
    """What could not be applied: `reason` is a code (`poison`, `name-clash`), `detail` a sentence."""

    reason: str
    detail: str
    log_partition: int
    log_offset: int
    key: bytes
    value: bytes
    type: str | None = None


Park = Callable[[psycopg.Connection, Sequence[Parked]], None]
"""Park within the transaction that is open on the connection; the same trouble twice is parked once."""


class Applied(NamedTuple):
    """What one transaction did. `seconds`: how long it took; `newest`: the latest recorded_at in it (epoch);
    `unopened`: events whose key is unknown; `afresh`: the reader took identifiers of it for known that are not, so
    that its decoder must not be used again."""

    events: int
    parked: int
    clashes: int
    seconds: float
    newest: float
    unopened: int = 0
    afresh: bool = False


@dataclass
class Runner:
    """Applies a log to read models. Belongs to one thread.

    consumer: whose positions move. suffix: of the schemas that are written (`_next` in a rebuild). batch: most
    events in a transaction. session: what its session is called in Postgres. too_slow: it ended with a batch that was
    cancelled, so that a smaller one has to be tried. clock: by which segments are kept; None for the database's.
    """

    dsn: str
    log_url: str
    log_id: str
    partitions: int
    park: Park
    reading: Reading
    consumer: str = "live"
    suffix: LiteralString = ""
    batch: int = 10_000
    session: str = "storyline"
    clock: Callable[[], datetime] | None = None
    positions: Positions = field(init=False)
    cursor: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = Positions(self.consumer, self.log_id)
        self._fetcher = Fetcher(self.log_url, self.batch, self.reading)
        self._opener: Opener | None = None
        self._family: Family | None = None
        self._connection: psycopg.Connection | None = None
        self._until: dict[int, int] | None = None
        self._interrupted = False
        self.too_slow = False

    @property
    def connection(self) -> psycopg.Connection:
        """The connection that it works on, opened when it is needed."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self.dsn,
                autocommit=True,
                connect_timeout=5,
                application_name=self.session,
                options="-c statement_timeout=120s -c lock_timeout=30s -c idle_in_transaction_session_timeout=60s "
                f"-c work_mem=64MB -c temp_buffers=64MB -c jit=off -c client_min_messages=warning {ENDING_WITH_US}",
                **KEEPALIVE,
            )
            self._connection.execute(_STAGING["create"])
            self._connection.execute(CREATE_STAGING)
        return self._connection

    def prepare(self) -> None:
        """Start the reader's process before there is something to read."""
        self._fetcher.prepare()

    def hold(self, held: Sequence[Held], anchors: bool = False) -> None:
        """Work on these partitions from now on. `anchors`: look after all of them, not only after new ones."""
        known = {} if anchors else self.positions.epochs
        new = {one.partition for one in held if known.get(one.partition) != one.epoch}
        self.positions.epochs = {one.partition: one.epoch for one in held}
        self.positions.anchors = {one.partition: one.anchor for one in held if one.anchor is not None}
        self.cursor = {one.partition: one.offset for one in held}
        expected = {part: anchor for part, anchor in self.positions.anchors.items() if part in new}
        self._fetcher.seek(Span(dict(self.cursor), None, expected) if held else None)

    def take(self) -> None:
        """Take all partitions under a new epoch; `cursor` says from where to go on."""
        try:
            self.cursor = self.positions.take(self.connection, range(self.partitions))
        except psycopg.OperationalError as error:
            self.drop_connection()
            raise Unavailable(f"Postgres does not answer ({type(error).__name__}).") from None

    def start(self, until: dict[int, int] | None = None) -> None:
        """Take the partitions and read on from where they stand, up to `until` if given."""
        self._until = until
        self.take()
        self._fetcher.seek(Span(dict(self.cursor), until, dict(self.positions.anchors)))

    def step(self, timeout: float = 0.5) -> Applied | None:
        """Apply the next batch; None when none came in time. Fenced when another process took over.

        Raises Unavailable when Postgres or the log does not answer; `start` goes on after either.
        """
        batch = self._fetcher.next(timeout)
        if batch is None or not batch.cursor:
            return None
        applied = self.apply(batch)
        if applied.afresh:
            self._fetcher.seek(Span(dict(self.cursor), self._until))
        return applied

    def run_to(self, until: dict[int, int], told: Callable[[Applied], None] = lambda applied: None) -> None:
        """Apply everything before `until`, exactly."""
        self.start(until)
        while any(self.cursor.get(part, 0) < end for part, end in until.items()):
            applied = self.step()
            if applied is not None:
                told(applied)

    def apply(self, batch: Batch) -> Applied:
        """Apply one batch, with its positions. Where `afresh` is said, its decoder must not be used again."""
        alone = False
        for attempt in range(5):
            try:
                return self._transaction(batch, alone)
            except GoAloneError:
                alone = True
            except _RETRIED as error:
                cancelled = isinstance(error, psycopg.errors.QueryCanceled)
                self.too_slow = cancelled and (self._interrupted or attempt > 0)
                if self.too_slow:
                    raise Unavailable(f"A batch of {batch.size} records took too long and was cancelled.") from None
                if attempt == 4:
                    raise Unavailable(f"Postgres refused a batch five times ({type(error).__name__}).") from None
                time.sleep(0.05 * 2**attempt)
            except psycopg.OperationalError as error:
                self.drop_connection()
                raise Unavailable(f"Postgres does not answer ({type(error).__name__}).") from None
        raise Unavailable("Postgres refused a batch.")

    @property
    def family(self) -> Family:
        """What applies batches; opened when it is needed."""
        if self._family is None:
            self._opener = Opener(self.reading.keys)
            keeper = Keeper(self.reading.facing, self.suffix, self.clock)
            self._family = Family(Deriver(self.reading.catalogue(), self._opener), self.suffix, keeper)
        return self._family

    def _transaction(self, batch: Batch, alone: bool = False) -> Applied:
        began = time.perf_counter()
        connection = self.connection
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            self.positions.move(connection, batch.start, batch.cursor, batch.anchors)
            parked = [
                Parked("poison", f"The record cannot be read: {one.trouble}.", *one[:4]) for one in batch.poison
            ]
            use(cursor, self.suffix)
            lost = self.family.apply(cursor, batch, alone)
            parked += [_clash(one) for one in lost]
            if parked:
                self.park(connection, parked)
        self.cursor |= batch.cursor
        self.positions.anchors |= batch.anchors
        afresh = bool(lost) or self.family.mistaken
        seconds = time.perf_counter() - began
        return Applied(batch.size, len(parked), len(lost), seconds, batch.newest, batch.unopened, afresh)

    @property
    def anchors(self) -> dict[int, Anchor]:
        """What was applied last in each partition."""
        return dict(self.positions.anchors)

    def interrupt(self) -> None:
        """From another thread, when nothing moves: end the reader and the query, so that `step` raises."""
        self._interrupted = True
        self._fetcher.kill()
        connection = self._connection
        if connection is not None and not connection.closed:
            with contextlib.suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)

    def drop_connection(self) -> None:
        """Close a connection that is in doubt; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Stop the reader's process and close the connection."""
        self._fetcher.close()
        self.drop_connection()
        if self._opener is not None:
            self._opener.close()
            self._opener = self._family = None


def _clash(one: Lost) -> Parked:
    detail = "Its name is taken by an event with other content; the first one accepted stays."
    return Parked("name-clash", detail, one.log_partition, one.log_offset, b"", one.value, one.type)
