"""Which read models are there, and what does each declare?

A read model declares its name, its version, what kind of fold it is, and the SQL that makes it. It lives in a schema
of its own, named after it; a rebuild fills `NAME_next` beside it and keeps `NAME_previous` for rollback. All of them
are one family (`family.py`): applied, rebuilt and switched together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, LiteralString

import psycopg
from psycopg import sql

from eventlog.sql import load

__all__ = [
    "MODELS",
    "NEXT",
    "Hashes",
    "ReadModel",
    "all_hashes",
    "build_beside",
    "drop_beside",
    "install",
    "is_beside",
    "on_schemas",
    "snapshot",
    "switch_in",
    "use",
]

_SQL = load("projections", "registry.sql")
NEXT: LiteralString = "_next"
"""What the schema of a rebuild is called, after the read model's name."""
_PREVIOUS: LiteralString = "_previous"


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A read model: `package` holds the SQL of its tables, of how batches get into them, and of the hashes over its
    declared columns. `carried`: tables that no event fills; a new build takes them over."""

    name: LiteralString
    version: int
    kind: Literal["every event", "additive", "mergeable", "recomputed"]
    package: str
    carried: tuple[LiteralString, ...] = ()

    @property
    def schema(self) -> LiteralString:
        """The SQL that makes its tables."""
        return load(self.package, "schema.sql")["tables"]

    @property
    def sql_hash(self) -> str:
        """Changes when the SQL that makes it changes: then it has to be rebuilt."""
        parts = [*load(self.package, "schema.sql").values(), *load(self.package, "apply.sql").values()]
        return sha256("\0".join(parts).encode()).hexdigest()[:16]

    def hashes(self, connection: psycopg.Connection, suffix: LiteralString = "", republished: bool = False) -> Hashes:
        """`{table: (rows, hash)}` of the build in schema NAME + suffix; two equal builds have equal hashes.

        `republished`: leave out what each publication of the same history makes anew.
        """
        queries = load(self.package, "hashes.sql")
        found: dict[str, tuple[int, int]] = {}
        with connection.transaction():
            use(connection, suffix)
            for table, query in queries.items():
                base = table.removesuffix("_republished")
                anew = f"{base}_republished" in queries
                if (table == base) != (republished and anew):
                    row = connection.execute(query, {}).fetchone() or (0, 0)
                    found[base] = (int(row[0]), int(row[1]))
        return found


Hashes = Mapping[str, tuple[int, int]]


def all_hashes(
    connection: psycopg.Connection, suffix: LiteralString = "", republished: bool = False
) -> dict[str, tuple[int, int]]:
    """`{table: (rows, hash)}` of all read models of one build; no two of them have a table of the same name."""
    return {
        table: found for model in MODELS for table, found in model.hashes(connection, suffix, republished).items()
    }


def on_schemas(query: str, *schemas: LiteralString) -> sql.Composed:
    """A statement of `registry.sql` about schemas, with their names filled in."""
    return sql.SQL(_SQL[query]).format(*[sql.Identifier(schema) for schema in schemas])


MODELS: Final[tuple[ReadModel, ...]] = (
    ReadModel(name="timeline", version=3, kind="every event", package="projections.timeline"),
    ReadModel(name="identity", version=1, kind="recomputed", package="projections.identity", carried=("rules",)),
    ReadModel(name="customers", version=2, kind="mergeable", package="projections.customers"),
    ReadModel(name="directory", version=1, kind="every event", package="projections.directory"),
    ReadModel(name="work", version=1, kind="recomputed", package="projections.work"),
    ReadModel(name="figures", version=1, kind="every event", package="projections.figures"),
    ReadModel(name="segments", version=1, kind="recomputed", package="projections.segments"),
)


def use(connection: psycopg.Connection | psycopg.Cursor[Any], suffix: LiteralString = "") -> None:
    """For the rest of the transaction the tables of one build are found by their bare names."""
    connection.execute(on_schemas("search_path", *[model.name + suffix for model in MODELS]))


def install(connection: psycopg.Connection) -> None:
    """Make the schemas of the read models that are not there yet; safe to run again.

    Where the tables of one are gone (of a backup only the durable tables were kept), or are of an older version, all
    are made anew, and live starts over: one of them without the others would be wrong.
    """
    with connection.transaction():
        connection.execute(_SQL["lock"])
        if all(_stands(connection, model) for model in MODELS):
            return
        connection.execute(_SQL["extensions"])
        known = [connection.execute(_SQL["built"], {"name": model.name}).fetchone() for model in MODELS]
        for model in MODELS:
            connection.execute(on_schemas("drop_schema", model.name))
            _build(connection, model, model.name)
            connection.execute(_SQL["note"], _noted(model))
        if any(known):
            connection.execute(_SQL["start_over"])


def _stands(connection: psycopg.Connection, model: ReadModel) -> bool:
    """Is there a live build of this version?"""
    known = connection.execute(_SQL["built"], {"name": model.name}).fetchone()
    has_schema = connection.execute(_SQL["has_schema"], {"name": model.name}).fetchone()
    return known is not None and known[0] == model.version and has_schema == (True,)


def _noted(model: ReadModel) -> dict[str, object]:
    """What is written down about a build."""
    return {"name": model.name, "version": model.version, "sql_hash": model.sql_hash}


def _build(connection: psycopg.Connection, model: ReadModel, schema: LiteralString) -> None:
    """Make a model's empty tables in a schema, within the caller's transaction."""
    connection.execute(on_schemas("create_schema", schema))
    connection.execute(on_schemas("search_path_of", schema))
    connection.execute(model.schema)


@contextmanager
def snapshot(connection: psycopg.Connection) -> Iterator[None]:
    """One moment for several queries."""
    connection.execute(_SQL["begin_snapshot"])
    try:
        yield
    finally:
        connection.execute(_SQL["end_snapshot"])


def is_beside(connection: psycopg.Connection, model: ReadModel, suffix: LiteralString) -> bool:
    """Whether tables of the model as this release defines it stand beside the live ones."""
    found = connection.execute(_SQL["built"], {"name": model.name + suffix}).fetchone()
    return bool(found and found[1] == model.sql_hash)


def build_beside(connection: psycopg.Connection, model: ReadModel, suffix: LiteralString) -> None:
    """Make empty tables beside the live ones, instead of those that are there, within the caller's transaction."""
    connection.execute(on_schemas("drop_schema", model.name + suffix))
    _build(connection, model, model.name + suffix)
    for table in model.carried:
        names = [sql.Identifier(model.name + suffix, table), sql.Identifier(model.name, table)]
        connection.execute(sql.SQL(_SQL["carry"]).format(*names))
    connection.execute(_SQL["note"], {**_noted(model), "name": model.name + suffix})


def drop_beside(connection: psycopg.Connection, model: ReadModel, suffix: LiteralString) -> None:
    """Take the tables beside the live ones away, if there are any."""
    connection.execute(on_schemas("drop_schema", model.name + suffix))
    connection.execute(_SQL["unnote"], {"name": model.name + suffix})


def switch_in(connection: psycopg.Connection, model: ReadModel, suffix: LiteralString) -> None:
    """Put the tables beside the live ones into their place, within the caller's transaction, which holds `lock`.

    Those before stay as NAME_previous.
    """
    connection.execute(on_schemas("drop_schema", model.name + _PREVIOUS))
    connection.execute(on_schemas("rename_schema", model.name, model.name + _PREVIOUS))
    connection.execute(on_schemas("rename_schema", model.name + suffix, model.name))
    connection.execute(_SQL["note"], _noted(model))
    connection.execute(_SQL["unnote"], {"name": model.name + suffix})
