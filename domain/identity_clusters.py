"""Which nodes of a component become one customer, and which unions are refused?

Rulings come first, the newest before the older; then links, in the order that they are given. A cluster carries how
many nodes it holds of each limited group, and on which side of which split it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal

__all__ = ["Clusters", "Refusal", "find"]

Refusal = Literal["limit", "split"]


def find(parents: list[int], node: int) -> int:
    """The root of a node; paths are halved on the way."""
    while parents[node] != node:
        parents[node] = node = parents[parents[node]]
    return node


class Clusters:
    """A partition of nodes that knows limits and splits. Roots are any node of a cluster."""

    def __init__(self, count: int, groups: Sequence[int], group_limits: Sequence[int]) -> None:
        self.parents = list(range(count))
        self._groups = groups
        self._group_limits = group_limits
        self._numbers: dict[int, dict[int, int]] = {}
        self._sides: dict[int, dict[int, int]] = {}

    def hold_numbers(self, nodes: Iterable[int]) -> None:
        """Count these nodes, each a cluster of its own as yet, in their groups."""
        for node in nodes:
            self._numbers[node] = {self._groups[node]: 1}

    def unite(self, a: int, b: int, limited: bool = True) -> Refusal | None:
        """Make the clusters of two nodes one. Why not, if not: `split` or `limit` (which `limited=False` ignores)."""
        parents = self.parents
        a, b = find(parents, a), find(parents, b)
        if a == b:
            return None
        if self._sides and self._apart(a, b):
            return "split"
        mine, theirs = self._numbers.get(a), self._numbers.get(b)
        if mine and theirs and limited and self._too_many(mine, theirs):
            return "limit"
        self._join(a, b, mine, theirs)
        return None

    def _apart(self, a: int, b: int) -> bool:
        mine, theirs = self._sides.get(a), self._sides.get(b)
        return bool(mine and theirs and any(theirs.get(split, side) != side for split, side in mine.items()))

    def _too_many(self, mine: Mapping[int, int], theirs: Mapping[int, int]) -> bool:
        limits = self._group_limits
        return any(group in theirs and count + theirs[group] > limits[group] for group, count in mine.items())

    def _join(self, a: int, b: int, mine: dict[int, int] | None, theirs: dict[int, int] | None) -> None:
        if b < a:  # the smaller number is the root, so that the shape of the forest is of no account
            a, b, mine, theirs = b, a, theirs, mine
        self.parents[b] = a
        if theirs:
            held = self._numbers.setdefault(a, {})
            for group, count in self._numbers.pop(b).items():
                held[group] = held.get(group, 0) + count
        if self._sides and b in self._sides:
            self._sides.setdefault(a, {}).update(self._sides.pop(b))

    def merge(self, sides: Sequence[Sequence[int]]) -> bool:
        """Make each two of these sides one, unless a split that came first forbids it; tells whether any was.

        A side that may be united with no other is left as it is, so that a merge that a split of the same sides
        revokes is as if it had never been.
        """
        spoken = [list(side) for side in sides if side]
        owner = list(range(len(spoken)))
        done = False
        for a, b in combinations(range(len(spoken)), 2):
            one, other = owner[a], owner[b]
            if one == other:
                done = True
            elif self._may_be_one(spoken[one] + spoken[other]):
                spoken[one] = spoken[one] + spoken[other]
                owner = [one if which == other else which for which in owner]
                for node in spoken[one]:
                    self.unite(spoken[one][0], node, limited=False)
                done = True
        return done

    def _may_be_one(self, nodes: Iterable[int]) -> bool:
        stand: dict[int, int] = {}
        for root in {find(self.parents, node) for node in nodes}:
            for split, side in self._sides.get(root, {}).items():
                if stand.setdefault(split, side) != side:
                    return False
        return True

    def split(self, name: int, sides: Sequence[Sequence[int]]) -> bool:
        """Keep these sides apart from now on; tells whether there is anything to keep apart.

        Sides that are one already, by what came first, count as one side. `name` tells splits apart.
        """
        stand: dict[int, int] = {}  # root → side
        same = list(range(len(sides)))
        for number, side in enumerate(sides):
            for node in side:
                root = find(self.parents, node)
                other = find(same, stand.setdefault(root, number))
                same[find(same, number)] = other
        marks = {root: find(same, number) for root, number in stand.items()}
        if len(set(marks.values())) < 2:
            return False
        for root, number in marks.items():
            self._sides.setdefault(root, {})[name] = number
        return True
