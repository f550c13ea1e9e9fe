"""Who is this customer? Profile, facts, preferences, consents, identifiers, in one answer; and what was consented."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from msgspec import structs

from api import customer_shapes as told
from api import shapes
from api.as_of import AsOf, echo, reader_of
from api.problems import responses
from api.services import Services, services
from api.timelines import CustomerId, Reads, unseals
from api.vectors import read_vector
from api.work_of import work_of
from domain.consents import Standing, Word
from domain.errors import NotFound
from domain.facts import Facts, written
from domain.profile import ProfileField, ProfileRules, preferred, profile_of
from projections.customers.reader import Answer, CustomerReader, Dispute, Identified, View

__all__ = ["answer_of", "nobody", "node_of", "router", "word_of"]

router = APIRouter(tags=["Customers"], default_response_class=Response)

_MANY_CLAIMS: Final = 300
"""From so many on they are folded in a thread, since that would hold up the event loop."""
_ZONE: Final = "time_zone"
_Positions = Annotated[str | None, Query(max_length=20_000, description="Wait until these positions are visible")]
_After = Annotated[str | None, Header(max_length=20_000, description="Like after_positions, as a header")]


@router.get(
    "/v1/customers/{customer}",
    summary="A customer",
    responses={200: shapes.answer("Customer"), **responses(404, 429)},
)
async def customer(
    request: Request,
    caller: Reads,
    customer: CustomerId,
    moment: AsOf,
    after_positions: _Positions = None,
    storyline_after: _After = None,
) -> Response:
    """All that is known of a customer. Any id that the customer ever had is good; the answer has the present one.

    A key with `read-sealed` and not `read` gets the same without profile, identifiers and their values. With
    `happened_by` or `recorded_by` it is what was known then; the id is that of then, and `now` the present one.
    """
    held = services(request)
    await _visible(held, after_positions or storyline_after)
    found = None
    if moment is None:
        view = await CustomerReader(held.pool).view(node_of(customer))
    else:
        found, view = await reader_of(held).view(node_of(customer), moment)
    if view is None:
        raise nobody()
    rules, zone = held.parts.profile_rules, held.parts.time_zone
    if len(view.claims) > _MANY_CLAIMS:
        made = await to_thread.run_sync(answer_of, view, rules, zone, unseals(caller), limiter=held.unsealing)
    else:
        made = answer_of(view, rules, zone, unseals(caller))
    if found is not None:
        made = structs.replace(made, **echo(found))
    else:
        made = structs.replace(made, work=await work_of(held, view.customer, unseals(caller)))
    return Response(shapes.encode(made), media_type="application/json")


@router.get(
    "/v1/customers/{customer}/consents",
    summary="A customer's consents",
    responses={200: shapes.answer("Consents"), **responses(404, 429)},
)
async def consents(
    request: Request,
    _caller: Reads,
    customer: CustomerId,
    moment: AsOf,
    limit: Annotated[int, Query(ge=1, le=500, description="Most words of the history on the page")] = 100,
    before: Annotated[str | None, Query(max_length=200, description="`older` of a page: go on to older")] = None,
    after_positions: _Positions = None,
    storyline_after: _After = None,
) -> Response:
    """What a customer allows now, per purpose and channel, and everything that was said about it, newest first. With
    `happened_by` or `recorded_by` what was allowed then, as far as was known."""
    held = services(request)
    await _visible(held, after_positions or storyline_after)
    node, then = node_of(customer), None
    if moment is None:
        found = await CustomerReader(held.pool).consents(node, before or None, limit)
    else:
        then, found = await reader_of(held).consents(node, moment, before or None, limit)
    if found is None:
        raise nobody()
    current = [_consent(one) for one in found.standing]
    page = told.Consents(found.customer.hex, current, [word_of(one) for one in found.words], found.older)
    if then is not None:
        page = structs.replace(page, **echo(then))
    return Response(shapes.encode(page), media_type="application/json")


def node_of(customer: str) -> UUID:
    """A customer's id as sent. Raises NotFound for what is no id: no customer can have it."""
    try:
        return UUID(hex=customer)
    except ValueError:
        raise nobody() from None


