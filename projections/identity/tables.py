"""How do the tables of `identity` look from Python? Rows in, and only what became different out again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from domain.identity import Dispute, Kind, NodeState, Ruling
from domain.identity_rules import Rules
from eventlog.sql import load

__all__ = [
    "DisputeRow",
    "EvidenceRow",
    "Moved",
    "NodeRow",
    "PlainRow",
    "Tables",
    "Written",
    "dispute_row",
    "ruling_of",
]

_SQL: Final = load("projections.identity", "apply.sql")


class NodeRow(NamedTuple):
    """A row of `nodes`."""

    kind: Kind
    state: NodeState


class EvidenceRow(NamedTuple):
    """A row of `evidences`."""

    nodes: tuple[UUID, ...]
    first_at: datetime | None
    component: UUID | None
    customer: UUID


class DisputeRow(NamedTuple):
    """A row of `disputes`."""

    a: UUID
    b: UUID
    reason: str
    first_at: datetime
    component: UUID


class PlainRow(NamedTuple):
    """A row of `plain`. `priority`, `first_at`: of the node that names the customer; `numbers`: kind/namespace of
    each node that a limit counts."""

    customer: UUID
    priority: int
    first_at: datetime
    nodes: int
    links: int
    numbers: tuple[str, ...]


class Moved(NamedTuple):
    """All of a component has another label, or another customer, now."""

    component: UUID
    into: UUID
    customer: UUID


@dataclass(slots=True)
class Written:
    """What is to be written. Everything else stays as it is."""

    nodes: dict[UUID, NodeRow] = field(default_factory=dict)
    evidences: dict[UUID, EvidenceRow] = field(default_factory=dict)
    members: list[tuple[UUID, UUID]] = field(default_factory=list)
    no_disputes: list[tuple[UUID, UUID]] = field(default_factory=list)
    disputes: list[DisputeRow] = field(default_factory=list)


class Tables:
    """The tables of the build that stands first in the search path, within the caller's transaction."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self._cursor = cursor
        self.moved: set[UUID] = set()
        """Customers that evidences or nodes went from, or came to."""

    def _rows(self, query: str, **parameters: Any) -> list[Any]:
        return self._cursor.execute(_SQL[query], parameters).fetchall()

    def lock(self, key: int) -> None:
        """Change who is who alone, to the end of the transaction."""
        self._cursor.execute(_SQL["lock"], {"key": key})

    def rules(self) -> Rules:
        """The rules that these tables are resolved by."""
        found = self._rows("rules")
        return Rules.from_json(found[0][0]) if found else Rules()

    def known(self, evidences: Collection[UUID]) -> dict[UUID, tuple[tuple[UUID, ...], datetime | None]]:
        """Those of these evidences that are known: their nodes, and since when."""
        return {row[0]: (tuple(row[1]), row[2]) for row in self._rows("known", evidences=_hexes(evidences))}

    def nodes(self, nodes: Collection[UUID]) -> dict[UUID, NodeRow]:
        """Those of these nodes that are known."""
        return _nodes(self._rows("nodes", nodes=_hexes(nodes))) if nodes else {}

    def nodes_within(self, components: Collection[UUID]) -> dict[UUID, NodeRow]:
        """All nodes of these components."""
        return _nodes(self._rows("nodes_within", components=_hexes(components))) if components else {}

    def evidences(self, evidences: Collection[UUID]) -> dict[UUID, EvidenceRow]:
        """Those of these evidences that are known."""
        return _evidences(self._rows("evidences", evidences=_hexes(evidences))) if evidences else {}

    def evidences_within(self, components: Collection[UUID]) -> dict[UUID, EvidenceRow]:
        """All evidences of these components."""
        return _evidences(self._rows("evidences_within", components=_hexes(components))) if components else {}

    def evidences_with(self, nodes: Collection[UUID]) -> dict[UUID, EvidenceRow]:
        """All evidences that any of these nodes is in."""
        return _evidences(self._rows("evidences_with", nodes=_hexes(nodes))) if nodes else {}

    def stars(self, components: Collection[UUID]) -> set[UUID]:
        """Which of these components are too large to be resolved link by link?"""
        return {row[0] for row in self._rows("stars", components=_hexes(components))} if components else set()

    def disputes_within(self, components: Collection[UUID]) -> list[DisputeRow]:
        """Links of these components that were not followed."""
        rows = self._rows("disputes_within", components=_hexes(components)) if components else []
        return [DisputeRow(*row) for row in rows]

    def rulings_on(self, nodes: Collection[UUID]) -> list[Ruling]:
        """Rulings that count and speak of any of these nodes."""
        return [ruling_of(*row) for row in self._rows("rulings_on", nodes=_hexes(nodes))] if nodes else []

    def put_ruling(self, ruling: Ruling, counts: bool) -> None:
        """A ruling, and whether it counts."""
        placed = [(node, side) for side, nodes in enumerate(ruling.sides) for node in nodes]
        self._cursor.execute(
            _SQL["put_ruling"],
            {
                "name": ruling.name,
                "at": ruling.at,
                "merges": ruling.merges,
                "counts": counts,
                "nodes": [node for node, _ in placed],
                "sides": [side for _, side in placed],
            },
        )

    def plain(self, components: Collection[UUID]) -> dict[UUID, PlainRow]:
        """Those of these components that are one customer as a whole."""
        rows = self._rows("plain", components=_hexes(components)) if components else []
        return {row[0]: PlainRow(row[1], row[2], row[3], row[4], row[5], tuple(row[6])) for row in rows}

    def put_plain(self, plains: Mapping[UUID, PlainRow]) -> None:
        """These components are one customer each."""
        if plains:
            rows = list(plains.values())
            columns = {
                "component": _hexes(plains),
                "customer": _hexes(row.customer for row in rows),
                "priority": _texts(row.priority for row in rows),
                "first_at": _times(row.first_at for row in rows),
                "nodes": _texts(row.nodes for row in rows),
                "links": _texts(row.links for row in rows),
                "numbers": _texts(" ".join(row.numbers) for row in rows),
            }
            self._cursor.execute(_SQL["put_plain"], columns)

    def drop_plain(self, components: Collection[UUID]) -> None:
        """Nothing is said of these components any more."""
        if components:
            self._cursor.execute(_SQL["drop_plain"], {"components": _hexes(components)})

    def move(self, moved: Sequence[Moved]) -> None:
        """Give all rows of these components their new label and customer."""
        if moved:
            columns = {
                "component": _hexes(one.component for one in moved),
                "into": _hexes(one.into for one in moved),
                "customer": _hexes(one.customer for one in moved),
            }
            self._cursor.execute(_SQL["move_nodes"], columns)
            self._note_moved(self._cursor.execute(_SQL["move_evidences"], columns))

    def drop_stars(self, components: Collection[UUID]) -> None:
        """These components are looked at anew."""
        if components:
            self._cursor.execute(_SQL["drop_stars"], {"components": _hexes(components)})

    def put_stars(self, components: Collection[UUID]) -> None:
        """These components are too large."""
        if components:
            self._cursor.execute(_SQL["put_stars"], {"components": _hexes(components)})

    def relabel(self, components: Collection[UUID], into: UUID) -> None:
        """Large components became one."""
        for statement in ("relabel_nodes", "relabel_evidences"):
            self._cursor.execute(_SQL[statement], {"components": _hexes(components), "into": into})

    def _note_moved(self, rows: Iterable[Sequence[UUID]]) -> None:
        for row in rows:
            self.moved.update(row)

    def write(self, written: Written) -> None:
        """Write what became different, in sorted order."""
        if written.nodes:
            self._note_moved(self._cursor.execute(_SQL["put_nodes"], _node_columns(written.nodes)))
        if written.evidences:
            self._note_moved(self._cursor.execute(_SQL["put_evidences"], _evidence_columns(written.evidences)))
        if written.members:
            columns = {
                "node": _hexes(node for node, _ in written.members),
                "evidence": _hexes(evidence for _, evidence in written.members),
            }
            self._cursor.execute(_SQL["put_members"], columns)
        if written.no_disputes:
            gone = {"a": [pair[0] for pair in written.no_disputes], "b": [pair[1] for pair in written.no_disputes]}
            self._cursor.execute(_SQL["drop_disputes"], gone)
        if written.disputes:
            named = {name: [getattr(one, name) for one in written.disputes] for name in DisputeRow._fields}
            self._cursor.execute(_SQL["put_disputes"], named)


