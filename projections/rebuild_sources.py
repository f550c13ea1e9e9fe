"""Out of what is a build filled: the log, or the timeline? Both fill the tables, bring them on to where live stands,
and can be held against live at one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString, Protocol

import psycopg
from psycopg import sql

from domain.errors import Unavailable
from eventlog.port import Log
from eventlog.sql import load
from projections import rebuild_state as state
from projections.deriving import Reading
from projections.positions import Positions
from projections.rebuild_parts import connect, now_of
from projections.refilling import Refill
from projections.registry import NEXT, Hashes, all_hashes, snapshot, use
from projections.runner import Park, Runner
from projections.segments.filling import bring_to

__all__ = ["Around", "FromLog", "FromTimeline", "Source"]

_SQL: Final = load("projections", "rebuild.sql")
_NEAR: Final = 2000
"""Events that live may have ahead when it is held still: they are brought in within a moment."""
_ROUNDS: Final = 50


@dataclass(frozen=True, slots=True)
class Around:
    """What a source stands on."""

    dsn: str
    log_url: str
    log: Log
    park: Park
    reading: Reading
    batch: int

    @property
    def live(self) -> Positions:
        """Positions of the live tables."""
        return Positions("live", self.log.log_id)


class Source(Protocol):
    """What fills a build."""

    def near(self, connection: psycopg.Connection) -> None:
        """Bring the tables on until little is left."""

    def compare(self) -> tuple[Hashes, Hashes]:
        """The hashes of live and of the build at one moment of live."""

    def last(self, until: Mapping[int, int]) -> None:
        """Bring the tables to where live is held."""

    def mend(self) -> None:
        """Make anew as a whole what may have missed something that came meanwhile."""

    def close(self) -> None:
        """Let go of all that is held."""


class FromLog:
    """All read models, once they are filled, by the runner that live runs."""

    def __init__(self, around: Around) -> None:
        self._around = around
        log = around.log
        self._runner = Runner(
            around.dsn, around.log_url, log.log_id, log.partitions, around.park, around.reading,
            consumer=state.CONSUMER, suffix=NEXT, batch=around.batch,
        )  # fmt: skip

    def rows(self, until: Mapping[int, int]) -> None:
        """Apply the log, from where the tables stand."""
        self._runner.run_to(dict(until))

    def near(self, connection: psycopg.Connection) -> None:
        """Apply what came meanwhile."""
        for _ in range(_ROUNDS):
            until = self._around.live.read(connection)
            if sum(until.values()) - sum(self._runner.cursor.values()) <= _NEAR and self._runner.cursor:
                return
            self.rows(until)

    def compare(self) -> tuple[Hashes, Hashes]:
        """Bring the new tables exactly to a moment of the live ones."""
        facing = self._around.reading.facing
        with connect(self._around.dsn) as connection:
            moment = now_of(connection)
            bring_to(connection, facing, "", moment)
            with snapshot(connection):
                until = self._around.live.read(connection)
                expected = all_hashes(connection)
            self.rows(until)
            if self._runner.cursor != until:
                raise Unavailable("The rebuild stands behind the live tables; start it again.")
            bring_to(connection, facing, NEXT, moment)
            return expected, all_hashes(connection, NEXT)

    def last(self, until: Mapping[int, int]) -> None:
        """Apply the last few events."""
        self.rows(until)
        with connect(self._around.dsn) as connection:
            bring_to(connection, self._around.reading.facing, NEXT, now_of(connection))

    def mend(self) -> None:
        """The runner misses nothing."""

    def close(self) -> None:
        """Stop the reader's process."""
        self._runner.close()


class FromTimeline:
    """Some read models, out of the live timeline. stood: up to where their tables hold what live holds."""

    def __init__(
        self, around: Around, models: Sequence[str], stood: Mapping[int, int], suffix: LiteralString = NEXT
    ) -> None:
        self._around, self._models, self._stood, self._suffix = around, tuple(models), dict(stood), suffix
        self._refill = Refill(models, around.reading)
        self._connection = connect(around.dsn)

    def near(self, connection: psycopg.Connection) -> None:
        """Bring in what came meanwhile."""
        for _ in range(_ROUNDS):
            until = self._around.live.read(connection)
            if sum(until.values()) - sum(self._stood.values()) <= _NEAR:
                return
            self.bring(until)

    def bring(self, until: Mapping[int, int]) -> None:
        """Bring in what came before these positions, a batch at a time."""
        for partition, end in until.items():
            while self._stood.get(partition, 0) < end:
                reached = min(end, self._stood.get(partition, 0) + self._around.batch)
                with self._bringing() as cursor:
                    self._bring(cursor, self._stood | {partition: reached})

    def compare(self) -> tuple[Hashes, Hashes]:
        """Bring the tables to a moment that another session holds, and count both at once."""
        with ThreadPoolExecutor(1) as beside, connect(self._around.dsn) as moment:
            facing, at = self._around.reading.facing, now_of(moment)
            if "segments" in self._models:
                bring_to(moment, facing, "", at)
            self._connection.execute(_SQL["hold_erasures"])
            try:
                moment.execute(_SQL["begin_moment"])
                until = self._around.live.read(moment)
                [[seen]] = moment.execute(_SQL["export_snapshot"]).fetchall()
                with self._bringing(seen) as cursor:
                    self._bring(cursor, until)
                    self._bring_members(at)
            finally:
                self._connection.execute(_SQL["let_erasures"])
            expected = beside.submit(all_hashes, moment, "", False, self._models)
            found = all_hashes(self._connection, self._suffix, False, self._models)
            return expected.result(), found

    def last(self, until: Mapping[int, int]) -> None:
        """Bring in the last few events."""
        with self._bringing() as cursor:
            self._bring(cursor, until)
            self._bring_members(now_of(self._connection))

    def mend(self) -> None:
        """Sums, and which trades count."""
        if "customers" in self._models:
            with self._bringing() as cursor:
                self._refill.contacts_again(cursor)
                self._refill.orders(cursor)
                self._refill.trade_sums_again(cursor)

    def close(self) -> None:
        """Let go of the connection and the key store."""
        self._connection.close()
        self._refill.close()

    @contextmanager
    def _bringing(self, seen: str | None = None) -> Iterator[psycopg.Cursor[object]]:
        """A transaction on the tables that are filled. seen: the moment that it sees of all others."""
        try:
            with self._connection.transaction(), self._connection.cursor(binary=True) as cursor:
                if seen is not None:
                    cursor.execute(_SQL["repeatable"])
                    cursor.execute(sql.SQL(_SQL["import_snapshot"]).format(sql.Literal(seen)))
                use(cursor, self._suffix, self._models)
                yield cursor
        except psycopg.OperationalError as error:
            raise Unavailable(
                f"Postgres does not answer, or refused ({type(error).__name__}). Nothing was switched; run this "
                "again, it goes on."
            ) from None

    def _bring_members(self, at: datetime) -> None:
        if "segments" in self._models:
            bring_to(self._connection, self._around.reading.facing, self._suffix, at, self._models)

    def _bring(self, cursor: psycopg.Cursor[object], until: Mapping[int, int]) -> None:
        self._refill.window(cursor, self._stood, until)
        state.reached(self._connection, until)
        self._stood = dict(until)
