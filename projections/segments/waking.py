"""What is found out when no event comes? Of customers whose moment has come, what time alone changed; and of those
whom somebody called for: who was put on a list, or whose profile was erased.

A moment is computed when a customer is looked at, and written into their row of `subjects`; only rows whose moment
has come are read. Any number may look at once: each takes rows that nobody holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.errors import QueryCanceled

from eventlog.sql import load
from projections.registry import NEXT, on_schemas, use
from projections.segments.compiling import Facing
from projections.segments.definitions import Defined, Definitions, kept_by
from projections.segments.evaluating import Change, Moment, Told, evaluate, evaluate_lists, patient, told_at
from projections.segments.keeping import note

__all__ = ["BATCHES", "Waker", "beside", "look_at", "told_of"]

_SQL: Final = load("projections.segments", "waking.sql")
_FORGET: Final = load("projections.segments", "evaluating.sql")
BATCHES: Final = 7053081012
"""The advisory lock that batches of the build that serves share (`family.py`)."""
_AT_ONCE: Final = 1000
_CALLS: Final = 5000
_logger = structlog.get_logger("storyline.segments")
_Cursor = psycopg.Cursor[Any]


@contextmanager
def beside(connection: psycopg.Connection, *, alone: bool = False) -> Iterator[_Cursor]:
    """A transaction on the build that serves, beside its batches: none is switched in meanwhile. alone: no batch is
    under way."""
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        cursor.execute(_SQL["hold_builds"])
        cursor.execute(_SQL["alone" if alone else "beside_batches"], {"key": BATCHES})
        use(cursor)
        yield cursor


@dataclass
class Waker:
    """Looks at those whose moment has come. For one thread. clock: None for the database's."""

    facing: Facing
    clock: Moment | None = None
    changes: dict[tuple[str, bool], int] = field(default_factory=dict)
    """How many entered (True) and left each segment, for whoever measures."""
    _most: int = field(init=False, default=_AT_ONCE)
    _definitions: Definitions = field(init=False)

    def __post_init__(self) -> None:
        self._definitions = Definitions(self.facing)

    def look(self, connection: psycopg.Connection, limit: int = _AT_ONCE) -> int:
        """Look at the next ones; gives how many these were, 0 where nobody's moment has come. Where that takes too
        long fewer are looked at next; one who takes too long by themselves is put off for an hour."""
        try:
            found = self._look(connection, min(limit, self._most))
        except QueryCanceled:
            if self._most == 1:
                self._put_off(connection)
            self._most = max(1, self._most // 10)
            return 1
        self._most = min(10 * self._most, _AT_ONCE)
        return found

    def _put_off(self, connection: psycopg.Connection) -> None:
        with beside(connection) as cursor:
            cursor.execute(_SQL["put_off"], {"now": told_at(cursor, self.clock)})
        _logger.error("segments.too_slow", detail="a customer is looked at again in an hour")

    def _look(self, connection: psycopg.Connection, limit: int) -> int:
        with beside(connection) as cursor:
            defined = self._definitions.now(cursor)
            if defined is None or kept_by(cursor) is None:
                return 0
            now = told_at(cursor, self.clock)
            due: dict[UUID, str | None] = dict(cursor.execute(_SQL["due"], {"now": now, "limit": limit}).fetchall())
            if due:
                changes = look_at(cursor, self._definitions, defined, list(due), now)
                note(cursor, told_of(changes, defined, due), now, self.changes)
        return len(due)

    def take_calls(self, connection: psycopg.Connection) -> int:
        """Wake those whom somebody called for; gives how many calls these were."""
        with connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute(_SQL["hold_builds"])
            calls = cursor.execute(_SQL["called"], {"limit": _CALLS}).fetchall()
            for why in sorted({why for _, _, why in calls}):
                use(cursor)
                asked = {
                    "nodes": [node for node, _, its in calls if its == why and node is not None],
                    "evidences": [evidence for _, evidence, its in calls if its == why and evidence is not None],
                }
                customers = [row[0] for row in cursor.execute(_SQL["customers_of"], asked)]
                _wake(cursor, customers, why)
        return len(calls)

    def waiting(self, connection: psycopg.Connection) -> int:
        """How many customers' moment has come, and who were not looked at yet."""
        with connection.transaction(), connection.cursor() as cursor:
            use(cursor)
            [[number]] = cursor.execute(_SQL["waiting"], {"now": told_at(cursor, self.clock)}).fetchall()
        return int(number)


def _wake(cursor: _Cursor, customers: list[UUID], why: str) -> None:
    """In the build that serves, and in one that is being made beside it."""
    schemas: tuple[LiteralString, ...] = ("segments", "segments" + NEXT)
    for schema in schemas:
        if customers and cursor.execute(_SQL["has_build"], {"table": f"{schema}.subjects"}).fetchone() == (True,):
            cursor.execute(on_schemas("search_path_of", schema))
            cursor.execute(_SQL["wake"], {"customers": customers, "why": why})


def look_at(
    cursor: _Cursor, definitions: Definitions, defined: Defined, customers: list[UUID], now: datetime
) -> list[Change]:
    """Find out anew all that is known of customers whom the caller holds, and when to look again."""
    gone = [row[0] for row in cursor.execute(_SQL["nobody"], {"customers": customers})]
    found: list[Change] = []
    if gone:
        found += [Change(*row) for row in cursor.execute(_FORGET["forget"], {"customers": gone})]
        cursor.execute(_FORGET["forget_subjects"], {"customers": gone})
        customers = [one for one in customers if one not in set(gone)]
    found += evaluate_lists(cursor, defined.lists, customers)
    with patient(cursor):
        found += evaluate(cursor, definitions, defined, customers, now, exact=True)
    cursor.execute(_SQL["calm"], {"customers": customers, "now": now})
    return found


def told_of(
    changes: Sequence[Change], defined: Defined, due: Mapping[UUID, str | None], announced: bool = True
) -> list[Told]:
    """Changes of versions that count, as they are kept. due: why each customer was looked at, if not for time."""
    told = []
    for one in changes:
        version = one.segment, one.version
        if version in defined.serving:
            rule = defined.hashes.get(version)
            reason = msgspec.json.encode({"rule": rule} if rule else {}).decode()
            announce = announced and defined.announced.get(one.segment, False)
            told.append(Told(one, due.get(one.customer) or "time", reason, announce))
    return told
