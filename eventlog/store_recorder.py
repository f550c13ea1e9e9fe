"""How do events get into the tables of the event store, and out again? By the library's recorder, with statements of
our own: one round trip with the lock held, and no NOTIFY, which would take a lock on the whole server at each commit.

What fails is told once. The library would try again by itself, also where a commit was only not answered, and then
report its own events as somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg
from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.postgres import (
    ConnectionPool,
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
)
from psycopg.rows import dict_row

from eventlog.sql import load

__all__ = ["SCHEMA", "Alongside", "Datastore", "EventRecorder", "SnapshotRecorder"]

SCHEMA: Final = "eventstore"
Alongside = Sequence[tuple[LiteralString, Mapping[str, Any]]]
"""Statements with their parameters that are to happen together with the events."""

_SQL = load("eventlog", "store.sql")
_LATEST: Final = 2**62
_POOL: Final = 8
_PATIENCE: Final = 5.0
"""Seconds to wait for a connection."""


class Datastore(PostgresDatastore):
    """The library's, but on a libpq address, and with connections that are bounded in number and in patience."""

    def __init__(self, dsn: str) -> None:
        super().__init__("", "", "", "", "", schema=SCHEMA)
        self.pool = ConnectionPool(
            dsn,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": 5,
                "application_name": "storyline-store",
                "options": "-c statement_timeout=30s -c lock_timeout=15s -c idle_in_transaction_session_timeout=30s",
            },
            min_size=1,
            max_size=_POOL,
            timeout=_PATIENCE,
            reconnect_timeout=_PATIENCE,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def register_type_adapters(self) -> None:
        """Nothing: our statements take arrays, and no composite type."""


class EventRecorder(PostgresApplicationRecorder):
    """The table of events."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore, events_table_name="events")
        self.sql_create_statements = _tables(self.sql_create_statements)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> list[int]:
        """All events, and before them the statements `alongside`, in one transaction; gives notification ids."""
        alongside: Alongside = kwargs.get("alongside", ())
        arrays = {
            "ids": [one.originator_id for one in stored_events],
            "versions": [one.originator_version for one in stored_events],
            "topics": [one.topic for one in stored_events],
            "states": [one.state for one in stored_events],
        }
        with self.datastore.get_connection() as connection:
            try:
                with connection.pipeline():
                    _begin(connection)
                    for statement, parameters in alongside:
                        connection.execute(statement, parameters)
                    connection.execute(_SQL["lock"])
                    appended = connection.execute(_SQL["append"], arrays)
                    connection.execute(_SQL["commit"])
            except BaseException:
                connection.rollback()
                raise
            return [row["notification_id"] for row in appended.fetchall()]

    def select_events(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None, **_: Any
    ) -> list[StoredEvent]:
        """As the library has it; `desc` and `limit` are asked of snapshots alone."""
        asked = {"id": originator_id, "after": gt or 0, "until": _LATEST if lte is None else lte}
        with self.datastore.get_connection() as connection:
            return [StoredEvent(**row) for row in connection.execute(_SQL["events"], asked).fetchall()]

    def select_notifications(
        self, start: int | None, limit: int, *_: Any, inclusive_of_start: bool = True, **__: Any
    ) -> list[Notification]:
        """As the library has it, but that nobody asks for `stop` and `topics` here."""
        after = 0 if start is None else start - inclusive_of_start
        with self.datastore.get_connection() as connection:
            rows = connection.execute(_SQL["notifications"], {"after": after, "limit": limit}).fetchall()
        return [Notification(id=row.pop("notification_id"), **row) for row in rows]

    def max_notification_id(self) -> int:
        """The newest notification; 0 before the first."""
        with self.datastore.get_connection() as connection:
            [row] = connection.execute(_SQL["last_notification"]).fetchall()
        return int(row["last"])

    def notification_of(self, id: UUID, version: int) -> int | None:
        """The notification of one event; None for an unknown one."""
        with self.datastore.get_connection() as connection:
            row = connection.execute(_SQL["notification"], {"id": id, "version": version}).fetchone()
        return None if row is None else int(row["notification_id"])


class SnapshotRecorder(PostgresAggregateRecorder):
    """The table of snapshots."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore, events_table_name="snapshots")
        self.sql_create_statements = _tables(self.sql_create_statements)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        """Put snapshots, and drop those that they take the place of."""
        with self.datastore.get_connection() as connection, connection.transaction():
            for one in stored_events:
                asked = {
                    "id": one.originator_id,
                    "version": one.originator_version,
                    "topic": one.topic,
                    "state": one.state,
                }
                connection.execute(_SQL["take_snapshot"], asked)
                connection.execute(_SQL["older_snapshots"], asked)

    def select_events(self, originator_id: UUID | str, *, lte: int | None = None, **_: Any) -> list[StoredEvent]:
        """The newest snapshot, if there is one."""
        asked = {"id": originator_id, "until": _LATEST if lte is None else lte}
        with self.datastore.get_connection() as connection:
            return [StoredEvent(**row) for row in connection.execute(_SQL["snapshot"], asked).fetchall()]


def _begin(connection: psycopg.Connection[Any]) -> None:
    for statement in ("begin", "durable"):
        connection.execute(_SQL[statement])


def _tables(statements: list[Any]) -> list[Any]:
    """The library's statements without its types and functions, which serve a way in that is not taken here."""
    return [one for one in statements if one.as_string().startswith(("CREATE TABLE", "CREATE UNIQUE INDEX"))]
