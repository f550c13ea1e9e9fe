"""How are the tables of identity filled by other rules, out of the live evidences and rulings instead of the log?

In bounded memory: what hangs together is worked out in one array of numbers (4 bytes a node); then component after
component is resolved by the function that the projector resolves with, small ones by the thousand. A component that
is resolved takes about 1.5 KB a node, and the largest one decides how much it is in all.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from domain.errors import StorylineError
from domain.identity import Evidence, Kind, NodeState, Outside, Resolution, Ruling, resolve
from domain.identity_rules import Rules
from eventlog.sql import load

__all__ = ["fill"]

_SQL = load("projections.identity", "changing.sql")
_FETCHED = 5000
_AT_ONCE = 5000
"""Nodes of small components that are resolved together: a call for each would cost more than the work."""
_NODE_TYPES = ("uuid", "text", "text", "int2", "timestamptz", "bool", "text[]", "uuid", "timestamptz", "uuid", "uuid")
_EVIDENCE_TYPES = ("uuid", "uuid[]", "timestamptz", "uuid", "uuid")
_DISPUTE_TYPES = ("uuid", "uuid", "text", "timestamptz", "uuid")

_Told = Callable[[int, int], None]


def fill(connection: psycopg.Connection, rules: Rules, told: _Told = lambda done, total: None) -> None:
    """Fill the empty tables of identity in the schema that stands first in the search path, within the caller's
    transaction, which sees one moment of the live ones. told: is called with (nodes done, nodes in all)."""
    connection.execute(_SQL["work_mem"])
    _number(connection, rules)
    _place(connection)
    total = (connection.execute(_SQL["count"]).fetchone() or (0,))[0]
    _Filling(connection, rules, total, told).run()
    for query in ("keep_members", "keep_loose", "keep_rulings"):
        connection.execute(_SQL[query])
    connection.execute(_SQL["no_rules"])
    connection.execute(_SQL["put_rules"], {"rules": Jsonb(rules.to_json())})
    connection.execute(_SQL["analyze"])


def _number(connection: psycopg.Connection, rules: Rules) -> None:
    ignored = {"ignored": sorted(rules.ignored)}
    connection.execute(_SQL["number"], ignored)
    connection.execute(_SQL["index_numbered"])
    connection.execute(_SQL["analyze_numbered"])
    asked = {**ignored, "kinds": list(rules.shared), "limits": list(rules.shared.values())}
    connection.execute(_SQL["share"], asked)


def _place(connection: psycopg.Connection) -> None:
    """Work out the components: the root of each node is the least of those that it hangs together with."""
    count = (connection.execute(_SQL["count"]).fetchone() or (0,))[0]
    roots = array("i", range(count))
    for query in ("linked", "merged"):
        for (numbers,) in _stream(connection, query):
            root = _find(roots, numbers[0])
            for number in numbers:
                other = _find(roots, number)
                if other < root:
                    roots[root] = root = other
                else:
                    roots[other] = root
    connection.execute(_SQL["create_placed"])
    rows = ((number, _find(roots, number)) for number in range(count))
    _copy(connection, "copy_placed", ("int4", "int4"), rows)
    for query in ("analyze_placed", "group", "index_grouped", "analyze_grouped"):
        connection.execute(_SQL[query])


def _find(roots: array[int], number: int) -> int:
    """The root of a number; paths are halved on the way."""
    while roots[number] != number:
        roots[number] = number = roots[roots[number]]
    return number


class _Met(NamedTuple):
    """A node as the components tell it. `inside`: of the component itself."""

    root: int
    inside: bool
    node: UUID
    kind: str
    namespace: str
    priority: int
    first_at: datetime | None
    shared: bool


class _Filling:
    """Resolves component after component and copies what comes of them."""

    def __init__(self, connection: psycopg.Connection, rules: Rules, total: int, told: _Told) -> None:
        self._connection, self._rules, self._total, self._told = connection, rules, total, told
        self._done = 0
        self._rulings: dict[UUID, list[Ruling]] = {}
        for name, at, merges, nodes, places in connection.execute(_SQL["rulings"]):
            sides: list[list[UUID]] = [[] for _ in range(max(places, default=-1) + 1)]
            for node, place in zip(nodes, places, strict=True):
                sides[place].append(node)
            ruling = Ruling(name, at, merges, tuple([tuple(side) for side in sides]))
            for node in nodes:
                self._rulings.setdefault(node, []).append(ruling)

    def run(self) -> None:
        """All components, then what is shared."""
        nodes: list[_Met] = []
        evidences: list[Evidence] = []
        for met, said in self._components():
            # A stranger that is not shared may be at home in another component of the same call: such go alone.
            alone = any(not one.inside and not one.shared for one in met)
            if nodes and (alone or len(nodes) + len(met) > _AT_ONCE):
                self._resolve(nodes, evidences)
                nodes, evidences = [], []
            nodes += met
            evidences += said
            if alone:
                self._resolve(nodes, evidences)
                nodes, evidences = [], []
        if nodes:
            self._resolve(nodes, evidences)
        self._fill_shared()

    def _components(self) -> Iterator[tuple[list[_Met], list[Evidence]]]:
        said = _stream(self._connection, "evidences_by_component")
        ahead = next(said, None)
        rows = (_Met(*row) for row in _stream(self._connection, "nodes_by_component"))
        for root, group in groupby(rows, key=itemgetter(0)):
            evidences = []
            while ahead is not None and ahead[0] == root:
                evidences.append(Evidence(ahead[1], tuple(ahead[2]), ahead[3]))
                ahead = next(said, None)
            yield list(group), evidences

    def _resolve(self, met: list[_Met], evidences: list[Evidence]) -> None:
        kinds = {one.node: Kind(one.kind, one.namespace, one.priority) for one in met}
        outside = {one.node: Outside(one.first_at, one.shared) for one in met if one.shared or not one.inside}
        named = {ruling.name: ruling for one in met for ruling in self._rulings.get(one.node, ())}
        found = resolve(kinds, evidences, list(named.values()), self._rules, outside)
        if any(state.shared for state in found.nodes.values()):
            raise StorylineError(
                "An identifier that the rules call shared was taken for a link; nothing was changed."
            )
        self._copy_nodes(kinds, found.nodes)
        rows = [
            (one.id, list(one.nodes), one.first_at, found.components[one.id], found.homes[one.id])
            for one in evidences
        ]
        _copy(self._connection, "copy_evidences", _EVIDENCE_TYPES, rows)
        self._copy_rest(found)
        self._done += len(found.nodes)
        self._told(self._done, self._total)

    def _copy_nodes(self, kinds: Mapping[UUID, Kind], states: Mapping[UUID, NodeState]) -> None:
        rows = (
            (node, *kinds[node], one.first_at, one.shared, list(one.strong), *one[3:]) for node, one in states.items()
        )
        _copy(self._connection, "copy_nodes", _NODE_TYPES, rows)

    def _copy_rest(self, found: Resolution) -> None:
        if found.disputes:
            rows = [(*one, found.nodes[one.a].component) for one in found.disputes]
            _copy(self._connection, "copy_disputes", _DISPUTE_TYPES, rows)
        if found.stars:
            _copy(self._connection, "copy_stars", ("uuid",), [(one,) for one in found.stars])

    def _fill_shared(self) -> None:
        """Shared nodes one by one: what stood beside each is in evidences of many components."""
        for (node,) in self._connection.execute(_SQL["shared_nodes"]).fetchall():
            asked = self._connection.execute(_SQL["evidences_of_shared"], {"node": node}, binary=True).fetchall()
            evidences = [Evidence(row[0], tuple(row[1]), row[2]) for row in asked]
            beside = {one for evidence in evidences for one in evidence.nodes} | {node}
            rows = self._connection.execute(_SQL["kinds_of"], {"nodes": list(beside)}, binary=True).fetchall()
            kinds = {row[0]: Kind(*row[1:4]) for row in rows}
            state = resolve(kinds, evidences, [], self._rules).nodes[node]
            if not state.shared:
                raise StorylineError(
                    "An identifier that the rules let link was taken for shared; nothing was changed."
                )
            self._copy_nodes(kinds, {node: state._replace(component=None, customer=node)})
            self._done += 1
            self._told(self._done, self._total)


def _stream(connection: psycopg.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a query as they are wanted, by a cursor of the server."""
    with connection.cursor(name=f"identity_{query}") as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(_SQL[query], binary=True)
        yield from cursor


def _copy(
    connection: psycopg.Connection, query: str, types: Iterable[LiteralString], rows: Iterable[tuple[Any, ...]]
) -> None:
    with connection.cursor() as cursor, cursor.copy(_SQL[query]) as copy:
        copy.set_types(list(types))
        for row in rows:
            copy.write_row(row)
