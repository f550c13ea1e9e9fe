"""How does a batch come into the tables of `work`? See `apply.sql` and `folding.sql` for each step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.packing import copy_in
from projections.rows import Derived
from projections.work.extracting import touched

__all__ = ["Item", "apply", "fold", "forget"]

_SQL: Final = load("projections.work", "apply.sql")
_FOLDED: Final = {"deal": "deals", "ticket": "tickets", "task": "tasks", "lead": "leads"}
"""Tables of rows that are folded, by the kind of the item."""
Item = tuple[UUID, str]
"""(its id, its kind)"""


def apply(cursor: psycopg.Cursor[Any], derived: Sequence[Derived], forgotten: Collection[Item] = ()) -> set[Item]:
    """Bring in what follows from new and from settled events, and fold the items that they touch; and those whose
    steps were taken away before, `forgotten`. Gives the items that were folded."""
    items = set(forgotten)
    for one in derived:
        copy_in(cursor, _SQL["copy_notices"], one.notices)
        copy_in(cursor, _SQL["copy_steps"], one.steps)
        items.update(map(touched, one.steps.rows()))
    if not items:
        return items
    hold = {"items": [item for item, _ in items], "kinds": [kind for _, kind in items]}
    cursor.execute(_SQL["note_items"], hold)
    cursor.execute(_SQL["hold_items"], hold)
    fold(cursor, items)
    return items


def fold(cursor: psycopg.Cursor[Any], items: Collection[Item]) -> None:
    """Fold these items anew out of their steps."""
    cursor.execute(_SQL["fold_in_one"])
    for kind, table in _FOLDED.items():
        chosen = [item for item, its in items if its == kind]
        if chosen:
            cursor.execute(_SQL[f"forget_{table}"], {"items": chosen})
            cursor.execute(_SQL[f"fold_{table}"], {"items": chosen})
    cursor.execute(_SQL["as_before"])


def forget(cursor: psycopg.Cursor[Any], names: Collection[UUID]) -> list[Item]:
    """Take away what followed from these events; gives the items that have to be folded anew."""
    asked = {"names": list(names)}
    cursor.execute(_SQL["forget_notices"], asked)
    return cursor.execute(_SQL["forget_steps"], asked).fetchall()
