"""Is a customer in a segment at a moment, why, and what would change it next? The rule's tree, each leaf with what
was found, and the next moment at which time alone turns it.

Pure, for one customer, and told apart from how thousands are asked at once in SQL. What a rule means is written down
in docs/segments.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import merge
from itertools import groupby, islice
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from domain.configuration.base import Path
from domain.segment_events import Asker, EventsAsker, Seen, SequenceAsker
from domain.segment_known import ASKERS, WorkAsker
from domain.segment_leaves import EventsLeaf, SegmentLeaf, SequenceLeaf, WorkLeaf
from domain.segment_story import Around, CustomerStory, Happened
from domain.segment_text import print_rule
from domain.segment_wanted import Wanted, wanted_of
from domain.segments import Rule

__all__ = ["MOST_EVENTS", "Turn", "Verdict", "evaluate", "holds", "place_of"]

MOST_EVENTS: Final = 20
"""As many of the events behind a leaf are told, the latest ones."""
_MOST_MOMENTS: Final = 2000
"""Most moments at which one leaf is asked anew, to find out when time alone turns it."""


class Turn(NamedTuple):
    """A moment at which time alone turns a verdict. to: what it is from then on; places: of the leaves that turn."""

    at: datetime
    to: bool
    places: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """What one rule of the tree came to. place: where it stands, such as `all[1].events`, "" for the whole; kind: its
    key; text: the rule in words.

    found: of a leaf the value that was compared; events: those behind it, the oldest first, and `more` of them that
    are left out. turn: when time alone turns it next, as far as was looked (`until`: to then at least; None: for
    ever). wanted: what would have to happen to turn it. decides: whether the whole turns if this alone does. parts:
    of a group, and of a leaf that asks for another segment the rule of that.
    """

    place: str
    kind: str
    text: str
    holds: bool
    found: Any = None
    events: tuple[Happened, ...] = ()
    more: int = 0
    turn: Turn | None = None
    until: datetime | None = None
    wanted: Wanted | None = None
    decides: bool = False
    parts: tuple[Verdict, ...] = ()

    def leaves(self) -> Iterator[Verdict]:
        """All leaves, those of other segments that it asks for too."""
        if not self.parts:
            yield self
        for one in self.parts:
            yield from one.leaves()

    def names(self) -> set[UUID]:
        """The events that are told."""
        return {event.name for one in self.leaves() for event in one.events}


def evaluate(rule: Rule, story: CustomerStory, now: datetime, around: Around) -> Verdict:
    """What a rule comes to at a moment, with all reasons."""
    now = now.astimezone(UTC)
    node = _node(rule, (), _Ground(story.until(now), around, now))
    return node.told(now, True)


def holds(rule: Rule, story: CustomerStory, now: datetime, around: Around) -> bool:
    """Whether it holds, without reasons."""
    now = now.astimezone(UTC)
    return _node(rule, (), _Ground(story.until(now), around, now)).holds(now)


def place_of(path: Path) -> str:
    """Where something stands in a rule, such as `all[1].events`."""
    written = "".join([f"[{one}]" if isinstance(one, int) else f".{one}" for one in path])
    return written.removeprefix(".")


@dataclass(frozen=True)
class _Ground:
    """What all leaves stand on. within: segments whose rules are being asked, so that none asks for itself."""

    story: CustomerStory
    around: Around
    now: datetime
    within: frozenset[str] = field(default_factory=frozenset)


class _Change(NamedTuple):
    """A node turns. places: of the leaves that make it."""

    at: datetime
    to: bool
    places: tuple[str, ...]


class _Node(Protocol):
    def holds(self, now: datetime) -> bool: ...

    def changes(self, now: datetime) -> Iterator[_Change]:
        """When time alone turns it after `now`, one moment after the other."""

    @property
    def until(self) -> datetime | None:
        """Up to when at least all changes are known; None: for ever."""

    def told(self, now: datetime, decides: bool) -> Verdict:
        """decides: whether the whole rule turns if this node does."""


def _node(rule: Rule, path: Path, ground: _Ground) -> _Node:
    if rule.group is not None:
        name, rules = rule.group
        parts = [_node(one, (*path, name, place), ground) for place, one in enumerate(rules)]
        return _Group(name, rule, place_of(path), parts)
    key, leaf = rule.leaf or ("", None)
    if isinstance(leaf, SegmentLeaf):
        return _segment(leaf, rule, (*path, key), ground)
    return _Leaf(key, leaf, rule, place_of((*path, key)), _asker(key, leaf, ground), ground.now)


def _asker(key: str, leaf: Any, ground: _Ground) -> Asker:
    story, around, now = ground.story, ground.around, ground.now
    if isinstance(leaf, EventsLeaf):
        return EventsAsker(leaf, story, around.zone, now)
    if isinstance(leaf, SequenceLeaf):
        return SequenceAsker(leaf, story, around.zone, now)
    if isinstance(leaf, WorkLeaf):
        return WorkAsker(key, leaf, story, around, now)
    made: Asker = ASKERS[key](leaf, story, around, now)
    return made


def _segment(leaf: SegmentLeaf, rule: Rule, path: Path, ground: _Ground) -> _Node:
    """Another segment: its rule, or its list."""
    its = ground.around.rules.get(leaf.code)
    if its is None or leaf.code in ground.within:
        listed = any(one.segment == leaf.code for one in ground.story.lists)
        return _Leaf("segment", leaf, rule, place_of(path), _Listed(listed), ground.now)
    inner = _Ground(ground.story, ground.around, ground.now, ground.within | {leaf.code})
    return _Group("segment", rule, place_of(path), [_node(its, (*path, "rule"), inner)])


class _Listed:
    """Whether the customer is on a list, which only people change."""

    def __init__(self, listed: bool) -> None:
        self._listed = listed

    def at(self, _now: datetime) -> Seen:
        return Seen(self._listed, self._listed)

    def turns(self) -> Iterator[datetime]:
        return iter(())


class _Leaf:
    def __init__(self, key: str, leaf: Any, rule: Rule, place: str, asker: Asker, now: datetime) -> None:
        self._key, self._leaf, self._rule, self._place, self._asker = key, leaf, rule, place, asker
        moments = sorted({one for one in asker.turns() if one > now})
        self.until = moments[_MOST_MOMENTS] if len(moments) > _MOST_MOMENTS else None
        self._moments = moments[:_MOST_MOMENTS]

    def holds(self, now: datetime) -> bool:
        return self._asker.at(now).holds

    def changes(self, now: datetime) -> Iterator[_Change]:
        last = self.holds(now)
        for at in self._moments:
            if at > now and self.holds(at) != last:
                last = not last
                yield _Change(at, last, (self._place,))

    def told(self, now: datetime, decides: bool) -> Verdict:
        seen = self._asker.at(now)
        events = tuple(seen.events[-MOST_EVENTS:])
        return Verdict(
            self._place,
            self._key,
            print_rule(self._rule),
            seen.holds,
            seen.found,
            events,
            len(seen.events) - len(events),
            _first(self, now),
            self.until,
            wanted_of(self._key, self._leaf, seen),
            decides,
        )


_JOINED: Final[Mapping[str, Any]] = {
    "all": all,
    "any": any,
    "none": lambda truths: not any(truths),
    "segment": all,
}


class _Group:
    """Nodes that are joined. A leaf that asks for another segment is one, of that segment's rule alone."""

    def __init__(self, name: str, rule: Rule, place: str, parts: Sequence[_Node]) -> None:
        self._name, self._rule, self._place, self._parts = name, rule, place, parts

    def holds(self, now: datetime) -> bool:
        return bool(_JOINED[self._name]([one.holds(now) for one in self._parts]))

    def changes(self, now: datetime) -> Iterator[_Change]:
        truths = [one.holds(now) for one in self._parts]
        last = _JOINED[self._name](truths)
        streams = [_numbered(number, one.changes(now)) for number, one in enumerate(self._parts)]
        for at, together in groupby(merge(*streams, key=lambda one: one[1].at), key=lambda one: one[1].at):
            places: list[str] = []
            for number, change in together:
                truths[number] = change.to
                places += change.places
            if _JOINED[self._name](truths) != last:
                last = not last
                yield _Change(at, last, tuple(places))

    @property
    def until(self) -> datetime | None:
        return min((one for part in self._parts if (one := part.until) is not None), default=None)

    def told(self, now: datetime, decides: bool) -> Verdict:
        truths = [one.holds(now) for one in self._parts]
        mine = _JOINED[self._name](truths)
        parts = []
        for number, one in enumerate(self._parts):
            turned = _JOINED[self._name]([*truths[:number], not truths[number], *truths[number + 1 :]]) != mine
            parts.append(one.told(now, decides and turned))
        return Verdict(
            self._place,
            self._name,
            print_rule(self._rule),
            mine,
            turn=_first(self, now),
            until=self.until,
            decides=decides,
            parts=tuple(parts),
        )


def _numbered(number: int, changes: Iterator[_Change]) -> Iterator[tuple[int, _Change]]:
    return ((number, one) for one in changes)


def _first(node: _Node, now: datetime) -> Turn | None:
    """When a node turns next; nothing where not all changes up to then are known."""
    until = node.until
    for one in islice(node.changes(now), 1):
        return Turn(*one) if until is None or one.at <= until else None
    return None
