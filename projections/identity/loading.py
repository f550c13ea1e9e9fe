"""How are whole components read, so that who is who can be explained, or resolved anew with one ruling more?

All of one answer is read in one transaction. A component that is larger than `Bounds` is not loaded: then only what
is the customer's own is, and `Loaded.whole` says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.errors import BadInput, Problem
from domain.facts import Trade
from domain.identifiers import Identifier
from domain.identity import Dispute, Evidence, Kind, Outside, Ruling
from domain.identity_rules import Rules
from eventlog.sql import load
from projections.connecting import reading

__all__ = [
    "Behind",
    "Bounds",
    "Event",
    "Home",
    "IdentityLoader",
    "Loaded",
    "Node",
    "StoredRuling",
    "place_of",
    "read_place",
]

_SQL = load("projections.identity", "queries.sql")
_RULINGS: Final = ["identity.merged", "identity.split"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_LAST: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost. `component`: most nodes, and most evidences, of components that are resolved anew;
    `own`: most nodes and evidences of a customer in a component that is larger; `behind`: how many evidences of a
    shared identifier are looked at; `trades`: how many purchases; `rulings`: how many of those that speak of it."""

    component: int = 5000
    own: int = 500
    behind: int = 5000
    trades: int = 50_000
    rulings: int = 500


class Node(NamedTuple):
    """A row of `identity.nodes`, as far as reading needs it."""

    node: UUID
    kind: str
    namespace: str
    priority: int
    first_at: datetime | None
    shared: bool
    component: UUID | None
    customer: UUID

    @property
    def order(self) -> tuple[int, bool, float, UUID]:
        """Sorts as the order of nodes does: priority, first_at (never last), node."""
        return self.priority, self.first_at is None, self.first_at.timestamp() if self.first_at else 0.0, self.node


class Home(NamedTuple):
    """An evidence and whose it is."""

    evidence: UUID
    nodes: tuple[UUID, ...]
    first_at: datetime | None
    customer: UUID


class StoredRuling(NamedTuple):
    """A ruling as it is kept: `counts`: it was not taken back. sides: 0 the event's `who`, 1 … its parties."""

    name: UUID
    at: datetime
    merges: bool
    counts: bool
    sides: tuple[tuple[UUID, ...], ...]


class Event(NamedTuple):
    """An event by the hash of its name, with the bytes of its record."""

    name: UUID
    happened_at: datetime
    record: bytes


class Behind(NamedTuple):
    """How many customers stand behind a shared node; `more`: only some of its evidences were counted."""

    people: int
    more: bool


@dataclass(slots=True)
class Loaded:
    """Components of some customers, or (`whole` False) of each customer only what is its own.

    `nodes`: those of the components, those `met` inside their evidences, and those that are `elsewhere`, where a
    ruling names them. `evidences`, `rulings` (newest first), `disputes` as stored. `starred`: a star resolved one of
    the components. `cut`: not even all that is a customer's own.
    """

    whole: bool
    starred: bool
    rules: Rules
    nodes: dict[UUID, Node] = field(default_factory=dict)
    evidences: dict[UUID, Home] = field(default_factory=dict)
    rulings: list[StoredRuling] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)
    cut: bool = False
    met: set[UUID] = field(default_factory=set)
    elsewhere: set[UUID] = field(default_factory=set)
    held: dict[UUID, set[tuple[str, str]]] = field(default_factory=dict)

    def kinds_of(self, node: UUID) -> set[tuple[str, str]]:
        """(kind, namespace) of all identifiers of a node's customer; looked up once for all, since one answer may ask
        for thousands."""
        if not self.held:
            for one in self.nodes.values():
                self.held.setdefault(one.customer, set()).add((one.kind, one.namespace))
        known = self.nodes.get(node)
        return set() if known is None else self.held.get(known.customer, set())

    def kinds(self) -> dict[UUID, Kind]:
        """As `domain.identity.resolve` takes them: the components' nodes, and what was met inside their evidences."""
        known = self.nodes.keys() - self.elsewhere
        return {node: Kind(one.kind, one.namespace, one.priority) for node in known for one in [self.nodes[node]]}

    def said(self) -> list[Evidence]:
        """The evidences as `resolve` takes them."""
        return [Evidence(one.evidence, one.nodes, one.first_at) for one in self.evidences.values()]

    def ruled(self) -> list[Ruling]:
        """The rulings that count, as `resolve` takes them."""
        return [Ruling(one.name, one.at, one.merges, one.sides) for one in self.rulings if one.counts]

    def outside(self) -> dict[UUID, Outside]:
        """Nodes whose evidences are not all here: shared ones, and those of an evidence that links nobody."""
        found = (one for one in self.nodes.values() if one.shared or one.node in self.met)
        return {one.node: Outside(one.first_at, one.shared) for one in found if one.node not in self.elsewhere}

    def of(self, customer: UUID) -> list[Node]:
        """A customer's nodes in their order."""
        return sorted([one for one in self.nodes.values() if one.customer == customer], key=_by_order)


