"""Which events does an analyst replay, and as what does each count? Read from the timeline in one snapshot, some at a
time, in constant memory.

Events that were taken back are left out, those that were put right have the right content, unless they are asked for
as they were sent. With `recorded_by` a correction counts if it was recorded by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql

from domain.catalogue.registry import Catalogue
from domain.corrections import Said, effects
from domain.errors import BadInput, Poison, Problem, Unavailable
from domain.replay_where import Asked, fulfils
from domain.segment_parts import Where
from eventlog.record import Head, Record, decode
from eventlog.sql import load
from projections.connecting import KEEPALIVE

__all__ = ["FAR", "Chosen", "Replayed", "replayed", "snapshot_of"]

_SQL: Final = load("projections", "replaying.sql")
_EARLY: Final = datetime(1, 1, 2, tzinfo=UTC)
FAR: Final = datetime(9999, 12, 31, tzinfo=UTC)
_MOST_ROWS: Final = 1000
_MOST_BYTES: Final = 4 * 2**20
"""Of the records that are held at once, amendments aside."""
_OPTIONS: Final = (
    # A reader that takes nothing for so long is gone, and would keep dead rows from being cleared away.
    "-c idle_in_transaction_session_timeout=120s -c default_transaction_read_only=on -c timezone=UTC -c jit=off "
    "-c cursor_tuple_fraction=1 -c work_mem=32MB"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which events are replayed. since, until: when they happened, the second not included. types: all where empty.
    customers: any of their ids. segments: whose members they are of now, by code. where: what each must fulfil, as it
    counts. happened_by, recorded_by: what had happened, and what was known, by then. as_sent: also what
    was taken back, with the content as it was first sent."""

    since: datetime | None = None
    until: datetime | None = None
    types: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    customers: tuple[UUID, ...] = ()
    segments: tuple[str, ...] = ()
    where: tuple[Where, ...] = ()
    happened_by: datetime | None = None
    recorded_by: datetime | None = None
    as_sent: bool = False
    order: Literal["happened", "position"] = "happened"


class Replayed(NamedTuple):
    """An event as it counts. content: the public one, in the current version of its type. amendment: the record that
    the content is of, where it was put right. corrected: `amended`, `retracted`, or None. position: partition and
    offset."""

    happened_at: datetime
    recorded_at: datetime
    touch: bool
    position: tuple[int, int]
    customer: UUID | None
    corrected: Literal["amended", "retracted"] | None
    record: Record
    version: int
    content: Mapping[str, Any]
    amendment: Record | None


class _Stored(NamedTuple):
    name: UUID
    happened_at: datetime
    recorded_at: datetime
    touch: bool
    log_partition: int
    log_offset: int
    type: str
    record: bytes
    customer: UUID | None
    retracted: bool
    amended_by: UUID | None


@contextmanager
def snapshot_of(dsn: str, name: str = "storyline replay") -> Iterator[psycopg.Connection]:
    """A connection of one's own within one snapshot that nothing can be written in. Raises Unavailable where the
    database does not answer, or falls silent within the block."""
    try:
        with psycopg.connect(
            dsn, autocommit=False, connect_timeout=10, application_name=name, options=_OPTIONS, **KEEPALIVE
        ) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None


def replayed(connection: psycopg.Connection, catalogue: Catalogue, chosen: Chosen) -> Iterator[list[Replayed]]:
    """The chosen events, some at a time, in order. Raises BadInput for types and segments that are not there."""
    _check(connection, catalogue, chosen)
    for names in _keys(connection, chosen):
        stored = [_Stored(*row) for row in _fetched(connection, "events", {"names": names})]
        if chosen.recorded_by is not None:
            stored = _as_then(connection, stored, chosen.recorded_by)
        amendments = {} if chosen.as_sent else _amendments(connection, stored)
        found = [one for row in stored if (one := _counting(row, amendments, catalogue, chosen)) is not None]
        if chosen.where:
            found = [one for one in found if fulfils(chosen.where, _asked(one.record.head, one.content))]
        if found:
            yield found


def _asked(head: Head, content: Mapping[str, Any]) -> Asked:
    return Asked(head.source, head.actor, head.channel, head.direction, head.refs, content)


