"""How does selling go? Routes for the open pipeline and its forecast, for what was won and lost, and for stages."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Code, Limit, PlaceAsked, Span, answered, bounded, place_text, told_period
from api.analytics_windows import as_known_now, hex_of, part, times_told, window_of
from api.pipeline_shapes import (
    DealBehind,
    DealsBehind,
    DealsClosed,
    DealsGroup,
    ForecastMonth,
    LostReason,
    MoveTold,
    OpenStage,
    PipelineTold,
    Stages,
    StageTold,
    WorthTold,
)
from api.problems import responses
from api.services import services
from domain.configuration import Configuration
from domain.facts import average, written
from projections.insight.pipeline import DealGroup, Deals, Move, PipelineReader, StageFacts, StageOf

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)
By = Literal["day", "week", "month", "hour", "weekday", "assignee", "team", "origin", "pipeline"]
What = Literal["created", "won", "lost"]


async def chosen(
    request: Request, pipeline: Code = None, assignee: Code = None, team: Code = None, origin: Code = None
) -> Deals:
    """Which deals, by what they are now."""
    rules = services(request).parts.working.rules
    return Deals(rules.default_pipeline, pipeline, assignee, team, origin)


Chosen = Annotated[Deals, Depends(chosen)]


@router.get(
    "/v1/analytics/pipeline",
    summary="The open pipeline and its forecast",
    responses={200: shapes.answer("PipelineTold"), **_ERRORS},
    dependencies=[Depends(bounded)],
)
async def pipeline(request: Request, _caller: Analyst, deals: Chosen) -> Response:
    """What is open now in each stage, and in which months it is expected to come in; weighted by the probability of
    each deal, else by that of its stage."""
    held = services(request)
    rules = held.parts.working.rules
    standing, coming = await PipelineReader(held.pool).open(deals, _stages(rules))
    order = {(one.pipeline, one.stage): place for place, one in enumerate(_stages(rules))}
    standing.sort(key=lambda one: (order.get((one.pipeline, one.stage or ""), len(order)), one.currency or ""))
    return answered(
        PipelineTold(
            held.parts.clock(),
            [OpenStage(*one[:4], written(one.amount), written(one.weighted)) for one in standing],
            [ForecastMonth(*one[:3], written(one.amount), written(one.weighted)) for one in coming],
        )
    )


@router.get(
    "/v1/analytics/pipeline/deals",
    summary="What was won and lost",
    responses={200: shapes.answer("DealsClosed"), **_ERRORS},
)
async def closed(
    request: Request, _caller: Analyst, asked: Span, deals: Chosen, by: Annotated[By, Query()] = "month"
) -> Response:
    """Deals created, won and lost in a period and in groups of it: win rate, average size, sales cycle, and why they
    were lost. Rep, team and the like are those that a deal has now."""
    as_known_now(asked)
    reader = PipelineReader(services(request).pool)
    whole, groups, reasons = await reader.closed(window_of(request, asked), deals, by)
    lost = [LostReason(*one[:3], written(one.amount)) for one in reasons]
    series = [_group(one) for one in groups]
    return answered(DealsClosed(**told_period(asked), by=by, total=_group(whole), series=series, lost_reasons=lost))


@router.get(
    "/v1/analytics/pipeline/events",
    summary="The deals behind a figure",
    responses={200: shapes.answer("DealsBehind"), **_ERRORS},
)
async def behind(
    request: Request,
    _caller: Analyst,
    asked: Span,
    deals: Chosen,
    place: PlaceAsked,
    what: Annotated[What, Query(description="Which figure")],
    by: Annotated[By | None, Query(description="With `key`: how it was grouped")] = None,
    key: Annotated[str | None, Query(max_length=200, description="Of which group; left out: of none")] = None,
    limit: Limit = 100,
) -> Response:
    """The deals that were created, won or lost in the period, the latest first; with `by` and `key` those of a
    group."""
    as_known_now(asked)
    group = (by, key) if by is not None else None
    reader = PipelineReader(services(request).pool)
    found = await reader.deals(window_of(request, asked), deals, what, group, place, limit + 1)
    told = [
        DealBehind(
            one.item.hex,
            one.ref,
            one.at,
            None if one.amount is None else written(one.amount),
            one.currency,
            one.reason,
            hex_of(one.customer),
        )
        for one in found[:limit]
    ]
    after = place_text(found[limit - 1].at, found[limit - 1].item) if len(found) > limit else None
    return answered(DealsBehind(**told_period(asked), what=what, deals=told, next=after))


@router.get(
    "/v1/analytics/pipeline/stages",
    summary="How deals walk through the stages",
    responses={200: shapes.answer("Stages"), **_ERRORS},
)
async def stages(request: Request, _caller: Analyst, asked: Span, deals: Chosen) -> Response:
    """Of each stage how many deals came in the period, how long those stayed that left it, where they went, and how
    many of those that were closed after it were won."""
    as_known_now(asked)
    held = services(request)
    found, moves = await PipelineReader(held.pool).stages(window_of(request, asked), deals)
    order = {(one.pipeline, one.stage): place for place, one in enumerate(_stages(held.parts.working.rules))}
    found.sort(key=lambda one: (order.get((one.pipeline, one.stage), len(order)), one.pipeline, one.stage))
    return answered(Stages(**told_period(asked), stages=[_stage(one, moves) for one in found]))


def _stages(rules: Configuration) -> list[StageOf]:
    """The stages of all pipelines, in their order."""
    return [
        StageOf(code, stage.code, stage.probability)
        for code, pipeline in rules.pipelines.items()
        for stage in pipeline.stages
    ]


def _group(one: DealGroup) -> DealsGroup:
    worth = []
    for sums in one.worth:
        mean = average(sums.won, sums.sized)
        told = None if mean is None else written(mean)
        worth.append(WorthTold(sums.currency, written(sums.created), written(sums.won), written(sums.lost), told))
    rate = part(one.won, one.won + one.lost)
    return DealsGroup(one.key, one.created, one.won, one.lost, rate, times_told(one.cycle), worth)


def _stage(one: StageFacts, moves: list[Move]) -> StageTold:
    went = [
        MoveTold(move.to, move.deals, part(move.deals, one.stayed.measured))
        for move in moves
        if (move.pipeline, move.stage) == (one.pipeline, one.stage)
    ]
    rate = part(one.won, one.won + one.lost)
    return StageTold(one.pipeline, one.stage, one.entered, times_told(one.stayed), one.won, one.lost, rate, went)
