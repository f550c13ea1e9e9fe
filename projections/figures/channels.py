"""How many touchpoints were there by channel and direction, over time, and which are they?"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.corrections import Said, effects
from domain.errors import BadInput, Problem
from domain.zones import Period
from eventlog.sql import load
from projections.connecting import reading
from projections.figures.pieces import Piece, pieces
from projections.figures.sales import Behind, Unit, behind, levels_of, stale_in
from projections.figures.then import QUERIES, Moment

__all__ = ["ChannelReader", "Chosen", "Count"]

_SQL: Final = load("projections.figures", "channels.sql")
_SALES: Final = load("projections.figures", "sales.sql")
_MOST: Final = 50_000


class Chosen(NamedTuple):
    """Which touchpoints?"""

    channel: str | None = None
    direction: str | None = None


class Count(NamedTuple):
    """How many touchpoints; "" for what says no channel or direction. bucket: as that of sales."""

    bucket: datetime | None
    channel: str
    direction: str
    touchpoints: int


class ChannelReader:
    """Reads touchpoints through `pool`, which its owner opens. Raises Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def counts(self, period: Period, unit: Unit, chosen: Chosen, moment: Moment | None = None) -> list[Count]:
        """Touchpoints by bucket, channel and direction, in no order. moment: as known then. Raises BadInput."""
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SALES["snapshot"])
            found = [Piece(None, period.start, period.end)]
            if moment is None:
                levels = levels_of("channel", unit, period)
                found = pieces(period.start, period.end, await stale_in(connection, period), levels)
            asked = {
                **await _asked(connection, period, chosen, moment),
                "levels": [one.level for one in found],
                "starts": [one.start for one in found],
                "ends": [one.end for one in found],
                "unit": unit,
            }
            rows = await (await connection.cursor(binary=True).execute(_SQL["channels"], asked)).fetchall()
        return [Count(*row) for row in rows]

    async def events(
        self, period: Period, chosen: Chosen, after: tuple[datetime, UUID], limit: int, weekday: int | None = None,
        hour: int | None = None, moment: Moment | None = None,
    ) -> list[Behind]:  # fmt: skip
        """The touchpoints behind a figure, the latest first, those before `after`. Raises BadInput."""
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SALES["snapshot"])
            asked = {
                **await _asked(connection, period, chosen, moment),
                "start": period.start, "end": period.end, "at": after[0], "name": after[1], "limit": limit,
                "weekday": weekday, "hour": hour,
            }  # fmt: skip
            rows = await (await connection.cursor(binary=True).execute(_SQL["events"], asked)).fetchall()
        return [behind(row) for row in rows]


async def _asked(
    connection: psycopg.AsyncConnection[Any], period: Period, chosen: Chosen, moment: Moment | None
) -> dict[str, Any]:
    types = [row[0] for row in await (await connection.execute(_SQL["types"])).fetchall()]
    retracted = [] if moment is None else await _retracted(connection, period, moment)
    return {
        **chosen._asdict(),
        "types": types,
        "retracted": retracted,
        "then": moment is not None,
        "recorded_by": None if moment is None else moment.recorded_by,
        "zone": period.zone.key,
    }


async def _retracted(connection: psycopg.AsyncConnection[Any], period: Period, moment: Moment) -> list[UUID]:
    """Touchpoints of a period that had been taken back by then."""
    asked = {"start": period.start, "end": period.end, "most": _MOST + 1}
    spoken = [row[0] for row in await (await connection.execute(_SQL["spoken"], asked)).fetchall()]
    if len(spoken) > _MOST:
        trouble = f"cannot be told: more than {_MOST:,} touchpoints of the period were taken back."
        raise BadInput([Problem("recorded_by", trouble, "Ask for a shorter period.")])
    if not spoken:
        return []
    rows = await (await connection.execute(QUERIES["said"], {"names": spoken, **moment._asdict()})).fetchall()
    what = effects(spoken, [Said(*row) for row in rows])
    return [name for name, effect in what.items() if effect.retracted]
