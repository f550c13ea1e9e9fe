"""Which views do BI tools read, and how do they come to stand on the tables that serve? `publish` makes them anew
within the transaction that switches a build in: a view stands on tables, not on names, and would follow the old ones.

They are made in a new schema that takes the name of the one before, so that nobody who reads that one is waited for.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, LiteralString
from uuid import uuid4

import psycopg
from psycopg import errors, sql

from eventlog.sql import load
from projections.registry import MODELS

__all__ = ["NO_ROLE", "ROLE", "SCHEMA", "VIEWS", "keep", "publish"]

_SQL: Final = load("projections.figures", "publishing.sql")
_VIEWS: Final = load("projections.figures", "views.sql")
SCHEMA: Final = "analytics"
ROLE: Final = "storyline_bi"
VIEWS: Final = tuple(_VIEWS)
"""Their names."""
NO_ROLE: Final = (
    "There is no role storyline_bi, and this database user may not make one. Have an administrator run "
    "`CREATE ROLE storyline_bi NOLOGIN`, then `storyline analytics publish-views`."
)
_ABOUT: Final = (
    "Figures for BI tools: ids of customers, nothing personal. Times are UTC; amounts of different currencies are "
    "never added up. Read as storyline_bi."
)
_GONE: Final = "analytics_gone_"
_MISSING: Final = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName)


def publish(connection: psycopg.Connection[Any]) -> bool:
    """Make the views anew on the tables that serve now. Gives whether the role storyline_bi may read them; if not,
    there is none. Views of tables that another release made are left out until a rebuild has made those."""
    with connection.transaction():
        path = (connection.execute(_SQL["path"]).fetchone() or ("",))[0]
        fresh, gone = f"{SCHEMA}_{uuid4().hex}", f"{_GONE}{uuid4().hex}"
        _run(connection, "create", fresh)
        _run(connection, "within", fresh)
        for view in VIEWS:
            _make(connection, _VIEWS[view])
        if connection.execute(_SQL["exists"], {"name": SCHEMA}).fetchone() == (True,):
            _run(connection, "rename", SCHEMA, gone)
        _run(connection, "rename", fresh, SCHEMA)
        told = sql.Literal(f"{_ABOUT} {_mark(connection)}")
        connection.execute(sql.SQL(_SQL["explain"]).format(schema=sql.Identifier(SCHEMA), told=told))
        connection.execute(_SQL["back"], {"path": path})
        granted = _grant(connection)
        _drop_gone(connection)
    return granted


def keep(connection: psycopg.Connection[Any]) -> None:
    """Make the views anew where they are not those of this release and of the tables that serve."""
    told = (connection.execute(_SQL["explained"], {"name": SCHEMA}).fetchone() or (None,))[0]
    if told is None or not told.endswith(_mark(connection)):
        publish(connection)


def _mark(connection: psycopg.Connection[Any]) -> str:
    """What tells these views of these tables from others."""
    tables = connection.execute(
        _SQL["tables"], {"models": ["storyline", *[model.name for model in MODELS]]}
    ).fetchone()
    return sha256(repr((sorted(_VIEWS.items()), tables)).encode()).hexdigest()[:16]


def _make(connection: psycopg.Connection[Any], view: LiteralString) -> None:
    try:
        with connection.transaction():
            connection.execute(view)
    except _MISSING:
        return


def _grant(connection: psycopg.Connection[Any]) -> bool:
    connection.execute(_SQL["role"])
    if connection.execute(_SQL["has_role"]).fetchone() != (True,):
        return False
    connection.execute(sql.SQL(_SQL["grant"]).format(schema=sql.Identifier(SCHEMA)))
    return True


def _drop_gone(connection: psycopg.Connection[Any]) -> None:
    """Views that were replaced, as far as nobody reads them at this moment; the next one drops the others."""
    before = (connection.execute(_SQL["patience"]).fetchone() or ("0",))[0]
    connection.execute(_SQL["hurry"], {"time": "100ms"})
    for (name,) in connection.execute(_SQL["gone"]).fetchall():
        try:
            with connection.transaction():
                _run(connection, "drop", name)
        except errors.LockNotAvailable:
            continue
    connection.execute(_SQL["hurry"], {"time": before})


def _run(connection: psycopg.Connection[Any], query: str, *names: str) -> None:
    connection.execute(sql.SQL(_SQL[query]).format(*[sql.Identifier(name) for name in names]))
