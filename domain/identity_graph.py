"""What do the evidences say of each node: when was it first seen, what stood beside it, is it shared?

Nodes are numbers here, in the order of their tokens, and moments are numbers in the order of time: comparing and
hashing those is many times faster than with UUIDs and datetimes. Pairs of nodes are packed into one number, for the
collector of garbage looks at every tuple, list and set, and at no number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from uuid import UUID

from domain.identity_rules import Rules

__all__ = ["BITS", "MASK", "PAIR", "Graph"]

BITS = 28
"""Bits that a node or a moment takes in a sort key: 268 million of each."""
MASK = (1 << BITS) - 1
PAIR = (1 << 2 * BITS) - 1
_NEVER = MASK
"""The moment of what was never seen in an active evidence: after all others."""
_PRIORITY_BITS = 16
_OTHER = (1 << BITS + _PRIORITY_BITS) - 1
_STRONG, _LIMITED = 1, 2

Said = tuple[UUID, tuple[UUID, ...], datetime | None]
"""An evidence: its id, its nodes, its earliest time (None: inactive)."""


class Graph:
    """Nodes and evidences by number.

    Of nodes: `tokens`, `priorities`, `groups` (which limit counts it; -1 for none), `first` (moment), `order` (sorts
    as the order of nodes does, and its last `BITS` are the node), `strong` (texts, where there are any), `direct` (-1
    for none) with `direct_at` (moment), `shared`. Of evidences, active ones first and those by time: `ids`,
    `members`; `moments_of` for the `active` first ones. `group_limits`: most nodes of each group in a customer.
    """

    def __init__(
        self,
        kinds: Mapping[UUID, tuple[str, str, int]],
        evidences: Collection[Said],
        rules: Rules,
        outside: Mapping[UUID, tuple[datetime | None, bool]],
    ) -> None:
        self.tokens = sorted(kinds, key=attrgetter("int"))
        self._values = [token.int for token in self.tokens]
        self._numbers = {value: number for number, value in enumerate(self._values)}
        count = len(self.tokens)
        self.shared = bytearray(count)
        self.strong: dict[int, tuple[str, ...]] = {}
        self.strong_counts: dict[int, dict[str, int]] = {}
        self.direct = [-1] * count
        self.direct_at = [_NEVER] * count
        self.first = [_NEVER] * count
        self._read_kinds([kinds[token] for token in self.tokens], rules)
        self._read_evidences(evidences)
        self._read_moments([at for at, _ in outside.values() if at is not None])
        self._tell_strong(self._look_around(), rules)
        self._decide_shared(outside)
        self.order = [
            (priority << 2 * BITS) | (first << BITS) | node
            for node, (priority, first) in enumerate(zip(self.priorities, self.first, strict=True))
        ]

    def known(self, nodes: Collection[UUID]) -> list[int]:
        """The numbers of those nodes that are known and not shared."""
        numbers = [self._numbers[node.int] for node in nodes if node.int in self._numbers]
        return [number for number in numbers if not self.shared[number]]

    def _read_kinds(self, kinds: Collection[tuple[str, str, int]], rules: Rules) -> None:
        met: dict[tuple[str, str, int], tuple[int, int, int]] = {}
        self.group_limits: list[int] = []
        for kind in set(kinds):
            limit, group = rules.limits.get(kind[0]), -1
            if limit is not None:
                group = len(self.group_limits)
                self.group_limits.append(limit)
            flags = (_STRONG if kind[0] in rules.shared else 0) | (_LIMITED if limit is not None else 0)
            met[kind] = (kind[2], group, flags)
        self._kinds = {priority: kind for kind, _, priority in met}
        read = [met[kind] for kind in kinds]
        self.priorities = [one[0] for one in read]
        self.groups = [one[1] for one in read]
        self._flags = [one[2] for one in read]
        self._ignored = [self._numbers[node.int] for node in rules.ignored if node.int in self._numbers]
        for node in self._ignored:
            # What is ignored is nobody's number: it makes others neither shared nor one.
            self._flags[node] = 0

    def _read_evidences(self, evidences: Collection[Said]) -> None:
        ordered = sorted([one for one in evidences if one[2] is not None], key=itemgetter(2))
        self.active = len(ordered)
        ordered += [one for one in evidences if one[2] is None]
        numbers = self._numbers
        self.ids = [one[0] for one in ordered]
        self.members = [tuple([numbers[node.int] for node in one[1]]) for one in ordered]
        self._times = [one[2] for one in ordered if one[2] is not None]

    def _read_moments(self, more: list[datetime]) -> None:
        """Number the times of the evidences, and `more` times that are to be told apart."""
        self.moments: list[datetime] = []
        for time in sorted(self._times + more) if more else self._times:
            if not self.moments or self.moments[-1] != time:
                self.moments.append(time)
        self.moments_of: list[int] = []
        moment = 0
        for time in self._times:
            while self.moments[moment] != time:
                moment += 1
            self.moments_of.append(moment)

    def _look_around(self) -> set[int]:
        """Fill `first` and `direct`; answers who stood beside whom, packed: (node, priority, stronger node).

        Evidences come by time, so that what is met first is the earliest.
        """
        first, flags = self.first, self._flags
        beside: set[int] = set()
        for members, moment in zip(self.members, self.moments_of, strict=False):
            seen = 0
            for node in members:
                seen |= flags[node]
                if moment < first[node]:  # noqa: PLR1730 - min() is twice as slow, and this is for each node
                    first[node] = moment
            if seen and len(members) > 1:
                if seen & _LIMITED:
                    self._note_direct(members, moment)
                if seen & _STRONG:
                    self._note_strong(members, beside)
        return beside

    def _note_direct(self, members: tuple[int, ...], moment: int) -> None:
        flags, direct, direct_at = self._flags, self.direct, self.direct_at
        number = min([node for node in members if flags[node] & _LIMITED])
        for node in members:
            if self.groups[node] < 0:
                at = direct_at[node]
                if moment < at or (moment == at and number < direct[node]):
                    direct[node], direct_at[node] = number, moment

    def _note_strong(self, members: tuple[int, ...], beside: set[int]) -> None:
        flags, priorities = self._flags, self.priorities
        for stronger in members:
            if flags[stronger] & _STRONG:
                priority = priorities[stronger]
                packed = (priority << BITS) | stronger
                for node in members:
                    if priorities[node] > priority:
                        beside.add((node << BITS + _PRIORITY_BITS) | packed)

    def _tell_strong(self, beside: set[int], rules: Rules) -> None:
        """Fill `strong` and, where there may be too many, `strong_counts`; mark the shared ones."""
        least = min(rules.shared.values(), default=0)
        cut = sum(rules.shared.values()) + 1
        texts: dict[int, str] = {}
        for node, others in groupby(sorted(beside), key=_node_of):
            there = [packed & _OTHER for packed in others]
            for other in there:
                if other not in texts:
                    texts[other] = f"{other >> BITS}:{self._values[other & MASK]:032x}"
            self.strong[node] = tuple([texts[other] for other in there[:cut]])
            if len(there) > least:
                self._count_strong(node, there, rules)

    def _count_strong(self, node: int, others: list[int], rules: Rules) -> None:
        counts = self.strong_counts[node] = {}
        for other in others:
            kind = self._kinds[other >> BITS]
            counts[kind] = counts.get(kind, 0) + 1
        self.shared[node] = any(count > rules.shared[kind] for kind, count in counts.items())

    def _decide_shared(self, outside: Mapping[UUID, tuple[datetime | None, bool]]) -> None:
        for token, (at, shared) in outside.items():
            node = self._numbers[token.int]
            self.first[node] = _NEVER if at is None else bisect_left(self.moments, at)
            self.shared[node] = shared
        for node in self._ignored:
            self.shared[node] = 1

    def open_members(self, evidence: int) -> tuple[int, ...]:
        """The nodes of an evidence that are not shared."""
        shared = self.shared
        return tuple([node for node in self.members[evidence] if not shared[node]])


def _node_of(packed: int) -> int:
    return packed >> BITS + _PRIORITY_BITS
