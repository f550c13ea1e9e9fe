"""Why do customers cancel, and what came before? Routes for both, with the cancellations behind them."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Code, Limit, PlaceAsked, Span, answered, place_text, told_period
from api.analytics_windows import EVER, hex_of, part, window_of
from api.loyalty_shapes import (
    BeforeCancelling,
    CancellationCount,
    CancellationEvents,
    Cancellations,
    CancellationTold,
    SignalTold,
)
from api.problems import responses
from api.services import services
from projections.insight.cancellations import CancellationsReader, Signal

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)


@router.get(
    "/v1/analytics/cancellations",
    summary="Why customers cancel",
    responses={200: shapes.answer("Cancellations"), **_ERRORS},
)
async def cancellations(
    request: Request,
    _caller: Analyst,
    asked: Span,
    days: Annotated[int, Query(ge=1, le=365, description="How long before is looked at")] = 30,
) -> Response:
    """Subscriptions cancelled in a period by reason and plan; and what happened to those customers in the days
    before, beside what happened to customers who have a subscription and did not cancel."""
    reader = CancellationsReader(services(request).pool)
    window, known = window_of(request, asked), asked.recorded_by or EVER
    counts = await reader.reasons(window, known)
    signals = await reader.before(window, known, days)
    left, stayed = (signals[0].left_total, signals[0].stayed_total) if signals else (0, 0)
    before = BeforeCancelling(days, left, stayed, [_signal(one) for one in signals])
    reasons, plans = ([CancellationCount(*one) for one in some] for some in (counts.reasons, counts.plans))
    return answered(
        Cancellations(
            **told_period(asked),
            cancellations=counts.whole.cancellations,
            customers=counts.whole.customers,
            reasons=reasons,
            plans=plans,
            before=before,
        )
    )


@router.get(
    "/v1/analytics/cancellations/events",
    summary="The cancellations behind a figure",
    responses={200: shapes.answer("CancellationEvents"), **_ERRORS},
)
async def events(
    request: Request,
    _caller: Analyst,
    asked: Span,
    place: PlaceAsked,
    reason: Code = None,
    plan: Code = None,
    limit: Limit = 100,
) -> Response:
    """The subscriptions that were cancelled in the period, the latest first."""
    reader = CancellationsReader(services(request).pool)
    known = asked.recorded_by or EVER
    found = await reader.events(window_of(request, asked), known, reason, plan, place, limit + 1)
    told = [CancellationTold(*one[1:5], customer=hex_of(one.customer)) for one in found[:limit]]
    after = place_text(found[limit - 1].at, found[limit - 1].name) if len(found) > limit else None
    return answered(CancellationEvents(**told_period(asked), events=told, next=after))


def _signal(one: Signal) -> SignalTold:
    lift = None
    if one.stayed and one.left_total:
        lift = round((one.left / one.left_total) / (one.stayed / one.stayed_total), 2)
    left, stayed = part(one.left, one.left_total), part(one.stayed, one.stayed_total)
    return SignalTold(one.signal, one.left, left, one.stayed, stayed, lift)
