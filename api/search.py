"""How is a customer found over HTTP? By what an agent types, which stands in the body and in no access log."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response

from api import shapes
from api.body import read_model
from api.problems import responses
from api.search_shapes import Hit, Hits, SearchRequest, Why
from api.security import Guard
from api.services import Services, services
from commands.access import Caller
from domain.errors import BadInput, Problem
from projections.directory.asking import asked, unseen
from projections.directory.reader import Customer, DirectoryReader, Found, Match

__all__ = ["router"]

router = APIRouter(tags=["Customers"], default_response_class=Response)
_Reads = Annotated[Caller, Depends(Guard("read"))]
_HOW: Final = {1: "exact", 2: "exact", 3: "exact", 4: "begins", 5: "alike"}
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("Hits", "Customers, best first"),
    **responses(400, 408, 413, 415, 429, 503),
}


@router.post(
    "/v1/search",
    summary="Search customers",
    responses=_ANSWERS,
    openapi_extra=shapes.request_body(SearchRequest),
)
async def search(request: Request, _caller: _Reads) -> Response:
    """Customers by name, identifier, or the number of an order, invoice, ticket or deal.

    Exactly and by its beginning at once; behind it, where that finds fewer than `limit`, what is alike. Case, accents
    and the order of a name's words do not matter. A merged customer is found once. There are no further pages: type
    more instead. What is typed stands in the body, so that none of it stands in an access log.
    """
    wanted = await read_model(request, SearchRequest)
    if "\0" in wanted.q or not wanted.q.strip():
        raise BadInput([Problem("q", "holds nothing to search for.", "Send some letters or digits.")])
    held = services(request)
    found = await _find(held, wanted.q, wanted.limit)
    hits = Hits([_hit(one) for one in found.customers], found.more, found.cut)
    return Response(shapes.encode(hits), media_type="application/json")


async def _find(held: Services, text: str, limit: int) -> Found:
    reader = DirectoryReader(held.pool)
    found = await reader.search(asked(text, held.parts.hasher.region), limit)
    if found.customers:
        return found
    nodes = await to_thread.run_sync(_nodes, held, text, limiter=held.unsealing)
    return await reader.of_nodes(nodes, limit) if nodes else found


def _nodes(held: Services, text: str) -> list[UUID]:
    """The hashes, in their present generation, of what a pasted cookie or device would be."""
    hasher = held.parts.hasher
    first = {token: one for one in unseen(text) if (token := hasher.token(one)) is not None}
    generations = held.parts.keyring.generations(first)
    tokens = [hasher.token(one, generations.get(token, 0)) for token, one in first.items()]
    return [UUID(hex=token[-32:]) for token in tokens if token]


def _hit(one: Customer) -> Hit:
    return Hit(
        id=one.id.hex,
        name=one.name,
        identifiers=[
            {"kind": kind, "value": value, "namespace": namespace} if namespace else {"kind": kind, "value": value}
            for kind, value, namespace in one.identifiers
        ],
        why=[_why(match) for match in one.matches],
        touchpoints=one.touchpoints,
        last_contact=one.last_at,
    )


def _why(match: Match) -> Why:
    how = _HOW[match.rank]
    return Why(how, match.kind, match.found, match.likeness if how == "alike" else None)