def _check(connection: psycopg.Connection, catalogue: Catalogue, chosen: Chosen) -> None:
    if unknown := [one for one in chosen.types if one not in catalogue]:
        way_out = "GET /v1/types lists those that there are."
        raise BadInput([Problem("type", f"{unknown[0][:100]!r} is not in the catalogue.", way_out)])
    if chosen.segments:
        known = {row[0] for row in _fetched(connection, "active_segments", {"segments": list(chosen.segments)})}
        if set(chosen.segments) - known:
            way_out = "GET /v1/segments lists those that there are."
            raise BadInput([Problem("segment", "names a segment that is not there, or is archived.", way_out)])


def _fetched(connection: psycopg.Connection, query: str, asked: Mapping[str, Any]) -> list[Any]:
    return connection.execute(_SQL[query], asked, binary=True).fetchall()


def _keys(connection: psycopg.Connection, chosen: Chosen) -> Iterator[list[UUID]]:
    """The names of what is chosen, as many at a time as may be held at once."""
    asked = {
        "since": chosen.since or _EARLY,
        "until": chosen.until or FAR,
        "happened_by": chosen.happened_by or FAR,
        "recorded_by": chosen.recorded_by or FAR,
        "types": list(chosen.types) or None,
        "channels": list(chosen.channels) or None,
        "customers": list(chosen.customers) or None,
        "segments": list(chosen.segments) or None,
    }
    names: list[UUID] = []
    held = 0
    with connection.cursor("keys", binary=True) as cursor:
        cursor.itersize = 5000
        for name, size in cursor.execute(sql.SQL(_SQL["keys"]).format(order=sql.SQL(_SQL[chosen.order])), asked):
            if names and (len(names) >= _MOST_ROWS or held + size > _MOST_BYTES):
                yield names
                names, held = [], 0
            names.append(name)
            held += size
    if names:
        yield names


def _as_then(connection: psycopg.Connection, stored: Sequence[_Stored], by: datetime) -> list[_Stored]:
    """The events with what had become of each by then."""
    names = [one.name for one in stored]
    said = [Said(*row) for row in _fetched(connection, "said", {"names": names, "recorded_by": by})]
    then = effects(names, said)
    spoken = {name for effect in then.values() for name in effect.amendments}
    records = dict(_records(connection, spoken))
    found = []
    for one in stored:
        fitting = (name for name in then[one.name].amendments if _fits(records.get(name), one.type))
        found.append(one._replace(retracted=then[one.name].retracted, amended_by=next(fitting, None)))
    return found


def _records(connection: psycopg.Connection, names: set[UUID]) -> Iterator[tuple[UUID, Record]]:
    for name, value in _fetched(connection, "records", {"names": list(names)}) if names else ():
        try:
            yield name, decode(value)
        except Poison:
            continue


def _fits(amendment: Record | None, type: str) -> bool:
    """An amendment says of which type it thinks the event is; the content of another would make no sense."""
    return amendment is not None and amendment.head.public.get("type") == type


def _amendments(connection: psycopg.Connection, stored: Sequence[_Stored]) -> dict[UUID, Record]:
    return dict(_records(connection, {one.amended_by for one in stored if one.amended_by and not one.retracted}))


def _counting(
    row: _Stored, amendments: Mapping[UUID, Record], catalogue: Catalogue, chosen: Chosen
) -> Replayed | None:
    """The event as it counts; None if it does not, or nobody can read it."""
    if row.retracted and not chosen.as_sent:
        return None
    try:
        record = decode(row.record)
    except Poison:
        return None
    head, amendment = record.head, amendments.get(row.amended_by) if row.amended_by else None
    version, content = head.version, head.public
    if amendment is not None:
        version, content = amendment.head.public.get("version") or 1, amendment.head.public.get("content") or {}
    known = catalogue.get(head.type)
    if known is not None and version < known.version:
        version, content = known.version, known.raise_to_current(content, version)
    corrected: Literal["amended", "retracted"] | None = None
    if row.retracted or row.amended_by:
        corrected = "retracted" if row.retracted else "amended"
    place = (row.log_partition, row.log_offset)
    return Replayed(
        row.happened_at, row.recorded_at, row.touch, place, row.customer, corrected, record, version,
        content if isinstance(content, Mapping) else {}, amendment,
    )  # fmt: skip
