"""How are the sums of some times taken away, before they are made anew? Of all kinds of sums in one way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from eventlog.sql import load
from projections.figures.pieces import Range, edges_of

__all__ = ["forget"]

_SQL: Final = load("projections.figures", "forgetting.sql")
_OF: Final = {
    "sales_sums": "of_dimensions", "contact_sums": "of_level", "mood_sums": "of_dimensions",
    "score_sums": "of_dimensions", "complaint_sums": "of_level", "metric_sums": "of_metric",
}  # fmt: skip
"""What tells sums of a table apart beside their times."""


def forget(cursor: psycopg.Cursor[Any], table: str, ranges: Sequence[Range], **which: Any) -> None:
    """Take away the sums of these times. which: the `level`, with `dimensions` where a table has them, or the
    `metric` and its `version`."""
    query = sql.SQL(_SQL["forget"]).format(table=sql.Identifier(table), which=sql.SQL(_SQL[_OF[table]]))
    cursor.execute(query, edges_of(ranges, **which))
