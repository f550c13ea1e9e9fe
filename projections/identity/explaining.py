"""Why are these identifiers one person, what was refused, and what would another ruling change?

Pure: it works on what `loading.py` has read, by the function that the projector resolves with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

from domain.facts import Facts, Trade, fold
from domain.identity import Dispute, Link, Resolution, Ruling, Trace, resolve
from projections.identity.loading import Home, Loaded, Node, StoredRuling

__all__ = [
    "Change",
    "Explanation",
    "Person",
    "Refused",
    "Stands",
    "Told",
    "Weighed",
    "explain",
    "weigh",
    "why_refused",
]

Reason = Literal["limit", "split"]
_NEW: Final = UUID(int=2**128 - 1)
"""The name of a ruling that was not made yet: of two at the same moment the newer one."""


class Refused(NamedTuple):
    """A link that was not followed, and why in words. `evidence`: None where the component was not resolved anew."""

    a: UUID
    b: UUID
    first_at: datetime
    evidence: UUID | None
    reason: Reason
    why: str


class Weighed(NamedTuple):
    """A ruling. `did`: it changed or forbade something (a newer one may have revoked it); None: not resolved anew."""

    ruling: StoredRuling
    did: bool | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a customer is one. `whole`: the component was resolved anew, so that `links` are those which made the
    identifiers one; else they are the customer's own direct links, and `refused` what is kept of refusals. `star`: it
    was resolved by its direct numbers alone. `shared`: what links nobody, the customer itself if it is such. `more`:
    not all that there is, is told."""

    customer: UUID
    whole: bool
    star: bool
    more: bool
    nodes: list[Node]
    links: list[Link]
    refused: list[Refused]
    shared: list[Node]
    rulings: list[Weighed]


def explain(loaded: Loaded, customer: UUID, most: int) -> Explanation:
    """Why this customer is one. most: how many identifiers and links are told."""
    nodes = loaded.of(customer)
    own = {one.node for one in nodes}
    homes = [one for one in loaded.evidences.values() if one.customer == customer]
    beside = {node for home in homes if home.first_at is not None for node in home.nodes} - own
    shared = [node for node in map(loaded.nodes.get, beside | own) if node is not None and node.shared]
    rulings = [one for one in loaded.rulings if any(node in own for side in one.sides for node in side)]
    trace = Trace() if loaded.whole else None
    refused: Sequence[Link | Dispute]
    if trace is None:
        links, refused = _direct(homes, own, loaded), loaded.disputes
    else:
        _resolve(loaded, loaded.ruled(), trace)
        links, refused = [one for one in trace.followed if one.a in own and one.b in own], trace.refused
    refused = [one for one in refused if one.a in own or one.b in own]
    return Explanation(
        customer,
        loaded.whole,
        loaded.starred,
        loaded.cut or max(len(nodes), len(links), len(refused)) > most,
        nodes[:most],
        links[:most],
        [_refused(one, loaded) for one in refused[:most]],
        sorted(shared, key=lambda one: one.order)[:most],
        [Weighed(one, None if trace is None else trace.rulings.get(one.name, False)) for one in rulings[:most]],
    )


def _resolve(loaded: Loaded, rulings: Sequence[Ruling], trace: Trace | None = None) -> Resolution:
    return resolve(loaded.kinds(), loaded.said(), rulings, loaded.rules, loaded.outside(), trace)


def _direct(homes: Iterable[Home], own: set[UUID], loaded: Loaded) -> list[Link]:
    """The links of a customer's own evidences, from the first identifier of each to the others, oldest first."""
    found: dict[tuple[UUID, UUID], Link] = {}
    for home in sorted(homes, key=lambda one: (one.first_at is None, one.first_at, one.evidence)):
        if home.first_at is None:
            break
        first, *others = sorted([loaded.nodes[n] for n in home.nodes if n in own], key=lambda one: one.order)
        for other in others:
            link = Link(first.node, other.node, home.evidence, home.first_at)
            found.setdefault((min(link[:2]), max(link[:2])), link)
    return list(found.values())


def _refused(one: Link | Dispute, loaded: Loaded) -> Refused:
    evidence, reason = (one.evidence, one.refused or "limit") if isinstance(one, Link) else (None, one.reason)
    return Refused(one.a, one.b, one.first_at, evidence, reason, why_refused(one.a, one.b, reason, loaded))


