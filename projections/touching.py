"""Whose whole story did a batch touch? What depends on it is found out anew while nobody else does.

Two projectors may bring events of one customer at once, by different identifiers, and neither sees what the other
brings before it is committed. So whoever finds out something of a customer's whole story first holds her row; by then
she may be at home elsewhere, so it is asked again until nothing changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.columns import array_of

__all__ = ["NOBODY", "Held", "hold"]

_SQL: Final = load("projections", "touching.sql")


class Held(NamedTuple):
    """Customers that are held, in the order of their ids. fresh: those that nobody had held before. homes: who is at
    home where each of the evidences is that were asked for."""

    customers: list[UUID]
    fresh: frozenset[UUID]
    homes: Mapping[bytes, UUID]


NOBODY: Final = Held([], frozenset(), {})


def hold(cursor: psycopg.Cursor[Any], evidences: Collection[bytes], moved: Collection[UUID]) -> Held:
    """Hold the customers that these evidences are at home in, and those that evidences came to or went from, to the
    end of the transaction; gives them."""
    asked = {"evidences": array_of(one.hex() for one in evidences)}
    held: set[UUID] = set()
    fresh: set[UUID] = set()
    while True:
        homes: dict[bytes, UUID] = {row[0]: row[1] for row in cursor.execute(_SQL["homes"], asked)}
        found = {*homes.values(), *moved}
        if found <= held:
            return Held(sorted(found, key=attrgetter("int")), frozenset(fresh), homes)
        wanted = {"customers": array_of(one.hex for one in found - held)}
        if len(cursor.execute(_SQL["hold"], wanted).fetchall()) < len(found - held):
            fresh.update(row[0] for row in cursor.execute(_SQL["note"], wanted))
            cursor.execute(_SQL["hold"], wanted)
        held |= found
