"""What do scores come to, out of sums? Where one dimension at most is asked for, by what counts now; all else is told
out of the scores. Either may be asked at any moment: they tell the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from domain.zones import Period
from eventlog.sql import load
from projections.figures.opinions import QUERIES, SCORED
from projections.figures.pieces import EVER, LONGEST, Level, fitting, pieces
from projections.figures.sales import stale_in
from projections.insight.asking import BUCKETS, Window, keys_of
from projections.insight.sentiment import pieces_asked

__all__ = ["scores_summed"]

_SQL: Final = load("projections.insight", "scoring.sql")
_DIMENSIONS: Final = {"product": "product", "channel": "channel", "team": "actor", "code": "code"}
"""Of which dimension sums tell what is asked for by this name."""
_Cursor = psycopg.AsyncCursor[Any]


async def scores_summed(
    cursor: _Cursor, window: Window, chosen: Mapping[str, Any], by: str
) -> list[Any] | None:  # fmt: skip
    """Rows of the query `feedback`; None where sums do not tell it. chosen: `feedback.Scores` as a mapping."""
    given = [name for name in _DIMENSIONS if chosen[name] is not None]
    used = {_DIMENSIONS[name] for name in (*given, *([] if by in BUCKETS else [by]))}
    if len(used) > 1 or len(given) > 1 or chosen["customer"] is not None or chosen["recorded_by"] < EVER[1]:
        return None
    dimension = next(iter(used), "")
    if dimension not in SCORED and by in BUCKETS:
        return None
    period = Period(window.start, window.end, ZoneInfo(window.zone))
    stale = await stale_in(cursor.connection, period)
    found = pieces(period.start, period.end, stale, _levels(dimension, by, period))
    values = [chosen[name] for name in given if name != "team"]
    asked = {
        **pieces_asked(found), "dimension": dimension, "values": values or None, "team": chosen["team"],
        "zone": window.zone, "most": chosen["most"],
    }  # fmt: skip
    query = sql.SQL(_SQL["sums"]).format(scored=sql.SQL(QUERIES["scored"]), **_keys(by))
    return await (await cursor.execute(query, asked)).fetchall()


def _levels(dimension: str, by: str, period: Period) -> tuple[Level, ...]:
    if by in BUCKETS:
        return ("h", "q") if fitting(period.zone, period.start, period.end) == "h" else ("q",)
    return LONGEST if dimension in SCORED else ("m", "d")


def _keys(by: str) -> dict[str, sql.Composable]:
    if by in BUCKETS:
        keys = keys_of(by)
        return {"group": keys["group"], "label": keys["label"]}
    group = _SQL["team_group" if by == "team" else "value_group"]
    return {"group": sql.SQL(group), "label": sql.SQL(_SQL["value_label"])}
