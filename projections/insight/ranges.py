"""Which moments make a day of a zone, or an hour of the day? What goes by time is read by an index, by ranges."""

from __future__ import annotations

from typing import Final

from psycopg import sql
from psycopg.sql import Composed

from eventlog.sql import load

__all__ = ["ranges_by", "steps_of"]

_SQL: Final = load("projections.insight", "ranges.sql")
_KEYS: Final = {
    "hour": ("hour", "hour"), "weekday": ("weekday", "day"), "day": ("local", "day"), "week": ("local", "week"),
    "month": ("local", "month"),
}  # fmt: skip
"""What ranges of time go by, and how long one is."""


def ranges_by(by: str) -> Composed:
    """The beginning of a statement that joins `ranges` (key, lo, hi) of its period. by: one of BUCKETS; key: what
    `keys_of` has a label for."""
    return sql.SQL(_SQL["ranges"]).format(key=sql.SQL(_SQL[_KEYS[by][0]]))


def steps_of(by: str) -> dict[str, str]:
    """What ranges are asked with beside the period and the zone; nothing where it is not by time."""
    unit = _KEYS[by][1] if by in _KEYS else ""
    return {"unit": unit, "step": f"1 {unit}"} if unit else {}
