"""How are leads worked on over HTTP? Captured, changed, given to others, made a deal, given up, reopened."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.about import abouts_of
from api.body import read_model
from api.commanding import LONG, Asks, Changed, ItemId, Once, Reads, Works, changed, json_answer, key_of
from api.deal_shapes import DealDone
from api.problems import responses
from api.services import services
from api.work_queries import Code, Cursor, Limit, Steps, Visible, shown, stated
from api.work_requests import AssignRequest, ChangeLeadRequest, ConvertRequest, DisqualifyRequest, LeadRequest
from api.work_rows import lead_row, texts_of
from api.work_shapes import LeadDone, LeadPage
from projections.work.reader import LeadFilter, WorkReader

__all__ = ["router"]

router = APIRouter(tags=["Leads"], default_response_class=Response)

_REFUSED: Final = responses(404, 408, 409, 412, 413, 415, 428, 429)
_DONE: Final[dict[int | str, dict[str, Any]]] = {200: shapes.answer("LeadDone"), **_REFUSED}


@router.get(
    "/v1/leads",
    summary="Leads",
    responses={200: shapes.answer("LeadPage"), **responses(429)},
    dependencies=[Visible],
)
async def leads(
    request: Request,
    caller: Reads,
    status: Annotated[Literal["open", "converted", "disqualified", "all"], Query()] = "open",
    assignee: Code = None,
    team: Code = None,
    origin: Code = None,
    campaign: Code = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Leads, kept here or told by another system, the latest first. Titles are there with the scope `read`."""
    stated(assignee=assignee, team=team, origin=origin, campaign=campaign)
    held = services(request)
    reader = WorkReader(held.pool)
    statuses = ("open", "converted", "disqualified") if status == "all" else (status,)
    page = await reader.leads(LeadFilter(statuses, assignee, team, origin, campaign), cursor, limit)
    texts = await texts_of(held, reader, page.rows, "read" in caller.scopes)
    return json_answer(LeadPage([lead_row(one, texts) for one in page.rows], page.after))


@router.get(
    "/v1/leads/{id}",
    summary="A lead",
    responses={200: shapes.answer("LeadShown"), **responses(404, 429)},
    dependencies=[Visible],
)
async def lead(request: Request, caller: Reads, id: ItemId, query: Steps) -> Response:
    """A lead with its history. One that is kept here is as it is at this moment; with `happened_by` as of then."""
    found = await shown(request, caller, "lead", id, query)
    return json_answer(found.told, 200, found.revision)


@router.post(
    "/v1/leads",
    status_code=201,
    summary="Capture a lead",
    responses={201: shapes.answer("LeadDone"), **responses(408, 409, 413, 415, 429)},
    openapi_extra=shapes.request_body(LeadRequest),
)
async def create(request: Request, caller: Works, once: Once) -> Response:
    """Somebody showed interest. Without `assignee` it gets one by the rules of the configuration: in turn, by
    territory or by load."""
    sent = await read_model(request, LeadRequest, LONG)
    [about] = await abouts_of(services(request), [sent])
    key, content = key_of(request, caller, once, sent), sent.content()
    done = await changed(
        request,
        caller,
        lambda working, actor: working.capture_lead(content, who=about.who, refs=about.refs, actor=actor, key=key),
    )
    return _answer(done, 201)


@router.patch(
    "/v1/leads/{id}",
    summary="Change a lead",
    responses=_DONE,
    openapi_extra=shapes.request_body(ChangeLeadRequest),
)
async def change(ask: Asks) -> Response:
    """What more became known of it. What is left out stays, what is null is emptied."""
    return _answer(
        await ask.do(
            "lead", ChangeLeadRequest, lambda working, id, sent, how: working.change_lead(id, sent.content(), **how)
        )
    )


@router.post(
    "/v1/leads/{id}/assign",
    summary="Give a lead to somebody",
    responses=_DONE,
    openapi_extra=shapes.request_body(AssignRequest),
)
async def assign(ask: Asks) -> Response:
    """To a colleague, a team, or nobody."""
    return _answer(
        await ask.do(
            "lead",
            AssignRequest,
            lambda working, id, sent, how: working.assign_lead(id, sent.assignee, sent.team, **how),
        )
    )


@router.post(
    "/v1/leads/{id}/convert",
    summary="Make a deal of a lead",
    responses={200: shapes.answer("DealDone", "The deal"), **_REFUSED},
    openapi_extra=shapes.request_body(ConvertRequest),
)
async def convert(ask: Asks) -> Response:
    """The lead becomes a deal, both in one transaction; what is left out comes from the lead. The answer, and its
    ETag, are the deal's."""
    done = await ask.do(
        "lead", ConvertRequest, lambda working, id, sent, how: working.convert_lead(id, sent.content(), **how)
    )
    return json_answer(DealDone(**done.fields, deal=done.told), 200, done.done.revision)


@router.post(
    "/v1/leads/{id}/disqualify",
    summary="Give a lead up",
    responses=_DONE,
    openapi_extra=shapes.request_body(DisqualifyRequest),
)
async def disqualify(ask: Asks) -> Response:
    """Give it up, for a reason."""
    return _answer(
        await ask.do(
            "lead",
            DisqualifyRequest,
            lambda working, id, sent, how: working.disqualify_lead(id, sent.reason, **how),
        )
    )


@router.post("/v1/leads/{id}/reopen", summary="Take a lead up again", responses=_DONE)
async def reopen(ask: Asks) -> Response:
    """Take up again what was given up."""
    return _answer(await ask.just("lead", lambda working, id, how: working.reopen_lead(id, **how)))


def _answer(done: Changed, status: int = 200) -> Response:
    return json_answer(LeadDone(**done.fields, lead=done.told), status, done.done.revision)
