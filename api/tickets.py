"""How are tickets worked on over HTTP? Opened, changed, moved, given to others, written into, linked, folded."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from api import shapes
from api.about import About, abouts_of
from api.body import read_model
from api.commanding import (
    LONG,
    Asks,
    Changed,
    ItemId,
    Once,
    Reads,
    Works,
    changed,
    item_id,
    json_answer,
    key_of,
    made_many,
)
from api.problems import responses
from api.services import Services, services
from api.ticket_shapes import TicketDone, TicketPage
from api.work_queries import Code, Cursor, Limit, Steps, Visible, shown, stated, timed
from api.work_requests import (
    AnswerRequest,
    AssignTicketRequest,
    ChangeTicketRequest,
    CommentRequest,
    EscalateRequest,
    FoldRequest,
    LinkRequest,
    MoveTicketRequest,
    TicketRequest,
    TicketsRequest,
)
from api.work_rows import texts_of, ticket_row
from commands.access import Caller
from commands.working import New
from projections.work.reader import TicketFilter, WorkReader

__all__ = ["router"]

router = APIRouter(tags=["Tickets"], default_response_class=Response)

_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("TicketDone"),
    **responses(404, 408, 409, 412, 413, 415, 428, 429),
}
_MADE: Final = responses(408, 409, 413, 415, 429)
_BULK: Final = 16 * 2**20


@router.get(
    "/v1/tickets",
    summary="Tickets",
    responses={200: shapes.answer("TicketPage"), **responses(429)},
    dependencies=[Visible],
)
async def tickets(
    request: Request,
    caller: Reads,
    status: Annotated[Literal["open", "resolved", "closed", "all"], Query()] = "open",
    state: Annotated[list[str] | None, Query(max_length=50, description="States, by code")] = None,
    queue: Code = None,
    assignee: Code = None,
    unassigned: Annotated[bool, Query(description="Only those that nobody has")] = False,
    team: Code = None,
    priority: Code = None,
    category: Code = None,
    product: Code = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Tickets, kept here or told by another system, the first due first. Subjects are there with the scope `read`."""
    stated(queue=queue, assignee=assignee, team=team, priority=priority, category=category, product=product)
    stated(state="".join(state or ()))
    statuses = ("open", "resolved", "closed") if status == "all" else (status,)
    chosen = TicketFilter(
        statuses, state or None, queue, assignee, unassigned, team, priority, category, product
    )  # fmt: skip
    return json_answer(await _page(services(request), caller, chosen, cursor, limit))


