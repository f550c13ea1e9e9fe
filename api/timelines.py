"""How is a story read over HTTP? Pages of a customer's or a ref's timeline, and whose an identifier is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.routing import APIRoute
from msgspec import structs
from starlette.types import Receive, Scope, Send

from api import shapes
from api.as_of import AsOf, echo, read_when, reader_of
from api.body import read_model
from api.items import Renderer, holds
from api.problems import responses
from api.quick import answer_json, plain_query
from api.security import Guard
from api.services import Services, services
from api.vectors import read_vector
from commands.access import Caller
from domain.errors import BadInput, NotFound, Problem
from domain.identifiers import KINDS, REF_KINDS, Identifier, Ref
from eventlog.record import ref_hash
from eventlog.tokens import Hasher
from projections.identity.as_of import Moment
from projections.timeline.reader import Customer, CustomerThen, Filters, Page, RefStory, Row, Told, WithParties

__all__ = [
    "Asks",
    "CustomerId",
    "Namespace",
    "Reads",
    "RefKind",
    "RefValue",
    "customer_story",
    "customers",
    "ref_story",
    "render",
    "router",
    "told_page",
    "unseals",
]

router = APIRouter(tags=["Timelines"], default_response_class=Response)
reading = Guard("read", "read-sealed")

Reads = Annotated[Caller, Depends(reading)]
CustomerId = Annotated[str, Path(description="The customer's id, 32 hex digits")]
RefKind = Annotated[str, Path(description=f"One of {', '.join(REF_KINDS)}")]
RefValue = Annotated[str, Path(description="The code")]
Namespace = Annotated[str, Query(max_length=64, description="The ref's namespace, if it has one")]
_Words = Annotated[list[str] | None, Query(max_length=100)]
_Limit = Annotated[int, Query(ge=1, le=200, description="Most items on the page")]
_Parties = Annotated[bool, Query(description="With the events of others that name the customer as a party")]
_MIN_STEP: Final = 5
_LIGHT: Final = 64 * 1024
"""Bytes of records whose rendering may hold up the event loop: a millisecond or two."""
_TIME: Final[dict[str, Any]] = {"format": "date-time"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page was asked for with."""

    filters: Filters
    before: str | None
    after: str | None
    limit: int
    q: str
    positions: str | None

    @property
    def everything(self) -> bool:
        """Is it a first page without a filter?"""
        return not (self.before or self.after or self.q) and self.filters == Filters()


async def asked(
    limit: _Limit = 50,
    before: Annotated[str | None, Query(max_length=200, description="`older` of a page: go on to older")] = None,
    after: Annotated[str | None, Query(max_length=200, description="`newer` of a page: go on to newer")] = None,
    type: _Words = None,
    channel: _Words = None,
    direction: Annotated[list[Literal["in", "out"]] | None, Query(max_length=2)] = None,
    since: Annotated[str | None, Query(description="Not before; RFC 3339", json_schema_extra=_TIME)] = None,
    until: Annotated[str | None, Query(description="Before, not at; RFC 3339", json_schema_extra=_TIME)] = None,
    q: Annotated[str, Query(max_length=200, description="Text that an item holds, in any case")] = "",
    after_positions: Annotated[
        str | None, Query(max_length=20_000, description="Wait until these positions are visible")
    ] = None,
    storyline_after: Annotated[
        str | None, Header(max_length=20_000, description="Like after_positions, as a header")
    ] = None,
) -> Asked:
    """The query of a page. Raises BadInput. A coroutine, since FastAPI sends plain functions to a thread."""
    if before and after:
        raise BadInput([Problem("after", "stands beside `before`.", "Send one of the two.")])
    words = [*(type or ()), *(channel or ())]
    if any("\0" in word for word in words):
        raise BadInput([Problem("type", "holds a NUL character.", "Leave the character out.")])
    filters = Filters(type or None, channel or None, direction or None)
    if since or until:
        filters = Filters(
            filters.types,
            filters.channels,
            filters.directions,
            read_when(since, "since") if since else filters.since,
            read_when(until, "until") if until else filters.until,
        )
    return Asked(filters, before or None, after or None, limit, q, after_positions or storyline_after)


Asks = Annotated[Asked, Depends(asked)]
_EVERYTHING: Final = Filters()


