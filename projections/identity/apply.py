"""How does what a batch shows change who is who? Only what is new or older is looked at, under one lock, and only the
components that it touches are resolved anew.

What comes out depends on the set of evidences and rulings alone: a component is always resolved from all that is
known of it. The one exception in form, not in outcome, are components that are too large (`stars.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from domain.identifiers import priority
from domain.identity import Evidence, Kind, NodeState, Outside, Resolution, Ruling, resolve
from domain.identity_rules import Rules
from projections.identity.plain import Group, Plain, plains_of
from projections.identity.stars import Star
from projections.identity.tables import EvidenceRow, NodeRow, PlainRow, Tables, Written, dispute_row
from projections.lines import kind_of_token
from projections.rows import RulingSeen, Sighting

__all__ = ["LOCK", "Resolved", "Shown", "apply", "keep"]

LOCK = 7053081010
"""The advisory lock of those who change who is who in the live tables."""


@dataclass(slots=True)
class Shown:
    """What a batch shows. `sightings`: of new events; `recounted`: evidences whose earliest time was looked up, with
    their tokens (none where they are known); `rulings`: and whether each counts; `earliest`: looks times up again."""

    sightings: list[Sighting] = field(default_factory=list)
    recounted: dict[UUID, tuple[tuple[str, ...], datetime | None]] = field(default_factory=dict)
    rulings: list[tuple[RulingSeen, bool]] = field(default_factory=list)
    earliest: Callable[[Collection[UUID]], Mapping[UUID, datetime | None]] | None = None

    def look_again(self) -> None:
        """Look the times up again: another may have brought an earlier event meanwhile."""
        if self.earliest is not None and self.recounted:
            times = self.earliest(self.recounted)
            self.recounted = {one: (tokens, times.get(one)) for one, (tokens, _) in self.recounted.items()}


class _Change(NamedTuple):
    """An evidence that is new, or known since another time. `fell`: it counts later than before, or not at all."""

    nodes: tuple[UUID, ...]
    first_at: datetime | None
    new: bool
    fell: bool


class Resolved(NamedTuple):
    """What came of a batch. moved: customers that evidences or nodes went from, and came to; changed: evidences that
    are new, or known since another time."""

    moved: set[UUID]
    changed: Set[UUID]


def apply(cursor: psycopg.Cursor[Any], shown: Shown, lock: int = LOCK) -> Resolved:
    """Bring what a batch shows into the tables that stand first in the search path. What is known already takes no
    lock."""
    if not shown.sightings and not shown.recounted and not shown.rulings:
        return Resolved(set(), frozenset())
    tables = Tables(cursor)
    if not shown.rulings and not _any_change(tables, shown):
        return Resolved(set(), frozenset())
    tables.lock(lock)
    shown.look_again()
    changes, tokens = _changes(tables, shown)  # another may have brought the same a moment before
    if changes or shown.rulings:
        _Resolving(tables, _kinds(shown, tokens), changes, shown.rulings).run()
    return Resolved(tables.moved, changes.keys())


def keep(cursor: psycopg.Cursor[Any], rulings: Iterable[tuple[RulingSeen, bool]]) -> None:
    """Note rulings, and whether each counts, for whoever fills the tables as a whole: nothing is resolved by it."""
    tables = Tables(cursor)
    for seen, counts in rulings:
        tables.put_ruling(_ruling(seen), counts)


def _any_change(tables: Tables, shown: Shown) -> bool:
    """Is any of this new, or known since another time?"""
    known = tables.known({one.evidence for one in shown.sightings} | shown.recounted.keys())
    for one in shown.sightings:
        before = known.get(one.evidence)
        if before is None or (one.at is not None and (before[1] is None or one.at < before[1])):
            return True
    return any(
        known[evidence][1] != at if evidence in known else bool(tokens)
        for evidence, (tokens, at) in shown.recounted.items()
    )


def _kinds(shown: Shown, tokens: Iterable[tuple[str, ...]]) -> dict[UUID, Kind]:
    """What the nodes of new evidences, and of the rulings, are."""
    every = list(tokens)
    every += [side for ruling, _ in shown.rulings for side in ruling.sides]
    found: dict[UUID, Kind] = {}
    named: dict[str, Kind] = {}
    for together in every:
        for token in together:
            prefix = token[:-33]
            kind = named.get(prefix)
            if kind is None:
                name, namespace = kind_of_token(token)
                kind = named[prefix] = Kind(name, namespace, priority(name))
            found[UUID(hex=token[-32:])] = kind
    return found


def _changes(tables: Tables, shown: Shown) -> tuple[dict[UUID, _Change], list[tuple[str, ...]]]:
    """Which of these evidences are new, or known since another time? And the tokens of the new ones."""
    asked = {one.evidence for one in shown.sightings} | shown.recounted.keys()
    known = tables.known(asked)
    found: dict[UUID, _Change] = {}
    fresh: list[tuple[str, ...]] = []
    for sighting in shown.sightings:
        evidence, at = sighting.evidence, sighting.at
        before = known.get(evidence)
        if before is None:
            found[evidence] = _Change(_nodes_of(sighting.tokens), at, True, False)
            fresh.append(sighting.tokens)
        elif at is not None and (before[1] is None or at < before[1]):
            found[evidence] = _Change(before[0], at, False, False)
    for evidence, (tokens, at) in shown.recounted.items():
        before = known.get(evidence)
        if before is None:
            if tokens:
                found[evidence] = _Change(_nodes_of(tokens), at, True, False)
                fresh.append(tokens)
        elif at != before[1]:
            fell = before[1] is not None and (at is None or at > before[1])
            found[evidence] = _Change(before[0], at, False, fell)
        else:
            found.pop(evidence, None)
    return found, fresh


def _nodes_of(tokens: Collection[str]) -> tuple[UUID, ...]:
    return tuple([UUID(hex=token[-32:]) for token in tokens])


class _Resolving:
    """One change of who is who, under the lock."""

    def __init__(
        self,
        tables: Tables,
        kinds: Mapping[UUID, Kind],
        changes: Mapping[UUID, _Change],
        rulings: Collection[tuple[RulingSeen, bool]],
    ) -> None:
        self._tables, self._kinds, self._changes = tables, dict(kinds), changes
        self._rules: Rules = tables.rules()
        self._rulings = [(_ruling(seen), counts) for seen, counts in rulings]
        self._nodes: dict[UUID, NodeRow] = {}
        self._evidences: dict[UUID, EvidenceRow] = {}
        self._components: set[UUID] = set()
        self._unshared: set[UUID] = set()
        self._on: list[Ruling] = []

    def run(self) -> None:
        """Load what is touched, resolve it, write what became different."""
        for ruling, counts in self._rulings:
            self._tables.put_ruling(ruling, counts)
        ruled = {node for ruling, _ in self._rulings for side in ruling.sides for node in side}
        touched = ruled | {node for change in self._changes.values() for node in change.nodes}
        self._nodes = self._tables.nodes(touched)
        left = self._join(self._apart(), self._labels_of(ruled))
        wanted = ruled | {node for change in left.values() for node in change.nodes}
        if wanted:
            self._nodes = {}  # as they are by now
            self._load(wanted, left)
            self._write(self._resolve(left), left)

    def _join(self, groups: list[dict[UUID, _Change]], ruled: set[UUID]) -> dict[UUID, _Change]:
        """Take in what is ordinary, and what touches large components; gives the changes that are left. `ruled`:
        components that a ruling of this batch speaks of."""
        stars = self._tables.stars(self._labels_of(self._nodes))
        plain: list[Group] = []
        large: list[Group] = []
        left: dict[UUID, _Change] = {}
        for group in groups:
            labels = self._labels_of(node for change in group.values() for node in change.nodes)
            if labels & ruled or any(change.fell for change in group.values()):
                left |= group
                continue
            shown = {one: (change.nodes, change.first_at, change.new) for one, change in group.items()}
            (large if labels & stars else plain).append(shown)
        refused = Plain(self._tables, self._rules, self._kinds, self._nodes).join(plain) if plain else []
        refused += [group for group in large if self._join_star(group, stars)]
        return left | {evidence: self._changes[evidence] for group in refused for evidence in group}

    def _join_star(self, group: Group, stars: set[UUID]) -> bool:
        """Take a group into the large component that it touches. True if that has to be resolved as a whole."""
        # Looked up again: a group before may have changed what is shared by both.
        nodes = self._tables.nodes({node for members, _, _ in group.values() for node in members})
        its = stars & {row.state.component for row in nodes.values()}
        return not its or Star(self._tables, self._rules, self._kinds, nodes, its).join(group)

    def _apart(self) -> list[dict[UUID, _Change]]:
        """The changes, those in one group that come to touch the same component."""
        parent: dict[UUID, UUID] = {}

        def find(one: UUID) -> UUID:
            while parent.setdefault(one, one) != one:
                parent[one] = parent[parent[one]]
                one = parent[one]
            return one

        placed = {evidence: self._links(change) or [evidence] for evidence, change in self._changes.items()}
        for places in placed.values():
            for place in places[1:]:
                parent[find(place)] = find(places[0])
        groups: dict[UUID, dict[UUID, _Change]] = {}
        for evidence, places in placed.items():
            groups.setdefault(find(places[0]), {})[evidence] = self._changes[evidence]
        return list(groups.values())

    def _links(self, change: _Change) -> list[UUID]:
        """The components that a change makes one: none if it does not count, and what is shared is of none."""
        if change.first_at is None:
            return []
        known = self._nodes
        places = [known[node].state.component if node in known else node for node in change.nodes]
        return [place for place in places if place is not None]

    def _load(self, touched: set[UUID], changes: Mapping[UUID, _Change]) -> None:
        """All of the components that are touched: their nodes, their evidences, and those shared nodes in them."""
        tables = self._tables
        self._nodes |= tables.nodes(touched - self._nodes.keys())
        self._evidences = tables.evidences([evidence for evidence, change in changes.items() if not change.new])
        labels = {row.component for row in self._evidences.values() if row.component is not None}
        labels |= self._labels_of(touched)
        self._unshared = self._no_longer_shared(changes)
        if self._unshared:
            behind = tables.evidences_with(self._unshared)
            self._evidences |= behind
            others = {node for row in behind.values() for node in row.nodes}
            # What was ruled of them while they were shared counts from now on.
            rulings = tables.rulings_on(self._unshared)
            others.update(node for one in rulings for side in one.sides for node in side)
            self._nodes |= tables.nodes(others - self._nodes.keys())
            labels |= self._labels_of(others)
        self._components = labels
        self._nodes |= tables.nodes_within(labels)
        self._evidences |= tables.evidences_within(labels)
        within = {node for row in self._evidences.values() for node in row.nodes}
        self._nodes |= tables.nodes(within - self._nodes.keys())

    def _labels_of(self, nodes: Iterable[UUID]) -> set[UUID]:
        found = {self._nodes[node].state.component for node in nodes if node in self._nodes}
        return {label for label in found if label is not None}

    def _no_longer_shared(self, changes: Mapping[UUID, _Change]) -> set[UUID]:
        """Shared nodes that may be so no more, because an evidence with them counts no more: all of theirs is loaded,
        and resolving says whether they are."""
        return {
            node
            for change in changes.values()
            if change.fell and change.first_at is None
            for node in change.nodes
            if node in self._nodes and self._nodes[node].state.shared
        }

    def _resolve(self, changes: Mapping[UUID, _Change]) -> Resolution:
        evidences = {
            evidence: Evidence(evidence, row.nodes, row.first_at) for evidence, row in self._evidences.items()
        }
        for evidence, change in changes.items():
            evidences[evidence] = Evidence(evidence, change.nodes, change.first_at)
        kinds = {node: row.kind for node, row in self._nodes.items()}
        for change in changes.values():
            kinds |= {node: self._kinds[node] for node in change.nodes if node not in kinds}
        outside = self._outside(changes)
        self._on = self._tables.rulings_on(kinds.keys())
        return resolve(kinds, list(evidences.values()), self._on, self._rules, outside)

    def _outside(self, changes: Mapping[UUID, _Change]) -> dict[UUID, Outside]:
        """Shared nodes, whose evidences are not all loaded: what is known of them, and what the changes add."""
        found = {
            node: Outside(row.state.first_at, True)
            for node, row in self._nodes.items()
            if row.state.shared and node not in self._unshared
        }
        fallen = {node for change in changes.values() if change.fell for node in change.nodes if node in found}
        if fallen:
            times = _earliest_of(fallen, self._tables.evidences_with(fallen), changes)
            for node in fallen:
                found[node] = Outside(times.get(node), True)
        for change in changes.values():
            for node in change.nodes:
                known = found.get(node)
                if known is not None and change.first_at is not None:
                    found[node] = Outside(_earlier(known.first_at, change.first_at), True)
        return found

    def _write(self, resolved: Resolution, changes: Mapping[UUID, _Change]) -> None:
        written = Written()
        outside = self._outside(changes)
        for node, state in resolved.nodes.items():
            if node not in outside:
                self._keep_node(node, state, written)
        for node, known in outside.items():
            row = self._nodes[node]
            if known.first_at != row.state.first_at:
                written.nodes[node] = NodeRow(row.kind, row.state._replace(first_at=known.first_at))
        for evidence, home in resolved.homes.items():
            self._keep_evidence(evidence, home, resolved.components[evidence], changes.get(evidence), written)
        self._keep_disputes(resolved, written)
        self._tables.drop_stars(self._components)
        self._tables.put_stars(resolved.stars)
        self._tables.write(written)
        self._tables.drop_plain(self._components)
        self._tables.put_plain(self._plain_again(resolved, changes))

    def _plain_again(self, resolved: Resolution, changes: Mapping[UUID, _Change]) -> dict[UUID, PlainRow]:
        """Those of the components that were resolved that turned out to be one customer as a whole."""
        active = [row.nodes for one, row in self._evidences.items() if one not in changes and row.first_at]
        active += [change.nodes for change in changes.values() if change.first_at is not None]
        owned = {
            node: state
            for node, state in resolved.nodes.items()
            if node not in self._nodes or self._owns(self._nodes[node])
        }
        ruled = {node for one in self._on for side in one.sides for node in side}
        kinds = {node: self._nodes[node].kind if node in self._nodes else self._kinds[node] for node in owned}
        return plains_of(owned, kinds, active, ruled, resolved.stars, self._rules)

    def _keep_node(self, node: UUID, state: NodeState, written: Written) -> None:
        row = self._nodes.get(node)
        if row is None:
            written.nodes[node] = NodeRow(self._kinds[node], state)
        elif row.state != state and self._owns(row):
            written.nodes[node] = NodeRow(row.kind, state)
            if row.state.shared != state.shared:  # it is one of theirs no more, or again
                self._tables.moved.update((row.state.customer, state.customer))

    def _owns(self, row: NodeRow) -> bool:
        """Is all of this node's component loaded? One that stands in an evidence that counts no more may be of
        another."""
        return row.state.component in self._components or row.state.shared

    def _keep_evidence(
        self, evidence: UUID, home: UUID, component: UUID | None, change: _Change | None, written: Written
    ) -> None:
        before = self._evidences.get(evidence)
        if before is None:
            if change is not None:
                written.evidences[evidence] = EvidenceRow(change.nodes, change.first_at, component, home)
                written.members += [(node, evidence) for node in change.nodes]
            return
        after = EvidenceRow(before.nodes, change.first_at if change else before.first_at, component, home)
        if after != before:
            written.evidences[evidence] = after

    def _keep_disputes(self, resolved: Resolution, written: Written) -> None:
        now = {}
        for dispute in resolved.disputes:
            component = resolved.nodes[dispute.a].component
            if component is not None:
                now[dispute.a, dispute.b] = dispute_row(dispute, component)
        for before in self._tables.disputes_within(self._components):
            key = (before.a, before.b)
            if key not in now:
                written.no_disputes.append(key)
            elif now[key] == before:
                del now[key]
        written.disputes = list(now.values())


def _ruling(seen: RulingSeen) -> Ruling:
    return Ruling(seen.name, seen.at, seen.merges, tuple([_nodes_of(side) for side in seen.sides]))


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return other if one is None else one if other is None else min(one, other)


def _earliest_of(
    nodes: Collection[UUID], evidences: Mapping[UUID, EvidenceRow], changes: Mapping[UUID, _Change]
) -> dict[UUID, datetime | None]:
    """Since when each of these nodes is known, by all evidences with it."""
    found: dict[UUID, datetime | None] = dict.fromkeys(nodes)
    for evidence, row in evidences.items():
        change = changes.get(evidence)
        at = change.first_at if change else row.first_at
        for node in row.nodes:
            if node in found:
                found[node] = _earlier(found[node], at)
    return found
