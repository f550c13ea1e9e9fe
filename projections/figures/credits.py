"""What falls to campaigns of what a customer bought, and what did she ask before? Noted for each customer beside what
she bought (see buyers.py), and made anew with it: by the marks of batches, of those who answered or asked, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

from domain.attribution import DECAY, MODELS, USUAL_DAYS
from eventlog.sql import load
from projections.figures.pieces import EVER

__all__ = ["CREDITS", "QUESTIONS", "asks", "empty", "fill_credits", "fill_questions", "make_anew", "shared"]

CREDITS: Final = load("projections.figures", "credits.sql")
QUESTIONS: Final = load("projections.figures", "questions.sql")
_BUYERS: Final = load("projections.figures", "buyers.sql")
_ASKED: Final[dict[str, Any]] = {
    "models": list(MODELS), "days": USUAL_DAYS, "decay": list(DECAY), "start": EVER[0], "end": EVER[1],
    "recorded_by": EVER[1],
}  # fmt: skip
_Cursor = psycopg.Cursor[Any]


def shared(of: str) -> sql.Composable:
    """Expressions of a query that end on `shared`. of: which purchases: `of_times`, `of_stale`, `nothing`."""
    if of == "nothing":
        return sql.SQL(CREDITS["nothing"])
    return sql.SQL("{}, {}").format(sql.SQL(CREDITS[of]), sql.SQL(CREDITS["shared"]))


def asks(of: str) -> sql.Composable:
    """Expressions of a query that end on `made`. of: whose questions: of `everybody`, `some`, `nobody`."""
    if of == "nobody":
        return sql.SQL(QUESTIONS["nobody"])
    told = sql.SQL(QUESTIONS[of]).format(asks=sql.SQL(QUESTIONS["asks"]))
    return sql.SQL("{}, {}").format(told, sql.SQL(QUESTIONS["made"]))


def fill_credits(cursor: _Cursor) -> None:
    """Note what falls to whom of what everybody bought, within the caller's transaction."""
    cursor.execute(CREDITS["empty"])
    cursor.execute(_credits("everybody", "of_times"), _ASKED)
    cursor.execute(CREDITS["analyze"])


def fill_questions(cursor: _Cursor) -> None:
    """Note what everybody asked, within the caller's transaction."""
    cursor.execute(QUESTIONS["empty"])
    cursor.execute(_questions("everybody"), _ASKED)
    cursor.execute(QUESTIONS["analyze"])


def make_anew(cursor: _Cursor, customers: Sequence[UUID]) -> None:
    """Note both anew of these customers, within the caller's transaction."""
    asked = {**_ASKED, "customers": customers}
    cursor.execute(_credits("some", "of_stale"), asked)
    cursor.execute(CREDITS["forget_empty"])
    cursor.execute(QUESTIONS["forget"], asked)
    cursor.execute(_questions("some"), asked)


def empty(cursor: _Cursor) -> None:
    """Nothing of either is noted."""
    cursor.execute(CREDITS["empty"])
    cursor.execute(QUESTIONS["empty"])


def _credits(whose: str, of: str) -> sql.Composed:
    stale, made = sql.SQL(_BUYERS[whose]), sql.SQL(CREDITS["made"])
    added = sql.SQL(CREDITS["alone" if whose == "everybody" else "added"])
    return sql.SQL(CREDITS["make"]).format(stale=stale, raw=shared(of), made=made, added=added)


def _questions(whose: str) -> sql.Composed:
    return sql.SQL(QUESTIONS["make"]).format(stale=sql.SQL(_BUYERS[whose]), raw=asks(whose))
