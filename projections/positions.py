"""How far has a consumer come? Its positions live in Postgres and move in the transaction of what they stand for,
by compare-and-set on the old offset and on the epoch, so that a zombie's write is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from domain.errors import Fenced
from eventlog.sql import load
from projections.anchors import Anchor

__all__ = ["Positions"]

_SQL = load("projections", "positions.sql")


class Positions:
    """Positions of one consumer on one log. `epochs` are those under which we may move them, `anchors` the records
    that they stand behind; both come from `take`, or from a seat (see `leases`)."""

    def __init__(self, consumer: str, log_id: str) -> None:
        self._names: dict[str, Any] = {"consumer": consumer, "log_id": log_id}
        self.epochs: dict[int, int] = {}
        self.anchors: dict[int, Anchor] = {}

    def begin(self, connection: psycopg.Connection, partitions: Iterable[int]) -> None:
        """Stand at the start of partitions that were never read, so that there is something to read and to hold."""
        wanted = sorted(partitions)
        log_ids = [self._names["log_id"]] * len(wanted)
        connection.execute(_SQL["begin"], {**self._names, "log_ids": log_ids, "partitions": wanted})

    def take(self, connection: psycopg.Connection, partitions: Iterable[int]) -> dict[int, int]:
        """Take partitions under a new epoch; gives `{partition: next offset}`. Commits on its own."""
        parameters = {**self._names, "partitions": sorted(partitions)}
        with connection.transaction():
            self.begin(connection, partitions)
            rows = connection.execute(_SQL["take"], parameters).fetchall()
        self.epochs = {row[0]: row[2] for row in rows}
        self.anchors = {row[0]: Anchor(row[3], bytes(row[4])) for row in rows if row[4] is not None}
        return {row[0]: row[1] for row in rows}

    def move(
        self,
        connection: psycopg.Connection,
        start: Mapping[int, int],
        end: Mapping[int, int],
        anchors: Mapping[int, Anchor] | None = None,
    ) -> None:
        """Move from `start` to `end` within the caller's transaction. Fenced unless all are as we left them.

        `anchors`: the last record before each end, where the log can be asked for it again.
        """
        partitions = sorted(end)
        behind = [(anchors or {}).get(part) for part in partitions]
        parameters = {
            **self._names,
            "partitions": partitions,
            "start": [start[part] for part in partitions],
            "end": [end[part] for part in partitions],
            "epochs": [self.epochs.get(part, -1) for part in partitions],
            "anchor_offsets": [anchor.offset if anchor else None for anchor in behind],
            "anchors": [anchor.record if anchor else None for anchor in behind],
        }
        moved = connection.execute(_SQL["move"], parameters).rowcount
        if moved != len(partitions):
            raise Fenced("Another process took over these partitions; this one takes its place behind it.")

    def read(self, connection: psycopg.Connection) -> dict[int, int]:
        """`{partition: next offset}`, empty for a consumer that never was."""
        return dict(connection.execute(_SQL["read"], self._names).fetchall())

    def hold(self, connection: psycopg.Connection) -> dict[int, int]:
        """Like `read`; nobody moves them before the caller's transaction ends."""
        return dict(connection.execute(_SQL["hold"], self._names).fetchall())

    def fence(self, connection: psycopg.Connection) -> None:
        """Make whoever moves this consumer take its partitions again."""
        connection.execute(_SQL["fence"], self._names)

    def forget(self, connection: psycopg.Connection) -> None:
        """Remove a consumer that has done its work."""
        connection.execute(_SQL["forget"], self._names)
