"""What would other rules of identity change, and how do they take effect?

`check` resolves all anew in scratch tables and tells who would merge and who would split. `change` fills tables
beside the live ones, brings them up to the moment as the projector would, and switches them in by one transaction,
for which live is held still; those before stay as `identity_previous`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from domain.errors import Unavailable
from domain.identity_rules import Blocked, Rules
from eventlog.port import Log
from eventlog.sql import load
from projections.identity.apply import LOCK, Shown, apply
from projections.identity.filling import fill
from projections.moves import lock_switches, refuse_moved
from projections.positions import Positions
from projections.registry import MODELS, NEXT, ReadModel, build_beside, drop_beside, on_schemas, switch_in
from projections.rows import RulingSeen

__all__ = ["Difference", "Moved", "change", "check", "ignored_by", "live_rules"]

_SQL = load("projections.identity", "changing.sql")
_REGISTRY = load("projections", "registry.sql")
BESIDE: Final[LiteralString] = "_rules"
"""What the schema is called that is filled by other rules, after the read model's name."""
_SAMPLES: Final = 20
_AT_ONCE: Final = 2000
_OWN_LOCK: Final = LOCK + 300
"""Of those who change the tables beside: projectors go on meanwhile."""
_OPTIONS: Final = "-c temp_buffers=64MB -c maintenance_work_mem=256MB -c jit=off -c client_min_messages=warning"

_Told = Callable[[int, int], None]


class Moved(NamedTuple):
    """A customer that would become several, or that several would become: how many, and the first of them."""

    customer: UUID
    size: int
    parts: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What other rules make of it. Counts of customers are of those with events. `merges`, `splits`: how many;
    `merged`: of a new id, with the ids that would be one; `split`: of an id, with the ids that it would become (the
    first of them by id). `disputed`: links that are not followed. `shared`, `unshared`: identifiers that would stop
    linking, and that would link again."""

    customers: tuple[int, int]
    disputed: tuple[int, int]
    shared: int
    unshared: int
    merges: int
    splits: int
    merged: tuple[Moved, ...]
    split: tuple[Moved, ...]
    seconds: float


def live_rules(dsn: str) -> Rules:
    """The rules that the live tables were resolved by."""
    with _connected(dsn) as connection:
        row = connection.execute(_SQL["live_rules"]).fetchone()
    return Rules.from_json(row[0]) if row else Rules()


def ignored_by(dsn: str, blocked: Blocked, tokens: Iterable[str | None]) -> frozenset[UUID]:
    """Nodes of values that are blocked from now on. tokens: those of the blocked words, which are found even where
    they cannot be read any more; all else is looked for among what the directory can read."""
    found = {UUID(hex=token[-32:]) for token in tokens if token is not None}
    if blocked:
        with _connected(dsn) as connection, connection.transaction(), connection.cursor(name="readable") as cursor:
            cursor.itersize = 5000
            cursor.execute(_SQL["readable"], binary=True)
            found.update(node for node, kind, _, value in cursor if blocked.blocks(kind, value))
    return frozenset(found)


def check(dsn: str, rules: Rules, told: _Told = lambda done, total: None) -> Difference:
    """What these rules would change. Changes nothing: it works in scratch tables of this session."""
    began = time.perf_counter()
    with _connected(dsn) as connection, connection.transaction(force_rollback=True):
        connection.execute(_SQL["snapshot"])
        connection.execute(_SQL["scratch"])
        connection.execute(_model().schema)
        fill(connection, rules, told)
        return _difference(connection, began)


def change(dsn: str, log: Log, rules: Rules, told: _Told = lambda done, total: None) -> Difference:
    """Put these rules into effect; gives what they changed. Readers see the old customers or the new ones, never a
    mix. Raises Unavailable while a rebuild, or a move or repair of the log, is at work. Stopped or killed anywhere,
    it leaves the live tables untouched."""
    began = time.perf_counter()
    model = _model()
    with _connected(dsn) as connection:
        refuse_moved(connection, log.log_id)
        lock_switches(connection, [one.name for one in MODELS])
        with connection.transaction():
            build_beside(connection, model, BESIDE)
        with connection.transaction():
            connection.execute(_SQL["snapshot"])
            _beside(connection)
            fill(connection, rules, told)
            found = _difference(connection, began)
        with connection.transaction():
            _catch_up(connection)  # most of what came meanwhile, so that live is held but for a moment
        _switch(connection, log, model)
    return found


def _switch(connection: psycopg.Connection, log: Log, model: ReadModel) -> None:
    """Hold live still, catch up with the last of what came meanwhile, rename."""
    live = Positions("live", log.log_id)
    live.begin(connection, range(log.partitions))
    with connection.transaction():
        connection.execute(_REGISTRY["lock"])
        live.hold(connection)
        connection.execute(_SQL["identity_lock"])
        _catch_up(connection)
        switch_in(connection, model, BESIDE)
        connection.execute(_SQL["wake_segments"])
        live.fence(connection)
        for one in MODELS:  # a rebuild that was cut off went by the rules before
            drop_beside(connection, one, NEXT)


def _catch_up(connection: psycopg.Connection) -> None:
    """Bring the tables beside up to the live ones: new evidences and rulings, by the projector's own way."""
    _beside(connection)
    with connection.cursor(binary=True) as cursor:
        behind = cursor.execute(_SQL["behind"]).fetchall()
        for start in range(0, len(behind), _AT_ONCE):
            some = behind[start : start + _AT_ONCE]
            apply(cursor, Shown(recounted={row[0]: (tuple(row[2]), row[1]) for row in some}), _OWN_LOCK)
        rulings = cursor.execute(_SQL["rulings_behind"]).fetchall()
        apply(cursor, Shown(rulings=[_ruling(row) for row in rulings]), _OWN_LOCK)
        cursor.execute(_SQL["loose_behind"])


def _ruling(row: Sequence[Any]) -> tuple[RulingSeen, bool]:
    name, at, merges, counts, tokens, places = row
    sides: list[list[str]] = [[] for _ in range(max(places) + 1)]
    for token, place in zip(tokens, places, strict=True):
        sides[place].append(token)
    return RulingSeen(b"", name, at, merges, tuple([tuple(side) for side in sides])), counts


def _beside(connection: psycopg.Connection) -> None:
    connection.execute(on_schemas("search_path_of", f"identity{BESIDE}"))


def _difference(connection: psycopg.Connection, began: float) -> Difference:
    row = connection.execute(_SQL["totals"]).fetchone() or (0,) * 6
    asked = {"samples": _SAMPLES, "parts": _SAMPLES}
    merges, merged = _moved(connection.execute(_SQL["merges"], asked).fetchall())
    splits, split = _moved(connection.execute(_SQL["splits"], asked).fetchall())
    seconds = time.perf_counter() - began
    return Difference(row[0:2], row[2:4], row[4], row[5], merges, splits, merged, split, seconds)


def _moved(rows: Sequence[Any]) -> tuple[int, tuple[Moved, ...]]:
    return (rows[0][0] if rows else 0), tuple([Moved(row[1], row[2], tuple(row[3])) for row in rows])


def _model() -> ReadModel:
    return next(model for model in MODELS if model.name == "identity")


def _connected(dsn: str) -> AbstractContextManager[psycopg.Connection]:
    """A connection for work that takes long. Raises Unavailable."""
    try:
        return psycopg.connect(dsn, autocommit=True, connect_timeout=5, options=_OPTIONS)
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer ({type(error).__name__}).") from None
