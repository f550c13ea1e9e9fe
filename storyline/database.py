"""How do all tables come into being, and reach their newest form? `upgrade`, at every start and by hand.

The durable tables (schema `storyline`) change by numbered migrations, which are never edited once applied. The key
store, the event store, the embedded log and the read models make their own schemas; their `install` may run at any
time.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files
from typing import LiteralString, NamedTuple
from urllib.parse import urlsplit

import psycopg

from domain.errors import Misconfigured, Unavailable
from eventlog.keyring import Keyring
from eventlog.opening import open_log
from eventlog.sql import load
from eventlog.store_application import install_store
from projections import registry
from projections.figures import views

__all__ = ["Migration", "migrations", "upgrade", "upgraded"]

_SQL = load("storyline", "database.sql")
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the durable tables."""

    number: int
    name: str
    sql: LiteralString

    @property
    def sha256(self) -> bytes:
        """Hash of the SQL: an applied migration must stay as it was."""
        return sha256(self.sql.encode()).digest()


def migrations() -> list[Migration]:
    """All migrations of this release, in order."""
    found = []
    for file in files("storyline.migrations").iterdir():
        if match := _FILE.fullmatch(file.name):
            # Our own file, never made of values: hence LiteralString, as psycopg asks.
            text: LiteralString = file.read_text(encoding="utf-8")
            found.append(Migration(int(match[1]), match[2], text))
    return sorted(found)


def upgrade(
    dsn: str, *, keyring: Keyring | None = None, log_url: str = "", steps: list[Migration] | None = None
) -> list[str]:
    """Bring all tables to their newest form; gives the names of the migrations applied now ([] if none were).

    Safe to run twice, and by several processes at once. With `keyring` its tables are made too, with an embedded
    `log_url` the log's. `steps` are the release's migrations unless a test passes its own. Raises Misconfigured for
    a database of a newer release, or whose applied migrations are not ours; Unavailable if it does not answer.
    """
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            connection.execute(_SQL["lock"])
            connection.execute(_SQL["install"])
            done = _apply(connection, migrations() if steps is None else steps)
            registry.install(connection)
            views.keep(connection)
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer ({type(error).__name__}); is DATABASE_URL right?") from None
    install_store(dsn)
    if keyring is not None:
        keyring.install()
    if urlsplit(log_url).scheme in {"postgresql", "postgres"}:
        open_log(log_url).close()
    return done


def upgraded(dsn: str) -> bool:
    """Whether the database has every migration of this release. Raises Unavailable if it does not answer."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            if connection.execute(_SQL["count_applied"]).fetchone() != (True,):
                return False
            return len(connection.execute(_SQL["applied"]).fetchall()) >= len(migrations())
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer ({type(error).__name__}); is DATABASE_URL right?") from None


def _apply(connection: psycopg.Connection, steps: list[Migration]) -> list[str]:
    known = {step.number: step for step in steps}
    applied = set()
    for number, name, digest in connection.execute(_SQL["applied"]).fetchall():
        step = known.get(number)
        if step is None:
            raise Misconfigured(
                f"The database has migration {number:04} ({name}), which this release does not know: it was upgraded "
                "by a newer release. Install that one."
            )
        if step.sha256 != bytes(digest):
            raise Misconfigured(
                f"Migration {number:04} ({name}) was changed after it had been applied. Restore the file, and put "
                "the change into a migration of its own."
            )
        applied.add(number)
    done = []
    for step in steps:
        if step.number not in applied:
            connection.execute(step.sql)
            parameters = {"number": step.number, "name": step.name, "sha256": step.sha256}
            connection.execute(_SQL["remember"], parameters)
            done.append(f"{step.number:04}_{step.name}")
    return done
