"""Which log counts? While a history moves from one log to another, and after it has.

`storyline.log_moves` holds a row for each move: from its first record on, closed for appends, switched, finished.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

import psycopg

from domain.errors import Misconfigured, Unavailable
from eventlog.sql import load
from projections.connecting import connected

__all__ = ["Moving", "Standing", "lock_switches", "move_at_work", "move_from", "move_to", "refuse_moved", "standing"]

_SQL = load("projections", "moves.sql")
_BUILDS = load("projections", "registry.sql")

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
    with connected(dsn) as connection:
        if connection.execute(_SQL["known"]).fetchone() != (True,):
            return "alone"
        away, hither = move_from(connection, log_id), move_to(connection, log_id)
    if away is not None and away.switched_at is not None:
        return "moved"
    if hither is None:
        return "alone"
    return "took over" if hither.switched_at is not None else "filling"


def move_at_work(connection: psycopg.Connection) -> bool:
    """Whether a move runs at this moment; one that was cut off does not."""
    return connection.execute(_SQL["at_work"]).fetchone() == (True,)


def lock_switches(connection: psycopg.Connection, models: Iterable[str]) -> None:
    """No other move, repair or rebuild from now on, for as long as this session lives: each of them puts other tables
    or positions in the place of the live ones. Raises Unavailable while one is at work."""
    if connection.execute(_SQL["try_lock"]).fetchone() != (True,):
        raise Unavailable("Another `storyline log move` or `log repair` is at work; wait for it or stop it.")
    for name in models:
        if connection.execute(_BUILDS["try_rebuild_lock"], {"name": name}).fetchone() != (True,):
            raise Unavailable(f"A rebuild of {name} is at work; wait for it or stop it.")


def refuse_moved(connection: psycopg.Connection, log_id: str) -> None:
    """Raises Misconfigured for a log that does not count: another took its place, so that its positions are those of
    yesterday, or it is still being filled from the one that counts."""
    hither = move_to(connection, log_id)
    if hither is not None and hither.switched_at is None:
        raise Misconfigured(
            f"LOG_URL names a log that `storyline log move` still fills. Until the switch "
            f"{hither.from_log_id} counts: use the LOG_URL of that one."
        )
    away = move_from(connection, log_id)
    if away is not None and away.switched_at is not None:
        raise Misconfigured(
            f"LOG_URL names a log that was moved to {away.to_log_id}. Set LOG_URL to the new one and start again."
        )
