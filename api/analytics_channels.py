"""On which channels do customers and the company meet? Touchpoints by channel and direction over time, and which they
are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Asked, Code, Limit, PlaceAsked, Span, answered, told_period
from api.analytics_sales import Hour, Weekday, behind_told, key_of
from api.problems import responses
from api.sales_shapes import ChannelCount, Channels, ChannelSeries
from api.services import services
from projections.figures.channels import ChannelReader, Chosen, Count
from projections.figures.then import Moment

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

By = Literal["day", "week", "month", "hour", "weekday"]
Direction = Annotated[Literal["in", "out"] | None, Query()]
_ERRORS: Final = responses(429)


async def chosen(channel: Code = None, direction: Direction = None) -> Chosen:
    """Which touchpoints."""
    return Chosen(channel, direction)


Which = Annotated[Chosen, Depends(chosen)]


@router.get(
    "/v1/analytics/channels", summary="Touchpoints by channel", responses={200: shapes.answer("Channels"), **_ERRORS}
)
async def channels(
    request: Request, _caller: Analyst, asked: Span, which: Which, by: Annotated[By, Query()] = "day"
) -> Response:
    """Touchpoints of a period by channel and direction, in all and over time. Records and what Storyline itself says
    are none; nor is what was taken back."""
    reader = ChannelReader(services(request).pool)
    moment = _moment(asked)
    total = await reader.counts(asked.period, "all", which, moment)
    groups: dict[str, list[Count]] = defaultdict(list)
    for one in await reader.counts(asked.period, by, which, moment):
        if one.bucket is not None:
            groups[key_of(by, one.bucket)].append(one)
    series = [ChannelSeries(key, _told(groups[key])) for key in sorted(groups)]
    return answered(Channels(**told_period(asked), by=by, total=_told(total), series=series))


@router.get(
    "/v1/analytics/channels/events",
    summary="The touchpoints behind a figure of channels",
    responses={200: shapes.answer("EventsBehind"), **_ERRORS},
)
async def events(
    request: Request,
    _caller: Analyst,
    asked: Span,
    which: Which,
    after: PlaceAsked,
    weekday: Weekday = None,
    hour: Hour = None,
    limit: Limit = 100,
) -> Response:
    """The touchpoints that a figure counts, the latest first: with the same period and filters, and of one weekday or
    hour."""
    reader = ChannelReader(services(request).pool)
    place = (after.at, after.name)
    found = await reader.events(asked.period, which, place, limit + 1, weekday, hour, _moment(asked))
    return answered(behind_told(asked, found, limit))


def _moment(asked: Asked) -> Moment | None:
    return None if asked.moment is None else Moment(*asked.moment)


def _told(counts: Iterable[Count]) -> list[ChannelCount]:
    return [ChannelCount(*one[1:]) for one in sorted(counts, key=lambda one: one[1:3])]
