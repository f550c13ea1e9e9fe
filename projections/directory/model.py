"""How do rows come into the directory, and out of it again? See `apply.sql` for each step.

All within the caller's transaction, with the tables of the family in the search path and `staging.sql` created.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections.directory.extracting import name_rows
from projections.directory.rows import PackedRows, Term
from projections.packing import copy_in

__all__ = ["CREATE_STAGING", "apply", "erase", "forget", "put"]

_SQL = load("projections.directory", "apply.sql")
_STAGING = load("projections.directory", "staging.sql")
CREATE_STAGING = _STAGING["create"]
"""Makes the staging tables of a session; safe to run again."""
_Cursor = psycopg.Cursor[Any]


def apply(cursor: _Cursor, rows: PackedRows) -> None:
    """Bring in rows of any events. Those that are there stay; nothing of an erased evidence comes in."""
    if not any(map(len, rows)):
        return
    cursor.execute(_SQL["hold_erasures"])
    if len(rows.claims):
        cursor.execute(_SQL["hold_names"])
    for table, packed in rows._asdict().items():
        if len(packed):
            copy_in(cursor, _STAGING[f"copy_{table}"], packed)
            cursor.execute(_SQL[table])
    if len(rows.claims):
        cursor.execute(_SQL["words"])


def forget(cursor: _Cursor, names: Sequence[UUID]) -> None:
    """Take away what these events claim of anybody. Identifiers and codes stay: they follow from the evidence and
    from the ref. Best before `apply` in the same transaction: two that want the lock the other shares would end in a
    deadlock, of which Postgres breaks one off, to be tried again."""
    if not names or cursor.execute(_SQL["has_claims"], {"names": list(names)}).fetchone() != (True,):
        return
    cursor.execute(_SQL["hold_erasures"])
    cursor.execute(_SQL["remake_names"])
    evidences = {row[0] for row in cursor.execute(_SQL["forget_claims"], {"names": list(names)})}
    _remake_names(cursor, evidences)


def put(cursor: _Cursor, rows: PackedRows) -> None:
    """Bring in rows that were made anew, after `forget`, in a transaction that may have applied others before."""
    cursor.execute(_STAGING["empty"])
    apply(cursor, rows)
    cursor.execute(_STAGING["empty"])


def erase(cursor: _Cursor, evidences: Collection[UUID]) -> None:
    """Take away all that is of these evidences, and what their events claim of others: a rebuild could not read it.

    The caller holds the lock of erasures alone, and has written the evidences into `storyline.erased`.
    """
    erased = {"evidences": list(evidences)}
    names = [row[0] for row in cursor.execute(_SQL["claims_within"], erased)]
    words = [row[0] for row in cursor.execute(_SQL["words_held"], erased)]
    for table in ("identifiers", "claims", "terms"):
        cursor.execute(_SQL[f"erase_{table}"], erased)
    cursor.execute(_SQL["forget_words"], {"words": words})
    forget(cursor, names)


def _remake_names(cursor: _Cursor, evidences: Collection[UUID]) -> None:
    """Take away the names that no claim is left for."""
    asked = {"evidences": list(evidences)}
    wanted: set[Term] = set()
    for evidence, fields in cursor.execute(_SQL["claims_left"], asked):
        wanted |= name_rows(evidence.bytes, fields)
    held = [Term(row[0].bytes, row[1], row[2]) for row in cursor.execute(_SQL["names_held"], asked)]
    gone = sorted({*held} - wanted)
    if gone:
        parameters = {
            "evidences": [UUID(bytes=term.evidence) for term in gone],
            "kinds": [term.kind for term in gone],
            "terms": [term.term for term in gone],
        }
        cursor.execute(_SQL["forget_terms"], parameters)
        cursor.execute(_SQL["forget_words"], {"words": sorted({term.term.split(" ")[0] for term in gone})})
