"""What is the plainest work that time asks for? Bells that are to be rung, each once, and a process that rings them.

    python -m tests.support.bells DSN SECONDS

rings what is due until it is stopped; each takes so many seconds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import psycopg
from prometheus_client import CollectorRegistry
from psycopg_pool import ConnectionPool

from commands.claims import Claims
from consumers.scheduler import Due, Job, Scheduler, TooLateError
from storyline.supervisor import stop_on_signals

__all__ = ["hang", "ringing", "rung", "scheduler_of", "tried"]

_TABLES = """
CREATE TABLE bells (item text PRIMARY KEY, at timestamptz NOT NULL, until timestamptz);
CREATE TABLE tries (key text NOT NULL, process integer NOT NULL);
CREATE TABLE rung (key text PRIMARY KEY, at timestamptz NOT NULL, moment timestamptz NOT NULL);
"""
_DUE = """
SELECT item, at FROM bells WHERE at <= %(now)s AND NOT EXISTS (
    SELECT FROM storyline.due WHERE job = %(job)s AND due.item = bells.item AND due.at = bells.at
        AND (outcome IS NOT NULL OR again_at > %(now)s)
) ORDER BY at, item LIMIT %(limit)s
"""


def hang(dsn: str, bells: Iterable[tuple[str, datetime, datetime | None]] = ()) -> None:
    """Make the tables if they are not there, and hang these bells: (item, at, until)."""
    with psycopg.connect(dsn) as connection:
        if connection.execute("SELECT to_regclass('bells')").fetchone() == (None,):
            connection.execute(_TABLES)
        connection.cursor().executemany("INSERT INTO bells VALUES (%s, %s, %s)", list(bells))


def ringing(dsn: str, name: str = "bell", takes: float = 0.0, **more: object) -> Job:
    """The job that rings them: the try is noted at once, the ringing once for each key."""

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        rows = connection.execute(_DUE, {"now": now, "job": name, "limit": limit}).fetchall()
        return [Due(*row) for row in rows]

    def act(due: Due, key: str, now: datetime) -> None:
        with psycopg.connect(dsn, autocommit=True, options="-c synchronous_commit=off") as connection:
            [(until,)] = connection.execute("SELECT until FROM bells WHERE item = %s", [due.item]).fetchall()
            if until is not None and until <= now:
                raise TooLateError
            connection.execute("INSERT INTO tries VALUES (%s, %s)", [key, os.getpid()])
            time.sleep(takes)
            connection.execute(
                "INSERT INTO rung VALUES (%s, %s, clock_timestamp()) ON CONFLICT DO NOTHING", [key, due.at]
            )

    return Job(name, 0.1, more.pop("missed", "late"), find, act, **more)  # type: ignore[arg-type]


def scheduler_of(
    dsn: str, *jobs: Job, clock: Callable[[], datetime] | None = None, patience: float = 60
) -> Scheduler:
    """A scheduler with connections of its own; the caller closes `pool`."""
    pool = ConnectionPool(dsn, min_size=1, max_size=4, open=True, kwargs={"autocommit": True})
    claims = Claims(timedelta(seconds=patience))
    return Scheduler(pool, jobs, CollectorRegistry(), clock or (lambda: datetime.now(UTC)), claims)


def rung(dsn: str) -> list[str]:
    """The items that were rung, in the order of their moments."""
    return [key.split(":")[1] for key, *_ in _rows(dsn, "SELECT key FROM rung ORDER BY at, key")]


def tried(dsn: str) -> list[tuple[str, int]]:
    """(key, process) of each try."""
    return _rows(dsn, "SELECT key, process FROM tries")


def _rows(dsn: str, query: str) -> list[tuple[str, int]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("takes", type=float)
    arguments = parser.parse_args()
    scheduler = scheduler_of(arguments.dsn, ringing(arguments.dsn, takes=arguments.takes), patience=1.5)
    with stop_on_signals() as stop:
        scheduler.run(stop)
    scheduler.pool.close()


if __name__ == "__main__":
    _main()
