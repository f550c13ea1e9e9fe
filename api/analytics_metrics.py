"""What do the deployment's own metrics come to? Routes that list them, tell one over time or by a dimension, and open
it into its events."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Asked, Limit, PlaceAsked, Span, Top, answered, told_period
from api.analytics_sales import behind_told, key_of
from api.problems import responses
from api.sales_shapes import MetricGroup, MetricInfo, Metrics, MetricTold, MetricValue
from api.services import services
from domain.configuration import Metric
from domain.errors import BadInput, Problem
from projections.figures.metrics import Known, MetricReader, Value
from projections.figures.sales import Unit

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_TIMES: Final[dict[str, Unit]] = {
    "day": "day", "week": "week", "month": "month", "hour": "hour", "weekday": "weekday",
}  # fmt: skip
_ERRORS: Final = responses(404, 409, 429)
MetricCode = Annotated[str, Path(max_length=64, description="The metric's code")]
By = Annotated[
    str, Query(max_length=80, description="day, week, month, hour, weekday, or a dimension such as channel")
]
Where = Annotated[
    list[str] | None,
    Query(max_length=5, description="Only of these values: `DIMENSION=VALUE`, such as `channel=web`"),
]


@router.get(
    "/v1/analytics/metrics", summary="Metrics of our own", responses={200: shapes.answer("Metrics"), **responses(429)}
)
async def metrics(request: Request, _caller: Analyst) -> Response:
    """All metrics that the configuration defines, and how far the past was counted by each."""
    return answered(Metrics([_info(one) for one in await _reader(request).all()]))


@router.get(
    "/v1/analytics/metrics/{code}",
    summary="A metric of our own",
    responses={200: shapes.answer("MetricTold"), **_ERRORS},
)
async def metric(
    request: Request,
    _caller: Analyst,
    code: MetricCode,
    asked: Span,
    by: By = "day",
    where: Where = None,
    limit: Top = 100,
) -> Response:
    """A metric over a period, in all and in groups. Groups by time come in its order; others by their value, `limit`
    of them. 409 until all of the past was counted."""
    _as_known_now(asked)
    reader = _reader(request)
    filters = _filters(where)
    known, [*total] = await reader.values(code, asked.period, "all", "", filters)
    _check(known.metric, by, filters)
    unit = _TIMES.get(by, "all")
    _, found = await reader.values(code, asked.period, unit, "" if by in _TIMES else by, filters)
    whole = total[0] if total else Value(None, "", None, 0)
    ordered = sorted(found, key=_place) if by in _TIMES else sorted(found, key=_rank)
    kept = ordered if by in _TIMES else ordered[:limit]
    return answered(
        MetricTold(
            **told_period(asked),
            metric=_info(known),
            by=by,
            total=MetricValue(_text(whole), whole.events),
            series=[MetricGroup(_key(by, one), _text(one), one.events) for one in kept],
            more=len(kept) < len(ordered),
        )
    )


@router.get(
    "/v1/analytics/metrics/{code}/events",
    summary="The events behind a metric",
    responses={200: shapes.answer("EventsBehind"), **_ERRORS},
)
async def events(
    request: Request,
    _caller: Analyst,
    code: MetricCode,
    asked: Span,
    after: PlaceAsked,
    where: Where = None,
    limit: Limit = 100,
) -> Response:
    """The events that a metric is made of, the latest first, with the same period and filters; `amount` is the value
    of each. 409 until all of the past was counted."""
    _as_known_now(asked)
    place = (after.at, after.name)
    found = await _reader(request).events(code, asked.period, _filters(where), place, limit + 1)
    return answered(behind_told(asked, found, limit))


def _reader(request: Request) -> MetricReader:
    held = services(request)
    return MetricReader(held.pool, held.parts.catalogue, held.parts.working.rules.metrics)


def _as_known_now(asked: Asked) -> None:
    """Raise BadInput where somebody asks for what was known then: of metrics the present knowledge is kept."""
    if asked.recorded_by is not None:
        told = "cannot be asked of a metric, whose sums are of what we know now."
        raise BadInput([Problem("recorded_by", told, "Leave it out, or ask for what had happened by `happened_by`.")])


def _filters(where: list[str] | None) -> dict[str, str]:
    found = {}
    for one in where or ():
        name, equals, value = one.partition("=")
        if not equals or "\0" in one:
            raise BadInput([Problem("where", "is no filter.", "Send DIMENSION=VALUE, such as channel=web.")])
        found[name] = value
    return found


def _check(metric: Metric, by: str, filters: dict[str, str]) -> None:
    """Raise BadInput for what is no dimension of the metric."""
    there = ", ".join([*_TIMES, *metric.dimensions])
    if by not in _TIMES and by not in metric.dimensions:
        raise BadInput([Problem("by", "is no dimension of the metric.", f"There are {there}.")])
    for name in filters:
        if name not in metric.dimensions:
            known = ", ".join(metric.dimensions) or "none"
            raise BadInput([Problem("where", "names no dimension of the metric.", f"There are {known}.")])


def _info(one: Known) -> MetricInfo:
    metric = one.metric
    return MetricInfo(
        code=one.code,
        title=metric.title,
        types=metric.types,
        measure=metric.measure,
        field=metric.field,
        dimensions=metric.dimensions,
        unit=metric.unit,
        backfilled=0.0 if one.fill is None else round(one.fill.share, 4),
    )


def _key(by: str, one: Value) -> str:
    return one.group if one.bucket is None else key_of(by, one.bucket)


def _place(one: Value) -> str:
    return "" if one.bucket is None else one.bucket.isoformat()


def _rank(one: Value) -> tuple[bool, float, str]:
    return one.value is None, -float(one.value or 0), one.group


def _text(one: Value) -> str | None:
    return None if one.value is None else f"{one.value.normalize():f}"
