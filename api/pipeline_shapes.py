"""What do answers about selling look like: the open pipeline, its forecast, won and lost deals, and stages?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.insight_shapes import Key, Periodic, Share, TimesTold

__all__ = [
    "STRUCTS",
    "DealBehind",
    "DealsBehind",
    "DealsClosed",
    "DealsGroup",
    "ForecastMonth",
    "LostReason",
    "MoveTold",
    "OpenStage",
    "PipelineTold",
    "StageTold",
    "Stages",
    "WorthTold",
]

Money = Annotated[str, Meta(description="In major units, exact")]
CurrencyOf = Annotated[str | None, Meta(description="null for deals that say none")]


class OpenStage(Struct, frozen=True):
    """Open deals of one stage and currency; `weighted`: by their probability, else that of the stage."""

    pipeline: str
    stage: str | None
    currency: CurrencyOf
    deals: int
    amount: Money
    weighted: Money


class ForecastMonth(Struct, frozen=True):
    """Open deals that are expected to close in a month (null: they do not say when), of one currency."""

    month: str | None
    currency: CurrencyOf
    deals: int
    amount: Money
    weighted: Money


class PipelineTold(Struct, frozen=True):
    """What is open now, and what is likely to come in."""

    at: datetime
    open: list[OpenStage]
    forecast: list[ForecastMonth]


class WorthTold(Struct, frozen=True):
    """What deals were worth in one currency; `average`: of the won ones that say an amount."""

    currency: str
    created: Money
    won: Money
    lost: Money
    average: Money | None


class DealsGroup(Struct, frozen=True):
    """Deals created, won and lost in the period. `win_rate`: won of those closed; `cycle`: from creation to being
    won."""

    key: Key
    created: int
    won: int
    lost: int
    win_rate: Share
    cycle: TimesTold
    worth: list[WorthTold]


class LostReason(Struct, frozen=True):
    """How many deals were lost for a reason, and what they were worth."""

    reason: str | None
    currency: CurrencyOf
    deals: int
    amount: Money


class DealsClosed(Periodic, kw_only=True, frozen=True):
    """What was won and lost."""

    by: str
    total: DealsGroup
    series: list[DealsGroup]
    lost_reasons: list[LostReason]


class DealBehind(Struct, omit_defaults=True, frozen=True):
    """A deal behind a figure. `id`: as `/v1/deals/{id}` has it."""

    id: str
    ref: str
    at: datetime
    amount: Money | None = None
    currency: str | None = None
    reason: str | None = None
    customer: str | None = None


class DealsBehind(Periodic, kw_only=True, frozen=True):
    """A page of deals, the latest first."""

    what: str
    deals: list[DealBehind]
    next: str | None = None


class MoveTold(Struct, frozen=True):
    """Where deals went from a stage: another stage, `won` or `lost`; `share`: of all that left it."""

    to: str | None
    deals: int
    share: Share


class StageTold(Struct, frozen=True):
    """A stage in the period: how many deals came, how long those stayed that left, and where they went.
    `win_rate`: of the deals that were closed in the period and had been here, the share of those won."""

    pipeline: str
    stage: str
    entered: int
    stayed: TimesTold
    won: int
    lost: int
    win_rate: Share
    moves: list[MoveTold]


class Stages(Periodic, kw_only=True, frozen=True):
    """How deals walk through the stages, in the order of the configuration."""

    stages: list[StageTold]


STRUCTS = (PipelineTold, DealsClosed, DealsBehind, Stages)
