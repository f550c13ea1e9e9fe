"""How does a component that is too large take in more, without being loaded? By its star rule, which is local: a node
joins the customer of its earliest direct number, else stays alone (see docs/identity.md).

Whatever is not local (an identifier that becomes shared, a ruling) is refused here, and the component is resolved as
a whole by the caller. So nobody's 100,000 identifiers hold up the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from domain.identifiers import KINDS
from domain.identity import Kind, NodeState
from domain.identity_rules import Rules
from projections.identity.tables import EvidenceRow, NodeRow, Tables, Written

__all__ = ["Star"]

_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Shown = Mapping[UUID, tuple[tuple[UUID, ...], datetime | None, bool]]
"""{evidence: (nodes, first_at, whether it is new)}"""


class Star:
    """Joins evidences to large components. `nodes`: those of the evidences that are known; `stars`: the labels of the
    large components among theirs."""

    def __init__(
        self,
        tables: Tables,
        rules: Rules,
        kinds: Mapping[UUID, Kind],
        nodes: Mapping[UUID, NodeRow],
        stars: Collection[UUID],
    ) -> None:
        self._tables, self._rules, self._kinds, self._stars = tables, rules, kinds, set(stars)
        self._before = dict(nodes)
        self._now: dict[UUID, NodeRow] = {}
        self._evidences: dict[UUID, EvidenceRow] = {}

    def join(self, shown: Shown) -> bool:
        """Take these evidences in. True if that is not local: then nothing was written."""
        tables = self._tables
        linked = {node for nodes, first_at, _ in shown.values() if first_at is not None for node in nodes}
        small = {
            row.state.component
            for row in map(self._before.get, linked)
            if row is not None and row.state.component is not None
        } - self._stars
        self._before |= tables.nodes_within(small)
        joining = {node for node, row in self._before.items() if row.state.component in small}
        if not self._numbers_come_first() or tables.rulings_on(joining | linked):
            return True
        for nodes, first_at, _ in shown.values():
            if first_at is not None and self._see(nodes, first_at):
                return True
        into = min(self._stars)
        for node in joining | linked:
            self._place(node, into)
        for nodes, _, _ in shown.values():
            for node in nodes:
                self._meet(node)
        self._settle_evidences(shown, small)
        self._write(shown, small, into)
        return False

    def _numbers_come_first(self) -> bool:
        """Does every number stand before whatever joins it? Else who joins may be who a customer is named by."""
        limited = [kind in self._rules.limits for kind in KINDS]
        return limited == sorted(limited, reverse=True)

    def _meet(self, node: UUID) -> None:
        """A node that nobody has met, in an evidence that links nobody, is by itself."""
        if node not in self._now and node not in self._before:
            kind, state = self._row(node)
            if not state.shared:
                self._now[node] = NodeRow(kind, state._replace(component=node))

    def _row(self, node: UUID) -> NodeRow:
        """A node as it is by now."""
        row = self._now.get(node) or self._before.get(node)
        if row is None:
            kind = self._kinds[node]
            ignored = node in self._rules.ignored
            row = NodeRow(kind, NodeState(None, ignored, (), None, None, None, node))
        self._now[node] = row
        return row

    def _see(self, nodes: tuple[UUID, ...], first_at: datetime) -> bool:
        """What one evidence says of its nodes. True if one of them becomes shared by it."""
        rules = self._rules
        rows = {node: self._row(node) for node in nodes}
        for node, (kind, state) in rows.items():
            strong, direct = set(state.strong), (state.direct_at, state.direct)
            for other, (its, _) in rows.items():
                if other == node or other in rules.ignored:
                    continue
                if its.kind in rules.shared and its.priority < kind.priority:
                    strong.add(f"{its.priority}:{other.hex}")
                if its.kind in rules.limits and kind.kind not in rules.limits:
                    direct = _earliest(direct, (first_at, other))
            if not state.shared and self._is_shared(strong):
                return True
            seen = first_at if state.first_at is None else min(first_at, state.first_at)
            kept = state.strong if state.shared else tuple(sorted(strong))
            self._now[node] = NodeRow(
                kind, state._replace(first_at=seen, strong=kept, direct=direct[1], direct_at=direct[0])
            )
        return False

    def _is_shared(self, strong: Collection[str]) -> bool:
        counts: dict[int, int] = {}
        for one in strong:
            place = int(one.partition(":")[0])
            counts[place] = counts.get(place, 0) + 1
        return any(count > self._rules.shared[KINDS[place]] for place, count in counts.items())

    def _place(self, node: UUID, into: UUID) -> None:
        """The customer of a node by the star rule."""
        kind, state = self._row(node)
        if state.shared:
            return
        customer = node
        if kind.kind in self._rules.limits:
            customer = state.customer if state.component in self._stars else node
        elif state.direct is not None:
            customer = self._customer_of(state.direct) or node
        self._now[node] = NodeRow(kind, state._replace(component=into, customer=customer))

    def _customer_of(self, number: UUID) -> UUID | None:
        """Whom a number belongs to; None where it is shared."""
        row = self._now.get(number) or self._before.get(number)
        if row is None:
            row = self._tables.nodes([number])[number]
            self._before[number] = row
        if row.state.shared:
            return None
        return row.state.customer if row.state.component in self._stars else number

    def _settle_evidences(self, shown: Shown, small: set[UUID]) -> None:
        """The homes of all evidences of those that joined, and of nodes that changed their place or their order."""
        moved = [
            node
            for node, row in self._now.items()
            if node in self._before and _placed(node, row) != _placed(node, self._before[node])
        ]
        self._evidences = self._tables.evidences_within(small) | self._tables.evidences_with(moved)
        self._evidences |= self._tables.evidences([one for one, (_, _, new) in shown.items() if not new])
        missing = {node for row in self._evidences.values() for node in row.nodes}
        missing -= self._now.keys() | self._before.keys()
        self._before |= self._tables.nodes(missing)

    def _home(self, nodes: tuple[UUID, ...], first_at: datetime | None) -> tuple[UUID, UUID | None]:
        """(the customer that an evidence is at home in, the component of its home)."""
        rows = {node: self._now.get(node) or self._before[node] for node in nodes}
        linking = [node for node, row in rows.items() if not row.state.shared]
        if first_at is None or not linking:
            node = min(rows, key=lambda one: (rows[one].kind.priority, one))
        else:
            node = min(linking, key=lambda one: _order(one, rows[one]))
        return rows[node].state.customer, rows[node].state.component

    def _write(self, shown: Shown, small: set[UUID], into: UUID) -> None:
        written = Written()
        for node, row in self._now.items():
            if self._before.get(node) != row:
                written.nodes[node] = row
        for evidence, (nodes, first_at, new) in shown.items():
            if new:
                self._evidences[evidence] = EvidenceRow(nodes, first_at, None, nodes[0])
                written.members += [(node, evidence) for node in nodes]
        for evidence, before in self._evidences.items():
            change = shown.get(evidence)
            first_at = change[1] if change else before.first_at
            home, component = self._home(before.nodes, first_at)
            after = EvidenceRow(before.nodes, first_at, component, home)
            if after != before or (change is not None and change[2]):
                written.evidences[evidence] = after
        written.no_disputes = [(one.a, one.b) for one in self._tables.disputes_within(small)]
        others = self._stars - {into}
        self._tables.write(written)
        self._tables.drop_plain(small)
        if others:
            self._tables.relabel(others, into)
            self._tables.drop_stars(others)


def _earliest(
    one: tuple[datetime | None, UUID | None], other: tuple[datetime, UUID]
) -> tuple[datetime | None, UUID | None]:
    if one[0] is None or one[1] is None:
        return other
    return min((one[0], one[1]), other)


def _order(node: UUID, row: NodeRow) -> tuple[int, datetime, UUID]:
    """Sorts as the order of nodes does: kind, earliest time (none last), token."""
    return row.kind.priority, row.state.first_at or _NEVER, node


def _placed(node: UUID, row: NodeRow) -> tuple[int, datetime, UUID, UUID]:
    return (*_order(node, row), row.state.customer)
