"""What is held about this person? All of it in one readable JSON file, written as it is read, in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from psycopg_pool import AsyncConnectionPool
from starlette.responses import Response, StreamingResponse

from api import shapes
from api.customers import answer_of, nobody, node_of, word_of
from api.export_shapes import NamedIn, Notice
from api.identity_answers import identity_told
from api.items import Renderer
from api.problems import responses
from api.security import Guard
from api.services import services
from api.timelines import CustomerId
from commands.access import Caller
from commands.erasing import Erasing
from domain.errors import Misconfigured, Poison, Tampered, UnknownKey
from domain.profile import ProfileRules
from eventlog.keyring import Keyring
from eventlog.record import decode
from eventlog.sealing import open_blob
from projections.customers.reader import CustomerReader, View
from projections.identity.explaining import explain
from projections.identity.loading import IdentityLoader
from projections.timeline.party_reader import Named, PartyReader
from projections.timeline.reader import Customer, Filters, TimelineReader

__all__ = ["Held", "export_of", "router"]

router = APIRouter(tags=["Erasure and export"], default_response_class=Response)

_Officer = Annotated[Caller, Depends(Guard("erase"))]
_PAGE: Final = 100
_WORDS: Final = 500
_IDENTIFIERS: Final = 2**31 - 1
"""All of them: an export that left some out would call itself complete."""
_LINKS: Final = 5000
"""Most links of the explanation of identity; it says whether there are more."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What an export is made of. pool: opened by its owner."""

    pool: AsyncConnectionPool
    timeline: TimelineReader
    keyring: Keyring
    renderer: Renderer
    erasing: Erasing
    rules: ProfileRules
    zone: ZoneInfo
    clock: Callable[[], datetime]


@router.get(
    "/v1/customers/{customer}/export",
    summary="Everything that is held about a customer",
    responses={200: shapes.answer("Export", "One JSON file"), **responses(404)},
)
async def export(request: Request, _caller: _Officer, customer: CustomerId) -> Response:
    """Everything held about a person, unsealed: profile with sources, facts, consents, identifiers, every event in
    full, and of the events of others that name the person the own part. `complete` is its last word."""
    held = services(request)
    parts = held.parts
    made = Held(
        pool=held.pool,
        timeline=held.reader,
        keyring=parts.keyring,
        renderer=Renderer(parts.keyring, parts.catalogue),
        erasing=parts.erasing,
        rules=parts.profile_rules,
        zone=parts.time_zone,
        clock=parts.clock,
    )
    headers = {"Content-Disposition": 'attachment; filename="export.json"', "Cache-Control": "no-store"}
    return StreamingResponse(await export_of(made, customer), media_type="application/json", headers=headers)


async def export_of(held: Held, customer: str) -> AsyncIterator[bytes]:
    """The export of a customer, piece by piece. Raises NotFound before the first piece, Unavailable at any."""
    view = await CustomerReader(held.pool).view(node_of(customer), _IDENTIFIERS)
    if view is None:
        raise nobody()
    return _written(held, view)


async def _written(held: Held, view: View) -> AsyncIterator[bytes]:
    erasures = await to_thread.run_sync(held.erasing.of, list(view.evidences))
    about = await to_thread.run_sync(answer_of, view, held.rules, held.zone, True)
    yield b"{\n" + _field("exported_at", held.clock().astimezone(UTC))
    yield _field("erasures", [Notice(one.id.hex, one.at) for one in erasures])
    yield _field("customer", about)
    yield _field("identity", await _identity(held, view))
    for name, pages in (
        ("consents", _words(held, view.customer)),
        ("events", _events(held, view.customer)),
        ("named_in", _named(held, view.evidences)),
    ):
        async for piece in _listed(name, pages):
            yield piece
    yield b'  "complete": true\n}\n'


async def _identity(held: Held, view: View) -> Any:
    """Why these identifiers are one person."""
    loader = IdentityLoader(held.pool)
    loaded = await loader.load([view.customer])
    found = await to_thread.run_sync(explain, loaded, view.customer, _LINKS)
    spelled = await loader.spelled([one.node for one in found.nodes])
    return identity_told(found, spelled, {}, {}, [])


async def _words(held: Held, customer: UUID) -> AsyncIterator[Sequence[Any]]:
    reader, cursor = CustomerReader(held.pool), None
    while True:
        page = await reader.consents(customer, cursor, _WORDS)
        if page is None:
            return
        yield [word_of(one) for one in page.words]
        cursor = page.older
        if cursor is None:
            return


async def _events(held: Held, customer: UUID) -> AsyncIterator[Sequence[Any]]:
    cursor = None
    while True:
        page = await held.timeline.page(Customer(customer), Filters(), cursor, _PAGE)
        yield await to_thread.run_sync(held.renderer.items, page.rows, True)
        cursor = page.older
        if cursor is None:
            return


async def _named(held: Held, evidences: Sequence[UUID]) -> AsyncIterator[Sequence[Any]]:
    async for rows in PartyReader(held.pool).pages(evidences, _PAGE):
        yield await to_thread.run_sync(_own_parts, held.keyring, rows)


def _own_parts(keyring: Keyring, rows: Sequence[Named]) -> list[NamedIn]:
    return [_own_part(keyring, row) for row in rows]


def _own_part(keyring: Keyring, row: Named) -> NamedIn:
    """The part of the person in an event that is somebody else's."""
    place = f"{row.log_partition}:{row.log_offset}"
    try:
        record = decode(row.record)
    except Poison as error:
        return NamedIn(position=place, happened_at=row.happened_at, role=row.role, unreadable=error.detail)
    head, who, erased, unreadable = record.head, None, False, None
    for index, party in enumerate(head.parties, start=1):
        if party.evidence == row.evidence.hex and party.role == row.role:
            try:
                key = keyring.keys([party.key])[party.key]
                erased = key is None
                who = None if key is None else open_blob(key, record.sealed[index], record.head_bytes, index)["who"]
            except (Tampered, UnknownKey, Misconfigured) as error:
                unreadable = error.detail
            break
    return NamedIn(
        name=head.name,
        position=place,
        happened_at=row.happened_at,
        time=head.time,
        type=head.type,
        role=row.role,
        who=who,
        erased=erased,
        unreadable=unreadable,
    )


async def _listed(name: str, pages: AsyncIterator[Sequence[Any]]) -> AsyncIterator[bytes]:
    """A field that is a list, written a page at a time."""
    yield b'  "%b": [' % name.encode()
    first = True
    async for page in pages:
        if page:
            yield (b"" if first else b",") + b",".join([b"\n    " + _text(one, 4) for one in page])
            first = False
    yield b"],\n" if first else b"\n  ],\n"


def _field(name: str, value: Any) -> bytes:
    return b'  "%b": %b,\n' % (name.encode(), _text(value, 2))


def _text(value: Any, deep: int) -> bytes:
    """Readable JSON, moved in by so many blanks. No text within it holds a line break: JSON escapes them."""
    return msgspec.json.format(shapes.encode(value), indent=2).replace(b"\n", b"\n" + b" " * deep)
