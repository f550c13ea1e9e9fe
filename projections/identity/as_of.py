"""Who was who at a moment that lies behind us? By the evidences as they stood then, resolved anew.

Two bounds make a moment: what had happened, and what was recorded. A correction says what was true all along, so it
counts once it is recorded. Identifiers that hang together now may not have done so then, and others may have, so
whoever is asked for is found link by link from one identifier on, within bounds. The rules are those of now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from domain.corrections import Effect, Said, effects
from domain.errors import BadInput, NotFound, Problem
from domain.identity import Evidence, Kind, Outside, Resolution, Ruling, resolve
from domain.identity_rules import Rules
from eventlog.sql import load
from projections.deriving import RULINGS
from projections.identity.loading import Behind, Event, Home, Loaded, Node, StoredRuling

__all__ = ["EVER", "Limits", "Moment", "Then", "first_events", "then"]

_SQL: Final = load("projections.identity", "as_of.sql")
_FAR: Final = datetime(9999, 12, 31, tzinfo=UTC)
_Connection = psycopg.AsyncConnection[Any]


class Moment(NamedTuple):
    """What counts: events that happened by the one time, and were recorded by the other."""

    happened_by: datetime = _FAR
    recorded_by: datetime = _FAR


EVER: Final = Moment()


class Limits(NamedTuple):
    """What one answer may cost. `evidences`: most of those that hung together; `looked`: most of one identifier's
    that are looked at, were they there then or not; `page`: of those at a time; `corrected`: most events that
    corrections speak of; `rulings`: most of those on these identifiers."""

    evidences: int = 2000
    looked: int = 20_000
    page: int = 200
    corrected: int = 5000
    rulings: int = 500


@dataclass(frozen=True, slots=True)
class Then:
    """A customer at a moment. `customer`: its id then; `now`: whose that identifier is now.

    `evidences`: those at home in it, with since when each counted (None: it linked nobody). `loaded`: the component
    as of then. `spoken`: what had become of each event that corrections speak of. `behind`: of shared identifiers,
    how many stronger ones were seen beside it.
    """

    moment: Moment
    customer: UUID
    now: UUID
    evidences: Mapping[UUID, datetime | None]
    loaded: Loaded
    spoken: Mapping[UUID, Effect]
    behind: Mapping[UUID, Behind]

    @property
    def retracted(self) -> list[UUID]:
        """Events that were known not to count."""
        return [name for name, effect in self.spoken.items() if effect.retracted]

    def nodes(self) -> list[Node]:
        """Her identifiers in their order."""
        return self.loaded.of(self.customer)


async def then(connection: _Connection, node: UUID, moment: Moment, limits: Limits | None = None) -> Then:
    """The customer that an id led to at a moment, within the snapshot of a transaction.

    Raises NotFound for an id that nobody had then, BadInput where too much hung together.
    """
    return await _Walk(connection, moment, limits or Limits()).from_(node)


async def first_events(connection: _Connection, found: Then, evidences: Collection[UUID]) -> dict[UUID, Event]:
    """The earliest event of each of these evidences that counted then."""
    asked = {
        **found.moment._asdict(),
        "evidences": list(evidences),
        "rulings": list(RULINGS),
        "retracted": found.retracted,
    }
    rows = await (await connection.cursor(binary=True).execute(_SQL["first_events"], asked)).fetchall()
    return {row[0]: Event(*row[1:]) for row in rows}


class _What(NamedTuple):
    """A node: what it is, and whose it is now."""

    kind: Kind
    customer: UUID


@dataclass(slots=True)
class _Judged:
    """A node that was looked at. `evidences`: those that hold it and were there then; `beside`: the stronger nodes
    that stood beside it, by kind; `shared`: so many that it links nobody; then not all of its evidences were read."""

    evidences: set[UUID] = field(default_factory=set)
    beside: dict[str, set[UUID]] = field(default_factory=dict)
    shared: bool = False


class _Walk:
    """From one node to all that hung together with it."""

    def __init__(self, connection: _Connection, moment: Moment, limits: Limits) -> None:
        self._connection, self._moment, self._limits = connection, moment, limits
        self._rules = Rules()
        self._whats: dict[UUID, _What] = {}
        self._evidences: dict[UUID, Evidence] = {}
        self._absent: set[UUID] = set()
        self._judged: dict[UUID, _Judged] = {}
        self._spoken: dict[UUID, Effect] = {}
        self._rulings: dict[UUID, StoredRuling] = {}

    async def from_(self, node: UUID) -> Then:
        await self._connection.execute(_SQL["snapshot"])
        rules = await self._rows("rules")
        self._rules = Rules.from_json(rules[0][0]) if rules else Rules()
        await self._meet([node])
        if node not in self._whats:
            raise NotFound("There is no customer of that id; POST /v1/lookup finds one.")
        await self._judge([node])
        if not self._judged[node].evidences:
            raise NotFound("There was no customer of that id then; ask for a later moment, or without one.")
        if self._judged[node].shared:
            await self._around_shared(node)
        else:
            await self._around(node)
        return self._answer(node)

    async def _around(self, node: UUID) -> None:
        """Go from identifier to identifier, by what links, until there is nothing new."""
        mine: set[UUID] = set()
        frontier = {node}
        while frontier:
            await self._judge([one for one in frontier if one not in self._judged])
            linking = [one for one in frontier if not self._judged[one].shared]
            new = set().union(*[self._judged[one].evidences for one in linking]) - mine
            mine |= new
            if len(mine) > self._limits.evidences:
                raise self._too_much()
            said = [self._evidences[one] for one in new]
            beside = {other for one in said if one.first_at is not None for other in one.nodes}
            beside |= await self._merged_with(linking)
            frontier = beside - self._judged.keys()
        self._evidences = {one: self._evidences[one] for one in mine}

    async def _around_shared(self, node: UUID) -> None:
        """What is shared is a customer of its own: it has the evidences in which nothing links."""
        judged = self._judged[node]
        await self._read_on({node: judged}, whole=True)
        mine = judged.evidences
        if len(mine) > self._limits.evidences:
            raise self._too_much()
        beside = {other for one in mine for other in self._evidences[one].nodes} - {node}
        await self._judge(sorted(beside))
        await self._merged_with([node])
        self._evidences = {one: self._evidences[one] for one in mine}

    async def _judge(self, nodes: Sequence[UUID]) -> None:
        """Read the evidences of these nodes, and tell which of them are shared."""
        await self._meet(nodes)
        fresh = {node: _Judged(shared=node in self._rules.ignored) for node in nodes if node in self._whats}
        self._judged |= fresh
        await self._read_on(fresh)

    async def _read_on(self, nodes: Mapping[UUID, _Judged], whole: bool = False) -> None:
        """Page by page: what stood beside a node only grows, so that one that is shared needs no further page, unless
        all of its evidences are asked for."""
        pending, offset, page = list(nodes), 0, self._limits.page
        while pending:
            found: dict[UUID, list[UUID]] = {}
            members: dict[UUID, tuple[UUID, ...]] = {}
            for node, evidence, beside in await self._rows("evidences_of", nodes=pending, offset=offset, most=page):
                found.setdefault(node, []).append(evidence)
                members[evidence] = tuple(beside)
            await self._date(members)
            for node, evidences in found.items():
                self._note(node, nodes[node], evidences)
            pending = [
                one
                for one, rows in found.items()
                if len(rows) == page and (whole or not nodes[one].shared or not nodes[one].evidences)
            ]
            offset += page
            most = max([len(nodes[one].evidences) for one in pending], default=0)
            if most > self._limits.evidences or (pending and offset >= self._limits.looked):
                raise self._too_much()

    def _note(self, node: UUID, judged: _Judged, evidences: Iterable[UUID]) -> None:
        """Count what stood beside a node: rule 2 of domain/identity.py."""
        shared, ignored = self._rules.shared, self._rules.ignored
        priority = self._whats[node].kind.priority
        for evidence in [self._evidences[one] for one in evidences if one in self._evidences]:
            judged.evidences.add(evidence.id)
            for other in evidence.nodes if evidence.first_at is not None else ():
                kind = self._whats[other].kind
                if kind.kind in shared and kind.priority < priority and other not in ignored:
                    judged.beside.setdefault(kind.kind, set()).add(other)
        judged.shared |= any(len(others) > shared[kind] for kind, others in judged.beside.items())

    async def _date(self, members: Mapping[UUID, tuple[UUID, ...]]) -> None:
        """Take up those of these evidences that there were then, with since when each counted."""
        new = [one for one in members if one not in self._evidences and one not in self._absent]
        if not new:
            return
        most = self._limits.corrected
        spoken = [row[0] for row in await self._rows("spoken_of", evidences=new, most=most + 1)]
        await self._weigh(spoken)
        if len(spoken) > most or len(self._spoken) > most:
            raise self._too_much()
        retracted = [name for name, effect in self._spoken.items() if effect.retracted]
        times = await self._rows("times", evidences=new, rulings=list(RULINGS), retracted=retracted)
        for evidence, known, at in times:
            if known:
                self._evidences[evidence] = Evidence(evidence, members[evidence], at)
            else:
                self._absent.add(evidence)
        await self._meet({node for one in new for node in members[one]})

    async def _weigh(self, names: Iterable[UUID]) -> None:
        """What had become of these events, by what was known to be said of them."""
        new = [name for name in names if name not in self._spoken]
        if new:
            said = await self._rows("said", names=new)
            self._spoken |= effects(new, [Said(*row) for row in said])

    async def _merged_with(self, nodes: Sequence[UUID]) -> set[UUID]:
        """Take up the rulings on these nodes; answers whom merges that counted then name."""
        rows = await self._rows("rulings", nodes=nodes, most=self._limits.rulings + 1) if nodes else []
        new = [row for row in rows if row[0] not in self._rulings]
        said = [Said(*row) for row in await self._rows("said", names=[row[0] for row in new])] if new else []
        became = effects([row[0] for row in new], said)
        for name, at, merges, members, places in new:
            sides: list[list[UUID]] = [[] for _ in range(max(places, default=-1) + 1)]
            for member, place in zip(members, places, strict=True):
                sides[place].append(member)
            told = tuple([tuple(side) for side in sides])
            self._rulings[name] = StoredRuling(name, at, merges, not became[name].retracted, told)
        if len(self._rulings) > self._limits.rulings:
            raise self._too_much()
        merged = [self._rulings[row[0]] for row in new if self._rulings[row[0]].counts and row[2]]
        named = {node for one in merged for side in one.sides for node in side}
        await self._meet(named)
        return named & self._whats.keys()

    async def _meet(self, nodes: Iterable[UUID]) -> None:
        """Ask what these nodes are."""
        new = [node for node in nodes if node not in self._whats]
        for node, kind, namespace, priority, customer in await self._rows("nodes", nodes=new) if new else ():
            self._whats[node] = _What(Kind(kind, namespace, priority), customer)

    async def _rows(self, query: str, **parameters: Any) -> list[Any]:
        asked = {**self._moment._asdict(), **parameters}
        return await (await self._connection.cursor(binary=True).execute(_SQL[query], asked)).fetchall()

    def _too_much(self) -> BadInput:
        trouble = (
            f"asks for a customer of whom more than {self._limits.evidences:,} sets of identifiers, or "
            f"{self._limits.corrected:,} corrected events, hung together then: too much to be resolved anew."
        )
        field_ = "happened_by" if self._moment.recorded_by == EVER.recorded_by else "recorded_by"
        return BadInput([Problem(field_, trouble, "Ask for an earlier moment, or without one for the customer now.")])

    def _answer(self, node: UUID) -> Then:
        # Around what is shared nothing else is known in full.
        shared = self._judged[node].shared
        inside = {node} if shared else {one for one, judged in self._judged.items() if not judged.shared}
        beside = {other for one in self._evidences.values() for other in one.nodes}
        outside = {one: Outside(None, self._is_shared(one)) for one in beside - inside}
        kinds = {one: self._whats[one].kind for one in inside | beside}
        rulings = sorted(self._rulings.values(), key=lambda one: (one.at, one.name.int), reverse=True)
        counting = [Ruling(one.name, one.at, one.merges, one.sides) for one in rulings if one.counts]
        resolved = resolve(kinds, list(self._evidences.values()), counting, self._rules, outside)
        customer = resolved.nodes[node].customer
        hers = {one: self._evidences[one].first_at for one, home in resolved.homes.items() if home == customer}
        if shared:
            self._evidences = {one: self._evidences[one] for one in hers}
            met = {other for one in self._evidences.values() for other in one.nodes}
            outside = {one: known for one, known in outside.items() if one in met}
        loaded = self._loaded(node, resolved, rulings, outside)
        now = self._whats[node].customer
        return Then(self._moment, customer, now, hers, loaded, self._spoken, self._behind())

    def _behind(self) -> dict[UUID, Behind]:
        """Of what is shared: how many stronger identifiers were met beside it, at least."""
        shared = {one: judged.beside for one, judged in self._judged.items() if judged.shared}
        return {one: Behind(max(map(len, beside.values()), default=0), True) for one, beside in shared.items()}

    def _is_shared(self, node: UUID) -> bool:
        judged = self._judged.get(node)
        return judged.shared if judged is not None else node in self._rules.ignored

    def _loaded(
        self, node: UUID, resolved: Resolution, rulings: list[StoredRuling], outside: Mapping[UUID, Outside]
    ) -> Loaded:
        """The component, as an explanation takes it."""
        starred = resolved.nodes[node].component in resolved.stars
        found = Loaded(True, starred, self._rules, rulings=rulings, disputes=list(resolved.disputes))
        for one, state in resolved.nodes.items():
            kind = self._whats[one].kind
            found.nodes[one] = Node(one, *kind, state.first_at, state.shared, state.component, state.customer)
        for one, known in outside.items():
            found.nodes[one] = Node(one, *self._whats[one].kind, None, known.shared, None, one)
        found.met = {one for one, known in outside.items() if not known.shared}
        for evidence in self._evidences.values():
            found.evidences[evidence.id] = Home(*evidence, resolved.homes[evidence.id])
        named = {one for ruling in rulings for side in ruling.sides for one in side}
        found.elsewhere = named - found.nodes.keys()
        return found
