"""How does a batch become rows of the timeline? See `apply.sql` for each step."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.contacts import evidence_of
from projections.packing import MARK_SIZE, NAME_SIZE, Packed, copy_in, mark
from projections.rows import Batch, Rows

__all__ = ["Lost", "Outcome", "apply"]

_SQL: Final = load("projections.timeline", "apply.sql")
_STAGING: Final = load("projections", "staging.sql")
_Cursor = psycopg.Cursor[Any]


class Lost(NamedTuple):
    """A staged record that was refused: a name clash. To be parked."""

    name: UUID
    log_partition: int
    log_offset: int
    type: str
    value: bytes


class Outcome(NamedTuple):
    """What became of a batch. `new`: rows of `events` that went straight in. `doubtful`: names that were known
    before. `changed`: names whose row is another now. `evidences`: what the events that were told apart name, and
    what the changed ones named before."""

    new: Packed
    doubtful: set[bytes]
    changed: set[UUID]
    evidences: set[bytes]
    lost: list[Lost]


def apply(cursor: _Cursor, batch: Batch) -> Outcome:
    """Apply a batch to `events`, `refs` and `about`; what else follows is the caller's."""
    known = {row[0].bytes for row in cursor.execute(_SQL["known"], {"names": batch.names})}
    new, doubtful = batch.first.split(known, NAME_SIZE)
    for table, packed in new._asdict().items():
        copy_in(cursor, _SQL[f"copy_{table}"], packed)
    doubtful = doubtful.with_(batch.again)
    if not len(doubtful.events):
        return Outcome(new.events, set(), set(), set(), [])
    names = doubtful.events.names()
    evidences = {found for found in map(evidence_of, doubtful.events.rows()) if found}
    changed, before, lost = _judge(cursor, doubtful)
    return Outcome(new.events, names, changed, evidences | before, lost)


def _judge(cursor: _Cursor, doubtful: Rows) -> tuple[set[UUID], set[bytes], list[Lost]]:
    """Apply what may be repeats or name clashes; gives (names whose row changed, their evidences before, clashes)."""
    copy_in(cursor, _STAGING["copy_events"], doubtful.events)
    changed = {row[0] for row in cursor.execute(_SQL["staged_events"])}
    lost = [Lost(*row) for row in cursor.execute(_SQL["sift_clashes"]).fetchall()]
    if lost:
        places = {"partitions": [one.log_partition for one in lost], "offsets": [one.log_offset for one in lost]}
        cursor.execute(_SQL["sift_events"], places)
        doubtful, _ = doubtful.split(_marks(lost), MARK_SIZE)
    for table, packed in (("refs", doubtful.refs), ("about", doubtful.about)):
        copy_in(cursor, _STAGING[f"copy_{table}"], packed)
    earlier = cursor.execute(_SQL["earlier_repeats"]).fetchall()
    changed.update(row[0] for row in earlier)
    if earlier:
        cursor.execute(_SQL["sift_moved_refs"])
        cursor.execute(_SQL["sift_repeats"])
    cursor.execute(_SQL["staged_refs"])
    cursor.execute(_SQL["staged_about"])
    return changed, {row[1].bytes for row in earlier if row[1] is not None}, lost


def _marks(lost: list[Lost]) -> set[bytes]:
    return {mark(one.name.bytes, one.log_partition, one.log_offset) for one in lost}
