"""Who is who, if one had all day? The rules of resolution, written down once more, plainly; see `plain.py`.

Nothing of `domain.identity` is used. Customers are sets of nodes; every question looks through all evidences again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, NamedTuple

__all__ = ["People", "Ruled", "Seen"]

KINDS = ["customer_no", "external", "email", "phone", "social", "device", "cookie"]
_NEVER = datetime.max.replace(tzinfo=UTC)
Group = set[str]


class Seen(NamedTuple):
    """An evidence: its nodes (hex), and since when it counts (None: not at all)."""

    nodes: frozenset[str]
    since: datetime | None


class Ruled(NamedTuple):
    """A ruling that counts: when, its name, whether it merges, the nodes of each side."""

    at: datetime
    name: str
    merges: bool
    sides: tuple[frozenset[str], ...]


@dataclass
class People:
    """Everybody, by these evidences (by their hash) and rulings. `kinds`: (kind, namespace) of each node; `rules`:
    as `Rules.to_json` has them."""

    kinds: Mapping[str, tuple[str, str]]
    evidences: Mapping[str, Seen]
    rulings: Sequence[Ruled]
    rules: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._beside: dict[str, list[Seen]] = {node: [] for node in self.kinds}
        for seen in self.evidences.values():
            for node in seen.nodes:
                if seen.since is not None:
                    self._beside[node].append(seen)
        self.shared = {node for node in self.kinds if self._too_many(node)}
        self.disputes: set[tuple[str, str, str, datetime]] = set()
        self.customer: dict[str, str] = {node: node for node in self.kinds}
        for component in self._components():
            for group in self._resolved(component):
                first = min(group, key=self.order)
                self.customer.update(dict.fromkeys(group, first))

    def since(self, node: str) -> datetime | None:
        return min([seen.since for seen in self._beside[node] if seen.since], default=None)

    def rank(self, node: str) -> int:
        return KINDS.index(self.kinds[node][0])

    def order(self, node: str) -> tuple[int, datetime, str]:
        return self.rank(node), self.since(node) or _NEVER, node

    def home(self, evidence: str) -> str:
        """The customer that the events of an evidence belong to."""
        seen = self.evidences[evidence]
        linking = seen.nodes - self.shared
        if seen.since is None or not linking:
            return self.customer[min(seen.nodes, key=lambda node: (self.rank(node), node))]
        return self.customer[min(linking, key=self.order)]

    def _too_many(self, node: str) -> bool:
        """Did more identifiers of one stronger kind stand beside it than one person has?"""
        ignored = self.rules.get("ignored", [])
        others = {other for seen in self._beside[node] for other in seen.nodes}
        stronger = [other for other in others if self.rank(other) < self.rank(node) and other not in ignored]
        kinds = [self.kinds[other][0] for other in stronger]
        shared: Mapping[str, int] = self.rules["shared"]
        return node in ignored or any(kinds.count(kind) > most for kind, most in shared.items())

    def _components(self) -> list[Group]:
        """Who could be one person at all."""
        components: list[Group] = [{node} for node in self.kinds if node not in self.shared]
        together = [seen.nodes for seen in self.evidences.values() if seen.since]
        together += [frozenset().union(*one.sides) for one in self.rulings if one.merges]
        for nodes in together:
            _unite(components, nodes - self.shared)
        return components

    def _is_star(self, component: Group) -> bool:
        star = self.rules["star"]
        sizes = [len(seen.nodes - self.shared) for seen in self._within(component)]
        links = sum(size * (size - 1) // 2 for size in sizes)
        return bool(len(component) > star["nodes"] or links > star["links"])

    def _within(self, component: Group) -> list[Seen]:
        return [seen for seen in self.evidences.values() if seen.since and component & seen.nodes]

    def _resolved(self, component: Group) -> list[Group]:
        """The people in a component."""
        groups: list[Group] = [{node} for node in component]
        apart: list[tuple[Group, Group]] = []
        for ruling in sorted(self.rulings, reverse=True):
            sides = [set(side & component) for side in ruling.sides if side & component]
            if ruling.merges:
                _merge(groups, sides, apart)
            else:
                apart += combinations(_whole(groups, sides), 2)
        star = self._is_star(component)
        for a, b, at in self._star_links(component) if star else self._links(component):
            mine, its = _of(groups, a), _of(groups, b)
            if mine is its:
                continue
            why = "split" if _forbidden(mine | its, apart) else "limit" if not star and self._over(mine, its) else ""
            if why:
                self.disputes.add((min(a, b), max(a, b), why, at))
            else:
                _unite(groups, [a, b])
        return groups

    def _links(self, component: Group) -> list[tuple[str, str, datetime]]:
        """Who stood together, the strongest kinds first, then the earliest."""
        times: dict[tuple[str, str], datetime] = {}
        for seen in self._within(component):
            for a, b in combinations(sorted(seen.nodes & component, key=self.order), 2):
                times[a, b] = min(times.get((a, b), _NEVER), seen.since or _NEVER)
        ordered = sorted((self.rank(a), self.rank(b), at, a, b) for (a, b), at in times.items())
        return [(a, b, at) for _, _, at, a, b in ordered]

    def _star_links(self, component: Group) -> list[tuple[str, str, datetime]]:
        """In a component that is too large: each node and the number that stood beside it first."""
        limited, ignored = self.rules["limits"], self.rules.get("ignored", [])
        found = []
        for node in sorted(component, key=self.order):
            numbers = [
                (seen.since or _NEVER, other)
                for seen in self._beside[node]
                for other in seen.nodes
                if self.kinds[other][0] in limited and other not in ignored
            ]
            if numbers and self.kinds[node][0] not in limited and min(numbers)[1] in component:
                found.append((node, min(numbers)[1], min(numbers)[0]))
        return found

    def _over(self, mine: Group, its: Group) -> bool:
        """Would the two together have more of a kind than one person has?"""
        for group in {self.kinds[node] for node in mine} & {self.kinds[node] for node in its}:
            most = self.rules["limits"].get(group[0])
            if most is not None and len([node for node in mine | its if self.kinds[node] == group]) > most:
                return True
        return False


def _of(groups: Iterable[Group], node: str) -> Group:
    return next(group for group in groups if node in group)


def _unite(groups: list[Group], nodes: Collection[str]) -> None:
    touched = [group for group in groups if group & set(nodes)]
    if touched:
        groups[:] = [group for group in groups if group not in touched] + [set().union(*touched)]


def _whole(groups: list[Group], sides: list[Group]) -> list[Group]:
    """The sides of a split with all that is one with them already; those that are one count as one side."""
    found = [set().union(*[_of(groups, node) for node in side]) for side in sides]
    for side in list(found):
        _unite(found, side)
    return found


def _forbidden(together: Group, apart: Iterable[tuple[Group, Group]]) -> bool:
    return any(together & one and together & other for one, other in apart)


def _merge(groups: list[Group], sides: list[Group], apart: list[tuple[Group, Group]]) -> None:
    """Make each two sides one, in their order, unless a split forbids it; what was made one goes on as one side."""
    said = [[number] for number in range(len(sides))]
    for one, other in combinations(range(len(sides)), 2):
        mine = next(numbers for numbers in said if one in numbers)
        its = next(numbers for numbers in said if other in numbers)
        nodes = set().union(*[sides[number] for number in mine + its])
        whole = set().union(*[_of(groups, node) for node in nodes])
        if mine is not its and not _forbidden(whole, apart):
            _unite(groups, nodes)
            said = [numbers for numbers in said if numbers is not mine and numbers is not its] + [mine + its]
