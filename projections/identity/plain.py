"""How does an ordinary component take in more, without being loaded? While it has no more numbers than one customer
may have, nobody ruled on it, and it is small, nothing in it can be refused: the component is the customer.

So a new identifier of a known person costs a few rows, however much is known of that person. What is not so ordinary
is given back, and resolved link by link. A component without a row in `plain` is taken for such; that costs time and
nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.identifiers import KINDS
from domain.identity import Kind, NodeState
from domain.identity_rules import Rules
from projections.identity.tables import EvidenceRow, Moved, NodeRow, PlainRow, Tables, Written

__all__ = ["Group", "Plain", "plains_of"]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Group = Mapping[UUID, tuple[tuple[UUID, ...], datetime | None, bool]]
"""Evidences that come to one component: {evidence: (nodes, first_at, whether it is new)}."""


class _Taken(NamedTuple):
    """What taking a group in would change."""

    rows: dict[UUID, NodeRow]
    into: UUID
    plain: PlainRow
    absorbed: list[UUID]
    renamed: bool


class _Held:
    """What a component holds that was resolved. `plain`: it is one customer, and nobody ruled on it."""

    __slots__ = ("customer", "links", "nodes", "numbers", "plain")

    def __init__(self, customer: UUID) -> None:
        self.customer, self.nodes, self.links, self.plain = customer, 0, 0, True
        self.numbers: list[str] = []


class Plain:
    """Takes groups of evidences into plain components. `nodes`: those of the evidences that are known."""

    def __init__(
        self, tables: Tables, rules: Rules, kinds: Mapping[UUID, Kind], nodes: Mapping[UUID, NodeRow]
    ) -> None:
        self._tables, self._rules, self._kinds = tables, rules, kinds
        self._before = nodes
        self._now = dict(nodes)
        self._changed: set[UUID] = set()
        self._written = Written()
        self._moved: list[Moved] = []
        self._kept: dict[UUID, PlainRow] = {}
        self._gone: list[UUID] = []
        self._known: dict[UUID, EvidenceRow] = {}
        self._plains: dict[UUID, PlainRow] = {}

    def join(self, groups: Sequence[Group]) -> list[Group]:
        """Take these groups in; gives those that are not plain, of which nothing was written."""
        labels = {row.state.component for row in self._now.values()} - {None}
        self._plains = self._tables.plain([label for label in labels if label is not None])
        older = [one for group in groups for one, (_, _, new) in group.items() if not new]
        self._known = self._tables.evidences(older)
        left = [group for group in groups if not self._take(group)]
        self._tables.move(self._moved)
        self._written.nodes = {node: self._now[node] for node in self._changed}
        self._tables.write(self._written)
        self._tables.drop_plain(self._gone)
        self._tables.put_plain(self._kept)
        return left

    def _take(self, group: Group) -> bool:
        taken = self._look(group)
        if taken is None:
            return False
        self._now.update(taken.rows)
        self._changed.update([node for node, row in taken.rows.items() if row != self._before.get(node)])
        self._kept[taken.into] = taken.plain
        self._gone += taken.absorbed
        customer = taken.plain.customer
        self._moved += [Moved(label, taken.into, customer) for label in taken.absorbed]
        if taken.renamed:
            self._moved.append(Moved(taken.into, taken.into, customer))
        for evidence, (nodes, first_at, new) in group.items():
            kept = nodes if new else self._known[evidence].nodes
            self._written.evidences[evidence] = EvidenceRow(kept, first_at, taken.into, customer)
            if new:
                self._written.members += [(node, evidence) for node in nodes]
        return True

    def _look(self, group: Group) -> _Taken | None:
        """What taking it in would change; None where it is not plain."""
        rows: dict[UUID, NodeRow] = {}
        links = 0
        for evidence, (nodes, first_at, new) in group.items():
            if first_at is None or (not new and self._known[evidence].first_at is None):
                return None
            if not self._see(nodes, first_at, rows):
                return None
            size = sum([not rows[node].state.shared for node in nodes])
            if not size:
                return None
            links += size * (size - 1) // 2 if new else 0
        labels = {row.state.component for row in rows.values() if row.state.component is not None}
        plains = {label: self._plains[label] for label in labels if label in self._plains}
        if len(plains) < len(labels):
            return None
        return self._united(rows, plains, links)

    def _united(self, rows: dict[UUID, NodeRow], plains: dict[UUID, PlainRow], links: int) -> _Taken | None:
        """The component of these nodes, and those that it absorbs; None where that is too much of anything."""
        linking = {node: row for node, row in rows.items() if not row.state.shared}
        fresh = [node for node, row in linking.items() if row.state.component is None]
        numbers = [one for plain in plains.values() for one in plain.numbers]
        numbers += [_group(rows[node].kind) for node in fresh if rows[node].kind.kind in self._rules.limits]
        nodes = len(fresh) + sum([plain.nodes for plain in plains.values()])
        links += sum([plain.links for plain in plains.values()])
        if nodes > self._rules.star_nodes or links > self._rules.star_links or self._too_many(numbers):
            return None
        into = max(plains, key=lambda label: (plains[label].nodes, label)) if plains else min(fresh)
        first = min(
            [(plain.priority, plain.first_at, plain.customer) for plain in plains.values()]
            + [(row.kind.priority, row.state.first_at or _NEVER, node) for node, row in linking.items()]
        )
        for node, row in linking.items():
            rows[node] = NodeRow(row.kind, row.state._replace(component=into, customer=first[2]))
        plain = PlainRow(first[2], first[0], first[1], nodes, links, tuple(sorted(numbers)))
        renamed = into in plains and plains[into].customer != first[2]
        return _Taken(rows, into, plain, [label for label in plains if label != into], renamed)

    def _too_many(self, numbers: Sequence[str]) -> bool:
        """Does any group of numbers have more than one customer may have?"""
        if len(numbers) < 2:
            return any(not self._rules.limits[_kind(one)] for one in numbers)
        return any(numbers.count(one) > self._rules.limits[_kind(one)] for one in set(numbers))

    def _see(self, nodes: tuple[UUID, ...], first_at: datetime, rows: dict[UUID, NodeRow]) -> bool:
        """Put what one evidence says of its nodes into `rows`. False if one of them becomes shared by it."""
        rules = self._rules
        for node in nodes:
            if node not in rows:
                rows[node] = self._now.get(node) or self._fresh(node)
        strong = [node for node in nodes if rows[node].kind.kind in rules.shared and node not in rules.ignored]
        limited = [node for node in nodes if rows[node].kind.kind in rules.limits and node not in rules.ignored]
        number = min(limited, default=None)
        for node in nodes:
            kind, state = rows[node]
            changed: dict[str, object] = {}
            if state.first_at is None or first_at < state.first_at:
                changed["first_at"] = first_at
            beside = [one for one in strong if rows[one].kind.priority < kind.priority]
            if beside and not state.shared:
                told = tuple(sorted({*state.strong, *[_told(one, rows[one].kind) for one in beside]}))
                if len(told) > len(state.strong):
                    if self._is_shared(told):
                        return False
                    changed["strong"] = told
            if number is not None and kind.kind not in rules.limits:
                known = (state.direct_at or _NEVER, state.direct or number)
                if state.direct is None or (first_at, number) < known:
                    changed |= {"direct": number, "direct_at": first_at}
            if changed:
                rows[node] = NodeRow(kind, state._replace(**changed))  # type: ignore[arg-type]
        return True

    def _fresh(self, node: UUID) -> NodeRow:
        shared = node in self._rules.ignored
        return NodeRow(self._kinds[node], NodeState(None, shared, (), None, None, None, node))

    def _is_shared(self, strong: Sequence[str]) -> bool:
        shared = self._rules.shared
        counts: dict[str, int] = {}
        for one in strong:
            kind = KINDS[int(one[: one.index(":")])]
            counts[kind] = counts.get(kind, 0) + 1
        return any(count > shared[kind] for kind, count in counts.items())


def plains_of(
    states: Mapping[UUID, NodeState],
    kinds: Mapping[UUID, Kind],
    evidences: Iterable[tuple[UUID, ...]],
    ruled: Collection[UUID],
    stars: Collection[UUID],
    rules: Rules,
) -> dict[UUID, PlainRow]:
    """The plain ones among components that were resolved: their nodes, and the evidences that count. `ruled`: nodes
    that rulings speak of."""
    held: dict[UUID, _Held] = {}
    for node, state in states.items():
        if state.component is None:
            continue
        one = held.get(state.component)
        if one is None:
            one = held[state.component] = _Held(state.customer)
        elif one.customer is not state.customer and one.customer != state.customer:
            one.plain = False
        one.nodes += 1
        if kinds[node].kind in rules.limits:
            one.numbers.append(_group(kinds[node]))
        if ruled and node in ruled:
            one.plain = False
    for together in evidences:
        linking = [state for state in map(states.get, together) if state is not None and not state.shared]
        if len(linking) > 1 and linking[0].component is not None:
            held[linking[0].component].links += len(linking) * (len(linking) - 1) // 2
    found = {}
    for component, one in held.items():
        numbers, first = one.numbers, states.get(one.customer)
        few = not numbers or all(numbers.count(number) <= rules.limits[_kind(number)] for number in set(numbers))
        if one.plain and few and first is not None and first.first_at is not None and component not in stars:
            found[component] = PlainRow(
                one.customer,
                kinds[one.customer].priority,
                first.first_at,
                one.nodes,
                one.links,
                tuple(sorted(numbers)),
            )
    return found


def _told(node: UUID, kind: Kind) -> str:
    return f"{kind.priority}:{node.hex}"


def _group(kind: Kind) -> str:
    """What a limit counts by: the kind, and the namespace."""
    return f"{kind.kind}/{kind.namespace}"


def _kind(group: str) -> str:
    return group[: group.index("/")]
