"""Is this process alive, can it serve, and how does it fare? For orchestrators and Prometheus; no customer data."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import psycopg
from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from psycopg_pool import PoolTimeout

from api import shapes
from api.problems import responses
from api.security import LocalGuard
from api.services import Services, services
from domain.errors import StorylineError
from projections.registry import changed_for, told_of

__all__ = ["router"]

router = APIRouter(tags=["Health"], default_response_class=Response)

_PATIENCE: Final = 3.0
_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
_TROUBLE = (StorylineError, psycopg.Error, PoolTimeout, TimeoutError)


@router.get("/livez", summary="Is the process alive?", responses={200: shapes.answer("Health")})
async def livez() -> Response:
    """Open to all. Says that the event loop turns, and nothing of what it needs."""
    return _health(shapes.Health("alive"), 200)


@router.get(
    "/readyz",
    summary="Can the process serve?",
    responses={200: shapes.answer("Health"), 503: shapes.answer("Health", "Not ready; `reasons` says why")},
)
async def readyz(request: Request) -> Response:
    """Open to all. Ready when the database and the log answer, and the read models are those of this release; with
    the projector's lag per partition.

    A projector that lags makes no API unready: what is published is taken all the same.
    """
    held = services(request)
    ends, visible = await _positions(held)
    reasons = await _changed(held)
    if visible is None:
        reasons.append("The database of the read models does not answer.")
    if ends is None:
        reasons.append("The log does not answer.")
    lag = {
        str(partition): max(0, end - (visible or {}).get(partition, 0))
        for partition, end in sorted((ends or {}).items())
    }
    if reasons:
        return _health(shapes.Health("not ready", reasons), 503)
    return _health(shapes.Health("ready", lag=lag), 200)


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    dependencies=[Depends(LocalGuard("operate"))],
    responses={**_TEXT, **responses()},
)
async def metrics(request: Request) -> Response:
    """Open on the loopback address; from elsewhere with the scope `operate`."""
    held = services(request)
    ends, visible = await _positions(held)
    held.metrics.positions(ends or {}, visible or {})
    held.metrics.streams.set(len(held.streams))
    held.metrics.waiting.set(held.door.waiting)
    text = await to_thread.run_sync(held.metrics.text, limiter=held.working)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _changed(held: Services) -> list[str]:
    """What to say where the tables are not those of this release; nothing where that cannot be told."""
    try:
        async with asyncio.timeout(_PATIENCE):
            names = await changed_for(held.pool)
    except _TROUBLE:
        return []
    return [told_of(names)] if names else []


async def _positions(held: Services) -> tuple[dict[int, int] | None, dict[int, int] | None]:
    """(where the log ends, how far the projector is), None for what does not answer in time."""

    async def ask(what: Any) -> dict[int, int] | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                found: dict[int, int] = await what
                return found
        except _TROUBLE:
            return None

    ends, visible = await asyncio.gather(ask(held.log.ends()), ask(held.reader.positions()))
    return ends, visible


def _health(found: shapes.Health, status: int) -> Response:
    return Response(shapes.encode(found), status, media_type="application/json")
