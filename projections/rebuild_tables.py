"""How are many rows copied into empty tables fast? Without what each row would cost: the write-ahead log, and indexes
that nothing relies on meanwhile. Both are made up for, table by table, before anybody reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections.registry import ReadModel

__all__ = ["BULK", "SOON", "analyze", "finish_table", "loosen", "ready_table", "tables_of"]

_SQL: Final = load("projections", "rebuild.sql")
BULK: Final = frozenset({"identity", "customers", "figures", "work"})
"""Read models whose rows are only copied while they are filled: they need no key until then."""
SOON: Final = {"events": "events_position"}
"""Tables that are read before they are what they have to be, and the index that they are read by."""
_MET_AGAIN: Final = frozenset({"loose", "rulings"})
"""Tables of theirs that need it all the same: what is put in may be there."""


def tables_of(connection: psycopg.Connection, schema: str) -> list[str]:
    """The names of the tables of a build."""
    return [row[0] for row in connection.execute(_SQL["tables"], {"schema": schema}).fetchall()]


def loosen(connection: psycopg.Connection, model: ReadModel, suffix: LiteralString) -> list[tuple[str, str]]:
    """Make the empty tables of a build unlogged, and drop what is not needed while they are filled; gives
    (`schema.table`, statement) of what makes it again. Within the caller's transaction."""
    schema: LiteralString = model.name + suffix
    later: list[tuple[str, str]] = []
    for row in connection.execute(_SQL["indexes"], {"schema": schema}).fetchall():
        later += _dropped(connection, schema, row, model, model.name in BULK and row[0] not in _MET_AGAIN)
    for table in tables_of(connection, schema):
        connection.execute(sql.SQL(_SQL["set_unlogged"]).format(sql.Identifier(schema, table)))
    return later


def _dropped(
    connection: psycopg.Connection, schema: LiteralString, row: Iterable[Any], model: ReadModel, bulk: bool
) -> list[tuple[str, str]]:
    """Drop one index where it may be; gives the statement that makes it again."""
    table, index, definition, constraint, what = row
    if constraint is None and (bulk or any(fnmatch(index, one) for one in model.deferred)):
        connection.execute(sql.SQL(_SQL["drop_index"]).format(sql.Identifier(schema, index)))
        return [(f"{schema}.{table}", definition)]
    if constraint is not None and bulk:
        names = [sql.Identifier(schema, table), sql.Identifier(constraint)]
        again = sql.SQL(_SQL["add_constraint"]).format(*names, sql.SQL(what)).as_string(connection)
        connection.execute(sql.SQL(_SQL["drop_constraint"]).format(*names))
        return [(f"{schema}.{table}", again)]
    return []


def finish_table(
    connection: psycopg.Connection, schema: LiteralString, table: str, statements: Iterable[str]
) -> None:
    """Make a table that was filled what it has to be, within the caller's transaction."""
    connection.execute(sql.SQL(_SQL["set_logged"]).format(sql.Identifier(schema, table)))
    for statement in statements:
        if table not in SOON or SOON[table] not in statement or not _is_there(connection, schema, SOON[table]):
            connection.execute(statement.encode())  # what Postgres itself said of its tables
    if table not in SOON:
        analyze(connection, schema, table)


def _is_there(connection: psycopg.Connection, schema: str, index: str) -> bool:
    return connection.execute(_SQL["is_there"], {"name": f"{schema}.{index}"}).fetchone() == (True,)


def ready_table(connection: psycopg.Connection, schema: LiteralString, table: str, statements: Iterable[str]) -> None:
    """Make a table of `SOON` ready to be read, within the caller's transaction. The rest may take its time beside
    others: to write all of a large table to the log of Postgres keeps no worker waiting then."""
    for statement in statements:
        if SOON[table] in statement:
            connection.execute(statement.encode())
    analyze(connection, schema, table)


def analyze(connection: psycopg.Connection, schema: LiteralString, table: str) -> None:
    """Let the planner know a table that was filled."""
    connection.execute(sql.SQL(_SQL["analyze"]).format(sql.Identifier(schema, table)))
