"""Whom and what is a new deal, ticket, task, lead or note about? Identifiers and refs, or a customer by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from api.services import Services
from api.work_requests import AboutRequest
from commands.rulings import Candidate, Rulings
from domain.errors import BadInput, Problem
from domain.identifiers import Identifier, Ref
from projections.identity.loading import IdentityLoader

__all__ = ["About", "abouts_of"]

_NAMED: Final = 256
"""First identifiers of a customer that are looked at for one that a new event can name."""


class About(NamedTuple):
    """Who and refs, as an event has them."""

    who: tuple[Identifier, ...]
    refs: tuple[Ref, ...]


async def abouts_of(held: Services, asked: Sequence[AboutRequest]) -> list[About]:
    """What each of these is about. A customer is named by the strongest of the identifiers that are theirs alone, so
    that what is made stays with that identifier, whoever it turns out to be. Raises BadInput."""
    names: dict[str, Identifier] = {}
    for place, one in enumerate(asked):
        if one.customer is not None and one.who:
            raise BadInput([Problem("customer", "stands beside `who`.", "Send one of the two.", _item(place, asked))])
        if one.customer is not None and one.customer not in names:
            names[one.customer] = await _name_of(held, one.customer, _item(place, asked))
    return [_about(one, names) for one in asked]


def _about(one: AboutRequest, names: dict[str, Identifier]) -> About:
    who = (
        [names[one.customer]]
        if one.customer is not None
        else [Identifier(each.kind, each.value, each.namespace) for each in one.who]
    )
    refs = [Ref(each.kind, each.value, each.namespace) for each in one.refs]
    return About(tuple(dict.fromkeys(who)), tuple(dict.fromkeys(refs)))


def _item(place: int, asked: Sequence[AboutRequest]) -> int | None:
    return place if len(asked) > 1 else None


async def _name_of(held: Services, customer: str, item: int | None) -> Identifier:
    loader = IdentityLoader(held.pool)
    try:
        node = UUID(hex=customer)
    except ValueError:
        node = None
    known = await loader.customers([node]) if node is not None else {}
    if node is None or node not in known:
        way_out = "POST /v1/lookup finds one."
        raise BadInput([Problem("customer", "is no customer.", way_out, item)])
    nodes = await loader.nodes_of(known[node], _NAMED)
    spelled = await loader.spelled([one.node for one in nodes])
    side = [Candidate(one.node, spelled.get(one.node), one.shared) for one in nodes]
    parts = held.parts
    desk = Rulings(parts.publisher, parts.keyring, parts.hasher, parts.clock)
    named = await held.unseal(lambda: desk.names_of(side))
    if not named:
        way_out = "Send the identifiers that are theirs now, as `who`."
        raise BadInput([Problem("customer", "has no identifier that can be named.", way_out, item)])
    return named[0]
