"""How are segments made, changed and tried over HTTP? And how are lists kept?

A segment changes on the revision that If-Match names; another rule is found out beside the one that counts, which
goes on counting until then. Identifiers of customers stand in bodies alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import segment_shapes as told
from api import shapes
from api.body import read_model
from api.commanding import LONG, IfMatch, Manages, Once, carry_out, json_answer, key_of
from api.problems import responses
from api.security import Guard
from api.segment_telling import Reasoning, facing_of, row_of, shown, sizes_of
from api.services import Services, services
from commands.access import Caller
from commands.segments import Listed, Made, NewSegment, SegmentChange, Segments
from domain.errors import BadInput, NotFound, Problem, TooMany
from domain.identifiers import Identifier
from domain.segment_limits import cost_of
from domain.segment_text import print_rule
from domain.segments import Rule
from projections.segments.compiling import Program, Ruled
from projections.segments.reader import SegmentReader

__all__ = ["Code", "Sees", "code_of", "router"]

router = APIRouter(tags=["Segments"], default_response_class=Response)

Sees = Annotated[Caller, Depends(Guard("read", "read-sealed"))]
"""Who may see segments: what is personal stays with the scope `read`."""
Code = Annotated[str, Path(max_length=64, description="The segment's code")]
_TAKEN: Final = frozenset({"preview", "overlap"})
_LARGE: Final = 4 * 2**20
_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("SegmentDone"),
    **responses(404, 408, 409, 412, 413, 415, 428, 429),
}
_MADE: Final = responses(404, 408, 409, 413, 415, 429)
T = TypeVar("T")


@router.get("/v1/segments", summary="Segments", responses={200: shapes.answer("SegmentPage"), **responses(429)})
async def segments(
    request: Request,
    _caller: Sees,
    state: Annotated[Literal["active", "archived", "all"], Query()] = "active",
    kind: Annotated[Literal["dynamic", "fixed", "snapshot"] | None, Query()] = None,
    q: Annotated[str | None, Query(max_length=100, description="In the code, title or description")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the answer before")] = None,
) -> Response:
    """Segments in the order of their codes, with how many are in each."""
    held = services(request)
    for name, text in (("q", q), ("cursor", cursor)):
        if text and "\0" in text:
            raise BadInput([Problem(name, "holds a NUL character.", "Leave the character out.")])
    chosen = None if state == "all" else state
    page = await held.unseal(lambda: held.parts.segments.page(cursor or "", limit, chosen, kind, q))
    sizes = await sizes_of(held, page.segments)
    return json_answer(told.SegmentPage([row_of(one, sizes.get(one.code)) for one in page.segments], page.more))


@router.get(
    "/v1/segments/{code}", summary="A segment", responses={200: shapes.answer("SegmentShown"), **responses(404, 429)}
)
async def segment(request: Request, _caller: Sees, code: Code) -> Response:
    """A segment with its rules, as text and as JSON, how many are in it, and how far a new rule is found out."""
    held = services(request)
    found, versions = await held.unseal(lambda: held.parts.segments.load(code_of(code)))
    sizes = await sizes_of(held, [found])
    return json_answer(shown(found, versions, sizes.get(code)), 200, found.revision)


@router.post(
    "/v1/segments",
    status_code=201,
    summary="Make a segment",
    responses={201: shapes.answer("SegmentDone"), **_MADE},
    openapi_extra=shapes.request_body(told.SegmentRequest),
)
async def create(request: Request, caller: Manages, once: Once) -> Response:
    """A dynamic segment by a rule, or a fixed one, whose list people keep. Who is in a dynamic one is found out
    beside everything else; until that is complete nobody is."""
    held, sent = services(request), await read_model(request, told.SegmentRequest, LONG)
    if sent.code in _TAKEN:
        raise BadInput([Problem("code", "is the name of a route.", "Choose another code.")])
    if (sent.kind == "dynamic") != (sent.rule is not None):
        trouble = "is missing." if sent.rule is None else "has no place in a fixed segment."
        raise BadInput([Problem("rule", trouble, "A dynamic segment has a rule, a fixed one has none.")])
    rule = None if sent.rule is None else await _read(held, sent.rule)
    new = NewSegment(sent.code, sent.kind, sent.title, sent.description, sent.announce, sent.announce_existing, rule)
    key = key_of(request, caller, once, sent)
    made = await _command(request, caller, lambda segments, by: segments.create(new, by, key))
    return await _answer(held, made, 201)


@router.patch(
    "/v1/segments/{code}",
    summary="Change a segment",
    responses=_DONE,
    openapi_extra=shapes.request_body(told.ChangeSegmentRequest),
)
async def change(request: Request, caller: Manages, code: Code, match: IfMatch, once: Once) -> Response:
    """Another title, description or rule, or whether it is announced. Another rule is found out beside the one that
    counts, which goes on counting until that is complete."""
    held, sent = services(request), await read_model(request, told.ChangeSegmentRequest, LONG)
    rule = None if sent.rule is None else await _read(held, sent.rule)
    changes = SegmentChange(sent.title, sent.description, sent.announce, rule, sent.announce_existing)
    key = key_of(request, caller, once, sent, match.expected)
    made = await _command(
        request,
        caller,
        lambda segments, by: segments.change(code_of(code), changes, by, match.expected, key),
    )
    return await _answer(held, made)


@router.post("/v1/segments/{code}/archive", summary="Archive a segment", responses=_DONE)
async def archive(request: Request, caller: Manages, code: Code, match: IfMatch, once: Once) -> Response:
    """It holds nobody from now on. Refused while rules of others ask for it; its code stays taken."""
    key = key_of(request, caller, once, None, match.expected)
    made = await _command(request, caller, lambda segments, _by: segments.archive(code_of(code), match.expected, key))
    return await _answer(services(request), made)


@router.post("/v1/segments/{code}/restore", summary="Take a segment up again", responses=_DONE)
async def restore(request: Request, caller: Manages, code: Code, match: IfMatch, once: Once) -> Response:
    """Take an archived one up again: its last rule is found out anew, its list is as it was."""
    key = key_of(request, caller, once, None, match.expected)
    made = await _command(
        request, caller, lambda segments, by: segments.restore(code_of(code), by, match.expected, key)
    )
    return await _answer(services(request), made)


@router.post(
    "/v1/segments/{code}/snapshot",
    status_code=201,
    summary="Keep who is in a segment",
    responses={201: shapes.answer("SegmentDone"), **_MADE},
    openapi_extra=shapes.request_body(told.SnapshotRequest),
)
async def snapshot(request: Request, caller: Manages, code: Code, once: Once) -> Response:
    """Those who are in it now are a segment of their own from now on, and stay as they are."""
    held, sent = services(request), await read_model(request, told.SnapshotRequest)
    if sent.code in _TAKEN:
        raise BadInput([Problem("code", "is the name of a route.", "Choose another code.")])
    new = NewSegment(sent.code, "snapshot", sent.title, sent.description, announce=False)
    key = key_of(request, caller, once, sent)
    made = await _command(request, caller, lambda segments, by: segments.snapshot(code_of(code), new, by, key))
    return await _answer(held, made, 201)


@router.post(
    "/v1/segments/{code}/members",
    summary="Put customers on a list",
    responses={200: shapes.answer("MembersDone"), **_MADE},
    openapi_extra=shapes.request_body(told.MembersRequest),
)
async def add(request: Request, caller: Manages, code: Code, once: Once) -> Response:
    """Up to 10,000 customers at a time, by their ids or by identifiers; they are in it within seconds, and stay on it
    however they are merged or split."""
    return await _list(
        request, caller, once, lambda segments, by, ids, key: segments.add(code_of(code), ids, by, key)
    )


@router.delete(
    "/v1/segments/{code}/members",
    summary="Take customers off a list",
    responses={200: shapes.answer("MembersDone"), **_MADE},
    openapi_extra=shapes.request_body(told.MembersRequest),
)
async def remove(request: Request, caller: Manages, code: Code, once: Once) -> Response:
    """Up to 10,000 customers at a time, by their ids or by identifiers."""
    return await _list(
        request, caller, once, lambda segments, _by, ids, key: segments.remove(code_of(code), ids, key)
    )


@router.post(
    "/v1/segments/preview",
    summary="Try a rule",
    responses={200: shapes.answer("Previewed"), **responses(408, 413, 415, 429)},
    openapi_extra=shapes.request_body(told.PreviewRequest),
)
async def preview(request: Request, caller: Sees) -> Response:
    """For how many customers a rule would hold, and why for some of them; nothing is kept. Where counting takes
    longer than `seconds` the number is estimated from a part of all customers, with its bounds."""
    held, sent = services(request), await read_model(request, told.PreviewRequest, LONG)
    rule = await _read(held, sent.rule)
    known = await held.unseal(lambda: held.parts.segments.references(rule, sent.code))
    if held.previewing.available_tokens < 1:
        raise TooMany("Too many rules are tried at once. Send it again in a moment.", 2)
    now = held.parts.clock()
    program = Program([Ruled(sent.code or "preview", 1, rule)], facing_of(held, known.reached(rule)))
    async with held.previewing:
        counted = await SegmentReader(held.pool).count(program, now, sent.seconds, sent.sample)
    reasoning = Reasoning(held, known, "read" in caller.scopes)
    sample = []
    for customer in counted.sample:
        found = await reasoning.why(rule, customer, now)
        if found is not None:
            timeline = f"/v1/customers/{found.customer.hex}/timeline"
            sample.append(told.Sampled(found.customer.hex, timeline, found.because, found.rule))
    return json_answer(
        told.Previewed(
            count=counted.number,
            exact=counted.exact,
            low=counted.low,
            high=counted.high,
            looked=counted.looked,
            text=print_rule(rule),
            rule=rule.plain(),
            cost=cost_of(rule),
            sample=sample,
        )
    )


def code_of(text: str) -> str:
    """A code of a path. Raises NotFound for what the database cannot take: no segment has it."""
    if "\0" in text:
        raise NotFound("There is no segment of that code; GET /v1/segments lists them.")
    return text


async def _read(held: Services, spelling: Any) -> Rule:
    """A rule, read off the event loop, since one may be long. Raises BadInput."""
    return await held.unseal(lambda: held.parts.segments.read(spelling))


async def _command(request: Request, caller: Caller, act: Callable[[Segments, str], T]) -> T:
    segments = services(request).parts.segments
    return await carry_out(request, caller, lambda _working, actor: act(segments, actor.code))


async def _answer(held: Services, made: Made, status: int = 200) -> Response:
    segment = made.segment
    sizes = await sizes_of(held, [segment])
    done = told.SegmentDone(shown(segment, made.versions, sizes.get(segment.code)), made.repeated)
    return json_answer(done, status, segment.revision)


async def _list(
    request: Request,
    caller: Caller,
    once: str | None,
    act: Callable[[Segments, str, Sequence[UUID], Any], Listed],
) -> Response:
    held, sent = services(request), await read_model(request, told.MembersRequest, _LARGE)
    if not sent.customers and not sent.identifiers:
        raise BadInput([Problem("customers", "is missing.", "Send ids, or identifiers, or both.")])
    named = [Identifier(one.kind, one.value, one.namespace) for one in sent.identifiers]
    hers = await _customers_of(held, named) if named else []
    key = key_of(request, caller, once, sent)
    ids = [*dict.fromkeys([*[UUID(hex=one) for one in sent.customers], *[one for one in hers if one is not None]])]
    done = await _command(request, caller, lambda segments, by: act(segments, by, ids, key))
    missing = [place for place, one in enumerate(hers) if one is None]
    return json_answer(told.MembersDone(done.changed, [one.hex for one in done.unknown], missing, done.repeated))


async def _customers_of(held: Services, named: Sequence[Identifier]) -> list[UUID | None]:
    """Whose each of these identifiers is; None for nobody's."""
    tokens = await held.unseal(lambda: _tokens(held, named))
    nodes = [None if token is None else UUID(hex=token[-32:]) for token in tokens]
    known = await SegmentReader(held.pool).customers_of([one for one in nodes if one is not None])
    return [None if one is None else known.get(one) for one in nodes]


def _tokens(held: Services, named: Sequence[Identifier]) -> list[str | None]:
    """Their tokens of the present generation: whoever came back after an erasure is someone new."""
    hasher = held.parts.hasher
    first = [hasher.token(one) for one in named]
    generations = held.parts.keyring.generations([one for one in first if one is not None])
    return [
        None if token is None else hasher.token(one, generations.get(token, 0))
        for one, token in zip(named, first, strict=True)
    ]
