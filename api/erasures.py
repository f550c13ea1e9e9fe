"""How is a person erased over HTTP, and what was erased? By whoever has the scope `erase`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import erasure_shapes, shapes
from api.body import read_model
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from commands.erasing import Erasing, Erasure

__all__ = ["router"]

router = APIRouter(tags=["Erasure and export"], default_response_class=Response)

_Officer = Annotated[Caller, Depends(Guard("erase"))]
_REF = "#/components/schemas/"
_ERASED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The erasure with its certificate; of a dry run what it would come to",
        "content": {
            "application/json": {"schema": {"anyOf": [{"$ref": _REF + "Erasure"}, {"$ref": _REF + "Foreseen"}]}}
        },
    },
    202: shapes.answer("Erasure", "Erased; the certificate follows once the read models have caught up with the log"),
}


@router.post(
    "/v1/customers/{customer}/erase",
    summary="Erase a customer",
    responses={**_ERASED, **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(erasure_shapes.EraseRequest),
)
async def erase(
    request: Request, caller: _Officer, customer: Annotated[str, Path(description="Any id of the customer")]
) -> Response:
    """Destroy what is personal of a customer, in every copy, for good. Counts and revenue stay as they are.

    Send it again after an error or a 202: what was begun is completed, and nothing is done twice.
    """
    wanted = await read_model(request, erasure_shapes.EraseRequest)
    if wanted.dry_run:
        told = await _alone(request, lambda erasing: erasing.foresee(customer))
        return _json(msgspec.convert(told, erasure_shapes.Foreseen))
    done = await _alone(request, lambda erasing: erasing.erase(customer, wanted.why, by=caller.key_id))
    return _json(_shape(done), 200 if done.certificate else 202)


@router.get(
    "/v1/erasures",
    summary="Erasures",
    responses={200: shapes.answer("Erasures"), **responses(404)},
)
async def erasures(
    request: Request,
    _caller: _Officer,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the answer before")] = None,
) -> Response:
    """Erasures, newest first, with their certificates."""
    found, following = await _ask(request, lambda erasing: erasing.list(limit, cursor))
    return _json(erasure_shapes.Erasures([_shape(one) for one in found], following))


@router.get(
    "/v1/erasures/{id}",
    summary="One erasure",
    responses={200: shapes.answer("Erasure"), **responses(404)},
)
async def erasure(
    request: Request, _caller: _Officer, id: Annotated[str, Path(description="The erasure's id")]
) -> Response:
    """One erasure with its certificate."""
    return _json(_shape(await _ask(request, lambda erasing: erasing.show(id))))


async def _ask(request: Request, task: Callable[[Erasing], Any]) -> Any:
    """Do something with erasures, off the event loop."""
    held = services(request)
    return await to_thread.run_sync(task, held.parts.erasing, limiter=held.working)


async def _alone(request: Request, task: Callable[[Erasing], Any]) -> Any:
    """Do what waits until no other erasure is at work."""
    held = services(request)
    return await to_thread.run_sync(task, held.parts.erasing, limiter=held.erasing)


def _shape(found: Erasure) -> erasure_shapes.Erasure:
    told = found.certificate
    certificate = None if told is None else msgspec.convert(told, erasure_shapes.Certificate)
    plain = {**found._asdict(), "id": found.id.hex, "customer": found.customer.hex, "certificate": certificate}
    return erasure_shapes.Erasure(**plain)


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(shapes.encode(answer), status, media_type="application/json")
