"""How does selling go? The open pipeline and its forecast, what was won and lost, and the way through the stages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.insight.asking import BUCKETS, MOST_GROUPS, Figures, Query, Times, Window, keys_of
from projections.insight.ranges import ranges_by, steps_of

__all__ = [
    "DealFact",
    "DealGroup",
    "Deals",
    "Forecast",
    "Lost",
    "Move",
    "OpenDeals",
    "PipelineReader",
    "StageFacts",
    "StageOf",
    "Worth",
]

_SQL: Final = load("projections.insight", "pipeline.sql")


class Deals(NamedTuple):
    """Which deals? unnamed: the pipeline of those that name none."""

    unnamed: str
    pipeline: str | None = None
    assignee: str | None = None
    team: str | None = None
    origin: str | None = None


class StageOf(NamedTuple):
    """A stage of the configuration, and its probability in per cent."""

    pipeline: str
    stage: str
    probability: float


class OpenDeals(NamedTuple):
    """Open deals of one stage and currency. weighted: by their probability."""

    pipeline: str
    stage: str | None
    currency: str | None
    deals: int
    amount: Decimal
    weighted: Decimal


class Forecast(NamedTuple):
    """Open deals that are expected to close in one month, of one currency."""

    month: str | None
    currency: str | None
    deals: int
    amount: Decimal
    weighted: Decimal


class Worth(NamedTuple):
    """What the deals of a group were worth in one currency. sized: how many of the won ones say an amount."""

    currency: str
    created: Decimal
    won: Decimal
    lost: Decimal
    sized: int


class DealGroup(NamedTuple):
    """Deals that were created, won and lost in the period. cycle: from creation to being won."""

    key: str | None
    created: int
    won: int
    lost: int
    cycle: Times
    worth: tuple[Worth, ...]


class Lost(NamedTuple):
    """How many deals were lost for a reason, and what they were worth in one currency."""

    reason: str | None
    currency: str | None
    deals: int
    amount: Decimal


class DealFact(NamedTuple):
    """A deal behind a figure, and when it was created, won or lost."""

    item: UUID
    ref: str
    native: bool
    at: datetime
    amount: Decimal | None
    currency: str | None
    reason: str | None
    customer: UUID | None


class StageFacts(NamedTuple):
    """What happened in a stage in the period: how many deals came, and how long those stayed that left; of the deals
    that were closed in the period and had been here, how many were won and lost."""

    pipeline: str
    stage: str
    entered: int
    won: int
    lost: int
    stayed: Times


class Move(NamedTuple):
    """How many deals went from a stage to another one, or were `won` or `lost`."""

    pipeline: str
    stage: str
    to: str | None
    deals: int


class PipelineReader:
    """Asks for figures of deals through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def open(self, chosen: Deals, stages: Sequence[StageOf]) -> tuple[list[OpenDeals], list[Forecast]]:
        """What is open now, by stage, and when it is expected to close."""
        asked = {
            **chosen._asdict(), "of": [one.pipeline for one in stages], "stages": [one.stage for one in stages],
            "probabilities": [one.probability for one in stages], "most": MOST_GROUPS,
        }  # fmt: skip
        queries = [sql.SQL(_SQL["open"]), sql.SQL(_SQL["forecast"])]
        standing, coming = await self._figures.fetch_all(queries, asked)
        return [OpenDeals(*row) for row in standing], [Forecast(*row) for row in coming]

    async def closed(self, window: Window, chosen: Deals, by: str) -> tuple[DealGroup, list[DealGroup], list[Lost]]:
        """(all, by group, why deals were lost). by: one of BUCKETS, assignee, team, origin, pipeline."""
        asked = {**window._asdict(), **chosen._asdict(), **steps_of(by), "most": MOST_GROUPS}
        rows, reasons = await self._figures.fetch_all([_series(by), _facts("reasons", by)], asked)
        told: dict[str, dict[tuple[bool, str | None], list[Any]]] = {"deals": {}, "took": {}, "worth": {}}
        for part, whole, key, *figures in rows:
            told[part].setdefault((whole, key), []).append(figures)

        def group(place: tuple[bool, str | None]) -> DealGroup:
            [[_, created, won, lost, *_]] = told["deals"][place]
            [[*_, median, p90, mean]] = told["took"].get(place, [[None] * 3])
            worth = [Worth(*one[:5]) for one in told["worth"].get(place, ())]
            times = Times(int(won), median, p90, mean)
            return DealGroup(place[1], int(created), int(won), int(lost), times, tuple(worth))

        keys = sorted((key for whole, key in told["deals"] if not whole), key=lambda key: (key is None, key or ""))
        return group((True, None)), [group((False, key)) for key in keys], [Lost(*row) for row in reasons]

    async def deals(
        self, window: Window, chosen: Deals, what: str, group: tuple[str, str | None] | None,
        before: tuple[datetime, UUID], limit: int,
    ) -> list[DealFact]:  # fmt: skip
        """The deals behind a figure, the latest first. what: created, won, lost; group: (by, key), None for all."""
        asked: dict[str, Any] = {
            **window._asdict(), **chosen._asdict(), "what": what, "keyed": group is not None,
            "wanted": group[1] if group else None, "before_at": before[0], "before_name": before[1], "limit": limit,
        }  # fmt: skip
        rows = await self._figures.fetch(_facts("deals", group[0] if group else "day"), asked)
        return [DealFact(*row) for row in rows]

    async def stages(self, window: Window, chosen: Deals) -> tuple[list[StageFacts], list[Move]]:
        """What happened in each stage in the period, and where deals went from it."""
        asked = {**window._asdict(), **chosen._asdict(), "most": MOST_GROUPS}
        rows = await self._figures.fetch(sql.SQL(_SQL["stages"]), asked)
        stages = [StageFacts(*[*row[1:3], *row[4:7], Times(*row[7:])]) for row in rows if not row[0]]
        return stages, [Move(row[1], row[2], row[3], row[7]) for row in rows if row[0]]


def _series(by: str) -> Query:
    chosen, keys = sql.SQL(_SQL["chosen"]), keys_of(by)
    if by in BUCKETS:
        keyed = sql.SQL(_SQL["by_time"]).format(ranges=ranges_by(by), chosen=chosen)
    else:
        facts = sql.SQL(_SQL["facts"]).format(chosen=chosen)
        keyed = sql.SQL(_SQL["by_column"]).format(facts=facts, **keys)
    return sql.SQL(_SQL["series"]).format(keyed=keyed, **keys)


def _facts(query: str, by: str) -> Query:
    facts = sql.SQL(_SQL["facts"]).format(chosen=sql.SQL(_SQL["chosen"]))
    return sql.SQL(_SQL[query]).format(facts=facts, **keys_of(by))
