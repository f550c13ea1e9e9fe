"""How does what is known of identity become the answers that a person reads?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from api.identity_shapes import (
    CustomerChanged,
    CustomerIdentity,
    EvidenceStands,
    IdentityChange,
    IdentityEvent,
    IdentityLink,
    IdentitySum,
    KnownIdentifier,
    RefusedLink,
    RulingShape,
    RulingSide,
    SharedIdentifier,
)
from commands.rulings import SOURCE, Told
from domain.errors import Poison
from domain.facts import written
from domain.identifiers import Identifier
from domain.identity import Dispute
from eventlog.record import decode
from projections.identity.explaining import Change, Explanation, Person, why_refused
from projections.identity.loading import Behind, Event, Loaded, Node, StoredRuling

__all__ = ["change_told", "identity_told", "ruling_told"]

Spelled = Mapping[UUID, Identifier]


def identity_told(
    found: Explanation,
    spelled: Spelled,
    events: Mapping[UUID, Event],
    behind: Mapping[UUID, Behind],
    rulings: list[RulingShape],
) -> CustomerIdentity:
    """The answer to why a customer is one. spelled: what may be read; events: the first of each evidence."""
    by_evidence = {one: _event(event) for one, event in events.items()}
    return CustomerIdentity(
        id=found.customer.hex,
        ids=[one.node.hex for one in found.nodes],
        identifiers=_identifiers(found.nodes, spelled),
        links=[
            IdentityLink(a=one.a.hex, b=one.b.hex, since=one.first_at, event=by_evidence.get(one.evidence))
            for one in found.links
        ],
        refused=[
            RefusedLink(
                a=one.a.hex,
                b=one.b.hex,
                since=one.first_at,
                reason=one.reason,
                why=one.why,
                event=by_evidence.get(one.evidence) if one.evidence is not None else None,
            )
            for one in found.refused
        ],
        shared=[_shared(one, spelled, behind[one.node]) for one in found.shared if one.node in behind],
        rulings=rulings,
        whole=found.whole,
        star=found.star,
        more=found.more or len(behind) < len(found.shared),
    )


def _identifiers(nodes: Iterable[Node], spelled: Spelled) -> list[KnownIdentifier]:
    return [
        KnownIdentifier(
            node=one.node.hex,
            kind=one.kind,
            namespace=one.namespace,
            value=spelled[one.node].value if one.node in spelled else None,
            first_at=one.first_at,
        )
        for one in nodes
    ]


def _shared(node: Node, spelled: Spelled, behind: Behind) -> SharedIdentifier:
    value = spelled[node.node].value if node.node in spelled else None
    return SharedIdentifier(
        node=node.node.hex,
        kind=node.kind,
        namespace=node.namespace,
        value=value,
        people=behind.people,
        more=behind.more,
    )


def _event(event: Event) -> IdentityEvent | None:
    try:
        head = decode(event.record).head
    except Poison:
        return None
    return IdentityEvent(name=head.name, type=head.type, happened_at=event.happened_at)


def ruling_told(
    one: StoredRuling, recorded_at: datetime | None, told: Told | None, places: Mapping[UUID, UUID], did: bool | None
) -> RulingShape:
    """A ruling with who, when and why. places: the customer of each node."""
    return RulingShape(
        ruling=one.name.hex,
        name=f"{told.source if told else SOURCE}#{one.name.hex}",
        merges=one.merges,
        undone=not one.counts,
        at=one.at,
        recorded_at=recorded_at,
        by=told.actor if told else None,
        reason=told.reason if told else None,
        comment=told.comment if told else None,
        did=did,
        sides=[
            RulingSide([node.hex for node in side], sorted({places[node].hex for node in side if node in places}))
            for side in one.sides
        ],
    )


def change_told(loaded: Loaded, change: Change, spelled: Spelled, most: int, whole: bool) -> IdentityChange:
    """What a ruling would change, at most `most` of everything. whole: all purchases were counted."""
    cut = max(len(one) for one in (change.before, change.after, change.stands, change.resolved, change.made)) > most
    return IdentityChange(
        before=[_changed(one, spelled, most) for one in change.before[:most]],
        after=[_changed(one, spelled, most) for one in change.after[:most]],
        disputes_resolved=_disputes(loaded, change.resolved[:most]),
        disputes_made=_disputes(loaded, change.made[:most]),
        evidences=[
            EvidenceStands([node.hex for node in one.home.nodes], one.events, one.before.hex, one.after.hex)
            for one in change.stands[:most]
        ],
        more=cut or not whole,
    )


def _changed(person: Person, spelled: Spelled, most: int) -> CustomerChanged:
    return CustomerChanged(
        id=person.id.hex,
        identifiers=_identifiers(person.nodes[:most], spelled),
        events=person.events,
        orders=person.facts.orders,
        money=[
            IdentitySum(one.currency, one.orders, written(one.revenue), written(one.refunds))
            for one in person.facts.sums
        ],
    )


def _disputes(loaded: Loaded, disputes: Sequence[Dispute]) -> list[RefusedLink]:
    return [
        RefusedLink(
            a=one.a.hex,
            b=one.b.hex,
            since=one.first_at,
            reason=one.reason,
            why=why_refused(one.a, one.b, one.reason, loaded),
        )
        for one in disputes
    ]
