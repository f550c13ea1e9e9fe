"""Which products make trouble, and which are asked about before they are bought? Routes for both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Code, Limit, PlaceAsked, Span, answered, place_text, told_period
from api.analytics_windows import as_known_now, hex_of, window_of
from api.opinion_shapes import Complaint, Complaints, Question, Questions, VoicesTold, VoiceTold
from api.problems import responses
from api.services import services
from projections.insight.products import Complained, ProductsReader, Voice

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)
Most = Annotated[int, Query(ge=1, le=500, description="Most products of the answer")]
Days = Annotated[int, Query(ge=1, le=365, description="How long before the purchase at most")]
Product = Annotated[str, Query(min_length=1, max_length=200)]


@router.get(
    "/v1/analytics/products/complaints",
    summary="Products that customers complain of",
    responses={200: shapes.answer("Complaints"), **_ERRORS},
)
async def complaints(
    request: Request, _caller: Analyst, asked: Span, product: Code = None, limit: Most = 50
) -> Response:
    """The products with most complaints in a period: tickets, bad reviews, refunds, and texts in a bad mood; and how
    many complaints came for 1,000 sold."""
    as_known_now(asked)
    found = await ProductsReader(services(request).pool).complained(window_of(request, asked), product, limit)
    return answered(Complaints(**told_period(asked), products=[_complaint(one) for one in found]))


@router.get(
    "/v1/analytics/products/complaints/events",
    summary="What speaks against a product",
    responses={200: shapes.answer("VoicesTold"), **_ERRORS},
)
async def complaining(
    request: Request, _caller: Analyst, asked: Span, place: PlaceAsked, product: Product, limit: Limit = 100
) -> Response:
    """The tickets and events that make a product's complaints, the latest first."""
    as_known_now(asked)
    reader = ProductsReader(services(request).pool)
    found = await reader.complaints(window_of(request, asked), product, place, limit + 1)
    return answered(VoicesTold(**told_period(asked), product=product, **_page(found, limit)))


@router.get(
    "/v1/analytics/products/questions",
    summary="Products that customers ask about before they buy them",
    responses={200: shapes.answer("Questions"), **_ERRORS},
)
async def questions(
    request: Request, _caller: Analyst, asked: Span, product: Code = None, days: Days = 30, limit: Most = 50
) -> Response:
    """The products with most touchpoints from customers who then bought them for the first time."""
    as_known_now(asked)
    reader = ProductsReader(services(request).pool)
    found = await reader.questioned(window_of(request, asked), product, days, limit)
    told = [Question(*one[:3], median_s=round(one.median_s, 3)) for one in found]
    return answered(Questions(**told_period(asked), days=days, products=told))


@router.get(
    "/v1/analytics/products/questions/events",
    summary="What was asked of a product",
    responses={200: shapes.answer("VoicesTold"), **_ERRORS},
)
async def questioning(
    request: Request,
    _caller: Analyst,
    asked: Span,
    place: PlaceAsked,
    product: Product,
    days: Days = 30,
    limit: Limit = 100,
) -> Response:
    """The touchpoints that make a product's questions, the latest first."""
    as_known_now(asked)
    reader = ProductsReader(services(request).pool)
    found = await reader.questions(window_of(request, asked), product, days, place, limit + 1)
    return answered(VoicesTold(**told_period(asked), product=product, **_page(found, limit)))


def _complaint(one: Complained) -> Complaint:
    rate = round(1000 * one.complaints / float(one.sold), 2) if one.sold > 0 else None
    return Complaint(*one[:6], sold=float(one.sold), per_thousand=rate)


def _page(found: Sequence[Voice], limit: int) -> dict[str, Any]:
    told = [_voice(one) for one in found[:limit]]
    after = place_text(found[limit - 1].at, found[limit - 1].name) if len(found) > limit else None
    return {"voices": told, "next": after}


def _voice(one: Voice) -> VoiceTold:
    ticket = one.name.hex if one.how == "ticket" else None
    return VoiceTold(one.how, one.at, one.event, ticket, hex_of(one.customer))
