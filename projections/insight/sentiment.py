"""What does the sentiment of texts come to, out of sums? Where one dimension at most is asked for, by what counts
now; all else is told out of the texts. Either may be asked at any moment: they tell the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from domain.zones import Period
from eventlog.sql import load
from projections.figures.moods import DIMENSIONS, PRODUCT, QUERIES
from projections.figures.pieces import EVER, LONGEST, Level, Piece, fitting, pieces
from projections.figures.sales import stale_in
from projections.insight.asking import BUCKETS, MOST_GROUPS, Window, keys_of

__all__ = ["pieces_asked", "summed"]

_SQL: Final = load("projections.insight", "sentiment.sql")
_FOLDING: Final = load("projections.figures", "folding.sql")
_Cursor = psycopg.AsyncCursor[Any]


async def summed(
    cursor: _Cursor, window: Window, chosen: Mapping[str, Any], by: str
) -> tuple[Sequence[Any] | None, list[Any]] | None:
    """(the row of all texts, None without any; rows by group) of (key, texts, mean, negative, positive); None where
    sums do not tell it. chosen: `feedback.Moods` as a mapping."""
    given = {name: chosen[name] for name in (*DIMENSIONS[1:], PRODUCT) if chosen[name] is not None}
    used = {*given, *([] if by in BUCKETS else [by])}
    told = chosen["method"] is None and chosen["customer"] is None and chosen["recorded_by"] >= EVER[1]
    if not told or len(used) > 1 or not used <= {*DIMENSIONS, PRODUCT} or (by in BUCKETS and PRODUCT in used):
        return None
    period = Period(window.start, window.end, ZoneInfo(window.zone))
    stale = await stale_in(cursor.connection, period)
    types = [row[0] for row in await (await cursor.execute(_FOLDING["types"])).fetchall()]

    async def rows(dimension: str, group: str, levels: Sequence[Level]) -> list[Any]:
        asked = {
            **pieces_asked(pieces(period.start, period.end, stale, levels)), "types": types, "dimension": dimension,
            "values": list(given.values()) or None, "zone": window.zone, "most": MOST_GROUPS - 1,
        }  # fmt: skip
        return await (await cursor.execute(_query(group, bool(asked["starts"])), asked)).fetchall()

    filtered = next(iter(given), "")
    whole = await rows(filtered, "all", _levels(filtered))
    dimension = filtered if by in BUCKETS else by
    in_time: tuple[Level, ...] = ("h", "q") if fitting(period.zone, period.start, period.end) == "h" else ("q",)
    groups = await rows(dimension, by if by in BUCKETS else "value", in_time if by in BUCKETS else _levels(dimension))
    return next(iter(whole), None), groups


def _levels(dimension: str) -> tuple[Level, ...]:
    return ("m", "d") if dimension == PRODUCT else LONGEST


def pieces_asked(found: Sequence[Piece]) -> dict[str, list[Any]]:
    """The pieces of a period, as queries take them; those of rows also by themselves."""
    out_of_texts: list[tuple[datetime, datetime]] = [(one.start, one.end) for one in found if one.level is None]
    return {
        "levels": [one.level for one in found],
        "begins": [one.start for one in found],
        "untils": [one.end for one in found],
        "starts": [start for start, _ in out_of_texts],
        "ends": [end for _, end in out_of_texts],
    }


def _query(group: str, texts: bool) -> sql.Composed:
    """texts: whether some have to be read, or sums tell it all."""
    if group in BUCKETS:
        keys = keys_of(group)
    else:
        keys = {"group": sql.SQL(_SQL[f"{group}_group"]), "label": sql.SQL(_SQL[f"{group}_label"])}
    return sql.SQL(_SQL["sums"]).format(
        texts=sql.SQL(QUERIES["texts" if texts else "no_texts"]), group=keys["group"], label=keys["label"]
    )
