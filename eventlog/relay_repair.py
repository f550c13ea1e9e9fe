"""How does an event store get back what the log has and it has not? Its records are copied from there, as they are.

So after a restore to an earlier point. The log is the truth: where the store has gone on since, with another event of
the same aggregate and version, the log's stands, and the store's own are set aside with all that was built on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from domain.errors import Unavailable
from eventlog.port import Log
from eventlog.relay_records import Native, natives, same
from eventlog.sql import load
from eventlog.tokens import Hasher

__all__ = ["Mended", "SetAside", "mend_store"]

_SQL = load("eventlog", "relay.sql")


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event of the store in whose place the log has another, or that was built on such a one."""

    id: UUID
    version: int
    type: str


@dataclass(frozen=True, slots=True)
class Mended:
    """What was done, or would be. looked: events of event stores on the log; put_back: those that the store lacked;
    holes: aggregates that lack a version still, since the log has it neither."""

    looked: int
    put_back: int
    set_aside: tuple[SetAside, ...]
    holes: tuple[UUID, ...]


def mend_store(
    dsn: str,
    log: Log,
    hasher: Hasher,
    *,
    dry_run: bool = False,
    told: Callable[[int], None] = lambda looked: None,
) -> Mended:
    """Look at the whole log, in bounded memory, and put into the store what it lacks; with `dry_run` only say so.

    In one transaction: stopped at any point, nothing was done. `told` is given how many events were looked at.
    Raises Unavailable where the log or Postgres does not answer.
    """
    try:
        with closing(psycopg.connect(dsn, autocommit=True, connect_timeout=10)) as connection:
            connection.execute(_SQL["repair_begin"])
            looked = 0
            # A native event is in the store before it is on the log: what is there now and not in the store is lost.
            for found in natives(log, {}, log.ends(), hasher, lambda: None):
                looked += len(found)
                _find(connection, found)
                told(looked)
            with connection.transaction(force_rollback=dry_run):
                return _mend(connection, looked)
    except psycopg.OperationalError as error:
        raise Unavailable(f"The event store does not answer ({type(error).__name__}).") from None


def _find(connection: psycopg.Connection, found: Sequence[Native]) -> None:
    if not found:
        return
    asked: dict[str, Any] = {"ids": [one.id for one in found], "versions": [one.version for one in found]}
    rows = connection.execute(_SQL["known"], asked).fetchall()
    good = {place - 1 for place, _, state in rows if same(found[place - 1].value, bytes(state))}
    lost = [one for place, one in enumerate(found) if place not in good]
    arrays = {
        "ids": [one.id for one in lost],
        "versions": [one.version for one in lost],
        "topics": [one.type for one in lost],
        "states": [one.value for one in lost],
        "partitions": [one.position.partition for one in lost],
        "offsets": [one.position.offset for one in lost],
    }
    connection.execute(_SQL["repair_found"], arrays)


def _mend(connection: psycopg.Connection, looked: int) -> Mended:
    connection.execute(_SQL["repair_lock"])
    conflicts = [SetAside(*row) for row in connection.execute(_SQL["repair_conflicts"]).fetchall()]
    taken = {"ids": [one.id for one in conflicts], "versions": [one.version for one in conflicts]}
    connection.execute(_SQL["repair_set_aside"], taken)
    connection.execute(_SQL["repair_snapshots"])
    put_back = connection.execute(_SQL["repair_put_back"]).rowcount
    holes = tuple([row[0] for row in connection.execute(_SQL["repair_holes"]).fetchall()])
    return Mended(looked, put_back, tuple(conflicts), holes)
