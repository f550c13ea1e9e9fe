"""How are likely duplicates decided over HTTP? Listed, read side by side, accepted, rejected; and quality read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import groupby
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from msgspec import Struct

from api import proposal_shapes, shapes
from api.body import read_model
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from commands.proposals import Proposal, Side, told
from commands.proposing import Proposing
from domain.identifiers import Identifier

__all__ = ["router"]

router = APIRouter(tags=["Duplicates"], default_response_class=Response)

_Steward = Annotated[Caller, Depends(Guard("steward"))]
_Id = Annotated[str, Path(description="The proposal's id")]
_LONG_AGO = date(2000, 1, 1)


@router.get(
    "/v1/proposals",
    summary="Likely duplicates",
    responses={200: shapes.answer("Proposals"), **responses(400)},
)
async def proposals(
    request: Request,
    _caller: _Steward,
    state: Annotated[Literal["open", "accepted", "rejected", "closed", "all"], Query()] = "open",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the answer before")] = None,
) -> Response:
    """Pairs of customers who may be one, the likeliest first, without anything personal.

    They are found by `storyline proposals run`, which is run by hand or by cron.
    """
    asked = None if state == "all" else state
    found, following = await _ask(request, lambda proposing: proposing.list(asked, limit, cursor))
    return _json(proposal_shapes.Proposals([_shape(one) for one in found], following))


@router.get(
    "/v1/proposals/{id}",
    summary="One proposal, both customers side by side",
    responses={200: shapes.answer("ProposalShown"), **responses(404)},
)
async def proposal(request: Request, caller: _Steward, id: _Id) -> Response:
    """What speaks for and against, and what is known of both. It is personal: needs the scope `read` too."""
    caller.require("read")
    found, sides = await _ask(request, lambda proposing: proposing.show(id))
    return _json(proposal_shapes.ProposalShown(_shape(found), (_side(sides[0]), _side(sides[1]))))


@router.post(
    "/v1/proposals/{id}/accept",
    summary="They are one person",
    responses={200: shapes.answer("Proposal"), **responses(400, 404, 408, 413, 415, 429, 503)},
    openapi_extra=shapes.request_body(proposal_shapes.DecisionRequest),
)
async def accept(request: Request, caller: _Steward, id: _Id) -> Response:
    """Merge both customers, by an event on the log that can be retracted. Harmless to repeat until it is answered."""
    wanted = await read_model(request, proposal_shapes.DecisionRequest)
    return _json(_shape(await _ask(request, lambda proposing: proposing.accept(id, wanted.why, caller.key_id))))


@router.post(
    "/v1/proposals/{id}/reject",
    summary="They are two people",
    responses={200: shapes.answer("Proposal"), **responses(400, 404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(proposal_shapes.DecisionRequest),
)
async def reject(request: Request, caller: _Steward, id: _Id) -> Response:
    """Never propose these two again, whatever their ids become."""
    wanted = await read_model(request, proposal_shapes.DecisionRequest)
    return _json(_shape(await _ask(request, lambda proposing: proposing.reject(id, wanted.why, caller.key_id))))


@router.get(
    "/v1/quality",
    summary="The quality of the data over time",
    responses={200: shapes.answer("Quality"), **responses(400)},
)
async def quality(
    request: Request,
    _caller: Annotated[Caller, Depends(Guard("steward", "read", "read-sealed", "operate"))],
    since: Annotated[date, Query(description="First day, such as 2026-03-01")] = _LONG_AGO,
) -> Response:
    """Figures that each run of `storyline proposals run` leaves for its day. Counts and shares, nobody's data."""
    found = await _ask(request, lambda proposing: proposing.quality(since))
    days = [
        proposal_shapes.QualityDay(day, {one.figure: one.value for one in figures})
        for day, figures in groupby(found, key=lambda one: one.day)
    ]
    return _json(proposal_shapes.Quality(days))


async def _ask(request: Request, task: Callable[[Proposing], Any]) -> Any:
    """Do something with proposals, off the event loop."""
    held = services(request)
    return await to_thread.run_sync(task, held.parts.proposing, limiter=held.working)


def _shape(found: Proposal) -> proposal_shapes.Proposal:
    reasons = [proposal_shapes.ProposalReason(one.code, told(one), one.weight) for one in found.reasons]
    return proposal_shapes.Proposal(**{**found._asdict(), "reasons": reasons})


def _side(side: Side) -> proposal_shapes.ProposalSide:
    return proposal_shapes.ProposalSide(
        id=side.customer,
        profile={one.field: one.value for one in side.profile},
        identifiers=_plain(side.identifiers),
        shared=_plain(side.shared),
    )


def _plain(identifiers: tuple[Identifier, ...]) -> list[dict[str, str]]:
    return [{name: value for name, value in one._asdict().items() if value} for one in identifiers]


def _json(answer: Struct) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