def dispute_row(dispute: Dispute, component: UUID) -> DisputeRow:
    """A dispute as a row."""
    return DisputeRow(*dispute, component)


def ruling_of(name: UUID, at: datetime, merges: bool, nodes: Sequence[UUID], sides: Sequence[int]) -> Ruling:
    """A ruling out of its row."""
    found: list[list[UUID]] = [[] for _ in range(max(sides, default=-1) + 1)]
    for node, side in zip(nodes, sides, strict=True):
        found[side].append(node)
    return Ruling(name, at, merges, tuple(map(tuple, found)))


def _nodes(rows: Iterable[Sequence[Any]]) -> dict[UUID, NodeRow]:
    found = {}
    for node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer in rows:
        state = NodeState(first_at, shared, tuple(strong), direct, direct_at, component, customer)
        found[node] = NodeRow(Kind(kind, namespace, priority), state)
    return found


def _evidences(rows: Iterable[Sequence[Any]]) -> dict[UUID, EvidenceRow]:
    return {row[0]: EvidenceRow(tuple(row[1]), *row[2:]) for row in rows}


def _hexes(ids: Iterable[UUID | None]) -> str:
    """Ids as Postgres writes an array: much faster for thousands than to adapt each."""
    return "{" + ",".join(["%032x" % one.int if one is not None else "NULL" for one in ids]) + "}"  # noqa: UP031


def _texts(values: Iterable[object]) -> str:
    """Numbers, and texts without quotes or backslashes (kinds, namespaces, hex), as Postgres writes an array."""
    return '{"' + '","'.join(map(str, values)) + '"}'


def _times(times: Iterable[datetime | None]) -> str:
    return "{" + ",".join([one.isoformat() if one is not None else "NULL" for one in times]) + "}"


def _node_columns(nodes: Mapping[UUID, NodeRow]) -> dict[str, Any]:
    rows = list(nodes.values())
    states = [row.state for row in rows]
    return {
        "node": _hexes(nodes),
        "kind": _texts(row.kind.kind for row in rows),
        "namespace": _texts(row.kind.namespace for row in rows),
        "priority": _texts(row.kind.priority for row in rows),
        "first_at": _times(state.first_at for state in states),
        "shared": _texts(state.shared for state in states),
        "strong": _texts(" ".join(state.strong) for state in states),
        "direct": _hexes(state.direct for state in states),
        "direct_at": _times(state.direct_at for state in states),
        "component": _hexes(state.component for state in states),
        "customer": _hexes(state.customer for state in states),
    }


def _evidence_columns(evidences: Mapping[UUID, EvidenceRow]) -> dict[str, Any]:
    rows = list(evidences.values())
    return {
        "evidence": _hexes(evidences),
        "nodes": _texts(" ".join(["%032x" % node.int for node in row.nodes]) for row in rows),  # noqa: UP031
        "first_at": _times(row.first_at for row in rows),
        "component": _hexes(row.component for row in rows),
        "customer": _hexes(row.customer for row in rows),
    }
