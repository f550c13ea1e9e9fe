"""Which read models are there, and what does each declare?

A read model declares its name, its version, what kind of fold it is, and the SQL that makes it. It lives in a schema
of its own, named after it; a rebuild fills `NAME_next` beside it and keeps `NAME_previous` for rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections.decoding import Batch

__all__ = [
    "MODELS",
    "NEXT",
    "Hashes",
    "Lost",
    "ReadModel",
    "build_beside",
    "drop_beside",
    "install",
    "is_beside",
    "on_schemas",
    "snapshot",
    "switch_in",
]

_SQL = load("projections", "registry.sql")
NEXT: LiteralString = "_next"
"""What the schema of a rebuild is called, after the read model's name."""
_PREVIOUS: LiteralString = "_previous"


class Lost(NamedTuple):
    """A staged record that a read model refused: a name clash. To be parked."""

    name: UUID
    log_partition: int
    log_offset: int
    type: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A read model. `apply` takes a staged batch within the runner's transaction, with the model's schema first in
    the search path, and gives the name clashes it found. `columns`: the hashes over its declared columns."""

    name: LiteralString
    version: int
    kind: Literal["every event", "additive", "mergeable", "recomputed"]
    package: str
    apply: Callable[[psycopg.Cursor[Any], Batch], list[Lost]]

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
            connection.execute(on_schemas("search_path", self.name + suffix))
            for table, query in queries.items():
                base = table.removesuffix("_republished")
                anew = f"{base}_republished" in queries
                if (table == base) != (republished and anew):
                    row = connection.execute(query, {}).fetchone() or (0, 0)
                    found[base] = (int(row[0]), int(row[1]))
        return found


Hashes = Mapping[str, tuple[int, int]]


def on_schemas(query: str, *schemas: LiteralString) -> sql.Composed:
    """A statement of `registry.sql` about schemas, with their names filled in."""
    return sql.SQL(_SQL[query]).format(*[sql.Identifier(schema) for schema in schemas])


def _models() -> tuple[ReadModel, ...]:
    from projections.timeline import model  # noqa: PLC0415 - the models need the classes above

    return (model.TIMELINE,)


def install(connection: psycopg.Connection) -> None:
    """Make the schemas of the read models that are not there yet; safe to run again.

    Where a build was noted but its tables are gone (of a backup only the durable tables were kept), live starts over.
    """
    with connection.transaction():
        connection.execute(_SQL["lock"])
        for model in MODELS:
            known = connection.execute(_SQL["built"], {"name": model.name}).fetchone()
            if known is not None:
                if connection.execute(_SQL["has_schema"], {"name": model.name}).fetchone() == (True,):
                    continue
                connection.execute(_SQL["start_over"])
            _build(connection, model, model.name)
            connection.execute(_SQL["note"], _noted(model))


def _noted(model: ReadModel) -> dict[str, object]:
    """What is written down about a build."""
    return {"name": model.name, "version": model.version, "sql_hash": model.sql_hash}


def _build(connection: psycopg.Connection, model: ReadModel, schema: LiteralString) -> None:
    """Make a model's empty tables in a schema, within the caller's transaction."""
    connection.execute(on_schemas("create_schema", schema))
    connection.execute(on_schemas("search_path", schema))
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


MODELS: tuple[ReadModel, ...] = _models()
