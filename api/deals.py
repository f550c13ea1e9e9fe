"""How are deals worked on over HTTP? Made, changed, moved, approved, given to others, reopened, transferred."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.about import About, abouts_of
from api.boards import board_told, stays_of
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
    json_answer,
    key_of,
    made_many,
)
from api.deal_shapes import DealDone, DealPage, Stall, Stalls
from api.problems import responses
from api.services import services
from api.work_queries import Code, Cursor, Limit, Steps, Visible, shown, stated, timed
from api.work_requests import (
    ApproveRequest,
    AssignRequest,
    ChangeDealRequest,
    DealRequest,
    DealsRequest,
    MoveDealRequest,
    ReopenRequest,
    TransferRequest,
)
from api.work_rows import deal_row, texts_of
from commands.working import New
from projections.work.reader import DealFilter, WorkReader

__all__ = ["router"]

router = APIRouter(tags=["Deals"], default_response_class=Response)

_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("DealDone"),
    **responses(404, 408, 409, 412, 413, 415, 428, 429),
}
_MADE: Final = responses(408, 409, 413, 415, 429)
_BULK: Final = 16 * 2**20
_RECENT: Final = timedelta(days=90)
Since = Annotated[str | None, Query(max_length=64, json_schema_extra={"format": "date-time"})]


@router.get(
    "/v1/deals",
    summary="Deals",
    responses={200: shapes.answer("DealPage"), **responses(429)},
    dependencies=[Visible],
)
async def deals(
    request: Request,
    caller: Reads,
    pipeline: Annotated[Code, Query(description="With its board: what is open in each stage")] = None,
    stage: Code = None,
    status: Annotated[Literal["open", "won", "lost", "all"], Query()] = "open",
    assignee: Code = None,
    team: Code = None,
    stalled: Annotated[bool, Query(description="Only those that stall in their stage")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Deals, kept here or told by another system, the last changed first. Titles are there with the scope `read`."""
    stated(pipeline=pipeline, stage=stage, assignee=assignee, team=team)
    held = services(request)
    reader, rules, at = WorkReader(held.pool), held.parts.working.rules, held.parts.clock()
    unnamed = pipeline == rules.default_pipeline
    stays = stays_of(rules, pipeline, at)
    statuses = ("open", "won", "lost") if status == "all" else (status,)
    chosen = DealFilter(pipeline, unnamed, stage, statuses, assignee, team, stays if stalled else None)
    page = await reader.deals(chosen, cursor, limit)
    texts = await texts_of(held, reader, page.rows, "read" in caller.scopes)
    board = None
    if pipeline is not None and cursor is None:
        board = board_told(pipeline, rules, await reader.board(chosen._replace(stays=stays)))
    told = [deal_row(one, texts, rules, at) for one in page.rows]
    return json_answer(DealPage(deals=told, next=page.after, board=board))


@router.get(
    "/v1/stalls",
    summary="Where deals stall",
    responses={200: shapes.answer("Stalls"), **responses(429)},
    dependencies=[Visible],
)
async def stalls(request: Request, _caller: Reads, since: Since = None) -> Response:
    """How often deals stalled in each stage, as the scheduler noted it, most often first; of the last 90 days, or
    since a moment."""
    held = services(request)
    begin = timed(since, "since") or held.parts.clock() - _RECENT
    found = await WorkReader(held.pool).stalls(begin)
    return json_answer(Stalls([Stall(pipeline, stage, count) for pipeline, stage, count in found]))


@router.get(
    "/v1/deals/{id}",
    summary="A deal",
    responses={200: shapes.answer("DealShown"), **responses(404, 429)},
    dependencies=[Visible],
)
async def deal(request: Request, caller: Reads, id: ItemId, query: Steps) -> Response:
    """A deal with its moves, its time in each stage and its history. One that is kept here is as it is now; of one of
    another system each step tells which rules it would have broken here. With `happened_by` as of then."""
    found = await shown(request, caller, "deal", id, query)
    return json_answer(found.told, 200, found.revision)


