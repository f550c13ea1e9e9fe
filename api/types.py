"""How do channels learn what they may publish? The catalogue, its JSON Schemas and the AsyncAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from api import shapes
from api.problems import responses
from api.security import Guard
from api.services import services
from domain.catalogue.schemas import asyncapi
from domain.errors import NotFound

__all__ = ["router"]

router = APIRouter(
    tags=["Catalogue"],
    default_response_class=Response,
    dependencies=[Depends(Guard("publish", "read", "read-sealed", "operate"))],
)


def _document(description: str, media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"description": description, "content": {media_type: {"schema": {"type": "object"}}}}}


@router.get("/v1/types", summary="All event types", responses={200: shapes.answer("Types"), **responses()})
async def types(request: Request) -> Response:
    """The event types that may be published here, each with where its schema is."""
    found = [
        shapes.TypeEntry(
            one.name,
            one.version,
            one.category,
            one.channel,
            one.doc.partition("\n")[0],
            f"/v1/types/{one.name}/schema",
        )
        for one in sorted(services(request).parts.catalogue, key=lambda one: one.name)
    ]
    return Response(shapes.encode(shapes.Types(found)), media_type="application/json")


@router.get(
    "/v1/types/{type}/schema",
    summary="The JSON Schema of a type",
    responses={**_document("JSON Schema 2020-12 of data.content", "application/schema+json"), **responses(404)},
)
async def schema(request: Request, type: Annotated[str, Path(description="Such as email.received")]) -> Response:
    """The schema of `data.content`; public fields carry `"x-public": true`."""
    known = services(request).parts.catalogue.get(type)
    if known is None:
        raise NotFound("There is no type of that name; GET /v1/types lists the known ones.")
    return Response(shapes.encode(known.schema()), media_type="application/schema+json")


@router.get(
    "/asyncapi.json",
    summary="The AsyncAPI document",
    responses={**_document("AsyncAPI 3.0", "application/json"), **responses()},
)
async def asyncapi_document(request: Request) -> Response:
    """Every type as a message, for channels that publish straight to Kafka."""
    return Response(shapes.encode(asyncapi(services(request).parts.catalogue)), media_type="application/json")