class _CustomerRoute(APIRoute):
    """The route of a customer's timeline. It answers plain queries itself: to solve a dozen parameters costs more
    than to read the rows. Documented, guarded and refused is as the function below says."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = plain_query(scope)
        if query is None:
            await super().handle(scope, receive, send)
            return
        request = Request(scope)
        caller = await reading(request, None)
        page = Asked(_EVERYTHING, query.before, query.after, query.limit, "", None)
        story = customer_story(scope["path_params"]["customer"])
        await answer_json(send, await _page(services(request), caller, story, page))


customers = APIRouter(tags=["Timelines"], default_response_class=Response, route_class=_CustomerRoute)
"""The one route that is asked for most, so that it is tried first."""
_PAGE: dict[int | str, dict[str, Any]] = {200: shapes.answer("Page", "A page, newest first")}


@customers.get(
    "/v1/customers/{customer}/timeline", summary="A customer's timeline", responses={**_PAGE, **responses(404, 429)}
)
async def customer_timeline(
    request: Request, caller: Reads, customer: CustomerId, query: Asks, moment: AsOf, parties: _Parties = False
) -> Response:
    """A customer's story, newest first. 404 where there is nothing of the customer at all.

    With `happened_by` or `recorded_by` as of then: with what counted, under the identifiers that were hers.
    """
    story = customer_story(customer)
    if moment is None:
        return await _timeline(request, caller, WithParties(story.id) if parties else story, query)
    if parties:
        trouble = "stands beside `happened_by` or `recorded_by`."
        raise BadInput([Problem("parties", trouble, "Ask for one of the two.")])
    return await _timeline_then(services(request), caller, story, query, moment)


@router.get(
    "/v1/refs/{kind}/{value:path}/timeline",
    summary="The timeline of an order, ticket, conversation …",
    responses={**_PAGE, **responses(404, 429)},
)
async def ref_timeline(
    request: Request, caller: Reads, kind: RefKind, value: RefValue, query: Asks, namespace: Namespace = ""
) -> Response:
    """The story of a ref, newest first. 404 where there is nothing of it at all."""
    return await _timeline(request, caller, ref_story(services(request).parts.hasher, kind, value, namespace), query)


@router.post(
    "/v1/lookup",
    summary="Find customers",
    responses={200: shapes.answer("Found"), **responses(400, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(shapes.LookupRequest),
)
async def lookup(request: Request, _caller: Reads) -> Response:
    """Whose is this e-mail address, phone number, customer number, order …? Exactly, in any of its spellings.

    The identifier stands in the body, so that none stands in an access log. A blocked value (`guest`, `null`) is
    nobody's. A ref also has a timeline of its own.
    """
    wanted = await read_model(request, shapes.LookupRequest)
    held = services(request)
    if wanted.kind in REF_KINDS:
        story = ref_story(held.parts.hasher, wanted.kind, wanted.value, wanted.namespace)
        address = _ref_address(wanted.kind, wanted.value, wanted.namespace)
        return _found(await held.reader.customers_of_ref(story.ref), address)
    if wanted.kind not in KINDS:
        way_out = f"Send one of {', '.join((*KINDS, *REF_KINDS))}."
        raise BadInput([Problem("kind", "is no kind of identifier or ref.", way_out)])
    identifier = Identifier(wanted.kind, wanted.value, wanted.namespace)
    token = await to_thread.run_sync(_current_token, held, identifier, limiter=held.unsealing)
    return _found(await held.reader.lookup([token]) if token else [], None)


def _current_token(held: Services, identifier: Identifier) -> str | None:
    """The token of the present generation: whoever came back after an erasure is someone new."""
    hasher = held.parts.hasher
    first = hasher.token(identifier)
    if first is None:
        return None
    generation = held.parts.keyring.generations([first]).get(first, 0)
    return hasher.token(identifier, generation)


def _found(customers: Sequence[UUID], address: str | None) -> Response:
    found = [shapes.CustomerFound(one.hex, f"/v1/customers/{one.hex}/timeline") for one in customers]
    return Response(shapes.encode(shapes.Found(found, address)), media_type="application/json")


def _ref_address(kind: str, value: str, namespace: str) -> str:
    asked = f"?namespace={quote(namespace)}" if namespace else ""
    return f"/v1/refs/{kind}/{quote(value, safe='')}/timeline{asked}"


def customer_story(customer: str) -> Customer:
    """The story of a customer's id. Raises NotFound for what is no id: no customer can have it."""
    try:
        return Customer(UUID(hex=customer))
    except ValueError:
        raise NotFound("There is no customer of that id; POST /v1/lookup finds one.") from None


