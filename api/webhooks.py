"""How are webhooks seen to over HTTP? Listed by state, sent again, given up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from api import shapes
from api.problems import responses
from api.security import Guard
from api.services import services
from api.webhook_shapes import Webhook, Webhooks
from commands import webhooks as kept
from commands.access import Caller
from commands.webhooks import DeliveryState

__all__ = ["router"]

router = APIRouter(tags=["Webhooks"], default_response_class=Response)

T = TypeVar("T")
_Operator = Annotated[Caller, Depends(Guard("operate"))]


@router.get("/v1/webhooks", summary="Webhooks", responses={200: shapes.answer("Webhooks"), **responses()})
async def webhooks(
    request: Request,
    _caller: _Operator,
    state: Annotated[DeliveryState, Query(description="Which ones")] = "parked",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the answer before")] = None,
) -> Response:
    """Webhooks of a state, the oldest first."""
    page = await _ask(request, lambda webhooks: webhooks.page(state, cursor or None, limit))
    return _json(Webhooks([_shape(one) for one in page.webhooks], page.more))


@router.post(
    "/v1/webhooks/{id}/retry",
    summary="Send a webhook again",
    responses={200: shapes.answer("Webhook"), **responses(404, 409)},
)
async def retry(request: Request, _caller: _Operator, id: str) -> Response:
    """Send one again that was parked or discarded, from the first try on, under the same `webhook-id`."""
    return _json(_shape(await _ask(request, lambda webhooks: webhooks.retry(kept.read_id(id)))))


@router.post(
    "/v1/webhooks/{id}/discard",
    summary="Give up on a webhook",
    responses={200: shapes.answer("Webhook"), **responses(404, 409)},
)
async def discard(request: Request, _caller: _Operator, id: str) -> Response:
    """Give up on one that waits or is parked."""
    return _json(_shape(await _ask(request, lambda webhooks: webhooks.discard(kept.read_id(id)))))


async def _ask(request: Request, task: Callable[[kept.Webhooks], T]) -> T:
    held = services(request)
    return await to_thread.run_sync(task, held.parts.webhooks, limiter=held.working)


def _shape(one: kept.Delivery) -> Webhook:
    return Webhook(**{**one._asdict(), "id": str(one.id)})


def _json(answer: Webhook | Webhooks) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
