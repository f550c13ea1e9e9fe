"""Who is in which segment at a moment? Asked in Postgres, of many customers and all rules at once; only what differs
from the memberships is written, and given.

A rule that Postgres cannot answer for somebody (a number too large for its type, say) must hold up neither the log
nor the other rules: it is put aside until definitions change, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import structlog
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

from eventlog.sql import load
from projections.columns import array_of
from projections.segments.compiling import Asked, Program
from projections.segments.definitions import Defined, Definitions, Version

__all__ = ["BROKEN", "Change", "Moment", "Told", "ask", "evaluate", "evaluate_lists", "patient", "record", "told_at"]

_SQL: Final = load("projections.segments", "evaluating.sql")
_logger = structlog.get_logger("storyline.segments")
_Cursor = psycopg.Cursor[Any]
BROKEN: Final = (psycopg.DataError, psycopg.ProgrammingError, errors.ProgramLimitExceeded, errors.StatementTooComplex)
"""What Postgres answers where a rule cannot be asked, whenever it is tried."""
_PATIENT: Final = (
    "statement_timeout",
    "enable_bitmapscan",
    "enable_seqscan",
    "enable_memoize",
    "jit",
    "plan_cache_mode",
)
"""Settings that are others while rules are asked."""
Moment = Callable[[], datetime]


class Change(NamedTuple):
    """A customer entered a segment by a version of its rule, or left it."""

    segment: str
    version: int
    customer: UUID
    entered: bool


class Told(NamedTuple):
    """A change as it is kept. because: a code. reason: more of it, in JSON."""

    change: Change
    because: str
    reason: str
    announce: bool


def told_at(cursor: _Cursor, clock: Moment | None, newest: float = 0.0) -> datetime:
    """The present moment, by one clock for all processes: that of the database, unless `clock` is given. newest: when
    the latest event at hand was recorded, epoch seconds; by another machine's clock that may be a little later, and
    what happened is no future."""
    if clock is not None:
        return clock()
    now: datetime
    [[now]] = cursor.execute(_SQL["now"]).fetchall()
    return max(now, datetime.fromtimestamp(newest, now.tzinfo))


def evaluate(
    cursor: _Cursor,
    definitions: Definitions,
    defined: Defined,
    customers: Sequence[UUID],
    now: datetime,
    exact: bool,
    asked: Sequence[Asked] = (),
) -> list[Change]:
    """Bring the memberships of these customers, whom the caller holds, to what the rules say at `now`. Within
    `patient`.

    asked: which rules each of them is asked, all where it is empty. exact: when to look again is set to what comes
    out; else only brought forward. Raises QueryCanceled where that takes too long; the transaction can be gone on
    with.
    """
    if not customers or defined.program is None:
        return []
    try:
        with cursor.connection.transaction():
            return ask(cursor, defined.program, customers, now, exact, asked)
    except BROKEN as error:
        _logger.warning("segments.whole_broken", kind=type(error).__name__)
        rest = definitions.put_aside(_broken(cursor, defined, customers, now))
    if rest is None or rest.program is None:
        return []
    with cursor.connection.transaction():
        return ask(cursor, rest.program, customers, now, exact)


@contextmanager
def patient(cursor: _Cursor) -> Iterator[None]:
    """Within it a statement may take as long as rules may, and is planned as they are to be."""
    cursor.execute(_SQL["patience"])
    try:
        yield
    finally:
        if cursor.connection.info.transaction_status != TransactionStatus.INERROR:
            for name in _PATIENT:
                cursor.execute(sql.SQL(_SQL["as_before"]).format(sql.Identifier(name)))


def _broken(cursor: _Cursor, defined: Defined, customers: Sequence[UUID], now: datetime) -> set[Version]:
    """Which rules cannot be answered?"""
    found: set[Version] = set()
    for one in defined.rules:
        program = Program([one], defined.facing)
        try:
            with cursor.connection.transaction(force_rollback=True):
                ask(cursor, program, customers, now, False)
        except BROKEN as error:
            _logger.error("segments.broken", segment=one.code, version=one.version, kind=type(error).__name__)
            found.add((one.code, one.version))
    return found


def ask(
    cursor: _Cursor,
    program: Program,
    customers: Sequence[UUID],
    now: datetime,
    exact: bool,
    asked: Sequence[Asked] = (),
) -> list[Change]:
    """The same for one program, as it is."""
    given = {**program.parameters, "customers": array_of([one.hex for one in customers]), "now": now, "exact": exact}
    if asked:
        given["rules"] = array_of([one.rules or "NULL" for one in asked])
        given["reads"] = array_of([str(one.reads) for one in asked])
        given["shown"] = array_of([one.shown or "NULL" for one in asked])
        given["shown_at"] = array_of([str(one.shown_at) for one in asked])
    query, names = program.within(_SQL["keep"])
    raw = psycopg.RawCursor(cursor.connection)
    raw.execute(query, [given[name] for name in names], prepare=True, binary=True)
    return [Change(*row) for row in raw.fetchall()]


def evaluate_lists(cursor: _Cursor, lists: Sequence[str], customers: Collection[UUID]) -> list[Change]:
    """Bring the memberships of these customers to what lists say."""
    if not lists or not customers:
        return []
    asked = {"lists": list(lists), "customers": list(customers)}
    return [Change(*row) for row in cursor.execute(_SQL["keep_lists"], asked).fetchall()]


def record(cursor: _Cursor, told: Sequence[Told], at: datetime) -> None:
    """Keep who entered and left, in this order; what is to be announced is from now on."""
    if told:
        moment = at.isoformat()
        with cursor.copy(_SQL["record"]) as copy:
            copy.write("".join([_line(one, moment) for one in told]))


def _line(one: Told, moment: str) -> str:
    """A row as COPY reads it. No code holds a tab; JSON and codes hold no other character that it would take for its
    own but the backslash."""
    segment, version, customer, entered = one.change
    fields = (segment, version, customer.hex, moment, entered, one.because, one.reason, one.announce)
    return "\t".join(map(str, fields)).replace("\\", "\\\\") + "\n"
