"""How does a staged batch become rows of the timeline? See `apply.sql` for each step."""

from __future__ import annotations

from typing import Any

import psycopg

from eventlog.sql import load
from projections.decoding import Batch
from projections.registry import Lost, ReadModel

__all__ = ["TIMELINE"]

_SQL = load("projections.timeline", "apply.sql")


def _apply(cursor: psycopg.Cursor[tuple[Any, ...]], batch: Batch) -> list[Lost]:
    lost: list[Lost] = []
    if batch.size and cursor.execute(_SQL["events"]).rowcount < batch.size:
        lost = _sift(cursor)
    for table, stream in (("refs", batch.refs), ("about", batch.about), ("lookup", batch.lookup)):
        if stream:
            cursor.execute(_SQL[table])
    return lost


def _sift(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[Lost]:
    """Not every staged event was new: tell repeats from name clashes."""
    lost = [Lost(*row) for row in cursor.execute(_SQL["sift_clashes"]).fetchall()]
    if lost:
        items = {"items": [one.item for one in lost]}
        for step in ("sift_stage", "sift_refs", "sift_about", "sift_lookup"):
            cursor.execute(_SQL[step], items)
    cursor.execute(_SQL["sift_moved_refs"])
    cursor.execute(_SQL["sift_repeats"])
    return lost


TIMELINE = ReadModel(name="timeline", version=1, kind="every event", package="projections.timeline", apply=_apply)
