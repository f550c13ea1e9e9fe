"""How are sums of scores and of complaints made? Of scores by quarters of an hour, and longer ones out of those; by
product, of which there may be as many as events, by day and month alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections.figures.forgetting import forget
from projections.figures.pieces import EVER, SHORTER, Level, Range, edges_of

__all__ = ["QUERIES", "SCORED", "fill_opinions", "forget_opinions", "put_together", "sum_opinions"]

QUERIES: Final = load("projections.figures", "opinions.sql")
SCORED: Final = ("", "channel", "actor", "code")
"""Dimensions of scores of which there are sums of every level; by product there are longer ones."""
_PRODUCT: Final = "product"
_Cursor = psycopg.Cursor[Any]


def put_together(query: str) -> sql.Composed:
    """A query with its parts filled in."""
    parts = {part: sql.SQL(QUERIES[part]) for part in ("scored", "added", "voices")}
    return sql.SQL(QUERIES[query]).format(**parts)


def forget_opinions(cursor: _Cursor, level: Level, ranges: Sequence[Range]) -> None:
    """The sums of one level in these times."""
    forget(cursor, "score_sums", ranges, level=level, dimensions=[*SCORED, _PRODUCT])
    forget(cursor, "complaint_sums", ranges, level=level)


def sum_opinions(cursor: _Cursor, level: Level, ranges: Sequence[Range]) -> None:
    """The sums of one level."""
    asked = edges_of(ranges, level=level)
    if level != "q":
        dimensions = [*SCORED, _PRODUCT] if level == "m" else list(SCORED)
        longer = {**asked, "of": SHORTER[level], "dimensions": dimensions}
        cursor.execute(put_together("sum_score_sums"), longer)
    if level in ("q", "d"):
        cursor.execute(put_together("sum_scores"), asked)
    if level in ("d", "m"):
        cursor.execute(put_together("sum_complaints" if level == "d" else "sum_complaint_sums"), asked)


def fill_opinions(cursor: _Cursor) -> None:
    """All sums, within the caller's transaction."""
    for table in ("scores", "complaints"):
        cursor.execute(QUERIES[f"empty_{table}"])
    for level in ("q", *SHORTER):
        sum_opinions(cursor, level, [EVER])
    for table in ("scores", "complaints"):
        cursor.execute(QUERIES[f"analyze_{table}"])
