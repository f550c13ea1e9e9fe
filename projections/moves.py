"""Which log counts? While a history moves from one log to another, and after it has.

`storyline.log_moves` holds a row for each move: from its first record on, closed for appends, switched, finished.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

import psycopg

from domain.errors import Misconfigured, Unavailable
from eventlog.sql import load

__all__ = ["Moving", "Standing", "move_from", "move_to", "refuse_moved", "standing"]

_SQL = load("projections", "moves.sql")

Standing = Literal["alone", "filling", "took over", "moved"]
"""Of a log: no move knows it, it is still being filled from another, it took another's place, or another took its."""


class Moving(NamedTuple):
    """One move. Log ids, and how far it has come."""

    from_log_id: str
    to_log_id: str
    closed_at: datetime | None
    switched_at: datetime | None
    finished_at: datetime | None


def move_from(connection: psycopg.Connection, log_id: str) -> Moving | None:
    """The move away from a log."""
    row = connection.execute(_SQL["from"], {"log_id": log_id}).fetchone()
    return Moving(*row) if row else None


def move_to(connection: psycopg.Connection, log_id: str) -> Moving | None:
    """The move that fills, or filled, a log."""
    row = connection.execute(_SQL["to"], {"log_id": log_id}).fetchone()
    return Moving(*row) if row else None


def standing(dsn: str, log_id: str) -> Standing:
    """Which of these a log is. Raises Unavailable if the database does not answer."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            if connection.execute(_SQL["known"]).fetchone() != (True,):
                return "alone"
            away, hither = move_from(connection, log_id), move_to(connection, log_id)
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer ({type(error).__name__}).") from None
    if away is not None and away.switched_at is not None:
        return "moved"
    if hither is None:
        return "alone"
    return "took over" if hither.switched_at is not None else "filling"


def refuse_moved(connection: psycopg.Connection, log_id: str) -> None:
    """Raises Misconfigured where another log took this one's place: its positions are those of yesterday."""
    away = move_from(connection, log_id)
    if away is not None and away.switched_at is not None:
        raise Misconfigured(
            f"LOG_URL names a log that was moved to {away.to_log_id}. Set LOG_URL to the new one and start again."
        )
