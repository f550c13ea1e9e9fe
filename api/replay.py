"""How does an analyst replay history over HTTP? A stream of lines or of Arrow batches, written as it is read.

A stream that breaks off is not ended properly, so that whoever reads it does not take it for whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from uuid import UUID

from anyio import CancelScope, to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from api.as_of import read_when
from api.problems import responses
from api.security import Guard
from api.services import Services, services
from commands.access import Caller
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Problem
from domain.replay_where import read_where
from eventlog.keyring import Keyring
from projections.replaying import Chosen, replayed, snapshot_of

if TYPE_CHECKING:
    from projections.replay_columns import Columns

__all__ = ["router"]

router = APIRouter(tags=["Replay"], default_response_class=Response)

_Reads = Annotated[Caller, Depends(Guard("read", "read-sealed"))]
_Words = Annotated[list[str] | None, Query(max_length=100)]
_TIME: Final[dict[str, Any]] = {"format": "date-time"}
_When = Annotated[str | None, Query(max_length=64, description="RFC 3339", json_schema_extra=_TIME)]
_MEDIA: Final = {"ndjson": "application/x-ndjson", "arrow": "application/vnd.apache.arrow.stream"}
_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A line of JSON for each event, or an Arrow stream",
        "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in _MEDIA.values()},
    },
    **responses(429),
}
_ASK_AGAIN: Final = 100
"""Pieces after which the key is asked for again."""


async def chosen(
    since: _When = None,
    until: _When = None,
    type: _Words = None,
    channel: _Words = None,
    customer: Annotated[list[str] | None, Query(max_length=100, description="Ids, 32 hex digits")] = None,
    segment: Annotated[list[str] | None, Query(max_length=100, description="Codes")] = None,
    where: Annotated[str | None, Query(max_length=20_000, description="Conditions on single events")] = None,
    happened_by: _When = None,
    recorded_by: _When = None,
    as_sent: Annotated[bool, Query(description="Also what was taken back, and what was put right as sent")] = False,
    order: Literal["happened", "position"] = "happened",
) -> Chosen:
    """Which events are asked for. Raises BadInput."""
    texts = [*(type or ()), *(channel or ()), *(segment or ())]
    if any("\0" in text for text in texts):
        raise BadInput([Problem("type", "holds a NUL character.", "Leave the character out.")])
    return Chosen(
        since=read_when(since, "since") if since else None,
        until=read_when(until, "until") if until else None,
        types=tuple(type or ()),
        channels=tuple(channel or ()),
        customers=tuple(_customer(one) for one in customer or ()),
        segments=tuple(segment or ()),
        where=await to_thread.run_sync(read_where, where) if where else (),
        happened_by=read_when(happened_by, "happened_by") if happened_by else None,
        recorded_by=read_when(recorded_by, "recorded_by") if recorded_by else None,
        as_sent=as_sent,
        order=order,
    )


@router.get("/v1/replay", summary="Events as they count, as a stream", responses=_STREAM)
async def replay(
    request: Request,
    caller: _Reads,
    asked: Annotated[Chosen, Depends(chosen)],
    format: Literal["ndjson", "arrow"] = "ndjson",
    columns: Annotated[str, Query(max_length=10_000, description="Which ones, comma between; empty: all")] = "",
    personal: Annotated[bool, Query(description="With names and texts; needs the scope read")] = False,
) -> Response:
    """The chosen events in one snapshot, in order. Without names, unless a key with `read` asks for `personal`."""
    if personal:
        caller.require("read")
    held = services(request)
    keyring = held.parts.keyring if personal else None
    names = tuple(one.strip() for one in columns.split(",") if one.strip())
    made = await to_thread.run_sync(_columns, held.parts.catalogue, asked.types, names, keyring)
    pieces = _Pieces(held, made, asked, format)
    try:
        first = await pieces.next()
    except BaseException:
        await pieces.close()
        raise
    stream = _streamed(held, pieces, first, request.headers["authorization"])
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Response(pieces, stream, media_type=_MEDIA[format], headers=headers)


def _columns(catalogue: Catalogue, types: Sequence[str], names: Sequence[str], keyring: Keyring | None) -> Columns:
    from projections.replay_columns import Columns as Made  # noqa: PLC0415 - most APIs never need Arrow

    return Made(catalogue, types, names, keyring)


class _Pieces:
    """The pieces of one replay, each made in a thread. It has one of the few places until it is closed."""

    def __init__(self, held: Services, columns: Columns, asked: Chosen, format: str) -> None:
        self._held = held
        self._place = held.replays.take()
        self._source = _bytes_of(held, columns, asked, format)

    async def next(self) -> bytes | None:
        """The next piece; None behind the last."""
        return await to_thread.run_sync(next, self._source, None, limiter=self._held.replaying)

    async def close(self) -> None:
        """Let go of the snapshot and of the place. Harmless when repeated."""
        with CancelScope(shield=True):
            await to_thread.run_sync(self._source.close, limiter=self._held.replaying)
            self._place.leave()


class _Response(StreamingResponse):
    """A stream that lets go of what it holds however it ends: also when its client has gone before it began."""

    def __init__(self, pieces: _Pieces, content: AsyncIterator[bytes], **more: Any) -> None:
        self._pieces = pieces
        super().__init__(content, **more)

    async def __call__(self, *scope: Any) -> None:
        try:
            await super().__call__(*scope)
        finally:
            await self._pieces.close()


async def _streamed(held: Services, pieces: _Pieces, first: bytes | None, credentials: str) -> AsyncIterator[bytes]:
    piece, number = first, 0
    while piece is not None:
        yield piece
        number += 1
        if number % _ASK_AGAIN == 0 and held.parts.access.recall(credentials) is None:
            await to_thread.run_sync(held.parts.access.authenticate, credentials, limiter=held.asking)
        piece = await pieces.next()


def _bytes_of(held: Services, columns: Columns, asked: Chosen, format: str) -> Generator[bytes]:
    from projections.replay_encoding import arrow_stream, ndjson  # noqa: PLC0415

    with snapshot_of(held.parts.reader_dsn, "storyline api replay") as connection:
        batches = (columns.batch(events) for events in replayed(connection, held.parts.catalogue, asked))
        if format == "ndjson":
            yield from ndjson(batches, columns.json_names)
        else:
            yield from arrow_stream(columns.schema, batches)


def _customer(text: str) -> UUID:
    try:
        return UUID(hex=text)
    except ValueError:
        raise BadInput([Problem("customer", "is no customer's id.", "Send 32 hex digits.")]) from None
