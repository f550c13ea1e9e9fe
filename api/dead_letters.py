"""How are dead letters seen to over HTTP? Listed, read, redriven, discarded."""

from __future__ import annotations

from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import shapes
from api.body import read_model
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from commands.parking import DeadLetter
from domain.errors import SealError

__all__ = ["router"]

router = APIRouter(tags=["Dead letters"], default_response_class=Response)

_Operator = Annotated[Caller, Depends(Guard("operate"))]
_Id = Annotated[str, Path(description="The dead letter's id")]


@router.get("/v1/dead-letters", summary="Dead letters", responses={200: shapes.answer("Letters"), **responses(404)})
async def letters(
    request: Request,
    _caller: _Operator,
    status: Annotated[Literal["parked", "redriven", "discarded", "all"], Query()] = "parked",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of a page")] = None,
) -> Response:
    """Dead letters, oldest first, without their content."""
    held = services(request)
    asked = None if status == "all" else status
    found, following = await to_thread.run_sync(
        held.parts.dead_letters.list, asked, limit, cursor, limiter=held.working
    )
    return _json(shapes.Letters([_shape(one) for one in found], following))


@router.get(
    "/v1/dead-letters/{id}",
    summary="One dead letter",
    responses={200: shapes.answer("Letter"), **responses(404, 410)},
)
async def letter(
    request: Request,
    caller: _Operator,
    id: _Id,
    unseal: Annotated[bool, Query(description="With its content; needs the scope `read` too")] = False,
) -> Response:
    """One dead letter; unsealed, with its text and what exactly is wrong."""
    if unseal:
        caller.require("read")
    held = services(request)
    show = held.parts.dead_letters.show
    try:
        return _json(_shape(await to_thread.run_sync(show, id, unseal, limiter=held.working)))
    except SealError as error:
        found = await to_thread.run_sync(show, id, False, limiter=held.working)
        return _json(_shape(found, error.detail))


@router.post(
    "/v1/dead-letters/{id}/redrive",
    summary="Try a dead letter again",
    responses={200: shapes.answer("Letter"), **responses(404, 410)},
)
async def redrive(request: Request, _caller: _Operator, id: _Id) -> Response:
    """Check and publish it again; what is refused again stays parked, with the reason of now."""
    held = services(request)
    return _json(_shape(await to_thread.run_sync(held.parts.dead_letters.redrive, id, limiter=held.working)))


@router.post(
    "/v1/dead-letters/{id}/discard",
    summary="Give up on a dead letter",
    responses={200: shapes.answer("Letter"), **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.DiscardRequest),
)
async def discard(request: Request, _caller: _Operator, id: _Id) -> Response:
    """Take it off the list of what waits, saying why; it is kept."""
    wanted = await read_model(request, shapes.DiscardRequest)
    held = services(request)
    task = held.parts.dead_letters.discard
    return _json(_shape(await to_thread.run_sync(task, id, wanted.why, limiter=held.working)))


def _shape(found: DeadLetter, unreadable: str | None = None) -> shapes.Letter:
    return shapes.Letter(**found._asdict(), unreadable=unreadable)


def _json(answer: shapes.Letter | shapes.Letters) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
