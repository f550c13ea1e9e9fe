"""How is the directory emptied of a person, in every build of it: live, beside it, and kept for rollback?"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.errors import UndefinedTable

from eventlog.sql import load
from projections.directory import model

__all__ = ["clean", "empty"]

_SQL = load("projections.directory", "emptying.sql")
_SUFFIXES: Final[tuple[LiteralString, ...]] = ("", "_next", "_move", "_previous")
_FAMILY: Final[tuple[LiteralString, ...]] = ("directory", "identity", "timeline", "customers")
_TABLES: Final[tuple[LiteralString, ...]] = ("identifiers", "claims", "terms", "words")


def empty(connection: psycopg.Connection, evidences: Collection[UUID]) -> None:
    """Take all that is readable of these evidences away, within the caller's transaction. They stand in
    `storyline.erased` already. Waits for the batches that are being applied."""
    connection.execute(_SQL["hold_builds"])
    connection.execute(_SQL["hold_directory"])
    for suffix in _builds(connection):
        names = [sql.Identifier(name + suffix) for name in _FAMILY]
        connection.execute(sql.SQL(_SQL["search_path"]).format(*names))
        model.erase(connection.cursor(), evidences)


def clean(connection: psycopg.Connection) -> None:
    """Take what was deleted out of the tables and their indexes; on an autocommit connection."""
    for suffix in _builds(connection):
        tables = [sql.Identifier("directory" + suffix, table) for table in _TABLES]
        try:
            connection.execute(sql.SQL(_SQL["vacuum"]).format(*tables))
        except UndefinedTable:
            continue  # the build was dropped, or switched in, meanwhile: then its rows went, or it is the next


def _builds(connection: psycopg.Connection) -> Iterator[LiteralString]:
    for suffix in _SUFFIXES:
        if connection.execute(_SQL["has_schema"], {"name": "directory" + suffix}).fetchone() == (True,):
            yield suffix
