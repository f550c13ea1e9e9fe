"""How is a touchpoint published over HTTP? As CloudEvents 1.0: one, a batch, or one in binary mode."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from api import shapes
from api.body import check_media_type, read_body
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from commands.publishing import Receipt
from domain.errors import BadInput, Problem, StorylineError, TooLarge, WrongMediaType
from domain.event import parse_json

__all__ = ["router"]

router = APIRouter(tags=["Publishing"], default_response_class=Response)

_ONE: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_BINARY: Final = "application/json"
_EVENT = {"$ref": "#/components/schemas/CloudEvent"}
_EXAMPLE = {
    "specversion": "1.0",
    "source": "mail/support",
    "id": "m-1001",
    "type": "email.received",
    "time": "2026-03-01T09:30:00+01:00",
    "data": {
        "who": [{"kind": "email", "value": "ada@example.org"}],
        "content": {"subject": "Where is my order?", "mailbox": "support"},
    },
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            _ONE: {"schema": _EVENT, "example": _EXAMPLE},
            _BATCH: {"schema": {"type": "array", "items": _EVENT}, "example": [_EXAMPLE]},
        },
    }
}


@router.post(
    "/v1/events",
    status_code=202,
    summary="Publish events",
    responses={202: shapes.answer("Accepted"), **responses(400, 408, 413, 415, 429)},
    openapi_extra=_BODY,
)
async def publish(request: Request, caller: Annotated[Caller, Depends(Guard("publish"))]) -> Response:
    """Publish one CloudEvent, or a batch in which one refused item refuses all.

    The answer comes once the log has all durably, with each one's name and position. `positions` can be passed to a
    timeline as `after_positions`. After a 429, a 5xx or a lost answer send the same again: what is there twice is a
    repeat, and harmless. Binary mode (`ce-…` headers, `application/json` as body) is taken for single events, and
    `Content-Encoding: gzip` for all.
    """
    held = services(request)
    mode = check_media_type(request, (_ONE, _BATCH, _BINARY))
    attributes = _attributes(request) if mode == _BINARY else {}
    body = await read_body(request, held.limits.max_body, held.limits.body_seconds)
    size = len(body)

    def work() -> list[Receipt]:
        nonlocal body
        sent, body = body, b""  # the bytes go as soon as they are parsed
        events = _events(mode, sent, attributes, held.limits.max_batch)
        del sent
        return held.parts.publisher.publish(events, caller.rights)

    try:
        receipts = await held.door.work(size, work)
    except StorylineError as error:
        held.metrics.refused.labels(type(error).__name__).inc()
        raise
    finally:
        held.door.let_go(size)
    held.metrics.accepted.inc(len(receipts))
    return Response(_answer(receipts), 202, media_type="application/json")


def _events(mode: str, body: bytes, attributes: dict[str, str], most: int) -> list[Any]:
    """The raw events of a body. Raises BadInput, TooLarge."""
    if mode == _BINARY:
        return [{**attributes, "data": parse_json(body)} if body else attributes]
    parsed = parse_json(body)
    if mode == _ONE:
        return [parsed]
    if not isinstance(parsed, list):
        raise BadInput([Problem("body", "is no JSON array.", f"Send one event as {_ONE}.")])
    if len(parsed) > most:
        raise TooLarge(f"The batch has {len(parsed)} events; send at most {most} in one request.")
    return parsed


def _attributes(request: Request) -> dict[str, str]:
    """Binary mode: the attributes that stand in `ce-…` headers."""
    found = {name[3:]: unquote(value) for name, value in request.headers.items() if name.startswith("ce-")}
    if "specversion" not in found:
        raise WrongMediaType(f"Send {_ONE} or {_BATCH}, or the attributes in ce-… headers (binary mode).")
    if "data" in found:
        raise BadInput([Problem("ce-data", "is not an attribute.", "Send the data as the body.")])
    return found


def _answer(receipts: list[Receipt]) -> bytes:
    last: dict[int, int] = {}
    for receipt in receipts:
        partition, offset = receipt.position
        last[partition] = max(offset, last.get(partition, -1))
    return msgspec.json.encode(
        {
            "accepted": len(receipts),
            "positions": ",".join([f"{partition}:{last[partition]}" for partition in sorted(last)]),
            "events": [
                {"name": name, "partition": partition, "offset": offset} for name, (partition, offset) in receipts
            ],
        }
    )
