"""How are sums of sentiment made? Out of what was derived last of each text, by quarters of an hour, and longer ones
out of those; by product by day and month alone, since there may be as many products as texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections.figures.forgetting import forget
from projections.figures.pieces import SHORTER, Level, Range, edges_of

__all__ = ["DIMENSIONS", "PRODUCT", "QUERIES", "forget_moods", "sum_moods"]

QUERIES: Final = load("projections.figures", "moods.sql")
DIMENSIONS: Final = ("", "channel", "type")
"""What a text says itself."""
PRODUCT: Final = "product"
_Cursor = psycopg.Cursor[Any]


def forget_moods(cursor: _Cursor, level: Level, ranges: Sequence[Range]) -> None:
    """The sums of one level in these times."""
    forget(cursor, "mood_sums", ranges, level=level, dimensions=[*DIMENSIONS, PRODUCT])


def sum_moods(cursor: _Cursor, level: Level, ranges: Sequence[Range], types: list[str] | None = None) -> None:
    """The sums of one level. types: of touchpoints that there are, None for all."""
    asked = edges_of(ranges, level=level, types=types)
    if level == "q":
        _out_of_texts(cursor, "sum_quarters", asked)
        return
    dimensions = [*DIMENSIONS, PRODUCT] if level == "m" else list(DIMENSIONS)
    cursor.execute(QUERIES["sum_longer"], {**asked, "of": SHORTER[level], "dimensions": dimensions})
    if level == "d":
        _out_of_texts(cursor, "sum_products", asked)


def _out_of_texts(cursor: _Cursor, query: str, asked: dict[str, Any]) -> None:
    cursor.execute(sql.SQL(QUERIES[query]).format(texts=sql.SQL(QUERIES["texts"])), asked)
