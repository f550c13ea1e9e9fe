"""How does a batch become rows of the timeline? See `apply.sql` for each step."""

from __future__ import annotations

from typing import Any

import psycopg

from eventlog.sql import load
from projections.decoding import Batch, Rows
from projections.packing import MARK_SIZE, NAME_SIZE, Packed, mark
from projections.registry import Lost, ReadModel

__all__ = ["TIMELINE"]

_SQL = load("projections.timeline", "apply.sql")
_STAGING = load("projections", "staging.sql")
_Cursor = psycopg.Cursor[Any]


def _apply(cursor: _Cursor, batch: Batch) -> list[Lost]:
    known = {row[0].bytes for row in cursor.execute(_SQL["known"], {"names": batch.names})}
    new, doubtful = batch.first.split(known, NAME_SIZE)
    for table, packed in new._asdict().items():
        _copy(cursor, _SQL[f"copy_{table}"], packed)
    doubtful = doubtful.with_(batch.again)
    lost = _judge(cursor, doubtful) if len(doubtful.events) else []
    lookup, _ = batch.lookup.split(_marks(lost), MARK_SIZE)
    if len(lookup):
        _copy(cursor, _STAGING["copy_lookup"], lookup)
        cursor.execute(_SQL["lookup"])
    return lost


def _judge(cursor: _Cursor, doubtful: Rows) -> list[Lost]:
    """Apply what may be repeats or name clashes; gives the clashes."""
    _copy(cursor, _STAGING["copy_events"], doubtful.events)
    cursor.execute(_SQL["staged_events"])
    lost = [Lost(*row) for row in cursor.execute(_SQL["sift_clashes"]).fetchall()]
    if lost:
        places = {"partitions": [one.log_partition for one in lost], "offsets": [one.log_offset for one in lost]}
        cursor.execute(_SQL["sift_events"], places)
        doubtful, _ = doubtful.split(_marks(lost), MARK_SIZE)
    for table, packed in (("refs", doubtful.refs), ("about", doubtful.about)):
        _copy(cursor, _STAGING[f"copy_{table}"], packed)
    cursor.execute(_SQL["sift_moved_refs"])
    cursor.execute(_SQL["sift_repeats"])
    cursor.execute(_SQL["staged_refs"])
    cursor.execute(_SQL["staged_about"])
    return lost


def _marks(lost: list[Lost]) -> set[bytes]:
    return {mark(one.name.bytes, one.log_partition, one.log_offset) for one in lost}


def _copy(cursor: _Cursor, statement: Any, packed: Packed) -> None:
    if len(packed):
        with cursor.copy(statement) as copy:
            copy.write(packed.stream())


TIMELINE = ReadModel(name="timeline", version=1, kind="every event", package="projections.timeline", apply=_apply)
