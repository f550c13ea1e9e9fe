"""How is a note left over HTTP, on a customer, a deal, a ticket or whatever else has a ref?"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api import shapes
from api.about import abouts_of
from api.body import read_model
from api.commanding import LONG, Once, Works, carry_out, json_answer, key_of
from api.problems import responses
from api.services import services
from api.vectors import write_vector
from api.work_requests import NoteRequest
from api.work_shapes import NoteDone

__all__ = ["router"]

router = APIRouter(tags=["Notes"], default_response_class=Response)


@router.post(
    "/v1/notes",
    status_code=201,
    summary="Leave a note",
    responses={201: shapes.answer("NoteDone"), **responses(408, 413, 415, 429)},
    openapi_extra=shapes.request_body(NoteRequest),
)
async def add(request: Request, caller: Works, once: Once) -> Response:
    """A note on the timelines of whom and what it is about. Colleagues in `mentions` are told of it."""
    sent = await read_model(request, NoteRequest, LONG)
    [about] = await abouts_of(services(request), [sent])
    key = key_of(request, caller, once, sent)
    noted = await carry_out(
        request,
        caller,
        lambda working, actor: working.add_note(
            sent.text, mentions=sent.mentions, who=about.who, refs=about.refs, actor=actor, key=key
        ),
    )
    partition, offset = noted.position
    answer = NoteDone(
        id=noted.id, name=noted.name, positions=write_vector({partition: offset}), repeated=noted.repeated
    )
    return json_answer(answer, 201)
