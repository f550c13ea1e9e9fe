"""How do deals and tickets go here? The configuration in force, as JSON."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response

from api.problems import responses
from api.security import Guard
from api.services import services

__all__ = ["router"]

router = APIRouter(tags=["Configuration"], default_response_class=Response)

_SCOPES: Final = ("read", "read-sealed", "work", "manage", "operate")
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Success", "content": {"application/json": {"schema": {"type": "object"}}}}
}


@router.get(
    "/v1/configuration",
    summary="How deals and tickets go here",
    responses={**_ANSWER, **responses()},
    dependencies=[Depends(Guard(*_SCOPES))],
)
async def configuration(request: Request) -> Response:
    """Pipelines, states of tickets, service levels, assignment and automation, as docs/configuration.md describes
    them. Durations are ISO 8601."""
    rules = services(request).parts.working.rules
    return Response(rules.model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")