def ref_story(hasher: Hasher, kind: str, value: str, namespace: str) -> RefStory:
    """The story of a ref as sent. Raises NotFound for an unknown kind."""
    if kind not in REF_KINDS:
        raise NotFound(f"There is no such kind of ref; there are {', '.join(REF_KINDS)}.")
    if kind == "conversation":
        value = hasher.ref(Ref(kind, value, namespace))
    clear = f"{kind}/{namespace}:{value}" if namespace else f"{kind}:{value}"
    return RefStory(UUID(bytes=ref_hash(clear)))


def unseals(caller: Caller) -> bool:
    """May this caller see what is personal?"""
    return "read" in caller.scopes


async def render(held: Services, rows: Sequence[Row], unseal: bool) -> list[shapes.Item]:
    """Items of rows; made in a thread where keys have to be fetched, or where there is much to make."""
    if not rows:
        return []
    renderer = Renderer(held.parts.keyring, held.parts.catalogue)
    if unseal and _light(rows) and (items := renderer.recalled(rows)) is not None:
        return items
    return await to_thread.run_sync(renderer.items, rows, unseal, limiter=held.unsealing)


def _light(rows: Sequence[Row]) -> bool:
    """Is it quickly done? A page of common events is."""
    corrections = [len(one.record) for row in rows if row.corrections for one in row.corrections]
    return sum([len(row.record) for row in rows]) + sum(corrections) <= _LIGHT


async def _timeline(request: Request, caller: Caller, story: Told, query: Asked) -> Response:
    return Response(await _page(services(request), caller, story, query), media_type="application/json")


async def _timeline_then(held: Services, caller: Caller, story: Customer, query: Asked, moment: Moment) -> Response:
    await _visible(held, query)
    found = await reader_of(held).then(story.id, moment)
    page = await told_page(held, caller, CustomerThen(found.customer, tuple(found.evidences), *moment), query)
    return Response(shapes.encode(structs.replace(page, **echo(found))), media_type="application/json")


async def _visible(held: Services, query: Asked) -> None:
    if query.positions:
        await held.wait_for(read_vector(query.positions, "after_positions"))


async def _page(held: Services, caller: Caller, story: Told, query: Asked) -> bytes:
    """The JSON of a page. Raises NotFound, BadInput, NotYet, Unavailable."""
    await _visible(held, query)
    return shapes.encode(await told_page(held, caller, story, query))


async def told_page(held: Services, caller: Caller, story: Told, query: Asked) -> shapes.Page:
    """A page of a story, what is asked for being visible. Raises NotFound, BadInput, Unavailable."""
    if query.q:
        return await _search(held, story, query, unseals(caller))
    page = await held.reader.page(story, query.filters, query.before or query.after, query.limit)
    if not page.rows and query.everything:
        raise NotFound("There is nothing of that name on any timeline.")
    return shapes.Page(await render(held, page.rows, unseals(caller)), page.older, page.newer)


async def _search(held: Services, story: Told, query: Asked, unseal: bool) -> shapes.Page:
    """Rows that hold a text. Looks at a stated number of rows, then hands out the cursor to go on with.

    Each step is small enough for all of it to fit on the page, so that a cursor never stands within a step.
    """
    needle = query.q.casefold()
    newer = query.after is not None
    cursor = query.after or query.before
    step = max(1, min(100, query.limit // 2))
    found: list[shapes.Item] = []
    searched, first = 0, None
    while True:
        page = await held.reader.page(story, query.filters, cursor, min(step, query.limit - len(found)))
        first = first or page
        items = [item for item in await render(held, page.rows, unseal) if holds(item, needle)]
        found = items + found if newer else found + items
        searched += len(page.rows)
        cursor = page.newer if newer else page.older
        full = query.limit - len(found) < min(_MIN_STEP, query.limit)
        if not page.rows or cursor is None or full or searched >= held.limits.search_rows:
            return _searched(found, first, page, newer, searched)


def _searched(found: list[shapes.Item], first: Page, last: Page, newer: bool, searched: int) -> shapes.Page:
    older, latest = (first.older, last.newer) if newer else (last.older, first.newer)
    return shapes.Page(found, older, latest, searched)
