"""How is it explained over HTTP who is who, and how do stewards rule on it? Identity, merge, split, undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import Struct, structs

from api import shapes
from api.as_of import AsOf, echo, reader_of
from api.body import read_model
from api.customers import node_of
from api.identity_answers import change_told, identity_told, ruling_told
from api.identity_shapes import (
    MergeRequest,
    RuledAnswer,
    RulingShape,
    RulingsPage,
    SplitRequest,
    UndoRequest,
)
from api.problems import responses
from api.security import Guard
from api.services import Services, services
from api.timelines import CustomerId, Reads, unseals
from commands.access import Caller
from commands.publishing import Receipt
from commands.rulings import Candidate, Rulings, Side, Why, merge_sides, read_ruling_name, split_sides
from domain.errors import BadInput, NotFound, NotYet, Problem, TooLarge
from domain.identifiers import Identifier
from projections.identity.explaining import Change, Told, explain, weigh
from projections.identity.loading import IdentityLoader, Node, StoredRuling, place_of, read_place

__all__ = ["router"]

router = APIRouter(tags=["Identity"], default_response_class=Response)

T = TypeVar("T")
_Steward = Annotated[Caller, Depends(Guard("steward"))]
_ReadsRulings = Annotated[Caller, Depends(Guard("read", "read-sealed", "steward"))]
_RulingId = Annotated[str, Path(description="The ruling's id, as `GET /v1/rulings` gives it")]
_MOST: Final = 500
"""Most identifiers, links and refusals in one answer."""
_MOST_SHARED: Final = 50
_BODY: Final = 256 * 1024
_NAMED: Final = 256
"""First identifiers of a customer that are looked at for those that a merge names."""


@router.get(
    "/v1/customers/{customer}/identity",
    summary="Why a customer is one person",
    responses={200: shapes.answer("CustomerIdentity"), **responses(404)},
)
async def identity(request: Request, caller: Reads, customer: CustomerId, moment: AsOf) -> Response:
    """The links and events that make these identifiers one person; what was refused, and why; what stewards ruled.

    A component of more than 5,000 identifiers is told as such, with the customer's own direct links. With
    `happened_by` or `recorded_by` as of then, by the rules of now.
    """
    held = services(request)
    loader, reader = IdentityLoader(held.pool), reader_of(held)
    then = None if moment is None else await reader.then(node_of(customer), moment)
    present = await _present(loader, customer) if then is None else then.customer
    loaded = await loader.load([present]) if then is None else then.loaded
    found = await _work(held, lambda: explain(loaded, present, _MOST))
    shared = [one.node for one in found.shared[:_MOST_SHARED]]
    shown = {one.node for one in found.nodes}.union(shared)
    spelled = await loader.spelled(shown) if unseals(caller) else {}
    homes = loaded.evidences
    since = {link.evidence: link.first_at for link in found.links}
    since |= {one.evidence: one.first_at for one in found.refused if one.evidence in homes}
    counting = {one: at for one, at in since.items() if one is not None}
    events = await (loader.first_events(counting) if then is None else reader.first_events(then, counting))
    behind = (
        await loader.behind(shared)
        if then is None
        else {one: then.behind[one] for one in shared if one in then.behind}
    )
    did = {one.ruling.name: one.did for one in found.rulings}
    whose = None if then is None else {one.node: one.customer for one in loaded.nodes.values() if one.component}
    rulings = await _shaped(held, loader, [one.ruling for one in found.rulings], unseals(caller), did, whose)
    told = identity_told(found, spelled, events, behind, rulings)
    return _json(told if then is None else structs.replace(told, **echo(then)))


@router.post(
    "/v1/customers/merge",
    summary="Merge customers",
    responses={200: shapes.answer("RuledAnswer"), **responses(408, 413, 415, 429)},
    openapi_extra=shapes.request_body(MergeRequest),
)
async def merge(request: Request, caller: _Steward) -> Response:
    """Rule that customers are one person. Moves no history, and can be taken back without loss.

    With `dry_run` nothing is published; the answer tells what would change.
    """
    wanted = await read_model(request, MergeRequest, _BODY)
    held = services(request)
    loader = IdentityLoader(held.pool)
    asked = [_node(one) for one in wanted.customers]
    known = await loader.customers([one for one in asked if one is not None])
    present = [known.get(one) if one is not None else None for one in asked]
    nodes = {one: await loader.nodes_of(one, _NAMED) for one in present if one is not None}
    spelled = await loader.spelled([one.node for side in nodes.values() for one in side])
    people = [None if one is None else (one, _candidates(nodes[one], spelled)) for one in present]
    sides = merge_sides(people)
    customers = list(nodes)
    if wanted.dry_run:
        return _json(await _tried(held, loader, caller, customers, new=(True, sides)))
    why = Why(wanted.reason, wanted.comment)
    receipt = await _work(held, lambda: _desk(held).merge(sides, why, caller.key_id))
    return _json(await _ruled(held, loader, receipt, customers))


@router.post(
    "/v1/customers/{customer}/split",
    summary="Split a customer",
    responses={200: shapes.answer("RuledAnswer"), **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(SplitRequest),
)
async def split(request: Request, caller: _Steward, customer: CustomerId) -> Response:
    """Rule that identifiers of a customer are different people. Each past event then stands where its identifiers do;
    identifiers that no side names follow their links. With `dry_run` the answer tells where each would stand."""
    wanted = await read_model(request, SplitRequest, _BODY)
    held = services(request)
    loader = IdentityLoader(held.pool)
    present = await _present(loader, customer)
    asked = await _work(held, lambda: _sides(_desk(held), wanted))
    nodes = await loader.nodes({one for side in asked for one in side if one is not None})
    own = [one for one in nodes if one.customer == present and not one.shared]
    spelled = await loader.spelled([one.node for one in own])
    shared = {one.node for one in nodes if one.shared}
    sides = split_sides(asked, {one.node: one for one in _candidates(own, spelled)}, shared)
    if wanted.dry_run:
        return _json(await _tried(held, loader, caller, [present], new=(False, sides)))
    why = Why(wanted.reason, wanted.comment)
    receipt = await _work(held, lambda: _desk(held).split(sides, why, caller.key_id))
    return _json(await _ruled(held, loader, receipt, [side[0].node for side in sides]))


@router.get(
    "/v1/rulings",
    summary="What stewards ruled",
    responses={200: shapes.answer("RulingsPage"), **responses(404)},
)
async def rulings(
    request: Request,
    caller: _ReadsRulings,
    customer: Annotated[str | None, Query(max_length=64, description="Only those that name this customer")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(max_length=200, description="`older` of the answer before")] = None,
) -> Response:
    """Merges and splits, newest first, with who ruled, when and why; those that were taken back, too."""
    held = services(request)
    loader = IdentityLoader(held.pool)
    older = None
    if customer is not None:
        if before is not None:
            raise BadInput([Problem("before", "stands beside `customer`.", "Send one of the two.")])
        present = await _present(loader, customer)
        nodes = await loader.nodes_of(present, loader.bounds.component)
        found = await loader.rulings_of([one.node for one in nodes], limit)
    else:
        found = await loader.rulings_before(read_place(before) if before else None, limit + 1)
        if len(found) > limit:
            found = found[:limit]
            older = place_of(found[-1])
    return _json(RulingsPage(await _shaped(held, loader, found, unseals(caller)), older))


@router.post(
    "/v1/rulings/{ruling}/undo",
    summary="Take a ruling back",
    responses={200: shapes.answer("RuledAnswer"), **responses(404, 408, 410, 413, 415, 429)},
    openapi_extra=shapes.request_body(UndoRequest),
)
async def undo(request: Request, caller: _Steward, ruling: _RulingId) -> Response:
    """Retract a merge or a split: everything is as if it had never been made. With `dry_run` only told."""
    wanted = await read_model(request, UndoRequest, _BODY)
    held = services(request)
    loader = IdentityLoader(held.pool)
    name = read_ruling_name(ruling)
    found = await loader.ruling(name)
    records = await loader.records([name])
    if found is None or name not in records:
        raise NotFound("There is no ruling of that name; GET /v1/rulings lists them.")
    if not found.counts:
        raise BadInput([Problem("ruling", "was taken back already.", "GET /v1/rulings shows which ones count.")])
    first = [side[0] for side in found.sides if side]
    if wanted.dry_run:
        places = await loader.customers([node for side in found.sides for node in side])
        customers = list(dict.fromkeys(places.values()))
        return _json(await _tried(held, loader, caller, customers, without=name))
    why = Why(wanted.reason, wanted.comment)
    receipt = await _work(held, lambda: _desk(held).undo(records[name][1], why, caller.key_id))
    return _json(await _ruled(held, loader, receipt, first))


def _desk(held: Services) -> Rulings:
    parts = held.parts
    return Rulings(parts.publisher, parts.keyring, parts.hasher, parts.clock)


async def _work(held: Services, task: Callable[[], T]) -> T:
    """Do what takes time, or blocks, off the event loop."""
    return await to_thread.run_sync(task, limiter=held.working)


async def _present(loader: IdentityLoader, customer: str) -> UUID:
    """The present id of a customer, by any of its ids. Raises NotFound."""
    node = _node(customer)
    known = await loader.customers([node]) if node is not None else {}
    if node not in known:
        raise NotFound("There is no customer of that id; POST /v1/lookup finds one.")
    return known[node]


def _node(text: str) -> UUID | None:
    try:
        return UUID(hex=text)
    except ValueError:
        return None


def _candidates(nodes: Iterable[Node], spelled: Mapping[UUID, Identifier]) -> list[Candidate]:
    return [Candidate(one.node, spelled.get(one.node), one.shared) for one in nodes]


def _sides(desk: Rulings, wanted: SplitRequest) -> list[list[UUID | None]]:
    """The nodes that a split asks for, by id or by identifier."""
    return [
        [
            _node(one) if isinstance(one, str) else desk.node_of(Identifier(one.kind, one.value, one.namespace))
            for one in side
        ]
        for side in wanted.sides
    ]


async def _tried(
    held: Services,
    loader: IdentityLoader,
    caller: Caller,
    customers: Sequence[UUID],
    new: tuple[bool, Sequence[Side]] | None = None,
    without: UUID | None = None,
) -> RuledAnswer:
    """What a ruling, or taking one back, would change."""
    loaded = await loader.load(customers)
    if not loaded.whole:
        most = loader.bounds.component
        raise TooLarge(f"These customers hang together with more than {most:,} identifiers: too many for a dry run.")
    events = await loader.events_of(loaded.evidences)
    trades, all_trades = await loader.trades_of(loaded.evidences)

    def task() -> Change:
        made = None if new is None else (held.parts.clock(), new[0], [[one.node for one in side] for side in new[1]])
        return weigh(loaded, customers, Told(events, trades), made, without)

    change = await _work(held, task)
    nodes = {one.node for person in (*change.before, *change.after) for one in person.nodes[:_MOST]}
    spelled = await loader.spelled(nodes) if unseals(caller) else {}
    told = change_told(loaded, change, spelled, _MOST, all_trades)
    return RuledAnswer(dry_run=True, change=told)


async def _ruled(held: Services, loader: IdentityLoader, receipt: Receipt, nodes: Sequence[UUID]) -> RuledAnswer:
    """The answer once a ruling is on the log: with the present ids, if it is visible in time."""
    partition, offset = receipt.position
    visible = True
    try:
        await held.wait_for({partition: offset})
    except NotYet:
        visible = False
    now = await loader.customers(nodes) if visible else {}
    return RuledAnswer(
        dry_run=False,
        ruling=receipt.name.rpartition("#")[2],
        name=receipt.name,
        positions=f"{partition}:{offset}",
        visible=visible,
        customers=list(dict.fromkeys(now[node].hex for node in nodes if node in now)),
    )


async def _shaped(
    held: Services,
    loader: IdentityLoader,
    found: Sequence[StoredRuling],
    unseal: bool,
    did: Mapping[UUID, bool | None] | None = None,
    whose: Mapping[UUID, UUID] | None = None,
) -> list[RulingShape]:
    """Rulings with who, when and why, and whom they name: now, or by `whose`."""
    records = await loader.records([one.name for one in found])
    named = [node for one in found for side in one.sides for node in side]
    places = await loader.customers(named) if whose is None else whose
    known = [one.name for one in found if one.name in records]
    told = await _work(held, lambda: _desk(held).told([records[name][1] for name in known], unseal))
    said = dict(zip(known, told, strict=True))
    at: dict[UUID, datetime] = {name: records[name][0] for name in known}
    return [
        ruling_told(one, at.get(one.name), said.get(one.name), places, (did or {}).get(one.name)) for one in found
    ]


def _json(answer: Struct) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
