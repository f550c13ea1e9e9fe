"""What is known of the rebuild that is under way, or was cut off? It stands in the durable tables, so that whoever
goes on with it, on whatever machine, knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from domain.errors import Refused, Unavailable
from eventlog.sql import load
from projections.moves import move_at_work
from projections.registry import MODELS, NEXT, drop_beside

__all__ = [
    "CONSUMER",
    "Known",
    "Part",
    "Shown",
    "Source",
    "abort",
    "begin",
    "forget",
    "identity_of",
    "is_whole",
    "known",
    "lock",
    "reached",
    "refuse_other",
    "show",
    "words_of",
]

_SQL: Final = load("projections", "rebuild.sql")
_REGISTRY: Final = load("projections", "registry.sql")
CONSUMER: Final = "rebuild:timeline"
"""Whose positions say how far one that reads the log came."""
Source = Literal["log", "timeline"]


class Known(NamedTuple):
    """A rebuild. stood: up to where its tables hold what live holds; while they are filled (`step` is `filling`),
    where live stood when that began. later: (table, statement) of what is left out while rows are copied."""

    models: tuple[str, ...]
    source: Source
    log_id: str
    step: str
    stood: dict[int, int]
    later: tuple[tuple[str, str], ...]


class Part(NamedTuple):
    """A part of a rebuild. stage: parts of a later one wait for all of an earlier one. total: in whatever it counts;
    weight: how much of the whole it is."""

    name: str
    stage: int
    total: int
    weight: float


class Shown(NamedTuple):
    """How a rebuild stands. share: of 1; still: seconds since something moved; left: seconds that it still takes,
    None where nobody knows yet."""

    models: tuple[str, ...]
    source: Source
    step: str
    share: float
    still: float
    left: float | None

    @property
    def words(self) -> str:
        """What to say to `storyline rebuild`."""
        return words_of(self.models)


def words_of(models: Sequence[str]) -> str:
    """How these read models are named to `storyline rebuild`."""
    return "all" if len(models) == len(MODELS) else " ".join(models)


def known(connection: psycopg.Connection) -> Known | None:
    """The rebuild that is under way, or was cut off."""
    row = connection.execute(_SQL["known"]).fetchone()
    if row is None:
        return None
    stood = {int(partition): offset for partition, offset in row[4].items()}
    return Known(tuple(row[0]), row[1], row[2], row[3], stood, tuple([(one[0], one[1]) for one in row[5]]))


def show(connection: psycopg.Connection) -> Shown | None:
    """How the rebuild stands that is under way, or was cut off."""
    row = connection.execute(_SQL["show"]).fetchone()
    return Shown(tuple(row[0]), *row[1:]) if row else None


def lock(connection: psycopg.Connection) -> None:
    """No other rebuild, move, repair or change of the rules of identity from now on, for as long as this session
    lives. Raises Unavailable, which says what is at work and what to do."""
    for model in MODELS:
        if connection.execute(_REGISTRY["try_rebuild_lock"], {"name": model.name}).fetchone() != (True,):
            found = show(connection)
            what = (
                f"A rebuild ({found.words}) is at work, {100 * found.share:.0f} % are done"
                if found is not None and not move_at_work(connection)
                else "A move or repair of the log, or a change of the rules of identity, is at work"
            )
            raise Unavailable(f"{what}: two would collide. Wait for it or stop it, then run this again.")


def refuse_other(found: Known | None, models: Sequence[str], source: Source) -> None:
    """Raises Refused where another rebuild was cut off."""
    if found is not None and (found.models, found.source) != (tuple(models), source):
        words = words_of(found.models)
        raise Refused(
            f"A rebuild ({words}, from the {found.source}) was cut off. `storyline rebuild {words} --from "
            f"{found.source}` goes on with it, `storyline rebuild --abort` gives it up."
        )


def begin(connection: psycopg.Connection, new: Known, parts: Sequence[Part], unlogged: bool = True) -> None:
    """Write down that one begins, in place of the one before, within the caller's transaction."""
    forget(connection)
    values = {
        "models": list(new.models),
        "source": new.source,
        "log_id": new.log_id,
        "stood": Jsonb(new.stood),
        "later": Jsonb([list(one) for one in new.later]),
    }
    connection.execute(_SQL["begin"], values)
    for part in parts:
        connection.execute(
            _SQL["add_part"],
            {"part": part.name, "stage": part.stage, "total": part.total, "weight": part.weight},
        )
    if unlogged:
        connection.execute(_SQL["mark"])


def forget(connection: psycopg.Connection) -> None:
    """It is done, or given up."""
    for query in ("forget_parts", "forget", "unmark"):
        connection.execute(_SQL[query])


def is_whole(connection: psycopg.Connection) -> bool:
    """Did no crash of Postgres empty what is being filled?"""
    return connection.execute(_SQL["marked"]).fetchone() == (True,)


def reached(connection: psycopg.Connection, stood: Mapping[int, int]) -> None:
    """Its tables hold all that live holds up to here."""
    connection.execute(_SQL["reached"], {"stood": Jsonb(dict(stood))})


def identity_of(connection: psycopg.Connection) -> datetime:
    """Which rebuild this is. Raises Unavailable where there is none any more."""
    row: Any = connection.execute(_SQL["begun_at"]).fetchone()
    if row is None:
        raise Unavailable("The rebuild was given up.")
    at: datetime = row[0]
    return at


def abort(connection: psycopg.Connection) -> tuple[str, ...]:
    """Give up what is under way and take away what it made; gives the read models that it was of. Live is untouched.
    Raises Unavailable while somebody works on it."""
    lock(connection)
    found = known(connection)
    with connection.transaction():
        connection.execute(_REGISTRY["lock"])
        for model in MODELS:
            drop_beside(connection, model, NEXT)
        connection.execute(_SQL["forget_positions"], {"consumer": CONSUMER})
        forget(connection)
    return found.models if found else ()
