"""How is a build put into the place of the live one without anybody noticing? Live is held still, what it brought
last is brought in here, too, and by one transaction the schemas change their names.

What is in the new tables by then was committed a moment before; whoever still sees an earlier moment is waited for
(but not for ever), so that nobody finds the new tables with less in them than the old ones had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, LiteralString

import psycopg

from domain.errors import Unavailable
from eventlog.sql import load
from projections.positions import Positions
from projections.registry import ReadModel, switch_in

__all__ = ["switch"]

_SQL: Final = load("projections", "rebuild.sql")
_REGISTRY: Final = load("projections", "registry.sql")
_PATIENCE: Final = 1.0
"""Seconds that live stands still at most for readers who see an earlier moment."""


def switch(
    connection: psycopg.Connection,
    live: Positions,
    models: Sequence[ReadModel],
    suffix: LiteralString,
    last: Callable[[dict[int, int]], None],
    done: Callable[[], None] = lambda: None,
    reached: Callable[[str], None] = lambda point: None,
) -> None:
    """Switch these builds in. last: brings them, by another session, to where live stands, and commits. done: what is
    to be noted by the same transaction, before the names change. Raises Unavailable where live cannot be held in
    time."""
    try:
        with connection.transaction():
            connection.execute(_REGISTRY["lock"])
            until = live.hold(connection)
            reached("holding")
            last(until)
            reached("brought")
            _wait_for_readers(connection)
            connection.execute(_REGISTRY["shut_out"])
            done()
            for model in models:
                switch_in(connection, model, suffix)
            live.fence(connection)
            reached("switching")
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise Unavailable(
            f"Live could not be held still in time ({type(error).__name__}). Nothing was switched; run this again, "
            "it goes on."
        ) from None


def _wait_for_readers(connection: psycopg.Connection) -> None:
    moment = (connection.execute(_SQL["now"]).fetchone() or (None,))[0]
    until = time.monotonic() + _PATIENCE
    asked = {"moment": moment, "ours": [connection.info.backend_pid]}
    while time.monotonic() < until:
        connection.execute(_SQL["look_anew"])
        if connection.execute(_SQL["older_snapshots"], asked).fetchone() != (True,):
            return
        time.sleep(0.005)
