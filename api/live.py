"""How does a timeline tell what happens now? As server-sent events, resumed by a vector of positions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from api import shapes
from api.problems import responses
from api.services import Services, services
from api.streams import Listener
from api.timelines import (
    CustomerId,
    Namespace,
    Reads,
    RefKind,
    RefValue,
    customer_story,
    ref_story,
    render,
    unseals,
)
from api.vectors import read_place, write_place
from commands.access import Caller
from domain.errors import StorylineError
from projections.timeline.reader import Story

__all__ = ["router"]

router = APIRouter(tags=["Timelines"], default_response_class=Response)

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=20_000, description="The last `id` seen: resume behind it")
]
AfterPositions = Annotated[
    str | None, Query(max_length=20_000, description="Begin behind these positions, where there is no Last-Event-ID")
]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `data` is an Item, `id` the place to go on from",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **responses(404, 429),
}
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "/v1/customers/{customer}/timeline/stream",
    summary="A customer's timeline, live",
    responses=_STREAM,
)
async def customer_stream(
    request: Request,
    caller: Reads,
    customer: CustomerId,
    last_event_id: LastEventId = None,
    after_positions: AfterPositions = None,
) -> Response:
    """What becomes visible of a customer from now on, or from where `Last-Event-ID` left off."""
    return await _stream(request, caller, customer_story(customer), last_event_id or after_positions)


@router.get(
    "/v1/refs/{kind}/{value:path}/timeline/stream",
    summary="The timeline of an order, ticket, conversation …, live",
    responses=_STREAM,
)
async def ref_stream(
    request: Request,
    caller: Reads,
    kind: RefKind,
    value: RefValue,
    namespace: Namespace = "",
    last_event_id: LastEventId = None,
    after_positions: AfterPositions = None,
) -> Response:
    """What becomes visible of a ref from now on, or from where `Last-Event-ID` left off."""
    story = ref_story(services(request).parts.hasher, kind, value, namespace)
    return await _stream(request, caller, story, last_event_id or after_positions)


async def _stream(request: Request, caller: Caller, story: Story, seen: str | None) -> Response:
    held = services(request)
    vector = await held.begins_at(read_place(seen, "Last-Event-ID", held.parts.log.log_id) if seen else {})
    return _Live(held, held.streams.join(story), vector, caller, request.headers["authorization"])


class _Live(EventSourceResponse):
    """A stream that leaves the poller however it ends: the client goes, the server stops, the key is revoked."""

    def __init__(
        self, held: Services, listener: Listener, vector: dict[int, int], caller: Caller, credentials: str
    ) -> None:
        self._held, self._listener, self._vector = held, listener, vector
        self._unseal, self._credentials = unseals(caller), credentials
        super().__init__(self._events(), headers=_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._held.streams.leave(self._listener)

    async def _events(self) -> AsyncIterator[bytes]:
        yield format_sse_event(comment="live", id=self._place(self._vector))
        try:
            async for row, vector in self._held.streams.news(self._listener, self._vector):
                await self._still_allowed()
                if row is None:
                    yield format_sse_event(comment="ping", id=self._place(vector))
                    continue
                item = (await render(self._held, [row], self._unseal))[0]
                yield format_sse_event(data_str=shapes.encode(item).decode(), id=self._place(vector))
        except StorylineError:
            return  # the client comes back with its last id, and is told what is wrong

    def _place(self, vector: dict[int, int]) -> str:
        return write_place(self._held.parts.log.log_id, vector)

    async def _still_allowed(self) -> None:
        """A key that was revoked ends its streams too."""
        access = self._held.parts.access
        if access.recall(self._credentials) is None:
            await to_thread.run_sync(access.authenticate, self._credentials, limiter=self._held.asking)
