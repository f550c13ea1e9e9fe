"""Which read models are there, and what does each declare?

A read model declares its name, its version, what kind of fold it is, and the SQL that makes it. It lives in a schema
of its own, named after it; a rebuild fills `NAME_next` beside it and keeps `NAME_previous` for rollback. All of them
are one family (`family.py`), applied together; a build of some may stand beside the others' live ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, Literal, LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from domain.errors import Misconfigured
from eventlog.sql import load
from projections.connecting import reading

__all__ = [
    "MODELS",
    "NEXT",
    "PREVIOUS",
    "Former",
    "Hashes",
    "ReadModel",
    "all_hashes",
    "build_beside",
    "changed",
    "changed_for",
    "drop_beside",
    "former",
    "has_schema",
    "install",
    "is_beside",
    "on_schemas",
    "refuse_changed",
    "snapshot",
    "standing_on",
    "switch_in",
    "told_of",
    "use",
]

_SQL = load("projections", "registry.sql")
NEXT: LiteralString = "_next"
"""What the schema of a rebuild is called, after the read model's name."""
PREVIOUS: LiteralString = "_previous"
"""What the schema of the build before is called, which is kept for rollback."""
_REMARK = re.compile(r"^\s*--.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A read model: `package` holds the SQL of its tables, of how batches get into them, and of the hashes over its
    declared columns. `carried`: tables that no event fills; a new build takes them over. `stands_on`: read models
    that it is made of beside the timeline. `deferred`: indexes (`*` for
    any end of the name) that no batch relies on; a build that is filled makes them when that is done."""

    name: LiteralString
    version: int
    kind: Literal["every event", "additive", "mergeable", "recomputed"]
    package: str
    carried: tuple[LiteralString, ...] = ()
    stands_on: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()

    @property
    def schema(self) -> LiteralString:
        """The SQL that makes its tables."""
        return load(self.package, "schema.sql")["tables"]

    @property
    def sql_hash(self) -> str:
        """Changes when the SQL that makes it changes (remarks apart): then it has to be rebuilt."""
        parts = [*load(self.package, "schema.sql").values(), *load(self.package, "apply.sql").values()]
        return sha256("\0".join([" ".join(_REMARK.sub("", one).split()) for one in parts]).encode()).hexdigest()[:16]

    def hashes(
        self,
        connection: psycopg.Connection,
        suffix: LiteralString = "",
        republished: bool = False,
        only: Collection[str] | None = None,
    ) -> Hashes:
        """`{table: (rows, hash)}` of the build in schema NAME + suffix; two equal builds have equal hashes.

        `republished`: leave out what each publication of the same history makes anew. `only`: see `use`.
        """
        queries = load(self.package, "hashes.sql")
        found: dict[str, tuple[int, int]] = {}
        with connection.transaction():
            use(connection, suffix, only)
            for table, query in queries.items():
                base = table.removesuffix("_republished")
                anew = f"{base}_republished" in queries
                if (table == base) != (republished and anew):
                    row = connection.execute(query, {}).fetchone() or (0, 0)
                    found[base] = (int(row[0]), int(row[1]))
        return found


class Former(NamedTuple):
    """A build that is kept for rollback: when it was switched out, and the positions of live then, by log."""

    version: int
    sql_hash: str
    switched_at: datetime
    stood: Mapping[str, Mapping[int, int]]


Hashes = Mapping[str, tuple[int, int]]


def all_hashes(
    connection: psycopg.Connection,
    suffix: LiteralString = "",
    republished: bool = False,
    only: Collection[str] | None = None,
) -> dict[str, tuple[int, int]]:
    """`{table: (rows, hash)}` of all read models of one build, or of `only` these; no two of them have a table of the
    same name."""
    return {
        table: found
        for model in MODELS
        if only is None or model.name in only
        for table, found in model.hashes(connection, suffix, republished, only).items()
    }


def on_schemas(query: str, *schemas: LiteralString) -> sql.Composed:
    """A statement of `registry.sql` about schemas, with their names filled in."""
    return sql.SQL(_SQL[query]).format(*[sql.Identifier(schema) for schema in schemas])


MODELS: Final[tuple[ReadModel, ...]] = (
    ReadModel(
        name="timeline",
        version=3,
        kind="every event",
        package="projections.timeline",
        deferred=("events_happened", "events_position"),
    ),
    ReadModel(
        name="identity",
        version=1,
        kind="recomputed",
        package="projections.identity",
        carried=("rules",),
        deferred=("nodes_customer", "evidences_customer"),
    ),
    ReadModel(
        name="customers",
        version=2,
        kind="mergeable",
        package="projections.customers",
        stands_on=("identity",),
        deferred=("trades_happened", "consents_evidence", "answers_evidence"),
    ),
    ReadModel(
        name="directory",
        version=1,
        kind="every event",
        package="projections.directory",
        deferred=("identifiers_node", "terms_alike", "words_alike", "codes_prefix"),
    ),
    ReadModel(
        name="work",
        version=1,
        kind="recomputed",
        package="projections.work",
        deferred=("deals_*", "tickets_*", "tasks_*", "leads_*", "steps_stalled"),
    ),
    ReadModel(
        name="figures",
        version=1,
        kind="every event",
        package="projections.figures",
        stands_on=("customers",),
        deferred=("lines_*", "scores_*", "moods_*", "mentions_*", "things_*"),
    ),
    ReadModel(
        name="segments",
        version=1,
        kind="recomputed",
        package="projections.segments",
        stands_on=("identity", "customers", "directory", "work", "figures"),
    ),
)


_GROUND: Final = ("timeline", "identity")
"""What the others stand on: without them nothing serves."""


def use(
    connection: psycopg.Connection | psycopg.Cursor[Any],
    suffix: LiteralString = "",
    only: Collection[str] | None = None,
) -> None:
    """For the rest of the transaction the tables of one build are found by their bare names. `only`: the read models
    of which the build of this suffix is meant; of all others it is the live one."""
    schemas = [model.name + suffix if only is None or model.name in only else model.name for model in MODELS]
    connection.execute(on_schemas("search_path", *schemas))


def install(connection: psycopg.Connection) -> None:
    """Make the schemas of the read models where none of them is there yet; safe to run again.

    Where the tables of all are gone (of a backup only the durable tables were kept), or those that the others stand
    on, all are made and live starts over. Where only others are missing, or are of another release, nothing is
    touched: `changed` names them, and a rebuild makes them while the rest serves.
    """
    with connection.transaction():
        connection.execute(_SQL["lock"])
        builds = _builds(connection)
        if all(builds[name][2] for name in _GROUND):
            return
        connection.execute(_SQL["extensions"])
        for model in MODELS:
            connection.execute(on_schemas("drop_schema", model.name))
            _build(connection, model, model.name)
            connection.execute(_SQL["note"], _noted(model))
        if any(version is not None for version, _, _ in builds.values()):
            connection.execute(_SQL["start_over"])


def _builds(connection: psycopg.Connection) -> dict[str, tuple[int | None, str | None, bool]]:
    """Of each read model: the version and the hash that are noted, and whether its tables are there."""
    rows = connection.execute(_SQL["builds"], {"names": [model.name for model in MODELS]}).fetchall()
    return {name: (version, sql_hash, there) for name, version, sql_hash, there in rows}


def changed(connection: psycopg.Connection) -> tuple[str, ...]:
    """The read models whose live tables are not those of this release: made by other SQL, or not there."""
    return _unlike(_builds(connection))


async def changed_for(pool: AsyncConnectionPool) -> tuple[str, ...]:
    """The same for a process that serves. Raises Unavailable where the database does not answer."""
    async with reading(pool) as connection:
        asked = {"names": [model.name for model in MODELS]}
        rows = await (await connection.execute(_SQL["builds"], asked)).fetchall()
    return _unlike({name: (version, sql_hash, there) for name, version, sql_hash, there in rows})


def _unlike(builds: Mapping[str, tuple[int | None, str | None, bool]]) -> tuple[str, ...]:
    ours = {model.name: (model.version, model.sql_hash, True) for model in MODELS}
    return tuple([name for name, wanted in ours.items() if builds[name] != wanted])


def standing_on(names: Collection[str]) -> tuple[str, ...]:
    """These read models, and those that are made of them: they have to be made anew together."""
    found = set(names) if "timeline" not in names else {model.name for model in MODELS}
    for model in MODELS:  # what stands on others comes after them
        if found & {*model.stands_on}:
            found.add(model.name)
    return tuple([model.name for model in MODELS if model.name in found])


def refuse_changed(connection: psycopg.Connection) -> None:
    """Raises Misconfigured where the live tables are not those of this release: to write into them would mix two."""
    names = changed(connection)
    if names:
        raise Misconfigured(told_of(names))


def told_of(names: Collection[str]) -> str:
    """What to say of read models that are not those of this release."""
    words = "all" if "timeline" in names else " ".join(standing_on(names))
    return (
        f"The tables of {', '.join(names)} are not those of this release. Run `storyline rebuild {words}` with this "
        "release, which makes them beside those that serve, or start the release that made them."
    )


def has_schema(connection: psycopg.Connection, name: str) -> bool:
    """Are the tables of a build there?"""
    return connection.execute(_SQL["has_schema"], {"name": name}).fetchone() == (True,)


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
    """Put the tables beside the live ones into their place, within the caller's transaction, which holds `lock` and
    the positions of live.

    Those before stay as NAME_previous, with the positions that live has now. From NAME_previous itself the two change
    places.
    """
    out: LiteralString = "_switched" if suffix == PREVIOUS else PREVIOUS
    if has_schema(connection, model.name):
        if suffix != PREVIOUS:
            connection.execute(on_schemas("drop_schema", model.name + PREVIOUS))
        connection.execute(on_schemas("rename_schema", model.name, model.name + out))
        connection.execute(_SQL["note_previous"], {"name": model.name})
    connection.execute(on_schemas("rename_schema", model.name + suffix, model.name))
    if suffix == PREVIOUS:
        connection.execute(on_schemas("rename_schema", model.name + out, model.name + PREVIOUS))
    connection.execute(_SQL["note"], _noted(model))
    if suffix != PREVIOUS:
        connection.execute(_SQL["unnote"], {"name": model.name + suffix})
    _publish_views(connection)


def _publish_views(connection: psycopg.Connection) -> None:
    """Views that stand on the tables would follow those that are switched out."""
    if find_spec("projections.figures.views") is not None:
        import_module("projections.figures.views").publish(connection)


def former(connection: psycopg.Connection, model: ReadModel) -> Former | None:
    """The build of a model that is kept for rollback. None where there is none, or nobody knows where it stood."""
    if not has_schema(connection, model.name + PREVIOUS):
        return None
    row = connection.execute(_SQL["stood"], {"name": model.name}).fetchone()
    if row is None or row[3] is None:
        return None
    stood = {log_id: {int(part): offset for part, offset in its.items()} for log_id, its in row[3].items()}
    return Former(row[0], row[1], row[2], stood)
