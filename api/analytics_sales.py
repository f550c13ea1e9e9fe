"""What was sold? Routes for revenue, refunds, orders and units: over time, at the top, by the hour of the week, and
the events behind each figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api import shapes
from api.analytics_queries import (
    Analyst,
    Asked,
    Code,
    Currency,
    Limit,
    PlaceAsked,
    Span,
    Top,
    answered,
    place_text,
    told_period,
)
from api.problems import responses
from api.sales_shapes import EventBehind, EventsBehind, Heatmap, HeatmapHour, Sales, SalesGroup, SalesSum
from api.services import Services, services
from domain.facts import average, written
from projections.figures.sales import Behind, By, Figure, Filters, SalesReader, Unit
from projections.figures.then import Moment

__all__ = ["Hour", "Weekday", "behind_told", "key_of", "router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

GroupBy = Literal[
    "day", "week", "month", "hour", "weekday", "channel", "country", "campaign", "rep", "team", "type", "product",
    "category", "currency",
]  # fmt: skip
TopBy = Literal["product", "category", "country", "campaign", "rep", "team", "channel", "type"]
OrderBy = Literal["revenue", "net", "refunds", "orders", "units"]
_TIMES: Final = frozenset({"day", "week", "month", "hour", "weekday"})
_ERRORS: Final = responses(429)
_SHAPED: Final[dict[str, Callable[[datetime], str]]] = {
    "day": lambda at: at.strftime("%Y-%m-%d"),
    "week": lambda at: at.strftime("%G-W%V"),
    "month": lambda at: at.strftime("%Y-%m"),
    "hour": lambda at: at.strftime("%H"),
    "weekday": lambda at: at.strftime("%u"),
}
Weekday = Annotated[int | None, Query(ge=1, le=7, description="1: Monday")]
Hour = Annotated[int | None, Query(ge=0, le=23)]


async def chosen(
    channel: Code = None,
    country: Code = None,
    campaign: Annotated[Code, Query(description="A ref such as `campaign:spring`, or its value alone")] = None,
    rep: Annotated[Code, Query(description="Sold by this colleague, by code")] = None,
    team: Annotated[Code, Query(description="Sold by this team, or a colleague whose first team it is")] = None,
    type: Annotated[Code, Query(description="Of the event")] = None,
    product: Annotated[Code, Query(description="Only lines of this product")] = None,
    category: Annotated[Code, Query(description="Only lines of products of this category")] = None,
) -> Filters:
    """Which sales."""
    if campaign is not None and ":" not in campaign:
        campaign = f"campaign:{campaign}"
    return Filters(channel, country, campaign, rep, team, type, product, category)


Chosen = Annotated[Filters, Depends(chosen)]


@router.get("/v1/analytics/sales", summary="Sales", responses={200: shapes.answer("Sales"), **_ERRORS})
async def sales(
    request: Request,
    _caller: Analyst,
    asked: Span,
    filters: Chosen,
    by: Annotated[GroupBy, Query()] = "day",
    currency: Currency = None,
    limit: Top = 100,
) -> Response:
    """Revenue, refunds, orders, average order and units of a period, in all and in groups. Groups by time come in its
    order, those without sales are left out; others come by their revenue, `limit` of them."""
    reader = _reader(services(request))
    total = await _read(reader, asked, "all", "", filters, currency)
    found = total
    if by in _TIMES:
        found = await _read(reader, asked, _unit(by), "", filters, currency)
    elif by != "currency":
        found = await _read(reader, asked, "all", _dimension(by), filters, currency)
    groups = _groups(found, by)
    chosen = sorted(groups) if by in _TIMES else _best(groups, "revenue")
    kept = chosen if by in _TIMES else chosen[:limit]
    series = [SalesGroup(key, _sums(groups[key])) for key in kept]
    more = len(kept) < len(chosen)
    return answered(Sales(**told_period(asked), by=by, total=_sums(total), series=series, more=more))


@router.get("/v1/analytics/sales/top", summary="What sells most", responses={200: shapes.answer("Sales"), **_ERRORS})
async def top(
    request: Request,
    _caller: Analyst,
    asked: Span,
    filters: Chosen,
    by: Annotated[TopBy, Query()] = "product",
    order: Annotated[OrderBy, Query(description="What the most is of")] = "revenue",
    currency: Currency = None,
    limit: Top = 10,
) -> Response:
    """The products (categories, countries …) with the most revenue, orders or units. Of several currencies the
    largest amount of one of them counts, since they are not added up."""
    reader = _reader(services(request))
    total = await _read(reader, asked, "all", "", filters, currency)
    found = await _read(reader, asked, "all", _dimension(by), filters, currency)
    groups = {key: rows for key, rows in _groups(found, by).items() if key}
    best = _best(groups, order)
    series = [SalesGroup(key, _sums(groups[key])) for key in best[:limit]]
    more = len(best) > limit
    return answered(Sales(**told_period(asked), by=by, total=_sums(total), series=series, more=more))


@router.get(
    "/v1/analytics/sales/heatmap",
    summary="Sales by weekday and hour",
    responses={200: shapes.answer("Heatmap"), **_ERRORS},
)
async def heatmap(
    request: Request, _caller: Analyst, asked: Span, filters: Chosen, currency: Currency = None
) -> Response:
    """Sales by the hour of the week, in the time zone that is asked for."""
    found = await _read(_reader(services(request)), asked, "weekhour", "", filters, currency)
    groups: dict[tuple[int, int], list[Figure]] = defaultdict(list)
    for one in found:
        if one.bucket is not None:
            groups[one.bucket.isoweekday(), one.bucket.hour].append(one)
    hours = [HeatmapHour(*key, _sums(groups[key])) for key in sorted(groups)]
    return answered(Heatmap(**told_period(asked), hours=hours))


@router.get(
    "/v1/analytics/sales/events",
    summary="The events behind a figure of sales",
    responses={200: shapes.answer("EventsBehind"), **_ERRORS},
)
async def events(
    request: Request,
    _caller: Analyst,
    asked: Span,
    filters: Chosen,
    after: PlaceAsked,
    weekday: Weekday = None,
    hour: Hour = None,
    limit: Limit = 100,
) -> Response:
    """The purchases and refunds that a figure is made of, the latest first: with the same period and filters, and of
    one weekday or hour. Those of a group are those of a period or a filter of its own."""
    reader = _reader(services(request))
    found = await reader.events(
        asked.period, filters, (after.at, after.name), limit + 1, weekday, hour, _moment(asked)
    )
    return answered(behind_told(asked, found, limit))


def behind_told(asked: Asked, found: list[Behind], limit: int) -> EventsBehind:
    """A page of events, of which one more than fits was read."""
    page = found[:limit]
    following = place_text(page[-1].happened_at, page[-1].id) if len(found) > limit else None
    return EventsBehind(**told_period(asked), events=[_event(one) for one in page], next=following)


def key_of(by: str, bucket: datetime) -> str:
    """How a group by time is called."""
    return _SHAPED[by](bucket)


def _event(one: Behind) -> EventBehind:
    customer = None if one.customer is None else one.customer.hex
    timeline = None if customer is None else f"/v1/customers/{customer}/timeline"
    amount = None if one.amount is None else written(one.amount)
    position = f"{one.partition}:{one.offset}"
    return EventBehind(one.name, one.happened_at, one.type, position, customer, timeline, amount, one.currency)


def _reader(held: Services) -> SalesReader:
    return SalesReader(held.pool, held.parts.working.rules.analytics, held.parts.catalogue)


def _moment(asked: Asked) -> Moment | None:
    return None if asked.moment is None else Moment(*asked.moment)


async def _read(
    reader: SalesReader, asked: Asked, unit: Unit, by: By, filters: Filters, currency: str | None
) -> list[Figure]:
    return await reader.sales(asked.period, unit, by, filters, currency, _moment(asked))


def _unit(by: Any) -> Unit:
    unit: Unit = by
    return unit


def _dimension(by: Any) -> By:
    dimension: By = by
    return dimension


def _groups(found: Iterable[Figure], by: str) -> dict[str, list[Figure]]:
    """Figures by the key of their group."""
    groups: dict[str, list[Figure]] = defaultdict(list)
    for one in found:
        key = one.currency if by == "currency" else one.value if one.bucket is None else key_of(by, one.bucket)
        groups[key].append(one)
    return groups


def _best(groups: dict[str, list[Figure]], order: OrderBy) -> list[str]:
    """The keys, those with the most first; of equal ones by their code."""

    def rank(key: str) -> tuple[Decimal, str]:
        return -max(Decimal(getattr(one, order)) for one in groups[key]), key

    return sorted(groups, key=rank)


def _sums(found: Iterable[Figure]) -> list[SalesSum]:
    return [_sum(one) for one in sorted(found, key=lambda one: one.currency)]


def _sum(one: Figure) -> SalesSum:
    mean = average(one.revenue, one.orders)
    return SalesSum(
        one.currency,
        written(one.revenue),
        written(one.refunds),
        written(one.net),
        one.orders,
        None if mean is None else written(mean),
        one.purchases,
        one.returns,
        f"{one.units.normalize():f}",
        one.converted,
    )
