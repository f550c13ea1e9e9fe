"""What is there to judge a customer by? A plain, slow, obviously right reading of a set of published events.

Everything is told anew out of the events that count: whose they are, what they say by now, which trades, words of
consent, claims, identifiers, items and organisations there are. What `domain/facts.py`, `domain/consents.py` and
`domain/profile.py` define is borrowed from there, since rules of segments name them as their definition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.catalogue import builtin
from domain.configuration.rfm import Rfm
from domain.consents import Link, Standing, Word, joined_by, settle
from domain.facts import Contact, Facts, Trade, counted, facts_of, fold
from domain.identifiers import Identifier
from domain.profile import Claim, ProfileRules, profile_of
from eventlog.tokens import Hasher
from tests.support import plain_work
from tests.support.plain import Everything, Published, everything, people_in

__all__ = ["Definition", "Told", "World"]

CATEGORIES = {one.name: one.category for one in builtin()}
_DAYS = {"expected_close", "next_step_on"}
_MOMENTS = {"respond_by", "respond_warn", "resolve_by", "resolve_warn", "due", "remind_at"}
_NUMBERS = {"amount", "probability"}
_COLUMNS: dict[str, tuple[str, ...]] = {
    "deal": ("status", "closed_at", "pipeline", "stage", "stage_since", "amount", "assignee", "products",
             "created_at", "changed_at"),
    "ticket": ("status", "state", "state_since", "responded_at", "resolved_at", "closed_at", "reopened", "due",
               "priority", "assignee", "clock_s", "changed_at"),
    "task": ("status", "closed_at", "assignee", "due", "remind_at"),
    "lead": ("status", "closed_at", "origin", "assignee", "deal"),
}  # fmt: skip
"""The columns that `plain_work` folds, after the customer and the item, by kind of item."""
_BEGAN = {"deal": "created_at", "ticket": "opened_at", "task": "created_at", "lead": "captured_at"}


class Told(NamedTuple):
    """An event that counts. `customer`: of whom it is; `content`: its public part by now, `refs` in clear."""

    at: datetime
    name: str
    type: str
    customer: str
    channel: str | None
    direction: str | None
    source: str
    actor: str | None
    refs: tuple[str, ...]
    content: Mapping[str, Any]

    @property
    def touches(self) -> bool:
        return CATEGORIES[self.type] == "touchpoint"

    @property
    def place(self) -> tuple[datetime, str]:
        return self.at, self.name

    def refs_of(self, kind: str) -> list[str]:
        """The refs of a kind, in clear."""
        return [ref for ref in self.refs if ref.partition(":")[0].partition("/")[0] == kind]

    def values(self, kind: str) -> list[str]:
        """The values of the refs of a kind."""
        return [ref.partition(":")[2] for ref in self.refs_of(kind)]


@dataclass(frozen=True)
class Definition:
    """A segment. `rule`: as JSON, None for a list; `nodes`: of a list, in hex."""

    rule: Mapping[str, Any] | None = None
    nodes: frozenset[str] = frozenset()
    archived: bool = False


@dataclass
class World:
    """Everybody and everything, by these events. `rules`: of identity; `erased`: evidences of which nothing personal
    is left; `definitions`: segments by code."""

    published: Iterable[Published]
    rules: Mapping[str, Any]
    hasher: Hasher
    zone: ZoneInfo
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    rfm: Rfm = field(default_factory=Rfm)
    profile_rules: ProfileRules = field(default_factory=ProfileRules)
    erased: Collection[str] = ()

    def __post_init__(self) -> None:
        self.story: Everything = everything(self.published)
        self.people = people_in(self.story, self.rules)
        counting = {one for one, seen in self.people.evidences.items() if seen.since is not None}
        self.customers = {self.people.home(one) for one in counting}
        every = [self._told(one) for one in self.story.events.values() if not self.story.retracted(one.name)]
        self.events = sorted(one for one in every if CATEGORIES[one.type] != "system")
        self._stories: dict[str, list[Told]] = {}
        for one in self.events:
            self._stories.setdefault(one.customer, []).append(one)
        self._categories = self._described()
        self._profiles: dict[str, dict[str, Any]] = {}
        self._standings: dict[str, dict[tuple[str, str], bool]] = {}
        self._items = {kind: list(self._work(kind)) for kind in _COLUMNS}

    def _told(self, one: Published) -> Told:
        record, evidence = one.record, one.people()[0][0]
        return Told(
            one.at, one.name, one.type, self.people.home(evidence) if evidence else "", record.get("channel"),
            record.get("direction"), one.raw["source"], record.get("actor"), tuple(record.get("refs", ())),
            self._public(one),
        )  # fmt: skip

    def _public(self, one: Published) -> Mapping[str, Any]:
        right = self.story.amended(one)
        if right is None:
            return dict(one.record.get("public", {}))
        return dict(right.record["public"].get("content", {}))

    def of(self, customer: str) -> list[Told]:
        """The events of a customer, in their order."""
        return self._stories.get(customer, [])

    def _described(self) -> dict[str, str | None]:
        """The category of each product, by its code."""
        found: dict[str, str | None] = {}
        for one in self.events:
            if one.type == "product.described" and "category" in one.content:
                for ref in one.refs:
                    if ref.startswith(("product:", "product/")):
                        found[ref.partition(":")[2]] = one.content["category"]
        return found

    def category(self, product: str) -> str | None:
        return self._categories.get(product)

    def facts(self, customer: str) -> Facts:
        contacts = [Contact("", "", 1, one.at, one.at) for one in self.of(customer) if one.touches]
        return fold(contacts, [trade for trade, _ in self._trades(customer)])

    def _trades(self, customer: str) -> list[tuple[Trade, Told]]:
        found = []
        for one in self.of(customer):
            traded = facts_of(one.type, CATEGORIES[one.type], one.content, one.refs, one.direction).trade
            if traded is not None:
                key = UUID(int=hash(traded.ref) % 2**128) if traded.ref else UUID(hex=one.name)
                row = (UUID(hex=one.name), one.at, key, traded.refund, traded.amount, traded.currency, one.source)
                found.append((Trade(*row), one))
        return found

    def purchases(self, customer: str) -> list[Trade]:
        """What counts of what was bought, in any currency."""
        return [one for one in counted(trade for trade, _ in self._trades(customer)) if not one.refund]

    def traded_in(self, customer: str) -> str | None:
        """The country of the last trade that says one."""
        told = [one.content.get("country") for _, one in self._trades(customer)]
        return next((country for country in reversed(told) if country), None)

    def profile(self, customer: str) -> dict[str, Any]:
        """The fields that are known of a customer."""
        if customer not in self._profiles:
            claims = [claim for claim in self._claims() if self.people.home(claim.evidence.hex) == customer]
            self._profiles[customer] = {one.field: one.value for one in profile_of(claims, self.profile_rules)}
        return self._profiles[customer]

    def _claims(self) -> Iterator[Claim]:
        for one in self.story.events.values():
            people, right = one.people(), self.story.amended(one)
            sealed = people[0][0] if right is None else right.people()[0][0]
            if self.story.retracted(one.name) or sealed in self.erased or people[0][0] in self.erased:
                continue
            told = self._claimed(one)
            for place, fields in told:
                if place < len(people) and people[place][0] and people[place][0] not in self.erased and fields:
                    evidence = UUID(hex=people[place][0])
                    yield Claim(UUID(hex=one.name), place, evidence, one.at, one.raw["source"], fields)

    def _claimed(self, one: Published) -> list[tuple[int, Mapping[str, Any]]]:
        if one.type == "profile.updated":
            return [(0, self.story.content(one))]
        if one.type == "organisation.described":
            return list(enumerate(self.story.content(one).get("contacts", []), start=1))
        return []

    def identifiers(self, customer: str) -> tuple[set[tuple[str, str]], set[tuple[str, str, str]]]:
        """Of nodes that are no shared ones: (kind, namespace) of those that an event that counts names, and (kind,
        namespace, value) of those that are readable."""
        people = self.people
        nodes = {node for node, home in people.customer.items() if home == customer and node not in people.shared}
        values = {spelt for token, spelt in self._spellings() if token in nodes}
        return {people.kinds[node] for node in nodes if people.since(node)}, values

    def _spellings(self) -> Iterator[tuple[str, tuple[str, str, str]]]:
        """The node of each identifier that is readable, and how it is spelt."""
        for one in self.story.events.values():
            for evidence, _, who, _ in one.people():
                if evidence and evidence not in self.erased:
                    for sent in who:
                        identifier = Identifier(sent["kind"], sent["value"], sent.get("namespace", ""))
                        token = self.hasher.token(identifier)
                        if token is not None:
                            yield token[-32:], (sent["kind"], sent.get("namespace", ""), sent["value"].lower())

    def standing(self, customer: str) -> dict[tuple[str, str], bool]:
        """Whether consent holds, by purpose and channel."""
        if customer not in self._standings:
            self._standings[customer] = self._settled(customer)
        return self._standings[customer]

    def _settled(self, customer: str) -> dict[tuple[str, str], bool]:
        words, evidences = [], {one for one in self.people.evidences if self.people.home(one) == customer}
        for one in self.story.events.values():
            evidence = one.people()[0][0]
            if evidence in evidences and not self.story.retracted(one.name):
                public = self._public(one)
                said = facts_of(one.type, CATEGORIES[one.type], public, (), None).consent
                if said is not None:
                    words.append(Word(UUID(hex=one.name), UUID(hex=evidence), one.at, *said, one.type))
        found: tuple[Standing, ...] = settle(words, self._joined(customer, evidences)).standing
        return {(one.purpose, one.channel): one.granted for one in found}

    def _joined(self, customer: str, evidences: set[str]) -> Any:
        people = self.people
        hers = {node for node, home in people.customer.items() if home == customer and node not in people.shared}
        links, homes = [], {}
        for evidence in evidences:
            seen = people.evidences[evidence]
            nodes = [UUID(hex=node) for node in sorted(seen.nodes & hers)]
            if nodes:
                homes[UUID(hex=evidence)] = nodes[0]
            if nodes and seen.since is not None:
                links.append(Link(nodes, seen.since))
        times = [seen.since for one in evidences if (seen := people.evidences[one]).since is not None]
        for ruling in people.rulings:
            named = frozenset().union(*ruling.sides)
            if ruling.merges and any(people.customer.get(node) == customer for node in named):
                times.append(ruling.at)
                if len(named & hers) > 1:
                    links.append(Link([UUID(hex=node) for node in sorted(named & hers)], ruling.at))
        return joined_by(links, homes, max([one for one in times if one], default=None))

    def items(self, kind: str, customer: str) -> list[Mapping[str, Any]]:
        """A customer's deals, tickets, tasks or leads, by the names of their columns."""
        return [columns for whose, columns in self._items[kind] if whose == customer]

    def _work(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        fields: dict[str, dict[str, Any]] = {}
        first: dict[str, dict[str, Any]] = {}
        last: dict[str, dict[str, Any]] = {}
        for step in plain_work.steps_in(self.story):
            if step.kind == kind and step.folds:
                fields.setdefault(step.item, {}).update(self._public(step.one))
                source = {"source": step.one.raw["source"], "native": step.native}
                first.setdefault(step.item, {_BEGAN[kind]: step.one.at, **source})
                last[step.item] = {"changed_at": step.one.at}
        for customer, item, *columns in plain_work.TOLD[f"{kind}s"](self.story, self.people.home, ()):
            if customer is not None:
                told = {name: _column(name, value) for name, value in fields[item].items()}
                folded = dict(zip(_COLUMNS[kind], columns[:-1], strict=True))
                yield customer, {**told, **last[item], **folded, **first[item]}

    def industries(self, customer: str) -> list[str]:
        """What the customer's leads and organisations do."""
        found = [one.get("industry") for one in self.items("lead", customer)]
        last: dict[str, Published] = {}
        for one in sorted(self.story.events.values(), key=lambda one: (one.at, one.name)):
            if one.type == "organisation.described" and not self.story.retracted(one.name):
                for ref in one.record.get("refs", []):
                    if ref.startswith(("organisation:", "organisation/")):
                        last[ref] = one
        for one in last.values():
            parties = [self.people.home(evidence) for evidence, tokens, _, _ in one.people()[1:] if tokens]
            if customer in parties:
                found.append(self._public(one).get("industry"))
        return [one for one in found if one]


def _column(name: str, value: Any) -> Any:
    """A field of an item as its column has it."""
    if value is None:
        return None
    if name in _MOMENTS:
        return datetime.fromisoformat(value)
    if name in _DAYS:
        return date.fromisoformat(value)
    return Decimal(value) if name in _NUMBERS else value
