"""How does a new rule come to serve? Beside the one before: everybody is found out about, in chunks, while batches
keep both right; when it is complete it takes the other's place in one transaction.

Killed anywhere, the next goes on behind the last chunk that was committed. What memberships of other rules are left
over, and of segments that were archived, is taken away in chunks, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog

from eventlog.sql import load
from projections import touching
from projections.segments.compiling import Facing
from projections.segments.definitions import Definitions, facing_hash, kept_by
from projections.segments.evaluating import BROKEN, Moment, ask, told_at
from projections.segments.filling import fill, reconcile_history
from projections.segments.waking import beside

__all__ = ["Backfiller"]

_SQL: Final = load("projections.segments", "backfilling.sql")
_FILLING: Final = load("projections.segments", "filling.sql")
_WAKING: Final = load("projections.segments", "waking.sql")
_DEFINED: Final = load("projections.segments", "definitions.sql")
_FIRST: Final = UUID(int=0)
_FEWEST, _MOST = 50, 5000
_LONG: Final = 0.25
"""Seconds after which a chunk was too large: batches wait for those whom it holds."""
_SWEPT: Final = 10_000
_Cursor = psycopg.Cursor[Any]
_logger = structlog.get_logger("storyline.segments")


@dataclass
class Backfiller:
    """Fills, switches and sweeps; of several instances one at a time. For one thread. caught_up: have the read models
    all that is on the log? Asked where a live build was made from nothing. clock: None for the database's."""

    facing: Facing
    clock: Moment | None = None
    caught_up: Callable[[], bool] = lambda: True
    chunk: int = 500
    _definitions: Definitions = field(init=False)
    _swept: int = field(init=False, default=-1)
    _faced: int = field(init=False, default=-1)
    _noted: UUID = field(init=False, default=_FIRST)
    _woken: UUID = field(init=False, default=_FIRST)

    def __post_init__(self) -> None:
        self._definitions = Definitions(self.facing)

    def step(self, connection: psycopg.Connection) -> bool:
        """Do one piece of it, on an autocommit connection. False where there is nothing to do, or another does it."""
        with _alone(connection) as ours:
            if not ours or not self._whole(connection):
                return False
            return (
                self._sweep(connection) or self._note(connection) or self._face(connection) or self._fill(connection)
            )

    def run(self, connection: psycopg.Connection) -> None:
        """Do all of it."""
        while self.step(connection):
            pass

    def _whole(self, connection: psycopg.Connection) -> bool:
        """Was the build that serves found out once as a whole? If not, do it where it can be done."""
        with beside(connection) as cursor:
            if kept_by(cursor) is not None:
                return True
            self._definitions.now(cursor)
            if cursor.execute(_SQL["any_history"]).fetchone() != (True,):
                cursor.execute(_DEFINED["note_kept"], {"generation": self._definitions.generation})
                return True
            now = told_at(cursor, self.clock)
        if not self.caught_up():
            return False
        _logger.info("segments.made_from_nothing")
        fill(connection, self.facing, "", now)
        reconcile_history(connection, now)
        return True

    def _note(self, connection: psycopg.Connection) -> bool:
        """Make everybody a subject, a chunk at a time, since while there was no segment nobody became one."""
        with beside(connection) as cursor:
            defined = self._definitions.now(cursor)
            noted = cursor.execute(_DEFINED["noted"]).fetchone() == (True,)
            if noted == (defined is not None):
                return False
            last = None
            if defined is not None:
                [[last]] = cursor.execute(_SQL["note_all"], {"after": self._noted, "limit": _SWEPT}).fetchall()
            self._noted = last or _FIRST
            if last is None:
                cursor.execute(_DEFINED["note_noted"], {"noted": defined is not None})
        return last is not None

    def _fill(self, connection: psycopg.Connection) -> bool:
        """The next chunk of the next rule that is to serve, or its switch."""
        row = connection.execute(_SQL["filling"]).fetchone()
        if row is None:
            return False
        segment, version, filled_to = row
        name = {"segment": segment, "version": version}
        if filled_to is None:
            # Batches that began before they could know of this rule are committed then; all later ones follow it.
            with beside(connection, alone=True) as cursor:
                cursor.execute(_SQL["filled_to"], {**name, "customer": _FIRST})
            return True
        began = time.monotonic()
        try:
            more = self._chunk(connection, segment, version, filled_to)
        except BROKEN as error:
            self._fail(connection, name, type(error).__name__)
            return True
        self.chunk = max(self.chunk // 2, _FEWEST) if time.monotonic() - began > _LONG else min(2 * self.chunk, _MOST)
        if not more:
            self._switch(connection, name)
        return True

    def _chunk(self, connection: psycopg.Connection, segment: str, version: int, after: UUID) -> bool:
        """Find out about the next customers; False where there are none."""
        with beside(connection) as cursor:
            defined = self._definitions.now(cursor)
            program = None if defined is None else defined.only(segment, version)
            if program is None:
                raise psycopg.ProgrammingError("the rule cannot be read")
            rows = cursor.execute(_FILLING["next"], {"after": after, "limit": self.chunk}).fetchall()
            customers = [row[0] for row in rows]
            if customers:
                touching.hold(cursor, (), customers)
                ask(cursor, program, customers, told_at(cursor, self.clock), False)
                name = {"segment": segment, "version": version}
                cursor.execute(_SQL["filled_to"], {**name, "customer": customers[-1]})
        return bool(customers)

    def _switch(self, connection: psycopg.Connection, name: dict[str, Any]) -> None:
        """Let a rule that is complete serve: no batch is under way, so that between two of them one rule takes the
        other's place."""
        with beside(connection, alone=True) as cursor:
            cursor.execute(_SQL["hold_state"])
            row = cursor.execute(_SQL["still_filling"], name).fetchone()
            if row is None:
                return
            now = told_at(cursor, self.clock)
            asked = {**name, "serving": row[0], "now": now}
            changed = [customer for customer, _ in cursor.execute(_SQL["tell_rule"], asked).fetchall()]
            for statement in ("serve", "serve_version", "retire"):
                cursor.execute(_SQL[statement], name)
            self._wake_others(cursor, name["segment"], changed)
        _logger.info("segments.serves", changed=len(changed), **name)

    def _wake_others(self, cursor: _Cursor, segment: str, customers: list[UUID]) -> None:
        """Whoever entered or left has to be asked again where another rule names the segment."""
        if customers and cursor.execute(_SQL["named"], {"segment": segment}).fetchone() == (True,):
            cursor.execute(_WAKING["wake"], {"customers": customers, "why": "segment"})

    def _fail(self, connection: psycopg.Connection, name: dict[str, Any], kind: str) -> None:
        with connection.transaction():
            connection.execute(_SQL["hold_state"])
            for statement in ("fail", "fill_no_more"):
                connection.execute(_SQL[statement], name)
        _logger.error("segments.failed", kind=kind, **name)

    def _sweep(self, connection: psycopg.Connection) -> bool:
        """Take a chunk of what is left over away, whenever definitions changed."""
        with beside(connection) as cursor:
            self._definitions.now(cursor)
            generation = self._definitions.generation
        if generation == self._swept:
            return False
        with beside(connection, alone=True):
            pass  # batches that go by definitions before are committed then
        with beside(connection) as cursor:
            rows = cursor.execute(_SQL["kept_versions"]).fetchall()
        for segment, version, tell in rows:
            self._take_away(connection, {"segment": segment, "version": version, "tell": tell, "limit": _SWEPT})
        self._swept = generation
        return bool(rows)

    def _take_away(self, connection: psycopg.Connection, asked: dict[str, Any]) -> None:
        while True:
            with beside(connection) as cursor:
                now = told_at(cursor, self.clock)
                gone = [row[0] for row in cursor.execute(_SQL["sweep"], {**asked, "now": now})]
                self._wake_others(cursor, asked["segment"], gone if asked["tell"] else [])
                if not gone:
                    cursor.execute(_SQL["retire_archived"], asked)
                    return

    def _face(self, connection: psycopg.Connection) -> bool:
        """Wake everybody, a chunk at a time, where rules are asked by another configuration than the last time."""
        if self._faced == self._definitions.generation:
            return False
        ours = facing_hash(self.facing)
        [[theirs]] = connection.execute(_SQL["facing"]).fetchall()
        if theirs is not None and theirs != ours:
            with beside(connection) as cursor:
                asked = {"after": self._woken, "limit": _SWEPT, "why": "configuration"}
                [[last]] = cursor.execute(_WAKING["wake_all"], asked).fetchall()
            self._woken = last or _FIRST
            if last is not None:
                return True
        if theirs != ours:
            connection.execute(_SQL["note_facing"], {"facing": ours})
        self._faced = self._definitions.generation
        return False


@contextmanager
def _alone(connection: psycopg.Connection) -> Iterator[bool]:
    """Whether it is us who fill."""
    ours = connection.execute(_SQL["try_alone"]).fetchone() == (True,)
    try:
        yield ours
    finally:
        if ours and not connection.closed:
            connection.execute(_SQL["not_alone"])
