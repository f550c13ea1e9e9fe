"""How does a batch come into the tables of `figures`? See `apply.sql` for each step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.columns import LENGTH, NULL, array_of
from projections.packing import copy_in
from projections.rows import Derived

__all__ = ["TABLES", "apply", "forget", "give_up_buyers", "order_times", "touch", "touch_buyers"]

_SQL: Final = load("projections.figures", "apply.sql")
TABLES: Final = ("lines", "scores", "moods", "mentions", "things")
"""Tables of rows that follow from single events, each marked by its event's name."""

_TARGET: Final = 2 + 20 + 4
"""Where the text that it is of stands in a packed row of `moods`."""
_ANSWERED: Final = 2 + 20 + 4
"""Where the evidence stands in one of `answers`."""
_PRODUCT: Final = 2 + 20
"""Where the product stands, with its length, in one of `mentions`; then the evidence."""


def apply(cursor: psycopg.Cursor[Any], derived: Sequence[Derived]) -> None:
    """Bring in what follows from new and from settled events."""
    for one in derived:
        for table in TABLES:
            copy_in(cursor, _SQL[f"copy_{table}"], getattr(one, table))
        if len(one.moods):
            targets = [row[_TARGET : _TARGET + 16].hex() for row in one.moods.rows()]
            cursor.execute(_SQL["touch_moods"], {"targets": array_of(targets)})
        voices = _voices(one)
        if voices:
            cursor.execute(_SQL["touch_voices"], {"voices": array_of(voices)})
        if len(one.things):
            cursor.execute(_SQL["touch_categories"], {"names": [UUID(bytes=name) for name in one.things.names()]})


def _voices(derived: Derived) -> set[str]:
    """The evidences (in hex) of those who answered campaigns or spoke of products."""
    found = {row[_ANSWERED : _ANSWERED + 16].hex() for row in derived.answers.rows()}
    for row in derived.mentions.rows():
        [size] = LENGTH.unpack_from(row, _PRODUCT)
        evidence = row[_PRODUCT + LENGTH.size + size :]
        if evidence[: LENGTH.size] != NULL:
            found.add(evidence[LENGTH.size : LENGTH.size + 16].hex())
    return found


def touch(cursor: psycopg.Cursor[Any], quarters: Collection[str]) -> None:
    """The sums of these quarters of an hour (by their begin, as Postgres reads it) are to be made anew."""
    if quarters:
        cursor.execute(_SQL["touch"], {"quarters": array_of(quarters)})


def touch_buyers(
    cursor: psycopg.Cursor[Any], evidences: Collection[bytes], customers: Collection[UUID], orders: Collection[str]
) -> None:
    """What these customers bought is to be found out anew: those of evidences of trades, those that evidences came to
    or went from, and those with one of these orders (in hex)."""
    if evidences or customers or orders:
        asked = {
            "evidences": array_of([one.hex() for one in evidences]),
            "customers": array_of([one.hex for one in customers]),
            "orders": array_of(orders),
        }
        cursor.execute(_SQL["touch_buyers"], asked)


def give_up_buyers(cursor: psycopg.Cursor[Any]) -> None:
    """What customers bought is summed up no more, until the scheduler sums up all of it."""
    cursor.execute(_SQL["give_up_buyers"])


def order_times(cursor: psycopg.Cursor[Any], orders: str, settled: Collection[UUID]) -> list[datetime]:
    """When trades of these orders happened whose share in the number of orders hangs on others; of `settled` all.
    orders: as Postgres writes an array."""
    return [row[0] for row in cursor.execute(_SQL["order_times"], {"orders": orders, "settled": list(settled)})]


def forget(cursor: psycopg.Cursor[Any], names: Collection[UUID]) -> None:
    """Take away what followed from these events."""
    for table in TABLES:
        cursor.execute(_SQL[f"forget_{table}"], {"names": list(names)})