def place_of(ruling: StoredRuling) -> str:
    """The cursor that goes on behind a ruling."""
    return f"{(ruling.at - _EPOCH) // timedelta(microseconds=1)}.{ruling.name.hex}"


def read_place(cursor: str) -> tuple[datetime, UUID]:
    """What `place_of` gave. Raises BadInput."""
    micros, _, name = cursor.partition(".")
    try:
        return _EPOCH + timedelta(microseconds=int(micros[:20])), UUID(hex=name)
    except (ValueError, OverflowError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("before", "is not a cursor.", way_out)]) from None


def _by_order(node: Node) -> tuple[int, bool, float, UUID]:
    return node.order


class IdentityLoader:
    """Reads identity through `pool` (opened by its owner). All methods raise Unavailable where it does not answer."""

    def __init__(self, pool: AsyncConnectionPool, bounds: Bounds | None = None) -> None:
        self._pool, self.bounds = pool, bounds or Bounds()

    async def customers(self, nodes: Sequence[UUID]) -> dict[UUID, UUID]:
        """`{node: customer}` of those that are known."""
        return {row[0]: row[2] for row in await self._ask("places", {"nodes": list(nodes)})}

    async def load(self, customers: Iterable[UUID]) -> Loaded:
        """The components of these customers (each named by its present id)."""
        wanted = list(dict.fromkeys(customers))
        async with self._transaction() as cursor:
            places = await _rows(cursor, "places", {"nodes": wanted})
            components = sorted({row[1] for row in places if row[1] is not None})
            parameters = {"components": components, "customers": wanted, "most": self.bounds.component}
            sizes = (await _rows(cursor, "size", parameters))[0]
            whole = max(sizes) <= self.bounds.component
            starred = (await _rows(cursor, "starred", parameters))[0][0]
            rules = await _rows(cursor, "rules", {})
            found = Loaded(whole, starred, Rules.from_json(rules[0][0]) if rules else Rules())
            if whole:
                await _fill(cursor, found, "component", parameters)
            # What is shared has no component, and is a customer of its own.
            lone = wanted if not whole else [node for node, component, _ in places if component is None]
            await _fill(cursor, found, "customer", {"customers": lone, "most": self.bounds.own})
            await self._fill_rest(cursor, found)
        return found

    async def _fill_rest(self, cursor: psycopg.AsyncCursor[Any], found: Loaded) -> None:
        """Rulings and disputes of the nodes, and the nodes that they and the evidences name beside."""
        own = {"nodes": list(found.nodes), "most": self.bounds.rulings}
        found.rulings = [_ruling(row) for row in await _rows(cursor, "rulings_of", own)]
        own["most"] = self.bounds.component
        found.disputes = [Dispute(*row) for row in await _rows(cursor, "disputes_of", own)]
        found.met = {node for home in found.evidences.values() for node in home.nodes} - found.nodes.keys()
        named = {node for ruling in found.rulings for side in ruling.sides for node in side}
        named.update(node for one in found.disputes for node in (one.a, one.b))
        found.elsewhere = named - found.nodes.keys() - found.met
        for row in await _rows(cursor, "nodes", {"nodes": sorted(found.met | found.elsewhere)}):
            found.nodes[row[0]] = Node(*row)

    async def spelled(self, nodes: Iterable[UUID]) -> dict[UUID, Identifier]:
        """The readable identifiers of these nodes; one that was erased is missing."""
        rows = await self._ask("spelled", {"nodes": list(nodes)})
        return {node: Identifier(kind, value, namespace) for node, kind, namespace, value in rows}

    async def first_events(self, evidences: Mapping[UUID, datetime]) -> dict[UUID, Event]:
        """The earliest event of each evidence, from its earliest time on."""
        asked = {"evidences": list(evidences), "since": list(evidences.values()), "rulings": _RULINGS}
        rows = await self._ask("first_events", asked) if evidences else []
        return {row[0]: Event(*row[1:]) for row in rows}

    async def records(self, names: Sequence[UUID]) -> dict[UUID, tuple[datetime, bytes]]:
        """`{name: (recorded_at, record)}` of events."""
        rows = await self._ask("records", {"names": list(names)}) if names else []
        return {row[0]: (row[2], row[3]) for row in rows}

    async def behind(self, nodes: Sequence[UUID]) -> dict[UUID, Behind]:
        """How many customers stand behind each of these nodes."""
        most = self.bounds.behind
        rows = await self._ask("people_behind", {"nodes": list(nodes), "most": most}) if nodes else []
        return {node: Behind(people, evidences >= most) for node, people, evidences in rows}

    async def events_of(self, evidences: Iterable[UUID]) -> dict[UUID, int]:
        """How many events each evidence has."""
        rows = await self._ask("events_of", {"evidences": list(evidences)})
        return {row[0]: row[1] for row in rows}

    async def trades_of(self, evidences: Iterable[UUID]) -> tuple[dict[UUID, list[Trade]], bool]:
        """Purchases and refunds by evidence; and whether these are all (at most `Bounds.trades` are read)."""
        most = self.bounds.trades
        rows = await self._ask("trades_of", {"evidences": list(evidences), "most": most + 1})
        found: dict[UUID, list[Trade]] = {}
        for row in rows[:most]:
            found.setdefault(row[0], []).append(Trade(*row[1:]))
        return found, len(rows) <= most

    async def ruling(self, name: UUID) -> StoredRuling | None:
        """One ruling by the hash of its event's name."""
        rows = await self._ask("ruling", {"name": name})
        return _ruling(rows[0]) if rows else None

    async def rulings_of(self, nodes: Sequence[UUID], limit: int) -> list[StoredRuling]:
        """Rulings that name any of these nodes, newest first."""
        return [_ruling(row) for row in await self._ask("rulings_of", {"nodes": list(nodes), "most": limit})]

    async def rulings_before(self, place: tuple[datetime, UUID] | None, limit: int) -> list[StoredRuling]:
        """All rulings before a place (None: from the newest on), newest first."""
        at, name = place or (_NEVER, _LAST)
        return [_ruling(row) for row in await self._ask("rulings_before", {"at": at, "name": name, "most": limit})]

    async def nodes_of(self, customer: UUID, most: int) -> list[Node]:
        """A customer's first nodes in their order, at most `most`."""
        rows = await self._ask("customer_nodes", {"customers": [customer], "most": most - 1})
        return [Node(*row) for row in rows]

    async def nodes(self, nodes: Iterable[UUID]) -> list[Node]:
        """Those of these nodes that are known, in their order."""
        return sorted([Node(*row) for row in await self._ask("nodes", {"nodes": list(nodes)})], key=_by_order)

    async def _ask(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        async with reading(self._pool) as connection, connection.cursor(binary=True) as cursor:
            return await _rows(cursor, query, parameters)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        async with (
            reading(self._pool) as connection,
            connection.transaction(),
            connection.cursor(binary=True) as cursor,
        ):
            await cursor.execute(_SQL["snapshot"])
            yield cursor


async def _rows(cursor: psycopg.AsyncCursor[Any], query: str, parameters: Mapping[str, Any]) -> list[Any]:
    await cursor.execute(_SQL[query], parameters)
    return await cursor.fetchall()


async def _fill(cursor: psycopg.AsyncCursor[Any], found: Loaded, by: str, parameters: Mapping[str, Any]) -> None:
    nodes = await _rows(cursor, f"{by}_nodes", parameters)
    evidences = await _rows(cursor, f"{by}_evidences", parameters)
    found.nodes.update({row[0]: Node(*row) for row in nodes})
    found.evidences.update({row[0]: Home(row[0], tuple(row[1]), *row[2:]) for row in evidences})
    found.cut |= max(len(nodes), len(evidences)) > parameters["most"]


def _ruling(row: Sequence[Any]) -> StoredRuling:
    name, at, merges, counts, nodes, places = row
    sides: list[list[UUID]] = [[] for _ in range(max(places, default=-1) + 1)]
    for node, place in zip(nodes, places, strict=True):
        sides[place].append(node)
    return StoredRuling(name, at, merges, counts, tuple([tuple(side) for side in sides]))
