"""How do facts come into the tables of `customers`? See `apply.sql` for each step."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from eventlog.sql import load
from projections.columns import array_of
from projections.packing import copy_in
from projections.rows import Derived

__all__ = ["apply", "note_trades", "sum_trades"]

_SQL: Final = load("projections.customers", "apply.sql")
_STAGING: Final = load("projections", "staging.sql")


def apply(cursor: psycopg.Cursor[Any], derived: Derived) -> None:
    """Bring in the facts of new events, and of events that were settled after what followed from them was taken away.
    Contacts are added to what is there."""
    for table in ("trades", "consents", "answers"):
        copy_in(cursor, _SQL[f"copy_{table}"], getattr(derived, table))
    if len(derived.contacts):
        copy_in(cursor, _STAGING["copy_contacts"], derived.contacts)
        cursor.execute(_SQL["contacts"])


def note_trades(cursor: psycopg.Cursor[Any], derived: Derived) -> None:
    """Note what trades add that were brought in, before it is found out which count (`count_trades` notes that)."""
    if len(derived.trades):
        cursor.execute(_SQL["note_trades"], {"names": array_of([name.hex() for name in derived.trades.names()])})


def sum_trades(cursor: psycopg.Cursor[Any]) -> None:
    """Add what was noted in this transaction of trades that came, went, or count otherwise to their sums."""
    cursor.execute(_SQL["sum_trades"])
