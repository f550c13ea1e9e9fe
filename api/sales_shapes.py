"""What do answers about sales, channels and a deployment's own metrics look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.insight_shapes import Periodic

__all__ = [
    "STRUCTS",
    "ChannelCount",
    "ChannelSeries",
    "Channels",
    "EventBehind",
    "EventsBehind",
    "Heatmap",
    "HeatmapHour",
    "MetricGroup",
    "MetricInfo",
    "MetricTold",
    "MetricValue",
    "Metrics",
    "Sales",
    "SalesGroup",
    "SalesSum",
]

Money = Annotated[str, Meta(description="In major units of the currency, exact")]
Key = Annotated[
    str,
    Meta(description="A day, week (`2026-W09`), month, hour (`09`), weekday (`1`: Monday) or code; empty: none"),
]


class SalesSum(Struct, omit_defaults=True, frozen=True):
    """What sales come to in one currency. Amounts of others are in it only where `converted` says so. orders:
    different ones with a purchase; average: revenue per order, null without one."""

    currency: str
    revenue: Money
    refunds: Money
    net: Annotated[str, Meta(description="Revenue less refunds")]
    orders: int
    average: Money | None
    purchases: int
    returns: int
    units: Annotated[str, Meta(description="How many were bought, by the lines of purchases")]
    converted: Annotated[bool, Meta(description="Amounts of other currencies were converted")] = False


class SalesGroup(Struct, frozen=True):
    """One group of a series."""

    key: Key
    sums: list[SalesSum]


class Sales(Periodic, frozen=True, kw_only=True):
    """Sales of a period: in all, and in groups. more: further groups were left out."""

    by: str
    total: list[SalesSum]
    series: list[SalesGroup]
    more: bool = False


class HeatmapHour(Struct, frozen=True):
    """One hour of the week."""

    weekday: Annotated[int, Meta(description="1: Monday")]
    hour: int
    sums: list[SalesSum]


class Heatmap(Periodic, frozen=True, kw_only=True):
    """Sales by weekday and hour; hours without any are left out."""

    hours: list[HeatmapHour]


class ChannelCount(Struct, frozen=True):
    """Touchpoints of a channel in a direction; empty where events say none."""

    channel: str
    direction: str
    touchpoints: int


class ChannelSeries(Struct, frozen=True):
    """One group of a series."""

    key: Key
    channels: list[ChannelCount]


class Channels(Periodic, frozen=True, kw_only=True):
    """Touchpoints of a period by channel and direction: in all, and in groups."""

    by: str
    total: list[ChannelCount]
    series: list[ChannelSeries]


class EventBehind(Struct, omit_defaults=True, frozen=True):
    """An event behind a figure. It stands on its customer's timeline, and on the log at its position."""

    name: Annotated[str, Meta(description="`SOURCE#HASH`")]
    happened_at: datetime
    type: str
    position: Annotated[str, Meta(description="`PARTITION:OFFSET` on the log")]
    customer: Annotated[str | None, Meta(description="Whose it is, by the id of now")] = None
    timeline: Annotated[str | None, Meta(description="Where it is shown with all that it says")] = None
    amount: str | None = None
    currency: str | None = None


class EventsBehind(Periodic, frozen=True, kw_only=True):
    """Events behind a figure, the latest first. next: the cursor to go on with."""

    events: list[EventBehind]
    next: str | None = None


class MetricInfo(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A metric of the deployment. backfilled: how much of the past was counted, 0 to 1: then it is told."""

    code: str
    title: str
    types: list[str]
    measure: str
    field: str | None = None
    dimensions: list[str] = []
    unit: str | None = None
    backfilled: float


class Metrics(Struct, frozen=True):
    """All metrics of the deployment."""

    metrics: list[MetricInfo]


class MetricValue(Struct, omit_defaults=True, frozen=True):
    """What a metric comes to: exact for counts and sums; null where nothing was counted. events: of how many."""

    value: str | None
    events: int


class MetricGroup(Struct, frozen=True):
    """One group of a series."""

    key: Key
    value: str | None
    events: int


class MetricTold(Periodic, frozen=True, kw_only=True):
    """A metric over a period: in all, and in groups. more: further groups were left out."""

    metric: MetricInfo
    by: str
    total: MetricValue
    series: list[MetricGroup]
    more: bool = False


STRUCTS = (Sales, Heatmap, Channels, EventsBehind, Metrics, MetricTold)
