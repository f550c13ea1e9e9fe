"""How are API keys kept over HTTP? Listed, made, revoked, by an administrator."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response

from api import shapes
from api.body import read_model
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import ApiKey, NewKey

__all__ = ["router"]

router = APIRouter(tags=["API keys"], default_response_class=Response, dependencies=[Depends(Guard("admin"))])


@router.get("/v1/keys", summary="All API keys", responses={200: shapes.answer("Keys"), **responses()})
async def keys(request: Request) -> Response:
    """All keys, revoked ones too, without their secrets."""
    held = services(request)
    found = await to_thread.run_sync(held.parts.access.list, limiter=held.working)
    return _json(shapes.Keys([_shape(one) for one in found]))


@router.post(
    "/v1/keys",
    status_code=201,
    summary="Make an API key",
    responses={201: shapes.answer("Key", "Made; the secret is shown this once"), **responses(408, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.KeyRequest),
)
async def create(request: Request) -> Response:
    """Make a key, bound to scopes and, for publishing, to sources and types. The secret is shown this once."""
    wanted = await read_model(request, shapes.KeyRequest)
    held = services(request)

    def make() -> NewKey:
        return held.parts.access.create(
            wanted.label,
            wanted.scopes,
            sources=wanted.sources,
            types=wanted.types,
            expires=wanted.expires,
            user=wanted.user,
        )

    made = await to_thread.run_sync(make, limiter=held.working)
    return _json(_shape(made.key, made.secret), 201)


@router.delete("/v1/keys/{id}", summary="Revoke an API key", responses={200: shapes.answer("Key"), **responses(404)})
async def revoke(request: Request, id: Annotated[str, Path(description="The key's id")]) -> Response:
    """Revoke a key: here at once, in other processes within a few seconds."""
    held = services(request)
    return _json(_shape(await to_thread.run_sync(held.parts.access.revoke, id, limiter=held.working)))


def _shape(key: ApiKey, secret: str | None = None) -> shapes.Key:
    return shapes.Key(**key._asdict(), secret=secret)


def _json(answer: shapes.Key | shapes.Keys, status: int = 200) -> Response:
    return Response(shapes.encode(answer), status, {"Cache-Control": "no-store"}, "application/json")
