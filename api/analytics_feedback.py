"""What do customers say? Routes for satisfaction, recommendation, effort, reviews, and the sentiment of texts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Asked, Code, Limit, PlaceAsked, Span, answered, place_text, told_period
from api.analytics_windows import EVER, CustomerAsked, decimal_told, hex_of, part, window_of
from api.opinion_shapes import (
    Effort,
    Feedback,
    FeedbackGroup,
    MoodGroup,
    MoodsTold,
    MoodTold,
    Recommendation,
    Satisfaction,
    ScoresTold,
    ScoreTold,
    SentimentTold,
)
from api.problems import responses
from api.services import services
from projections.insight.feedback import FeedbackReader, Moods, Opinions, Page, Scores, Sentiment

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)
ScoresBy = Literal["day", "week", "month", "hour", "weekday", "product", "channel", "team", "code"]
MoodsBy = Literal["day", "week", "month", "hour", "weekday", "product", "channel", "type", "method"]
Key = Annotated[str | None, Query(max_length=200, description="With `by`: of which group; left out: of none")]


def _known(asked: Asked) -> datetime:
    return asked.recorded_by or EVER


def _node(customer: str | None) -> UUID | None:
    return None if customer is None else UUID(hex=customer)


@router.get(
    "/v1/analytics/feedback",
    summary="What customers say",
    responses={200: shapes.answer("Feedback"), **_ERRORS},
)
async def feedback(
    request: Request,
    _caller: Analyst,
    asked: Span,
    by: Annotated[ScoresBy, Query()] = "month",
    product: Code = None,
    channel: Code = None,
    team: Code = None,
    survey: Code = None,
    customer: CustomerAsked = None,
) -> Response:
    """Satisfaction (CSAT), recommendation (NPS), effort (CES) and reviews, of a period and in groups of it."""
    chosen = Scores(_known(asked), product, channel, team, survey, _node(customer))
    reader = FeedbackReader(services(request).pool)
    whole, groups = await reader.opinions(window_of(request, asked), chosen, by)
    series = [_opinions(one) for one in groups]
    return answered(Feedback(**told_period(asked), by=by, total=_opinions(whole), series=series))


@router.get(
    "/v1/analytics/feedback/events",
    summary="The scores behind a figure",
    responses={200: shapes.answer("ScoresTold"), **_ERRORS},
)
async def scores(
    request: Request,
    _caller: Analyst,
    asked: Span,
    place: PlaceAsked,
    measure: Annotated[Literal["csat", "nps", "ces", "review", "other"] | None, Query()] = None,
    by: Annotated[ScoresBy | None, Query()] = None,
    key: Key = None,
    product: Code = None,
    channel: Code = None,
    team: Code = None,
    survey: Code = None,
    customer: CustomerAsked = None,
    limit: Limit = 100,
) -> Response:
    """The events that tell the scores of a figure, the latest first; with `by` and `key` those of a group."""
    chosen = Scores(_known(asked), product, channel, team, survey, _node(customer))
    page = Page(place, limit + 1, by, key)
    found = await FeedbackReader(services(request).pool).scores(window_of(request, asked), chosen, measure, page)
    told = [
        ScoreTold(one.event, one.at, one.measure, float(one.score), decimal_told(one.best), hex_of(one.customer))
        for one in found[:limit]
    ]
    after = place_text(found[limit - 1].at, found[limit - 1].name) if len(found) > limit else None
    return answered(ScoresTold(**told_period(asked), scores=told, next=after))


@router.get(
    "/v1/analytics/sentiment",
    summary="The sentiment of what customers write",
    responses={200: shapes.answer("SentimentTold"), **_ERRORS},
)
async def sentiment(
    request: Request,
    _caller: Analyst,
    asked: Span,
    by: Annotated[MoodsBy, Query()] = "month",
    product: Code = None,
    channel: Code = None,
    type: Code = None,
    method: Code = None,
    customer: CustomerAsked = None,
) -> Response:
    """The mood of customers' texts, as the enrichment derived it, of a period and in groups of it. Each text counts
    once, by what was derived last; with `method` by what that method derived last."""
    chosen = Moods(_known(asked), product, channel, type, method, _node(customer))
    reader = FeedbackReader(services(request).pool)
    whole, groups = await reader.sentiment(window_of(request, asked), chosen, by)
    series = [_mood(one) for one in groups]
    return answered(SentimentTold(**told_period(asked), by=by, total=_mood(whole), series=series))


@router.get(
    "/v1/analytics/sentiment/events",
    summary="The texts behind a figure of sentiment",
    responses={200: shapes.answer("MoodsTold"), **_ERRORS},
)
async def moods(
    request: Request,
    _caller: Analyst,
    asked: Span,
    place: PlaceAsked,
    tone: Annotated[Literal["negative", "positive"] | None, Query()] = None,
    by: Annotated[MoodsBy | None, Query()] = None,
    key: Key = None,
    product: Code = None,
    channel: Code = None,
    type: Code = None,
    method: Code = None,
    customer: CustomerAsked = None,
    limit: Limit = 100,
) -> Response:
    """The touchpoints whose texts make a figure, the latest first; with `by` and `key` those of a group."""
    chosen = Moods(_known(asked), product, channel, type, method, _node(customer))
    page = Page(place, limit + 1, by, key)
    found = await FeedbackReader(services(request).pool).moods(window_of(request, asked), chosen, tone, page)
    told = [
        MoodTold(one.event, one.at, float(one.sentiment), one.method, hex_of(one.customer)) for one in found[:limit]
    ]
    after = place_text(found[limit - 1].at, found[limit - 1].name) if len(found) > limit else None
    return answered(MoodsTold(**told_period(asked), moods=told, next=after))


def _opinions(one: Opinions) -> FeedbackGroup:
    score = round(100 * (one.promoters - one.detractors) / one.nps, 1) if one.nps else None
    return FeedbackGroup(
        one.key,
        Satisfaction(one.csat, one.satisfied, part(one.satisfied, one.csat)),
        Recommendation(one.nps, one.promoters, one.detractors, score),
        Effort(one.ces, decimal_told(one.ces_mean), decimal_told(one.ces_of_best)),
        Effort(one.reviews, decimal_told(one.review_mean), decimal_told(one.review_of_best)),
    )


def _mood(one: Sentiment) -> MoodGroup:
    share = part(one.negative, one.texts)
    return MoodGroup(one.key, one.texts, decimal_told(one.mean), one.negative, one.positive, share)