@router.post(
    "/v1/deals",
    status_code=201,
    summary="Make a deal",
    responses={201: shapes.answer("DealDone"), **_MADE},
    openapi_extra=shapes.request_body(DealRequest),
)
async def create(request: Request, caller: Works, once: Once) -> Response:
    """A new deal, in the first stage of a pipeline if it names none. Without `assignee` it gets one by the rules of
    the configuration."""
    sent = await read_model(request, DealRequest, LONG)
    [about] = await abouts_of(services(request), [sent])
    key, new = key_of(request, caller, once, sent), _new(sent, about)
    done = await changed(
        request,
        caller,
        lambda working, actor: working.create_deal(new.content, who=new.who, refs=new.refs, actor=actor, key=key),
    )
    return _answer(done, 201)


@router.post(
    "/v1/deals/batch",
    status_code=201,
    summary="Make deals",
    responses={201: shapes.answer("BulkDone"), **_MADE},
    openapi_extra=shapes.request_body(DealsRequest),
)
async def batch(request: Request, caller: Works, once: Once) -> Response:
    """Up to 1,000 new deals, all or none, in one transaction."""
    sent = await read_model(request, DealsRequest, _BULK)
    abouts = await abouts_of(services(request), sent.deals)
    key = key_of(request, caller, once, sent)
    news = [_new(one, about) for one, about in zip(sent.deals, abouts, strict=True)]
    return await made_many(request, caller, lambda working, actor: working.create_deals(news, actor=actor, key=key))


@router.patch(
    "/v1/deals/{id}",
    summary="Change a deal",
    responses=_DONE,
    openapi_extra=shapes.request_body(ChangeDealRequest),
)
async def change(ask: Asks) -> Response:
    """Other details, value or probability. What is left out stays, what is null is emptied."""
    return _answer(
        await ask.do(
            "deal", ChangeDealRequest, lambda working, id, sent, how: working.change_deal(id, sent.content(), **how)
        )
    )


@router.post(
    "/v1/deals/{id}/move",
    summary="Move a deal",
    responses=_DONE,
    openapi_extra=shapes.request_body(MoveDealRequest),
)
async def move(ask: Asks) -> Response:
    """To another stage, or to `won` or `lost`. What the stage asks for may come with it. A 409 names the rule, what
    is missing, and what may be done now."""
    return _answer(
        await ask.do(
            "deal",
            MoveDealRequest,
            lambda working, id, sent, how: working.move_deal(id, sent.to, sent.content("to"), **how),
        )
    )


@router.post(
    "/v1/deals/{id}/approve",
    summary="Approve a move",
    responses=_DONE,
    openapi_extra=shapes.request_body(ApproveRequest),
)
async def approve(ask: Asks) -> Response:
    """Approve that a deal moves to a stage. Needs the key of a colleague with the role that the stage asks for."""
    return _answer(
        await ask.do(
            "deal", ApproveRequest, lambda working, id, sent, how: working.approve_deal(id, sent.stage, **how)
        )
    )


@router.post(
    "/v1/deals/{id}/assign",
    summary="Give a deal to somebody",
    responses=_DONE,
    openapi_extra=shapes.request_body(AssignRequest),
)
async def assign(ask: Asks) -> Response:
    """To a colleague, a team, or nobody."""
    return _answer(
        await ask.do(
            "deal",
            AssignRequest,
            lambda working, id, sent, how: working.assign_deal(id, sent.assignee, sent.team, **how),
        )
    )


@router.post(
    "/v1/deals/{id}/reopen",
    summary="Take a deal up again",
    responses=_DONE,
    openapi_extra=shapes.request_body(ReopenRequest),
)
async def reopen(ask: Asks) -> Response:
    """Take up again what was won or lost, where it was or in the stage `to`."""
    return _answer(
        await ask.do("deal", ReopenRequest, lambda working, id, sent, how: working.reopen_deal(id, sent.to, **how))
    )


@router.post(
    "/v1/deals/{id}/transfer",
    summary="Move a deal to another pipeline",
    responses=_DONE,
    openapi_extra=shapes.request_body(TransferRequest),
)
async def transfer(ask: Asks) -> Response:
    """To another pipeline, into the stage that is named or its first."""
    return _answer(
        await ask.do(
            "deal",
            TransferRequest,
            lambda working, id, sent, how: working.transfer_deal(id, sent.pipeline, sent.stage, **how),
        )
    )


def _new(sent: DealRequest, about: About) -> New:
    return New(sent.content(), about.who, about.refs)


def _answer(done: Changed, status: int = 200) -> Response:
    return json_answer(DealDone(**done.fields, deal=done.told), status, done.done.revision)
