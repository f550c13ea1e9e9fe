"""How are the tables of identity filled as a whole: by other rules out of the live ones, or by a rebuild out of what
the timeline says?

In bounded memory: what hangs together is worked out in one array of numbers (4 bytes a node); then component after
component is resolved by the function that the projector resolves with, small ones by the thousand. A component that
is resolved takes about 1.5 KB a node, and the largest one decides how much it is in all. A rebuild copies what was
said (`say`), works out what hangs together (`place`), and resolves components (`resolve_share`): the first and the
last by as many workers as there are.
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
from psycopg import sql
from psycopg.types.json import Jsonb

from domain.errors import StorylineError
from domain.identifiers import priority
from domain.identity import Evidence, Kind, NodeState, Outside, Resolution, Ruling, resolve
from domain.identity_rules import Rules
from eventlog.sql import load
from projections.identity import packing
from projections.identity.plain import plains_of
from projections.identity.tables import ruling_of
from projections.lines import kind_of_token

__all__ = ["begin", "end", "fill", "place", "resolve_share", "say"]

_SQL = load("projections.identity", "filling.sql")
_FETCHED = 5000
_AT_ONCE = 5000
"""Nodes of small components that are resolved together: a call for each would cost more than the work."""
_STRETCH = 100_000
"""Numbers of nodes whose components are looked at by one statement."""

_Told = Callable[[int, int], None]
_Said = tuple[UUID, tuple[str, ...], datetime | None]
"""An evidence, its tokens, and its earliest time; None where none of its events counts."""


def fill(connection: psycopg.Connection, rules: Rules, told: _Told = lambda done, total: None) -> None:
    """Fill the empty tables of identity in the schema that stands first in the search path, within the caller's
    transaction, which sees one moment of the live ones. told: is called with (nodes done, nodes in all)."""
    for query in ("work_mem", "of_live", "keep_rulings", "keep_loose"):
        connection.execute(_SQL[query])
    count = _place(connection, rules, "TEMP")
    filling = _Filling(connection, rules, told, count)
    for first in range(0, count, _STRETCH):
        filling.run(first, min(count, first + _STRETCH))
    for query in ("drop_scratch", "forget_of_live", "no_rules"):
        connection.execute(_SQL[query])
    connection.execute(_SQL["put_rules"], {"rules": Jsonb(rules.to_json())})
    connection.execute(_SQL["analyze"])


def begin(connection: psycopg.Connection) -> None:
    """Make the tables that `say` fills, in the schema of the build, which stands first in the search path."""
    connection.execute(_SQL["of_a_build"])


def say(cursor: psycopg.Cursor[Any], evidences: Iterable[_Said]) -> None:
    """Copy evidences with their tokens, each of them once."""
    said: list[bytes] = []
    members: list[bytes] = []
    kinds: dict[str, Kind] = {}
    for evidence, tokens, at in evidences:
        its, nodes = evidence.bytes, []
        for token in tokens:
            node = bytes.fromhex(token[-32:])
            nodes.append(node)
            prefix = token[:-33]
            if prefix not in kinds:
                name, namespace = kind_of_token(token)
                kinds[prefix] = Kind(name, namespace, priority(name))
            members.append(packing.member(node, its, kinds[prefix], at, len(tokens) - 1))
        said.append(packing.said(its, nodes, at))
    packing.copy_rows(cursor, _SQL["copy_said_evidences"], said)
    packing.copy_rows(cursor, _SQL["copy_said_members"], members)


def place(connection: psycopg.Connection, rules: Rules) -> None:
    """Work out what hangs together, once all is said and ruled, and what is shared."""
    connection.execute(_SQL["analyze_said"])
    _place(connection, rules, "UNLOGGED")


def resolve_share(connection: psycopg.Connection, rules: Rules, share: int, shares: int) -> None:
    """Resolve one of so many shares of the components; each in a transaction of its own."""
    count = _count(connection)
    first, after = share * count // shares, (share + 1) * count // shares
    _Filling(connection, rules).run(first, after)


def end(connection: psycopg.Connection) -> None:
    """All shares are resolved: take away what they were made of."""
    connection.execute(_SQL["drop_scratch"])
    connection.execute(_SQL["forget_of_a_build"])


def _place(connection: psycopg.Connection, rules: Rules, kind: LiteralString) -> int:
    """Number the nodes, work out the components and fill in what is not of one of them; gives how many nodes."""
    connection.execute(sql.SQL(_SQL["create_scratch"]).format(kind=sql.SQL(kind)))
    ignored = {"ignored": sorted(rules.ignored)}
    count = connection.execute(_SQL["number"], ignored).rowcount
    connection.execute(_SQL["analyze_numbered"])
    limits = list(rules.shared.values())
    asked = {**ignored, "kinds": list(rules.shared), "limits": limits, "least": min(limits, default=0)}
    connection.execute(_SQL["share"], asked)
    roots = _roots(connection, count)
    rows = (packing.rooted(number, _find(roots, number)) for number in range(count))
    packing.copy_rows(connection, _SQL["copy_rooted"], rows)
    for query in ("place", "group"):
        connection.execute(_SQL[query])
    _fill_shared(connection, rules)
    connection.execute(_SQL["keep_members"])
    return count


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute(_SQL["count"]).fetchone()
    return row[0] if row else 0


def _roots(connection: psycopg.Connection, count: int) -> array[int]:
    """The components: the root of each node is the least of those that it hangs together with."""
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
    return roots


def _find(roots: array[int], number: int) -> int:
    """The root of a number; paths are halved on the way."""
    while roots[number] != number:
        roots[number] = number = roots[roots[number]]
    return number


def _fill_shared(connection: psycopg.Connection, rules: Rules) -> None:
    """Shared nodes one by one: what stood beside each is in evidences of many components."""
    for node, rows in groupby(_stream(connection, "evidences_of_shared"), key=itemgetter(0)):
        evidences = [Evidence(row[1], tuple(row[2]), row[3]) for row in rows]
        beside = {one for evidence in evidences for one in evidence.nodes} | {node}
        found = connection.execute(_SQL["kinds_of"], {"nodes": list(beside)}, binary=True).fetchall()
        kinds = {row[0]: Kind(*row[1:]) for row in found}
        state = resolve(kinds, evidences, [], rules).nodes[node]
        if not state.shared:
            raise StorylineError("An identifier that the rules let link was taken for shared; nothing was changed.")
        row = packing.node(node, kinds[node], state._replace(component=None, customer=node))
        packing.copy_rows(connection, _SQL["copy_nodes"], [row])


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

    def __init__(
        self,
        connection: psycopg.Connection,
        rules: Rules,
        told: _Told = lambda done, total: None,
        total: int = 0,
    ) -> None:
        self._connection, self._rules, self._told, self._total = connection, rules, told, total
        self._done = 0
        self._rulings: dict[UUID, list[Ruling]] = {}
        for row in connection.execute(_SQL["rulings"]):
            for node in row[3]:
                self._rulings.setdefault(node, []).append(ruling_of(*row))

    def run(self, first: int, after: int) -> None:
        """All components whose roots are in this stretch of numbers."""
        rules = self._rules
        asked = {
            "first": first,
            "after": after,
            "most_nodes": rules.star_nodes,
            "most_links": rules.star_links,
            "limited": list(rules.limits),
            "limits": list(rules.limits.values()),
            "strong": list(rules.shared),
            "most_strong": sum(rules.shared.values()) + 1,
        }
        self._connection.execute(_SQL["strange"], asked)
        self._connection.execute(_SQL["index_strange"])
        [[ordinary]] = self._connection.execute(_SQL["ordinary"], asked).fetchall()
        self._tell(ordinary)
        self._resolve_strange()
        self._connection.execute(_SQL["drop_strange"])

    def _tell(self, done: int) -> None:
        self._done += done
        self._told(self._done, self._total)

    def _resolve_strange(self) -> None:
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
        spoken = self._rulings
        named = {ruling.name: ruling for one in met for ruling in spoken.get(one.node, ())} if spoken else {}
        found = resolve(kinds, evidences, list(named.values()), self._rules, outside)
        if any(state.shared for state in found.nodes.values()):
            raise StorylineError(
                "An identifier that the rules call shared was taken for a link; nothing was changed."
            )
        ruled = {node for ruling in named.values() for side in ruling.sides for node in side}
        self._copy(kinds, evidences, found, ruled)
        self._tell(len(found.nodes))

    def _copy(
        self, kinds: Mapping[UUID, Kind], evidences: list[Evidence], found: Resolution, ruled: set[UUID]
    ) -> None:
        states: Mapping[UUID, NodeState] = found.nodes
        active = [one.nodes for one in evidences if one.first_at is not None]
        plains = plains_of(states, kinds, active, ruled, found.stars, self._rules)
        disputes = [packing.dispute(one, states[one.a].component) for one in found.disputes]
        homes, places = found.homes, found.components
        rows = {
            "copy_nodes": [packing.node(one, kinds[one], state) for one, state in states.items()],
            "copy_evidences": [packing.evidence(*one, places[one.id], homes[one.id]) for one in evidences],
            "copy_disputes": disputes,
            "copy_plain": [packing.plain(component, row) for component, row in plains.items()],
        }
        for query, packed in rows.items():
            if packed:
                packing.copy_rows(self._connection, _SQL[query], packed)
        if found.stars:
            self._connection.execute(_SQL["put_stars"], {"components": list(found.stars)})


def _stream(connection: psycopg.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a query as they are wanted, by a cursor of the server."""
    with connection.cursor(name=f"identity_{query}") as cursor:
        cursor.itersize = _FETCHED
        cursor.execute(_SQL[query], binary=True)
        yield from cursor
