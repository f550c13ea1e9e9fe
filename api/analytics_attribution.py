"""Which campaigns and channels bring the most sales? Routes for attribution and the sales behind it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Asked, Limit, PlaceAsked, Span, answered, place_text, told_period
from api.analytics_windows import EVER, window_of
from api.attribution_shapes import AttributedSales, Attribution, CreditTold, SaleTold, Turnover
from api.problems import responses
from api.services import services
from domain.attribution import MOST_DAYS, USUAL_DAYS, Model
from domain.facts import written
from projections.insight.attribution import Attributed, AttributionReader, By, Credit, Question

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)
Chosen = Annotated[Model, Query(description="Which answers before a purchase get how much of it")]
Days = Annotated[int, Query(ge=1, le=MOST_DAYS, description="Days before a purchase within which answers count")]
Grouped = Annotated[By, Query(description="Campaigns, or the channels on which they were answered")]


@router.get(
    "/v1/analytics/attribution",
    summary="What campaigns and channels bring",
    responses={200: shapes.answer("Attribution"), **_ERRORS},
)
async def attribution(
    request: Request,
    _caller: Analyst,
    asked: Span,
    model: Chosen = "last",
    window: Days = USUAL_DAYS,
    by: Grouped = "campaign",
) -> Response:
    """The amounts of counted purchases, shared out among the campaigns that the same customer answered before, and
    what falls to none; with the return on what a campaign cost."""
    question = _question(asked, model, window, by)
    whole, credits = await AttributionReader(services(request).pool).credits(window_of(request, asked), question)
    currencies = [_turnover(one) for one in whole]
    told = [_credit(one) for one in credits]
    return answered(
        Attribution(**told_period(asked), model=model, window_days=window, by=by, currencies=currencies, credits=told)
    )


@router.get(
    "/v1/analytics/attribution/events",
    summary="The sales that fall to a campaign or channel",
    responses={200: shapes.answer("AttributedSales"), **_ERRORS},
)
async def sales(
    request: Request,
    _caller: Analyst,
    asked: Span,
    place: PlaceAsked,
    key: Annotated[str | None, Query(max_length=200, description="The campaign or channel; left out: none")] = None,
    model: Chosen = "last",
    window: Days = USUAL_DAYS,
    by: Grouped = "campaign",
    limit: Limit = 100,
) -> Response:
    """The purchases of which something falls to a campaign or channel, the latest first."""
    question = _question(asked, model, window, by)
    reader = AttributionReader(services(request).pool)
    found = await reader.sales(window_of(request, asked), question, key, place, limit + 1)
    told = [
        SaleTold(one.event, one.at, written(one.amount), written(one.share), one.currency, one.customer.hex)
        for one in found[:limit]
    ]
    after = place_text(found[limit - 1].at, found[limit - 1].name) if len(found) > limit else None
    return answered(
        AttributedSales(**told_period(asked), model=model, window_days=window, by=by, key=key, sales=told, next=after)
    )


def _question(asked: Asked, model: Model, days: int, by: By) -> Question:
    return Question(model, days, by, asked.recorded_by or EVER)


def _turnover(one: Attributed) -> Turnover:
    rest = one.amount - one.attributed
    return Turnover(one.currency, one.purchases, written(one.amount), written(one.attributed), written(rest))


def _credit(one: Credit) -> CreditTold:
    gained = round(float((one.amount - one.cost) / one.cost), 4) if one.cost else None
    cost = None if one.cost is None else written(one.cost)
    return CreditTold(one.key, one.currency, one.purchases, written(one.amount), cost, gained)
