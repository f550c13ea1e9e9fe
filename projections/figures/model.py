"""How does a batch come into the tables of `figures`? See `apply.sql` for each step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.packing import copy_in
from projections.rows import Derived

__all__ = ["TABLES", "apply", "forget", "touch"]

_SQL: Final = load("projections.figures", "apply.sql")
TABLES: Final = ("lines", "scores", "moods", "mentions", "things")
"""Tables of rows that follow from single events, each marked by its event's name."""


def apply(cursor: psycopg.Cursor[Any], derived: Sequence[Derived]) -> None:
    """Bring in what follows from new and from settled events."""
    for one in derived:
        for table in TABLES:
            copy_in(cursor, _SQL[f"copy_{table}"], getattr(one, table))


def touch(cursor: psycopg.Cursor[Any], quarters: Collection[str]) -> None:
    """The sums of these quarters of an hour (by their begin, as Postgres reads it) are to be made anew."""
    if quarters:
        cursor.execute(_SQL["touch"], {"quarters": f"{{{','.join(quarters)}}}"})


def forget(cursor: psycopg.Cursor[Any], names: Collection[UUID]) -> None:
    """Take away what followed from these events."""
    for table in TABLES:
        cursor.execute(_SQL[f"forget_{table}"], {"names": list(names)})
