"""Who is in a segment, why, how many were there over time, and what do two of them share? Asked over HTTP."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from api import segment_shapes as told
from api import shapes
from api.analytics_queries import Span
from api.as_of import read_when
from api.commanding import json_answer
from api.customers import nobody, node_of
from api.problems import responses
from api.segment_telling import Reasoned, Reasoning, counting, turn_told
from api.segments import Code, Sees, code_of
from api.services import Services, services
from commands.segment_store import Definition, Version
from domain.errors import BadInput, Problem, Refused
from domain.segments import plain_rule
from domain.zones import Period, midnight
from projections.segments.reader import SegmentReader, Standing
from projections.segments.reader import Version as Counting

__all__ = ["router"]

router = APIRouter(tags=["Segments"], default_response_class=Response)

_MOST_SPANS: Final = 1000
_HOUR: Final = timedelta(hours=1)
_TIME: Final[dict[str, Any]] = {"format": "date-time"}
_Segment = Annotated[str, Query(max_length=64, description="A segment, by its code")]


class _NotCounting(Refused):
    """Nobody is in the segment yet, or any more."""

    rule = "segment-empty"


@router.get(
    "/v1/segments/overlap",
    summary="What two segments share",
    responses={200: shapes.answer("OverlapShown"), **responses(404, 409, 429)},
)
async def overlap(request: Request, _caller: Sees, a: _Segment, b: _Segment) -> Response:
    """How many are in each of two segments, in both, and in one of them only."""
    held = services(request)
    one, other = await _counting(held, a), await _counting(held, b)
    found = await SegmentReader(held.pool).overlap(one, other)
    answer = told.OverlapShown(found.a, found.b, found.both, found.a - found.both, found.b - found.both)
    return json_answer(answer)


@router.get(
    "/v1/segments/{code}/members",
    summary="Who is in a segment",
    responses={200: shapes.answer("Members"), **responses(404, 429)},
)
async def members(
    request: Request,
    _caller: Sees,
    code: Code,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the answer before")] = None,
) -> Response:
    """Customers in the order of their ids, so that a page goes on where the last one ended, whoever comes or goes."""
    held, after = services(request), _place_of(cursor)
    segment, _ = await _load(held, code)
    version = counting(segment)
    if version is None:
        return json_answer(told.Members([], None))
    found = await SegmentReader(held.pool).members(version, after, limit + 1)
    page = [
        told.MemberShown(
            one.customer.hex,
            one.since,
            f"/v1/segments/{code}/members/{one.customer.hex}/why",
            f"/v1/customers/{one.customer.hex}/timeline",
        )
        for one in found[:limit]
    ]
    return json_answer(told.Members(page, _cursor_of(found[limit - 1].customer) if len(found) > limit else None))


@router.get(
    "/v1/segments/{code}/members/{id}/why",
    summary="Why somebody is in a segment, or is not",
    responses={200: shapes.answer("SegmentWhy"), **responses(404, 429)},
)
async def why(
    request: Request,
    caller: Sees,
    code: Code,
    id: Annotated[str, Path(description="A customer, by any id")],
    happened_by: Annotated[
        str | None, Query(max_length=64, description="As of what had happened by then", json_schema_extra=_TIME)
    ] = None,
) -> Response:
    """The rule with what every leaf of it found and the events behind it, when time alone changes the verdict, and
    what would have to happen to change it. For anybody, in the segment or not; with `happened_by` as of then."""
    held = services(request)
    as_of = read_when(happened_by, "happened_by") if happened_by else None
    now = held.parts.clock()
    segment, versions = await _load(held, code)
    rule = _rule_of(segment, versions)
    known = await held.unseal(lambda: held.parts.segments.references(None))
    if rule is None:
        return json_answer(await _listed(held, segment, node_of(id), as_of or now, as_of))
    version, spelled = rule
    found = await Reasoning(held, known, "read" in caller.scopes).why(plain_rule(spelled), node_of(id), now, as_of)
    if found is None:
        raise nobody()
    standing = await _standing(held, segment, found.customer)
    return json_answer(_why(segment, version, found, standing, as_of or now))


@router.get(
    "/v1/segments/{code}/size",
    summary="A segment's size over time",
    responses={200: shapes.answer("Sizes"), **responses(404, 429)},
)
async def size(
    request: Request,
    _caller: Sees,
    code: Code,
    asked: Span,
    by: Annotated[Literal["day", "hour"], Query()] = "day",
) -> Response:
    """How many were in it at the end of each day or hour, and how many entered and left, as it was found out then."""
    held = services(request)
    segment, _ = await _load(held, code)
    bounds = _bounds(asked.period, by)
    spans = await SegmentReader(held.pool).over_time(segment.code, bounds)
    shown = [told.SizeSpan(one.begin, one.end, one.entered, one.left, one.size) for one in spans]
    return json_answer(told.Sizes(segment.code, asked.period.zone.key, by, shown))


async def _load(held: Services, code: str) -> tuple[Definition, list[Version]]:
    return await held.unseal(lambda: held.parts.segments.load(code_of(code)))


async def _counting(held: Services, code: str) -> Counting:
    segment, _ = await _load(held, code)
    version = counting(segment)
    if version is None:
        trouble = "is archived" if segment.state == "archived" else "is still being found out"
        raise _NotCounting(f"The segment {segment.code} {trouble}: nobody is in it.")
    return version


def _rule_of(segment: Definition, versions: list[Version]) -> tuple[int, Any] | None:
    """The rule that counts, else the one that is being found out, else the last; None for a list."""
    if segment.kind != "dynamic":
        return None
    known = {one.version: one for one in versions}
    chosen = known.get(segment.serving or 0) or known.get(segment.filling or 0) or versions[0]
    return chosen.version, chosen.rule


async def _standing(held: Services, segment: Definition, customer: UUID) -> Standing:
    version = counting(segment) or (segment.code, -1)
    return await SegmentReader(held.pool).standing(version, customer)


async def _listed(
    held: Services, segment: Definition, node: UUID, at: datetime, as_of: datetime | None
) -> told.SegmentWhy:
    """Why of a list: who is on it."""
    reader = SegmentReader(held.pool)
    known = await reader.customers_of([node])
    if node not in known:
        raise nobody()
    customer = known[node]
    added = await reader.listed(segment.code, customer)
    listed = added is not None and (as_of is None or added <= as_of) and segment.state == "active"
    standing = await _standing(held, segment, customer)
    told_so = f"{'on' if listed else 'not on'} the list" + (
        f", since {added.isoformat()}" if listed and added else ""
    )
    return told.SegmentWhy(
        segment=segment.code,
        kind=segment.kind,
        version=None,
        customer=customer.hex,
        at=at,
        holds=listed,
        member=standing.member,
        since=standing.at,
        because=standing.because,
        because_of=[told_so],
        next=None,
        rule=None,
    )


def _why(segment: Definition, version: int, found: Reasoned, standing: Standing, at: datetime) -> told.SegmentWhy:
    return told.SegmentWhy(
        segment=segment.code,
        kind=segment.kind,
        version=version,
        customer=found.customer.hex,
        at=at,
        holds=found.verdict.holds,
        member=standing.member,
        since=standing.at,
        because=standing.because,
        because_of=found.because,
        next=turn_told(found.verdict.turn),
        rule=found.rule,
    )


def _bounds(period: Period, by: str) -> list[datetime]:
    """The moments between spans, the ends included. Raises BadInput for too many."""
    found = [period.start]
    for at in _edges(period, by):
        if found[-1] < at < period.end:
            found.append(at)
        if len(found) > _MOST_SPANS:
            trouble = f"asks for more than {_MOST_SPANS} {by}s."
            raise BadInput([Problem("by", trouble, "Ask for a shorter period, or by day.")])
    return [*found, period.end]


def _edges(period: Period, by: str) -> Iterator[datetime]:
    if by == "hour":
        at = period.start.replace(minute=0, second=0, microsecond=0)
        while at < period.end:
            yield at
            at += _HOUR
        return
    day = period.start.astimezone(period.zone).date()
    while (at := midnight(day, period.zone)) < period.end:
        yield at
        day += timedelta(days=1)


def _cursor_of(customer: UUID) -> str:
    return urlsafe_b64encode(customer.bytes).decode().rstrip("=")


def _place_of(cursor: str | None) -> UUID | None:
    if not cursor:
        return None
    try:
        return UUID(bytes=urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, Base64Error):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("cursor", "is not a cursor.", way_out)]) from None
