"""How is the raw log read over HTTP? Records as they stand: what is in clear, and the sealed blobs untouched."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import shapes
from api.problems import responses
from api.security import Guard
from api.services import Services, services
from domain.errors import NotFound, Poison
from eventlog.port import Logged
from eventlog.record import decode

__all__ = ["router"]

router = APIRouter(tags=["Raw log"], default_response_class=Response, dependencies=[Depends(Guard("log"))])

_Partition = Annotated[int, Path(ge=0, lt=2**31)]
_Offset = Annotated[int, Path(ge=0, lt=2**63)]
_RAW: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The record; with `raw=true` its exact bytes",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/RawRecord"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.get("/v1/log", summary="The log's partitions", responses={200: shapes.answer("LogEnds"), **responses()})
async def ends(request: Request) -> Response:
    """The log's id, and where each partition ends."""
    held = services(request)
    found = [shapes.PartitionEnd(part, end) for part, end in sorted((await held.log.ends()).items())]
    return _json(shapes.LogEnds(held.parts.log.log_id, found))


@router.get(
    "/v1/log/{partition}",
    summary="Records of a partition",
    responses={200: shapes.answer("RawPage"), **responses(404)},
)
async def records(
    request: Request,
    partition: _Partition,
    start: Annotated[int, Query(alias="from", ge=0, lt=2**63, description="The first offset")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    raw: Annotated[bool, Query(description="With the exact bytes, base64")] = False,
) -> Response:
    """Records of a partition, oldest first; empty behind its end."""
    end, found = await _read(services(request), partition, start, limit)
    shown = [_shown(one, raw) for one in found]
    return _json(shapes.RawPage(shown, found[-1].offset + 1 if found else start, end))


@router.get(
    "/v1/log/{partition}/{offset}",
    summary="One record",
    responses={**_RAW, **responses(404)},
)
async def record(
    request: Request,
    partition: _Partition,
    offset: _Offset,
    raw: Annotated[bool, Query(description="The exact bytes, as application/octet-stream")] = False,
) -> Response:
    """One record of the log."""
    _, found = await _read(services(request), partition, offset, 1)
    if not found or found[0].offset != offset:
        raise NotFound("There is no record at that offset.")
    if raw:
        return Response(found[0].value, media_type="application/octet-stream")
    return _json(_shown(found[0], False))


async def _read(held: Services, partition: int, start: int, limit: int) -> tuple[int, Sequence[Logged]]:
    ends = await held.log.ends()
    if partition not in ends:
        raise NotFound("The log has no such partition; GET /v1/log lists them.")
    if start >= ends[partition]:
        return ends[partition], []
    return ends[partition], await held.log.read(partition, start, limit)


def _shown(logged: Logged, raw: bool) -> shapes.RawRecord:
    exact = b64encode(logged.value).decode() if raw else None
    try:
        found = decode(logged.value)
    except Poison as error:
        return shapes.RawRecord(logged.partition, logged.offset, unreadable=error.detail, raw=exact)
    head = msgspec.Raw(found.head_bytes)
    return shapes.RawRecord(logged.partition, logged.offset, head, list(found.sealed), found.recorded_at, raw=exact)


def _json(answer: Any) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