@router.get(
    "/v1/service-levels",
    summary="Targets that are near or missed",
    responses={200: shapes.answer("TicketPage"), **responses(429)},
    dependencies=[Visible],
)
async def service_levels(
    request: Request,
    caller: Reads,
    due_by: Annotated[
        str | None,
        Query(max_length=64, description="Left out: missed by now", json_schema_extra={"format": "date-time"}),
    ] = None,
    queue: Code = None,
    assignee: Code = None,
    team: Code = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Open tickets of which a first response or a resolution is due by a moment, the first due first."""
    stated(queue=queue, assignee=assignee, team=team)
    held = services(request)
    by = timed(due_by, "due_by") or held.parts.clock()
    chosen = TicketFilter(queue=queue, assignee=assignee, team=team, due_by=by)
    return json_answer(await _page(held, caller, chosen, cursor, limit))


@router.get(
    "/v1/tickets/{id}",
    summary="A ticket",
    responses={200: shapes.answer("TicketShown"), **responses(404, 429)},
    dependencies=[Visible],
)
async def ticket(request: Request, caller: Reads, id: ItemId, query: Steps) -> Response:
    """A ticket with its moves, its time in each state, its links and its history. One that is kept here is as it is
    now; of one of another system each step tells which rules it would have broken here. With `happened_by` as of
    then."""
    found = await shown(request, caller, "ticket", id, query)
    return json_answer(found.told, 200, found.revision)


async def _page(held: Services, caller: Caller, chosen: TicketFilter, cursor: str | None, limit: int) -> TicketPage:
    reader, at = WorkReader(held.pool), held.parts.clock()
    page = await reader.tickets(chosen, cursor, limit)
    texts = await texts_of(held, reader, page.rows, "read" in caller.scopes)
    counts = {} if cursor is not None else await reader.states(chosen)
    return TicketPage(
        [ticket_row(one, texts, at) for one in page.rows],
        page.after,
        {state or "": count for state, count in counts.items()},
    )


@router.post(
    "/v1/tickets",
    status_code=201,
    summary="Open a ticket",
    responses={201: shapes.answer("TicketDone"), **_MADE},
    openapi_extra=shapes.request_body(TicketRequest),
)
async def create(request: Request, caller: Works, once: Once) -> Response:
    """A new ticket, with what was promised for it by its service level. Without `assignee` it gets one by the rules
    of the configuration."""
    sent = await read_model(request, TicketRequest, LONG)
    [about] = await abouts_of(services(request), [sent])
    key, new = key_of(request, caller, once, sent), _new(sent, about)
    done = await changed(
        request,
        caller,
        lambda working, actor: working.open_ticket(new.content, who=new.who, refs=new.refs, actor=actor, key=key),
    )
    return _answer(done, 201)


@router.post(
    "/v1/tickets/batch",
    status_code=201,
    summary="Open tickets",
    responses={201: shapes.answer("BulkDone"), **_MADE},
    openapi_extra=shapes.request_body(TicketsRequest),
)
async def batch(request: Request, caller: Works, once: Once) -> Response:
    """Up to 1,000 new tickets, all or none, in one transaction."""
    sent = await read_model(request, TicketsRequest, _BULK)
    abouts = await abouts_of(services(request), sent.tickets)
    key = key_of(request, caller, once, sent)
    news = [_new(one, about) for one, about in zip(sent.tickets, abouts, strict=True)]
    return await made_many(request, caller, lambda working, actor: working.open_tickets(news, actor=actor, key=key))


@router.patch(
    "/v1/tickets/{id}",
    summary="Change a ticket",
    responses=_DONE,
    openapi_extra=shapes.request_body(ChangeTicketRequest),
)
async def change(ask: Asks) -> Response:
    """Other details, or another priority. What is left out stays, what is null is emptied."""
    return _answer(
        await ask.do(
            "ticket",
            ChangeTicketRequest,
            lambda working, id, sent, how: working.change_ticket(id, sent.content(), **how),
        )
    )


@router.post(
    "/v1/tickets/{id}/move",
    summary="Move a ticket",
    responses=_DONE,
    openapi_extra=shapes.request_body(MoveTicketRequest),
)
async def move(ask: Asks) -> Response:
    """To another state. What the state asks for may come with it. A 409 names the rule, what is missing, and what may
    be done now."""
    return _answer(
        await ask.do(
            "ticket",
            MoveTicketRequest,
            lambda working, id, sent, how: working.move_ticket(id, sent.to, sent.content("to"), **how),
        )
    )


@router.post(
    "/v1/tickets/{id}/assign",
    summary="Give a ticket to somebody",
    responses=_DONE,
    openapi_extra=shapes.request_body(AssignTicketRequest),
)
async def assign(ask: Asks) -> Response:
    """To a colleague, a team, or nobody; with `queue` to another queue, too."""
    return _answer(
        await ask.do(
            "ticket",
            AssignTicketRequest,
            lambda working, id, sent, how: working.assign_ticket(id, sent.assignee, sent.team, sent.queue, **how),
        )
    )


@router.post(
    "/v1/tickets/{id}/comments",
    summary="Write into a ticket",
    responses=_DONE,
    openapi_extra=shapes.request_body(CommentRequest),
)
async def comment(ask: Asks) -> Response:
    """What we answered, what the customer wrote, or a note for colleagues. Our first answer meets the first
    target."""
    return _answer(
        await ask.do(
            "ticket",
            CommentRequest,
            lambda working, id, sent, how: working.comment_ticket(id, sent.text, sent.by, sent.internal, **how),
        )
    )


@router.post(
    "/v1/tickets/{id}/answer",
    summary="The customer answered",
    responses=_DONE,
    openapi_extra=shapes.request_body(AnswerRequest),
)
async def answer(ask: Asks) -> Response:
    """What waited for the customer goes on, what was closed is reopened. Too late for that, a new ticket follows it:
    the answer has the id of the one that goes on."""
    return _answer(
        await ask.do(
            "ticket", AnswerRequest, lambda working, id, sent, how: working.answer_ticket(id, sent.text, **how)
        )
    )


@router.post(
    "/v1/tickets/{id}/links",
    summary="Link tickets",
    responses=_DONE,
    openapi_extra=shapes.request_body(LinkRequest),
)
async def link(ask: Asks) -> Response:
    """Link a ticket to another one."""
    return _answer(
        await ask.do(
            "ticket",
            LinkRequest,
            lambda working, id, sent, how: working.link_ticket(
                id, item_id(sent.other, "ticket"), sent.relation, **how
            ),
        )
    )


@router.delete("/v1/tickets/{id}/links/{other}", summary="Unlink tickets", responses=_DONE)
async def unlink(ask: Asks, other: Annotated[str, Path(description="The other ticket's id")]) -> Response:
    """Take a link to another ticket away."""
    linked = item_id(other, "ticket")
    return _answer(await ask.just("ticket", lambda working, id, how: working.unlink_ticket(id, linked, **how)))


@router.post(
    "/v1/tickets/{id}/fold",
    summary="Fold a ticket into another",
    responses=_DONE,
    openapi_extra=shapes.request_body(FoldRequest),
)
async def fold(ask: Asks) -> Response:
    """Two tickets about the same: this one is closed, and the other goes on for both."""
    return _answer(
        await ask.do(
            "ticket",
            FoldRequest,
            lambda working, id, sent, how: working.fold_ticket(id, item_id(sent.into, "ticket"), **how),
        )
    )


@router.post(
    "/v1/tickets/{id}/escalate",
    summary="Hand a ticket up",
    responses=_DONE,
    openapi_extra=shapes.request_body(EscalateRequest),
)
async def escalate(ask: Asks) -> Response:
    """To a team or a colleague who can do more."""
    return _answer(
        await ask.do(
            "ticket",
            EscalateRequest,
            lambda working, id, sent, how: working.escalate_ticket(id, sent.content(), **how),
        )
    )


def _new(sent: TicketRequest, about: About) -> New:
    return New(sent.content(), about.who, about.refs)


def _answer(done: Changed, status: int = 200) -> Response:
    return json_answer(TicketDone(**done.fields, ticket=done.told), status, done.done.revision)
