"""What has an event to tell of to change the verdict of a rule on a customer? Topics: that it is of a type, lies in
a window and fulfils conditions (`matching.py`), and what was derived of it.

A batch brings most customers an event or two, of which most rules do not speak. Only those that do are asked of them;
all are asked of a customer of whom more is new: who they are, what was corrected, their tickets and deals.

What asks whether there is such an event at all is answered by the event itself: its story need not be read for it.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Final, NamedTuple
from uuid import UUID

from domain.segment_leaves import (
    ConsentLeaf,
    EventsLeaf,
    FactLeaf,
    IdentifierLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    SequenceLeaf,
)
from domain.segment_parts import CONTACT
from domain.segments import Leaf, Rule, reached
from projections.contacts import NAME, evidence_of, happened_at
from projections.packing import MARK_SIZE, NAME_SIZE
from projections.rows import Batch, Derived
from projections.segments.matching import Matcher, Wanted, is_told_whole, wanted_of

__all__ = ["EVERYTHING", "Shown", "Topic", "Topics", "needs_of", "shown_by"]

Topic = Wanted | str
EVERYTHING: Final = -1
"""The bits of all topics, and of more."""
_TOUCHED: Final = Wanted(CONTACT)
_TRADES: Final = ":trades"
_CLAIMS: Final = ":claims"
_CONSENTS: Final = ":consents"
_IDENTIFIERS: Final = ":identifiers"
_PARTY: Final = slice(6, 22)
"""Where the evidence stands in a packed row of a party."""


def needs_of(rule: Rule, others: Mapping[str, Rule | None], raised: Collection[str] = ()) -> frozenset[Topic]:
    """What changes the verdict of a rule, and of those that it names. What deals, tickets, lists and organisations
    change is no topic: of those whom such a thing is about all rules are asked.

    raised: types of events whose older contents read otherwise by now.
    """
    leaves = [one.leaf for some in reached(rule, others) for one in some.leaves()]
    return frozenset(topic for leaf in leaves for topic in _needs(leaf, raised))


def _needs(leaf: Leaf, raised: Collection[str]) -> Iterable[Topic]:
    match leaf:
        case EventsLeaf():
            return wanted_of(leaf, leaf.window, raised)
        case SequenceLeaf():
            return _of_sequence(leaf, raised)
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


def _of_sequence(leaf: SequenceLeaf, raised: Collection[str]) -> Iterable[Topic]:
    """Its steps lie in its window; what must not come may come whenever."""
    for step in leaf.steps:
        yield from wanted_of(step, leaf.window, raised)
    for one in (leaf.without, leaf.absent):
        if one is not None:
            yield from wanted_of(one, None, raised)


def shown_by(leaf: EventsLeaf, raised: Container[str] = ()) -> list[Wanted]:
    """Topics of which an event has to tell for sure to show that there is an event that a leaf means, of one that
    asks for no more (`compiling_events.asks_whether`); none where no event alone shows it."""
    return list(wanted_of(leaf, leaf.window, raised)) if is_told_whole(leaf, raised) else []


class Shown(NamedTuple):
    """Topics of which events of a customer told for sure. at: when the first of these happened, as Postgres counts
    microseconds."""

    topics: int
    at: int

    def with_(self, other: Shown | None) -> Shown:
        """Both."""
        return self if other is None else Shown(self.topics | other.topics, min(self.at, other.at))


class Topics:
    """The topics of all rules, a bit each, and what events tell of them. For one thread."""

    def __init__(self, needs: Iterable[frozenset[Topic]], zone: tzinfo) -> None:
        topics = dict.fromkeys(topic for some in needs for topic in some)
        self._bits: dict[Topic, int] = {topic: 1 << place for place, topic in enumerate(topics)}
        self._matcher = Matcher({one: bit for one, bit in self._bits.items() if isinstance(one, Wanted)}, zone)

    def bits(self, topics: Iterable[Topic]) -> int:
        """Some of them as one number."""
        found = 0
        for one in topics:
            found |= self._bits[one]
        return found

    def told(
        self, batch: Batch, derived: Derived, anew: Collection[UUID], now: datetime, showing: int = 0
    ) -> tuple[dict[bytes, int], dict[bytes, Shown]]:
        """Of what the events of a batch tell, by their evidence; EVERYTHING of one of which more is new. And which of
        the topics `showing` they tell of for sure.

        derived: what follows from them. anew: evidences of whom it is to be found out anew who they are, or that
        an item is about. now: of windows.
        """
        matcher = self._matcher
        matcher.begin(now)
        found: dict[bytes, int] = {}
        shown: dict[bytes, Shown] = {}
        about: dict[bytes, bytes] = {}
        for row in batch.first.events.rows():
            evidence = evidence_of(row)
            if evidence is not None:
                topics, sure = matcher.of(row)
                found[evidence] = found.get(evidence, 0) | topics
                about[row[NAME]] = evidence
                if sure and topics & showing:
                    shown[evidence] = Shown(topics & showing, happened_at(row)).with_(shown.get(evidence))
        for packed, topic in (
            (derived.trades, _TRADES), (derived.claims, _CLAIMS), (derived.consents, _CONSENTS),
            (derived.identifiers, _IDENTIFIERS),
        ):  # fmt: skip
            bit = self._bits.get(topic, 0)
            marks = packed.marks if bit else b""
            for place in range(0, len(marks), MARK_SIZE):
                evidence = about.get(marks[place : place + NAME_SIZE])
                if evidence is not None:
                    found[evidence] |= bit
        found.update(dict.fromkeys([one.bytes for one in anew], EVERYTHING))
        found.update(dict.fromkeys([row[_PARTY] for row in derived.parties.rows()], EVERYTHING))
        return found, shown
