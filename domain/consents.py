"""What did a person allow, and what not? The latest explicit word per purpose and channel, the strictest at a tie.

A word is kept by the evidence it was said on. When two evidences become one customer, a grant on the one takes back a
withdrawal on the other only if it was said after the withdrawal *and* after the two were known to be one person:
before that, nobody can have meant it so. Pure: words come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final, NamedTuple
from uuid import UUID

__all__ = ["EVERY_CHANNEL", "Joined", "Link", "Settled", "Standing", "Word", "joined_by", "settle"]

EVERY_CHANNEL: Final = ""
"""Stands for all channels: a word on it counts on each, beside the words of that channel."""


class Word(NamedTuple):
    """One explicit word. `name`: of the event that carries it; `type`: of that event."""

    name: UUID
    evidence: UUID
    happened_at: datetime
    purpose: str
    channel: str
    granted: bool
    type: str


class Standing(NamedTuple):
    """What holds now for a purpose on a channel ("": on every channel that does not stand by itself). `word`: the one
    that decides. `held`: a later grant was said, but before the two were known to be one person."""

    purpose: str
    channel: str
    granted: bool
    word: Word
    held: bool


class Settled(NamedTuple):
    """`standing` by purpose and channel; `history`: all words, newest first."""

    standing: tuple[Standing, ...]
    history: tuple[Word, ...]


Joined = Callable[[UUID, UUID], datetime | None]
"""From when on two evidences were one customer; None: always."""


def settle(words: Iterable[Word], joined: Joined | None = None) -> Settled:
    """What holds after all these words of one customer. `joined` None: her evidences were always together."""
    history = sorted(words, key=lambda word: (word.happened_at, word.name), reverse=True)
    heard: dict[tuple[str, str], list[Word]] = {}
    for word in history:
        heard.setdefault((word.purpose, word.channel), []).append(word)
    standing = [
        _standing(purpose, channel, _with_every_channel(heard, purpose, channel), joined or _always)
        for purpose, channel in sorted(heard)
    ]
    return Settled(tuple(standing), tuple(history))


def _with_every_channel(heard: Mapping[tuple[str, str], list[Word]], purpose: str, channel: str) -> list[Word]:
    own, every = heard[purpose, channel], heard.get((purpose, EVERY_CHANNEL), [])
    if channel == EVERY_CHANNEL or not every:
        return own
    return sorted([*own, *every], key=lambda word: (word.happened_at, word.name), reverse=True)


def _always(_one: UUID, _other: UUID) -> None:
    return None


def _standing(purpose: str, channel: str, newest_first: Sequence[Word], joined: Joined) -> Standing:
    # Of each evidence the last grant and the last withdrawal say it all.
    grants: dict[UUID, Word] = {}
    withdrawals: dict[UUID, Word] = {}
    for word in newest_first:
        (grants if word.granted else withdrawals).setdefault(word.evidence, word)
    granted = list(grants.values())
    for word in withdrawals.values():
        if not any(_takes_back(grant, word, joined) for grant in _later(granted, word)):
            held = next(_later(granted, word), None) is not None
            return Standing(purpose, channel, False, word, held)
    return Standing(purpose, channel, True, granted[0], False)


def _later(newest_first: Sequence[Word], withdrawal: Word) -> Iterator[Word]:
    return takewhile(lambda grant: grant.happened_at > withdrawal.happened_at, newest_first)


def _takes_back(later: Word, withdrawal: Word, joined: Joined) -> bool:
    """Does a later grant count against this withdrawal?"""
    if later.evidence == withdrawal.evidence:
        return True
    at = joined(later.evidence, withdrawal.evidence)
    return at is None or later.happened_at >= at


class Link(NamedTuple):
    """What makes identifiers one person from `at` on: an evidence, or a steward's merge. `nodes`: those of this
    customer, without what links nobody."""

    nodes: Sequence[UUID]
    at: datetime


_NEVER_YET: Final = datetime(9999, 12, 31, tzinfo=UTC)


def joined_by(links: Iterable[Link], homes: Mapping[UUID, UUID], unknown: datetime | None = None) -> Joined:
    """When evidences were known to be one customer: the latest link of the earliest path between them.

    `homes`: {evidence: one of its linking nodes}. Where no path is known (links that were not read, a customer that
    was too large to be resolved link by link) it is `unknown`, and without that the latest link: rather too strict.
    """
    ordered = sorted(links, key=lambda link: (link.at, tuple(link.nodes)))
    latest = unknown or (ordered[-1].at if ordered else _NEVER_YET)
    forest = _Forest()
    for link in ordered:
        for node in link.nodes[1:]:
            forest.unite(link.nodes[0], node, link.at)

    def joined(one: UUID, other: UUID) -> datetime | None:
        a, b = homes.get(one), homes.get(other)
        if a is None or b is None:
            return latest
        return None if a == b else forest.since(a, b) or latest

    return joined


class _Forest:
    """Sets of nodes that remember when they became one: union by size, without shortening paths, so that the latest
    step between two nodes is when they were united. Steps come in the order of time."""

    def __init__(self) -> None:
        self._up: dict[UUID, tuple[UUID, datetime]] = {}
        self._size: dict[UUID, int] = {}

    def _path(self, node: UUID) -> dict[UUID, datetime | None]:
        """The nodes from here to the root, each with the time of the latest step to it."""
        path: dict[UUID, datetime | None] = {node: None}
        while node in self._up:
            node, at = self._up[node]
            path[node] = at  # steps are taken later the nearer they are to the root
        return path

    def unite(self, one: UUID, other: UUID, at: datetime) -> None:
        a, b = next(reversed(self._path(one))), next(reversed(self._path(other)))
        if a == b:
            return
        if self._size.get(a, 1) < self._size.get(b, 1):
            a, b = b, a
        self._up[b] = (a, at)
        self._size[a] = self._size.get(a, 1) + self._size.get(b, 1)

    def since(self, one: UUID, other: UUID) -> datetime | None:
        """When the two came together; None if they never did."""
        path = self._path(one)
        at: datetime | None = None
        while other not in path:
            if other not in self._up:
                return None
            other, at = self._up[other]
        there = path[other]
        if at is None or there is None:
            return at or there
        return max(at, there)
