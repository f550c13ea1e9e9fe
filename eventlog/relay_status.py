"""How is the relay doing? Asked of its one row."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load

__all__ = ["RelayStatus", "relay_status"]

_SQL = load("eventlog", "relay.sql")


class RelayStatus(NamedTuple):
    """notification: the last one on the log; last: the last there is; lag: events that wait; unseen: seconds since
    the holder was last seen; set_aside: events that repairs took out."""

    log_id: str
    notification: int
    last: int
    lag: int
    holder: UUID | None
    unseen: float
    epoch: int
    set_aside: int


def relay_status(connection: psycopg.Connection) -> RelayStatus | None:
    """How it stands; None before the first relay has run."""
    row = connection.execute(_SQL["status"]).fetchone()
    return RelayStatus(*row) if row else None
