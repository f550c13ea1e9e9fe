"""How would one resolve identities if speed were of no account? The rules again, plainly, to check `resolve` by.

No union-find, no ranks, no fast path: sets of nodes, looked through again for every question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from uuid import UUID

from domain.identity import Dispute, Evidence, Kind, NodeState, Outside, Resolution, Ruling
from domain.identity_rules import Rules

__all__ = ["resolve_plainly"]

_LAST = datetime.max.replace(tzinfo=UTC)
Partition = list[set[UUID]]


def resolve_plainly(
    kinds: Mapping[UUID, Kind],
    evidences: Sequence[Evidence],
    rulings: Sequence[Ruling],
    rules: Rules,
    outside: Mapping[UUID, Outside] | None = None,
) -> Resolution:
    """What `resolve` has to answer."""
    return _Plainly(kinds, evidences, rulings, rules, outside or {}).answer()


def _cluster(partition: Partition, node: UUID) -> set[UUID]:
    return next(cluster for cluster in partition if node in cluster)


def _united(partition: Partition, nodes: Iterable[UUID]) -> None:
    touched = [cluster for cluster in partition if cluster & set(nodes)]
    for cluster in touched:
        partition.remove(cluster)
    if touched:
        partition.append(set.union(*touched))


class _Plainly:
    def __init__(
        self,
        kinds: Mapping[UUID, Kind],
        evidences: Sequence[Evidence],
        rulings: Sequence[Ruling],
        rules: Rules,
        outside: Mapping[UUID, Outside],
    ) -> None:
        self.kinds, self.rules, self.outside = kinds, rules, outside
        self.evidences = list(set(evidences))
        self.active = [one for one in self.evidences if one.first_at is not None]
        self.rulings = sorted(set(rulings), key=lambda ruling: (ruling.at, ruling.name), reverse=True)
        self.shared = {node for node in kinds if self._is_shared(node)}
        self.components: Partition = [{node} for node in kinds if node not in self.shared]
        for one in self.active:
            _united(self.components, self._open(one.nodes))
        for ruling in self.rulings:
            if ruling.merges:
                _united(self.components, self._open([node for side in ruling.sides for node in side]))
        self.disputes: list[Dispute] = []
        self.stars = [component for component in self.components if self._is_star(component)]
        self.clusters: Partition = [cluster for component in self.components for cluster in self._resolved(component)]
        self.clusters += [{node} for node in self.shared]

    def first_at(self, node: UUID) -> datetime | None:
        if node in self.outside:
            return self.outside[node].first_at
        return min([one.first_at for one in self.active if node in one.nodes and one.first_at], default=None)

    def order(self, node: UUID) -> tuple[int, datetime, UUID]:
        return self.kinds[node].priority, self.first_at(node) or _LAST, node

    def _open(self, nodes: Iterable[UUID]) -> list[UUID]:
        return [node for node in nodes if node in self.kinds and node not in self.shared]

    def strong(self, node: UUID) -> set[UUID]:
        return {
            other
            for one in self.active
            if node in one.nodes
            for other in one.nodes
            if self.kinds[other].kind in self.rules.shared
            and self.kinds[other].priority < self.kinds[node].priority
            and other not in self.rules.ignored
        }

    def _is_shared(self, node: UUID) -> bool:
        if node in self.rules.ignored:
            return True
        if node in self.outside:
            return self.outside[node].shared
        names = [self.kinds[other].kind for other in self.strong(node)]
        return any(names.count(name) > most for name, most in self.rules.shared.items())

    def direct(self, node: UUID) -> tuple[datetime, UUID] | None:
        if self.kinds[node].kind in self.rules.limits:
            return None
        beside = [
            (one.first_at, other)
            for one in self.active
            if one.first_at and node in one.nodes
            for other in one.nodes
            if self.kinds[other].kind in self.rules.limits and other not in self.rules.ignored
        ]
        return min(beside, default=None)

    def _is_star(self, component: set[UUID]) -> bool:
        sizes = [len(self._open(one.nodes)) for one in self.active if component & set(one.nodes)]
        links = sum(size * (size - 1) // 2 for size in sizes)
        return len(component) > self.rules.star_nodes or links > self.rules.star_links

    def _resolved(self, component: set[UUID]) -> Partition:
        clusters: Partition = [{node} for node in component]
        apart: list[tuple[set[UUID], set[UUID]]] = []
        for ruling in self.rulings:
            sides = [set(self._open(side)) & component for side in ruling.sides]
            if ruling.merges:
                self._merge(clusters, sides, apart)
            else:
                apart += self._kept_apart(clusters, sides)
        for _, a, b, at in self._links(component):
            mine, theirs = _cluster(clusters, a), _cluster(clusters, b)
            if mine is theirs:
                continue
            if self._forbidden(mine | theirs, apart):
                self.disputes.append(Dispute(min(a, b), max(a, b), "split", at))
            elif component not in self.stars and self._over(mine, theirs):
                self.disputes.append(Dispute(min(a, b), max(a, b), "limit", at))
            else:
                _united(clusters, [a, b])
        return clusters

    def _links(self, component: set[UUID]) -> list[tuple[tuple[object, ...], UUID, UUID, datetime]]:
        found: list[tuple[tuple[object, ...], UUID, UUID, datetime]] = []
        if component in self.stars:
            for node in component:
                direct = self.direct(node)
                if direct and direct[1] in component:
                    found.append((self.order(node), node, direct[1], direct[0]))
            return sorted(found)
        times: dict[tuple[UUID, UUID], datetime] = {}
        for one in self.active:
            for a, b in combinations(sorted(set(one.nodes) & component, key=self.order), 2):
                times[a, b] = min(times.get((a, b), _LAST), one.first_at or _LAST)
        for (a, b), at in times.items():
            found.append(((self.kinds[a].priority, self.kinds[b].priority, at, a, b), a, b, at))
        return sorted(found)

    def _merge(self, clusters: Partition, sides: list[set[UUID]], apart: list[tuple[set[UUID], set[UUID]]]) -> None:
        groups = [[side] for side in sides if side]
        for one, other in combinations([side for side in sides if side], 2):
            mine = next(group for group in groups if any(side is one for side in group))
            theirs = next(group for group in groups if any(side is other for side in group))
            if mine is theirs:
                continue
            nodes = set.union(*mine, *theirs)
            whole = set.union(*(_cluster(clusters, node) for node in nodes))
            if not self._forbidden(whole, apart):
                mine += theirs
                groups = [group for group in groups if group is not theirs]
                _united(clusters, nodes)

    def _kept_apart(self, clusters: Partition, sides: list[set[UUID]]) -> list[tuple[set[UUID], set[UUID]]]:
        wholes: Partition = []
        for side in sides:
            if side:
                whole = set.union(*(_cluster(clusters, node) for node in side))
                wholes.append(whole)
                _united(wholes, whole)
        return list(combinations([set(whole) for whole in wholes], 2))

    def _forbidden(self, together: set[UUID], apart: list[tuple[set[UUID], set[UUID]]]) -> bool:
        return any(together & one and together & other for one, other in apart)

    def _over(self, mine: set[UUID], theirs: set[UUID]) -> bool:
        def held(cluster: set[UUID]) -> list[tuple[str, str]]:
            return [self.kinds[node][:2] for node in cluster if self.kinds[node].kind in self.rules.limits]

        return any(
            len([one for one in held(mine) + held(theirs) if one == group]) > self.rules.limits[group[0]]
            for group in set(held(mine)) & set(held(theirs))
        )

    def _home(self, one: Evidence) -> UUID:
        linking = self._open(one.nodes) if one.first_at is not None else []
        if not linking:
            return min(one.nodes, key=lambda node: (self.kinds[node].priority, node))
        return min(linking, key=self.order)

    def answer(self) -> Resolution:
        told = Resolution(disputes=sorted(self.disputes), stars={min(star) for star in self.stars})
        labels = {node: min(component) for component in self.components for node in component}
        customers = {node: min(cluster, key=self.order) for cluster in self.clusters for node in cluster}
        cut = sum(self.rules.shared.values()) + 1
        for node in self.kinds.keys() - self.outside.keys():
            strong = sorted(f"{self.kinds[other].priority}:{other.hex}" for other in self.strong(node))
            at, direct = self.direct(node) or (None, None)
            told.nodes[node] = NodeState(
                self.first_at(node),
                node in self.shared,
                tuple(strong[:cut]),
                direct,
                at,
                labels.get(node),
                customers[node],
            )
        for one in self.evidences:
            told.homes[one.id] = customers[self._home(one)]
            told.components[one.id] = labels.get(self._home(one))
        return told
