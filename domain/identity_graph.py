"""What do the evidences say of each node: when was it first seen, what stood beside it, is it shared?

Nodes are numbers here, in the order of their tokens, and moments are numbers in the order of time: comparing and
hashing those is many times faster than with UUIDs and datetimes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from domain.identity_rules import Rules

__all__ = ["BITS", "MASK", "PAIR", "Graph"]

BITS = 28
"""Bits that a node or a moment takes in a sort key: 268 million of each."""
MASK = (1 << BITS) - 1
PAIR = (1 << 2 * BITS) - 1
_NEVER = MASK
"""The moment of what was never seen in an active evidence: after all others."""
_STRONG, _LIMITED = 1, 2

Said = tuple[UUID, tuple[UUID, ...], datetime | None]
"""An evidence: its id, its nodes, its earliest time (None: inactive)."""


class Graph:
    """Nodes and evidences by number.

    Of nodes: `tokens`, `priorities`, `groups` (which limit counts it; -1 for none), `first` (moment), `order` (sorts
    as the order of nodes does, and its last `BITS` are the node), `strong` (where there are any), `direct` (-1 for
    none) with `direct_at` (moment), `shared`. Of evidences, active ones first and those by time: `ids`, `members`;
    `moments_of` for the `active` first ones. `group_limits`: how many nodes of each group a customer may have.
    """

    def __init__(
        self,
        kinds: Mapping[UUID, tuple[str, str, int]],
        evidences: Collection[Said],
        rules: Rules,
        outside: Mapping[UUID, tuple[datetime | None, bool]],
    ) -> None:
        self.tokens = sorted(kinds, key=attrgetter("int"))
        self.index = {token: number for number, token in enumerate(self.tokens)}
        count = len(self.tokens)
        self.shared = bytearray(count)
        self.strong: dict[int, set[int]] = {}
        self.direct = [-1] * count
        self.direct_at = [_NEVER] * count
        self.first = [_NEVER] * count
        self._read_kinds(kinds, rules)
        self._read_evidences(evidences, outside)
        self._look_around()
        self._decide_shared(rules, outside)
        self.order = [
            (priority << 2 * BITS) | (first << BITS) | node
            for node, (priority, first) in enumerate(zip(self.priorities, self.first, strict=True))
        ]

    def _read_kinds(self, kinds: Mapping[UUID, tuple[str, str, int]], rules: Rules) -> None:
        ignored = rules.ignored
        known: dict[tuple[str, str, int], tuple[int, int, int]] = {}
        self.group_limits: list[int] = []
        self.names: list[str] = []
        self.priorities: list[int] = []
        self.groups: list[int] = []
        self.flags: list[int] = []
        for token in self.tokens:
            kind = kinds[token]
            found = known.get(kind)
            if found is None:
                name, _, priority = kind
                limit, group = rules.limits.get(name), -1
                if limit is not None:
                    group = len(self.group_limits)
                    self.group_limits.append(limit)
                flags = (_STRONG if name in rules.shared else 0) | (_LIMITED if limit is not None else 0)
                found = known[kind] = (priority, group, flags)
            self.names.append(kind[0])
            self.priorities.append(found[0])
            self.groups.append(found[1])
            # What is ignored is nobody's number: it makes others neither shared nor one.
            self.flags.append(found[2] if not ignored or token not in ignored else 0)

    def _read_evidences(
        self, evidences: Collection[Said], outside: Mapping[UUID, tuple[datetime | None, bool]]
    ) -> None:
        active = sorted([(at, one.int, one, nodes) for one, nodes, at in evidences if at is not None])
        index = self.index
        given = [at for at, _ in outside.values() if at is not None]
        self.moments: list[datetime] = []
        for time in sorted([one[0] for one in active] + given):
            if not self.moments or self.moments[-1] != time:
                self.moments.append(time)
        self.active = len(active)
        self.ids = [one[2] for one in active]
        self.members = [[index[node] for node in one[3]] for one in active]
        self.moments_of: list[int] = []
        moment = 0
        for time, *_ in active:
            while self.moments[moment] != time:
                moment += 1
            self.moments_of.append(moment)
        for one, nodes, at in evidences:
            if at is None:
                self.ids.append(one)
                self.members.append([index[node] for node in nodes])
        for token, (at, _) in outside.items():
            self.first[index[token]] = _NEVER if at is None else bisect_left(self.moments, at)

    def _look_around(self) -> None:
        """Fill `first`, `strong` and `direct`. Evidences come by time, so what is met first is the earliest."""
        first, flags, strong = self.first, self.flags, self.strong
        for members, moment in zip(self.members, self.moments_of, strict=False):
            seen = 0
            for node in members:
                seen |= flags[node]
                if moment < first[node]:  # noqa: PLR1730 - min() is twice as slow, and this is for each node
                    first[node] = moment
            if not seen or len(members) == 1:
                continue
            if seen & _LIMITED:
                self._note_direct(members, moment)
            if seen & _STRONG:
                self._note_strong(members, strong)

    def _note_direct(self, members: Sequence[int], moment: int) -> None:
        flags, direct, direct_at = self.flags, self.direct, self.direct_at
        number = min([node for node in members if flags[node] & _LIMITED])
        for node in members:
            if self.groups[node] < 0 and (
                moment < direct_at[node] or (moment == direct_at[node] and number < direct[node])
            ):
                direct[node], direct_at[node] = number, moment

    def _note_strong(self, members: Sequence[int], strong: dict[int, set[int]]) -> None:
        flags, priorities = self.flags, self.priorities
        for stronger in members:
            if flags[stronger] & _STRONG:
                priority = priorities[stronger]
                for node in members:
                    if priorities[node] > priority:
                        if node in strong:
                            strong[node].add(stronger)
                        else:
                            strong[node] = {stronger}

    def _decide_shared(self, rules: Rules, outside: Mapping[UUID, tuple[datetime | None, bool]]) -> None:
        least = min(rules.shared.values(), default=0)
        for node, beside in self.strong.items():
            if len(beside) > least:
                counts = self.strong_counts(node)
                self.shared[node] = any(count > rules.shared[kind] for kind, count in counts.items())
        for token in rules.ignored if len(rules.ignored) < len(self.tokens) else self.tokens:
            if token in rules.ignored and token in self.index:
                self.shared[self.index[token]] = 1
        for token, (_, shared) in outside.items():
            self.shared[self.index[token]] = shared

    def strong_counts(self, node: int) -> dict[str, int]:
        """How many nodes of each strong kind stood beside this one."""
        counts: dict[str, int] = {}
        for other in self.strong.get(node, ()):
            counts[self.names[other]] = counts.get(self.names[other], 0) + 1
        return counts

    def strong_texts(self, node: int, most: int) -> tuple[str, ...]:
        """The stronger nodes beside this one as `priority:hex`, sorted, no more than `most`."""
        beside = self.strong.get(node)
        if not beside:
            return ()
        return tuple(sorted([f"{self.priorities[other]}:{self.tokens[other].hex}" for other in beside])[:most])

    def open_members(self, evidence: int) -> list[int]:
        """The nodes of an evidence that are not shared."""
        shared = self.shared
        return [node for node in self.members[evidence] if not shared[node]]
