"""Of what does an event have to tell to change the verdict of a rule on a customer? Topics: the type of an event,
that it is a touchpoint, and what was derived of it.

A batch brings most customers an event or two, of which most rules do not speak. Only those that do are asked of them;
all are asked of a customer of whom more is new: who they are, what was corrected, their tickets and deals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final
from uuid import UUID

from domain.segment_leaves import (
    ConsentLeaf,
    EventsLeaf,
    FactLeaf,
    IdentifierLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    SegmentLeaf,
    SequenceLeaf,
)
from domain.segment_parts import CONTACT, Selection
from domain.segments import Leaf, Rule
from projections.columns import LENGTH
from projections.contacts import NAME, TEXTS, TOUCH, evidence_of
from projections.packing import MARK_SIZE, NAME_SIZE
from projections.rows import Batch, Derived

__all__ = ["Topics", "needs_of", "topics_of"]

Topics = frozenset[bytes]
_TOUCHED: Final = b":touchpoint"
_TRADES: Final = b":trades"
_CLAIMS: Final = b":claims"
_CONSENTS: Final = b":consents"
_IDENTIFIERS: Final = b":identifiers"
_PARTY: Final = slice(6, 22)
"""Where the evidence stands in a packed row of a party."""


def needs_of(rule: Rule, others: Mapping[str, Rule | None], within: Topics = frozenset()) -> Topics:
    """What changes the verdict of a rule, and of those that it names. What deals, tickets, lists and organisations
    change is no topic: of those whom such a thing is about all rules are asked.

    within: codes of segments that ask for this one.
    """
    found: set[bytes] = set()
    for one in rule.leaves():
        leaf = one.leaf
        if isinstance(leaf, SegmentLeaf):
            code = leaf.code.encode()
            inner = others.get(leaf.code)
            if inner is not None and code not in within:
                found |= needs_of(inner, others, within | {code})
        else:
            found.update(_needs(leaf))
    return frozenset(found)


def _needs(leaf: Leaf) -> Collection[bytes]:
    match leaf:
        case EventsLeaf():
            return _types([leaf])
        case SequenceLeaf():
            return _types([one for one in (*leaf.steps, leaf.without, leaf.absent) if one is not None])
        case FactLeaf():
            return [_TOUCHED] if leaf.name in {"touchpoints", "first_at", "last_at"} else [_TRADES]
        case RfmLeaf():
            return [_TRADES]
        case ProfileLeaf():
            return [_CLAIMS]
        case PlaceLeaf():
            return [_CLAIMS, _TRADES]
        case ConsentLeaf():
            return [_CONSENTS]
        case IdentifierLeaf():
            return [_IDENTIFIERS]
        case _:
            return ()


def _types(chosen: Iterable[Selection]) -> set[bytes]:
    return {_TOUCHED if type == CONTACT else type.encode() for one in chosen for type in one.types}


def topics_of(batch: Batch, derived: Derived, anew: Collection[UUID]) -> dict[bytes, Topics | None]:
    """Of what the events of a batch tell, by their evidence; None for one of which more is new.

    derived: what follows from them. anew: evidences of whom it is to be found out anew who they are, or that an item
    is about.
    """
    found: dict[bytes, set[bytes]] = {}
    homes: dict[bytes, set[bytes]] = {}
    for row in batch.first.events.rows():
        evidence = evidence_of(row)
        if evidence is not None:
            topics = found.setdefault(evidence, set())
            start = TEXTS + 4
            topics.add(row[start : start + LENGTH.unpack_from(row, TEXTS)[0]])
            if row[TOUCH]:
                topics.add(_TOUCHED)
            homes[row[NAME]] = topics
    for packed, topic in (
        (derived.trades, _TRADES), (derived.claims, _CLAIMS), (derived.consents, _CONSENTS),
        (derived.identifiers, _IDENTIFIERS),
    ):  # fmt: skip
        marks = packed.marks
        for place in range(0, len(marks), MARK_SIZE):
            known = homes.get(marks[place : place + NAME_SIZE])
            if known is not None:
                known.add(topic)
    told: dict[bytes, Topics | None] = {evidence: frozenset(topics) for evidence, topics in found.items()}
    told.update(dict.fromkeys([one.bytes for one in anew]))
    told.update(dict.fromkeys([row[_PARTY] for row in derived.parties.rows()]))
    return told
