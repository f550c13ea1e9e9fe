"""How are dead letters seen to over HTTP? Counted by kind, listed, read, redriven, amended, discarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import Struct

from api import letter_shapes, shapes
from api.body import read_model
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from commands.letters import DeadLetter, Settled
from commands.parking import Parking
from domain.errors import SealError

__all__ = ["router"]

router = APIRouter(tags=["Dead letters"], default_response_class=Response)

_Operator = Annotated[Caller, Depends(Guard("operate"))]
_Id = Annotated[str, Path(description="The dead letter's id")]
_KindId = Annotated[str, Path(description="The kind's id")]
_Reason = Annotated[str | None, Query(max_length=64, description="Only those with this reason code")]
_Cursor = Annotated[str | None, Query(max_length=100, description="`next` of the answer before")]
_AtOnce = Annotated[int, Query(ge=1, le=1000, description="Most letters that this request tries")]
_MAX_AMENDED: Final = 2 * 2**20


@router.get("/v1/dead-letters", summary="Dead letters", responses={200: shapes.answer("Letters"), **responses(404)})
async def letters(
    request: Request,
    _caller: _Operator,
    status: Annotated[Literal["parked", "redriven", "discarded", "all"], Query()] = "parked",
    kind: Annotated[str | None, Query(max_length=64, description="Only those of this kind")] = None,
    reason: _Reason = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: _Cursor = None,
) -> Response:
    """Dead letters, oldest first, without their content."""
    asked = None if status == "all" else status
    found, following = await _ask(request, lambda parking: parking.list(asked, limit, cursor, reason, kind))
    return _json(letter_shapes.Letters([_shape(one) for one in found], following))


@router.get(
    "/v1/dead-letters/kinds",
    summary="Kinds of dead letters",
    responses={200: shapes.answer("Kinds"), **responses(404)},
)
async def kinds(
    request: Request,
    _caller: _Operator,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: _Cursor = None,
) -> Response:
    """What waits: how many of each kind, since when, why, and what to do about it."""
    found, following = await _ask(request, lambda parking: parking.kinds(limit, cursor))
    return _json(letter_shapes.Kinds([letter_shapes.Kind(**one._asdict()) for one in found], following))


@router.post(
    "/v1/dead-letters/kinds/{kind}/redrive",
    summary="Try dead letters of a kind again",
    responses={200: shapes.answer("Settled"), **responses(404)},
)
async def redrive_kind(
    request: Request, caller: _Operator, kind: _KindId, limit: _AtOnce = 500, cursor: _Cursor = None
) -> Response:
    """Try the next ones that were parked when the walk began. Call again with `next` until it is null.

    Harmless to repeat, to break off, and to do twice at once.
    """

    def task(parking: Parking) -> Settled:
        return parking.redrive_many(by=caller.key_id, kind=kind, limit=limit, cursor=cursor)

    return _json(_settled(await _ask(request, task)))


@router.post(
    "/v1/dead-letters/kinds/{kind}/discard",
    summary="Give up on dead letters of a kind",
    responses={200: shapes.answer("Settled"), **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.DiscardRequest),
)
async def discard_kind(
    request: Request, caller: _Operator, kind: _KindId, limit: _AtOnce = 500, cursor: _Cursor = None
) -> Response:
    """Give up on the next ones that were parked when the walk began, saying why. Call again with `next`."""
    wanted = await read_model(request, shapes.DiscardRequest)

    def task(parking: Parking) -> Settled:
        return parking.discard_many(wanted.why, by=caller.key_id, kind=kind, limit=limit, cursor=cursor)

    return _json(_settled(await _ask(request, task)))


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
    """One dead letter with its history; unsealed, with its text and what exactly is wrong, which goes on record."""
    if unseal:
        caller.require("read")
    try:
        return _json(_shape(await _ask(request, lambda parking: parking.show(id, unseal, caller.key_id))))
    except SealError as error:
        return _json(_shape(await _ask(request, lambda parking: parking.show(id)), error.detail))


@router.post(
    "/v1/dead-letters/{id}/redrive",
    summary="Try a dead letter again",
    responses={200: shapes.answer("Letter"), **responses(404)},
)
async def redrive(request: Request, caller: _Operator, id: _Id) -> Response:
    """Check and publish it again; what is refused again stays parked, with the reason of now."""
    return _json(_shape(await _ask(request, lambda parking: parking.redrive(id, caller.key_id))))


@router.post(
    "/v1/dead-letters/{id}/amend",
    summary="Publish a corrected event in the place of a dead letter",
    responses={200: shapes.answer("Letter"), **responses(404, 408, 410, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.AmendRequest),
)
async def amend(request: Request, caller: _Operator, id: _Id) -> Response:
    """Put right what was wrong with one event; needs the scope `publish` too. Source and id stay as they were."""
    caller.require("publish")
    wanted = await read_model(request, shapes.AmendRequest, _MAX_AMENDED)

    def task(parking: Parking) -> DeadLetter:
        return parking.amend(id, wanted.event, wanted.why, by=caller.key_id, rights=caller.rights)

    return _json(_shape(await _ask(request, task)))


@router.post(
    "/v1/dead-letters/{id}/discard",
    summary="Give up on a dead letter",
    responses={200: shapes.answer("Letter"), **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.DiscardRequest),
)
async def discard(request: Request, caller: _Operator, id: _Id) -> Response:
    """Take it off the list of what waits, saying why. Its content goes; that it was there is kept."""
    wanted = await read_model(request, shapes.DiscardRequest)
    return _json(_shape(await _ask(request, lambda parking: parking.discard(id, wanted.why, caller.key_id))))


async def _ask(request: Request, task: Callable[[Parking], Any]) -> Any:
    """Do something with the dead letters, off the event loop."""
    held = services(request)
    return await to_thread.run_sync(task, held.parts.dead_letters, limiter=held.working)


def _shape(found: DeadLetter, unreadable: str | None = None) -> letter_shapes.Letter:
    plain: dict[str, Any] = found._asdict()
    plain["history"] = tuple([letter_shapes.Step(*step) for step in found.history])
    return letter_shapes.Letter(**plain, unreadable=unreadable)


def _settled(found: Settled) -> letter_shapes.Settled:
    return letter_shapes.Settled(*found)


def _json(answer: Struct) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