def why_refused(a: UUID, b: UUID, reason: Reason, loaded: Loaded) -> str:
    """Why a link was not followed, in words."""
    if reason == "split":
        return "A steward ruled that these are different people."
    mine, theirs = loaded.kinds_of(a), loaded.kinds_of(b)
    limits = loaded.rules.limits
    for kind, namespace in sorted(mine & theirs):
        if kind in limits:
            scope = f" in {namespace}" if namespace else ""
            return f"Both have a {kind} of their own{scope}, and one customer may have {limits[kind]}."
    return f"One customer would have too many identifiers of a kind that is limited ({', '.join(sorted(limits))})."


class Person(NamedTuple):
    """A customer before or after a change. `events`, `facts`: of all evidences that are at home in it."""

    id: UUID
    nodes: list[Node]
    events: int
    facts: Facts


class Stands(NamedTuple):
    """On which customer the events of an evidence stand, before and after."""

    home: Home
    events: int
    before: UUID
    after: UUID


class Change(NamedTuple):
    """What a ruling would change. `resolved`, `made`: disputes that would go, and come."""

    before: list[Person]
    after: list[Person]
    resolved: list[Dispute]
    made: list[Dispute]
    stands: list[Stands]


class Told(NamedTuple):
    """What is known of evidences: how many events each has, and its purchases."""

    events: Mapping[UUID, int]
    trades: Mapping[UUID, list[Trade]]


def weigh(
    loaded: Loaded,
    named: Iterable[UUID],
    known: Told,
    new: tuple[datetime, bool, Sequence[Sequence[UUID]]] | None = None,
    without: UUID | None = None,
) -> Change:
    """What would change for these customers, and for all whom it touches.

    new: a ruling that would be made: when, whether it merges, its sides. without: one that would be taken back.
    """
    rulings = [one for one in loaded.ruled() if one.name != without]
    if new is not None:
        at = max([new[0], *[one.at for one in rulings]])  # it would be the newest, whatever our clock says
        rulings.append(Ruling(_NEW, at, new[1], tuple([tuple(side) for side in new[2]])))
    then, now = _resolve(loaded, loaded.ruled()), _resolve(loaded, rulings)
    touched = set(named)
    for evidence, home in then.homes.items():
        if now.homes[evidence] != home:
            touched |= {home, now.homes[evidence]}
    for node, state in then.nodes.items():
        if now.nodes[node].customer != state.customer:
            touched |= {state.customer, now.nodes[node].customer}
    was, comes = set(then.disputes), set(now.disputes)
    moved = [one for one in loaded.evidences.values() if then.homes[one.evidence] in touched]
    return Change(
        _people(loaded, then, touched, known),
        _people(loaded, now, _after(then, now, touched), known),
        sorted(was - comes, key=_by_time),
        sorted(comes - was, key=_by_time),
        [
            Stands(one, known.events.get(one.evidence, 0), then.homes[one.evidence], now.homes[one.evidence])
            for one in sorted(moved, key=lambda one: (one.first_at is None, one.first_at, one.evidence))
        ],
    )


def _after(then: Resolution, now: Resolution, touched: set[UUID]) -> set[UUID]:
    return {now.nodes[node].customer for node, state in then.nodes.items() if state.customer in touched}


def _by_time(one: Dispute) -> tuple[datetime, UUID, UUID]:
    return one.first_at, one.a, one.b


def _people(loaded: Loaded, found: Resolution, wanted: set[UUID], known: Told) -> list[Person]:
    nodes: dict[UUID, list[Node]] = {}
    for node, state in found.nodes.items():
        if state.customer in wanted:
            nodes.setdefault(state.customer, []).append(loaded.nodes[node])
    homes: dict[UUID, list[UUID]] = {}
    for evidence, customer in found.homes.items():
        homes.setdefault(customer, []).append(evidence)
    return [
        Person(
            customer,
            sorted(nodes[customer], key=lambda one: one.order),
            sum(known.events.get(one, 0) for one in homes.get(customer, ())),
            _facts(homes.get(customer, ()), known.trades),
        )
        for customer in sorted(nodes)
    ]


def _facts(evidences: Iterable[UUID], trades: Mapping[UUID, list[Trade]]) -> Facts:
    """Orders and revenue of these evidences together: an order that two sources report counts once."""
    return fold((), [one for evidence in evidences for one in trades.get(evidence, ())])