def nobody() -> NotFound:
    """The error for an id that nobody has."""
    return NotFound("There is no customer of that id; POST /v1/lookup finds one.")


async def _visible(held: Services, positions: str | None) -> None:
    if positions:
        await held.wait_for(read_vector(positions, "after_positions"))


def answer_of(view: View, rules: ProfileRules, zone: ZoneInfo, personal: bool) -> told.Customer:
    """The answer about one customer. `zone`: where hours are told if the profile does not say; `personal`: may the
    caller see what is personal?"""
    profile = profile_of(view.claims, rules)
    hers = _zone_of(profile) or zone
    return told.Customer(
        id=view.customer.hex,
        erased=view.erased,
        profile={one.field: _value(one) for one in profile} if personal else None,
        facts=_facts(view.facts),
        preferred=_preferences(view, hers),
        last_campaign=_campaign(view.answer) if view.answer else None,
        consents=[_consent(one) for one in view.standing],
        identifiers=[_identifier(one, personal) for one in view.identifiers] if personal else None,
        disputed=[_disputed(one, personal) for one in view.disputes],
        timeline=f"/v1/customers/{view.customer.hex}/timeline",
    )


def _zone_of(profile: Sequence[ProfileField]) -> ZoneInfo | None:
    """The person's own time zone; None where it is not known, or no zone at all."""
    name = next((one.value for one in profile if one.field == _ZONE), None)
    try:
        return ZoneInfo(name) if isinstance(name, str) and name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _preferences(view: View, zone: ZoneInfo) -> told.Preferences:
    known: tzinfo = zone
    found = preferred(view.touches, known)
    return told.Preferences(found.channel, found.hour, zone.key)


def _value(one: ProfileField) -> told.ProfileValue:
    return told.ProfileValue(one.value, one.source, one.happened_at, one.name.hex)


def _facts(facts: Facts) -> told.CustomerFacts:
    return told.CustomerFacts(
        facts.touchpoints,
        facts.first_at,
        facts.last_at,
        [
            told.ContactsBy(one.touchpoints, one.first_at, one.last_at, one.channel or None, one.direction or None)
            for one in facts.contacts
        ],
        facts.orders,
        [
            told.MoneyIn(
                one.currency,
                one.orders,
                written(one.revenue),
                written(one.refunds),
                None if one.average is None else f"{one.average:f}",
            )
            for one in facts.sums
        ],
    )


def _campaign(answer: Answer) -> told.LastCampaign:
    kind, _, value = answer.campaign.partition(":")
    return told.LastCampaign(value, answer.happened_at, answer.name.hex, kind.partition("/")[2])


def _consent(one: Standing) -> told.ConsentNow:
    return told.ConsentNow(
        purpose=one.purpose,
        channel=one.channel or None,
        granted=one.granted,
        since=one.word.happened_at,
        event=one.word.name.hex,
        held=one.held,
    )


def word_of(one: Word) -> told.WordSaid:
    """One word of the history, as it is told."""
    return told.WordSaid(
        at=one.happened_at,
        purpose=one.purpose,
        channel=one.channel or None,
        granted=one.granted,
        type=one.type,
        event=one.name.hex,
    )


def _identifier(one: Identified, personal: bool) -> told.CustomerIdentifier:
    return told.CustomerIdentifier(
        id=one.node.hex,
        kind=one.kind,
        namespace=one.namespace,
        value=one.value if personal else None,
        shared=one.shared,
    )


def _disputed(one: Dispute, personal: bool) -> told.DisputedLink:
    return told.DisputedLink(
        mine=_identifier(one.mine, personal),
        other=_identifier(one.other, personal),
        customer=one.customer.hex,
        reason="split" if one.reason == "split" else "limit",
        since=one.first_at,
    )
