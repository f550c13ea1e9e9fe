"""How are the memberships of a whole build found out? Customer by customer, in chunks, without telling anybody.

Of a build beside the one that serves, batches only wake whom they touch; so does a live build that starts over from
an empty database, until it was filled once. `fill` finds out about everybody, `bring_to` about those whom something
happened to since, and whose moment came: then two builds can be compared as of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections import touching
from projections.registry import use
from projections.segments.compiling import Facing
from projections.segments.definitions import Defined, Definitions, kept_by
from projections.segments.keeping import note
from projections.segments.waking import look_at, told_of

__all__ = ["bring_to", "fill", "reconcile", "reconcile_history"]

_SQL: Final = load("projections.segments", "filling.sql")
_DEFINED: Final = load("projections.segments", "definitions.sql")
_AT_ONCE: Final = 1000
_Cursor = psycopg.Cursor[Any]


def fill(
    connection: psycopg.Connection,
    facing: Facing,
    suffix: LiteralString,
    now: datetime,
    only: Collection[str] | None = None,
    told: Callable[[float], None] = lambda share: None,
) -> None:
    """Find out about all customers of a build as of `now`, and note that it is whole. connection: of its own, in
    autocommit mode; each chunk is a transaction. only: as `registry.use` has it. told: called with how much is done,
    0 to 1. Cut off anywhere it may be begun again."""
    definitions = Definitions(facing)
    while True:
        generation, after = -1, None
        while True:
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                use(cursor, suffix, only)
                defined = definitions.now(cursor)
                generation = definitions.generation if generation < 0 else generation
                last = _chunk(cursor, definitions, defined, after, now) if defined is not None else None
            if last is None:
                break
            after = last
            told(after.int / 2**128)
        if _end(connection, definitions, suffix, only, generation):
            return


def _chunk(
    cursor: _Cursor, definitions: Definitions, defined: Defined, after: UUID | None, now: datetime
) -> UUID | None:
    rows = cursor.execute(_SQL["next"], {"after": after, "limit": _AT_ONCE}).fetchall()
    if not rows:
        return None
    customers: list[UUID] = [row[0] for row in rows]
    touching.hold(cursor, (), customers)
    look_at(cursor, definitions, defined, customers, now)
    return customers[-1]


def _end(
    connection: psycopg.Connection,
    definitions: Definitions,
    suffix: LiteralString,
    only: Collection[str] | None,
    generation: int,
) -> bool:
    """Note that the build is whole, unless definitions changed meanwhile."""
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        use(cursor, suffix, only)
        defined = definitions.now(cursor)
        if definitions.generation != generation:
            return False
        versions = [] if defined is None else defined.versions
        asked = {"segments": [code for code, _ in versions], "versions": [version for _, version in versions]}
        cursor.execute(_SQL["astray"], asked)
        cursor.execute(_DEFINED["note_kept"], {"generation": generation})
    return True


def bring_to(
    connection: psycopg.Connection,
    facing: Facing,
    suffix: LiteralString,
    now: datetime,
    only: Collection[str] | None = None,
) -> None:
    """Find out about those whom something happened to since a build was filled, and whose moment came by `now`.
    Within the caller's transaction, if there is one, and else in one of its own. The build that serves keeps who
    entered and left; no other does."""
    definitions = Definitions(facing)
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        use(cursor, suffix, only)
        defined = definitions.now(cursor)
        kept = kept_by(cursor)
    if kept != definitions.generation and (suffix or kept is None):
        fill(connection, facing, suffix, now, only)  # definitions are others by now
    if defined is None:
        return
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        use(cursor, suffix, only)
        while rows := cursor.execute(_SQL["due"], {"now": now, "limit": _AT_ONCE}).fetchall():
            due: dict[UUID, str | None] = dict(rows)
            changes = look_at(cursor, definitions, defined, list(due), now)
            if not suffix:
                note(cursor, told_of(changes, defined, due), now, {})


def reconcile(
    connection: psycopg.Connection, suffix: LiteralString, now: datetime, only: Collection[str] | None = None
) -> None:
    """Before a build is switched in whose rules are asked in another way: keep who is in a segment by it and was
    not, and the other way round; nobody is told. Within the caller's transaction."""
    if only is None or "segments" in only:
        schemas = [sql.Identifier("segments" + suffix), sql.Identifier("segments")]
        connection.execute(sql.SQL(_SQL["reconcile"]).format(*schemas), {"now": now})


def reconcile_history(connection: psycopg.Connection, now: datetime) -> None:
    """The same for a live build that was made from nothing, against what was last kept of each customer."""
    with connection.transaction():
        use(connection)
        connection.execute(_SQL["reconcile_history"], {"now": now})
