"""Who fulfils which rules? Rules of segments as one statement, for many customers and many rules at once.

Leaves that several rules share are found out once. What each kind of leaf asks stands in `compiling_events.py`,
`compiling_sequences.py`, `compiling_known.py` and `compiling_profile.py`, as SQL in `leaves.sql`; `program.sql` puts
it together. Tables are named bare, so that it runs on whichever build stands first in the search path.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import sql
from psycopg.sql import Composable, Composed

from domain.catalogue import load_catalogue
from domain.catalogue.registry import Catalogue
from domain.configuration.rfm import Rfm
from domain.profile import ProfileRules
from domain.segment_leaves import (
    ConsentLeaf,
    EventsLeaf,
    FactLeaf,
    IdentifierLeaf,
    IndustryLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    SegmentLeaf,
    SequenceLeaf,
    WorkLeaf,
)
from domain.segment_parts import CONTACT, Selection
from domain.segments import WORK, Leaf, Rule, reached
from projections.segments import compiling_known as known
from projections.segments.compiling_choosing import Chooser
from projections.segments.compiling_events import events
from projections.segments.compiling_parts import (
    NO,
    YES,
    Building,
    Verdict,
    both,
    either,
    fragment,
    least,
    numbered,
)
from projections.segments.compiling_profile import Profile
from projections.segments.compiling_raising import Upcasts, upcasts_of
from projections.segments.compiling_sequences import Sequences

__all__ = ["ALL", "Asked", "Facing", "Program", "Ruled", "Watched"]

_SOURCES: Final = (
    "met", "summed", "doubted", "bought", "traded", "claimed", "frequent", *WORK, "named", "spelt", "worded",
    "allowed", "organised", "newest", "last_such", "derived",
)  # fmt: skip
"""What is read of each customer, in this order; `told` comes after, since the others tell it what to read."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule of a segment, by its version."""

    code: str
    version: int
    rule: Rule


def _records() -> frozenset[str]:
    return _records_of(load_catalogue())


def _records_of(catalogue: Catalogue) -> frozenset[str]:
    return frozenset(one.name for one in catalogue if one.category != "touchpoint")


@dataclass(frozen=True, slots=True)
class Facing:
    """What of the deployment rules depend on. zone: where days begin and end. records: types that are no touchpoints.
    others: the segments that rules may name, by code: the rule that serves, None for a list; what is missing (it is
    archived, or was never there) holds nobody."""

    zone: tzinfo = UTC
    rfm: Rfm = field(default_factory=Rfm)
    profile_rules: ProfileRules = field(default_factory=ProfileRules)
    records: frozenset[str] = field(default_factory=_records)
    upcasts: Upcasts = field(default_factory=dict)
    others: Mapping[str, Rule | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, catalogue: Catalogue, zone: tzinfo, rfm: Rfm | None = None, profile_rules: ProfileRules | None = None
    ) -> Facing:
        """What a deployment with these types, this configuration and these settings faces them with."""
        records, upcasts = _records_of(catalogue), upcasts_of(catalogue)
        return cls(zone, rfm or Rfm(), profile_rules or ProfileRules(), records, upcasts)


@dataclass(frozen=True, slots=True)
class Watched:
    """What rules depend on, so that who keeps memberships knows what to look at. types: of events, None for every
    touchpoint and more. work: kinds of items. products: on the categories of products, which may change for customers
    that no event of the change names; industry: so on what organisations do. timed: on time."""

    types: frozenset[str] | None
    work: frozenset[str]
    profile: bool
    identifiers: bool
    consents: bool
    products: bool
    industry: bool
    timed: bool


class Asked(NamedTuple):
    """Which rules of a program a customer is asked. rules: a bit each, `0` or `1`, None for all; reads: what has to
    be read for them, by the gates of the program, -1 for everything. shown: a bit for each of the program's leaves
    `showing`, of which it is known that there is an event that they mean, None for none; shown_at: when the first of
    these events happened, as Postgres counts microseconds."""

    rules: str | None
    reads: int
    shown: str | None = None
    shown_at: int = 0


ALL: Final = Asked(None, -1)


class Program:
    """Rules compiled to one statement. Immutable; any thread may use it.

    `query` gives (customer, segment, version, held, wake), one row for each customer and rule. `wake`: the earliest
    moment after `now` at which time alone may change what holds, null for never. Its parameters: `customers`
    (distinct ids), `now` (no event that it reads may lie after it), and `parameters`. `within` puts another form of
    it into a statement: (customer, rules, held, wake), one row for each customer, of the rules that `rules`, `reads`,
    `shown` and `shown_at` say of each (see `Asked`); held: the places of those that hold. showing: leaves that ask
    for no more than whether there is an event that they mean.
    """

    def __init__(self, ruled: Sequence[Ruled], facing: Facing) -> None:
        self.segments = tuple((one.code, one.version) for one in ruled)
        self._ruled, self._facing = tuple(ruled), facing
        self._written: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        compiler = _Compiler(facing)
        self.query, self._answers = compiler.compile(self._ruled)
        self._gates = compiler.gates(self._ruled)
        self.showing = tuple(compiler.building.showing)
        places: dict[str, dict[str, int]] = {}
        for place, (code, version) in enumerate(self.segments):
            places.setdefault(code, {})[str(version)] = place
        codes, versions = zip(*self.segments, strict=True)
        self.parameters: Mapping[str, Any] = MappingProxyType(
            {
                **compiler.building.parameters, "zone": str(facing.zone), "rules": "{}", "reads": "{}",
                "shown": "{}", "shown_at": "{}",
                "segments": list(codes), "versions": list(versions), "places": json.dumps(places),
            }
        )  # fmt: skip

    def within(self, statement: LiteralString) -> tuple[bytes, tuple[str, ...]]:
        """A statement with this one in its braces, as Postgres takes it, and the names of its parameters in their
        order. Kept: to write a hundred rules down takes longer than to ask them of a customer."""
        if statement not in self._written:
            self._written[statement] = numbered(sql.SQL(statement).format(self._answers))
        return self._written[statement]

    def asked(self, places: Collection[int]) -> Asked:
        """These rules alone, by their places in `segments`."""
        if len(places) == len(self.segments):
            return ALL
        chosen = frozenset(places)
        rules = "".join(["1" if place in chosen else "0" for place in range(len(self.segments))])
        reads = sum(1 << number for number, behind in enumerate(self._gates) if not chosen.isdisjoint(behind))
        return Asked(rules, reads)

    @cached_property
    def watched(self) -> Watched:
        """What the rules depend on."""
        rules = [rule for one in self._ruled for rule in reached(one.rule, self._facing.others)]
        leaves = [(one.key, one.leaf) for rule in rules for one in rule.leaves()]
        keys = {key for key, _ in leaves}
        choices = [chosen for _, leaf in leaves for chosen in _choices(leaf)]
        types: frozenset[str] | None = frozenset(type for one in choices for type in one.types)
        if (types and CONTACT in types) or keys & {"fact", "place", "rfm"}:
            types = None
        asked = {where.field for one in choices for where in one.where}
        return Watched(
            types, frozenset(keys & set(WORK)), bool(keys & {"profile", "place"}), "identifier" in keys,
            "consent" in keys, "category" in asked, "industry" in keys, _is_timed(leaves),
        )  # fmt: skip


def _spelling(key: str, leaf: Leaf) -> str:
    """By which two leaves are one."""
    return json.dumps([key, leaf.model_dump(mode="json")], sort_keys=True)


def _choices(leaf: Leaf) -> list[Selection]:
    if isinstance(leaf, EventsLeaf):
        return [leaf]
    if isinstance(leaf, SequenceLeaf):
        return [one for one in (*leaf.steps, leaf.without, leaf.absent) if one is not None]
    return []


def _is_timed(leaves: Sequence[tuple[str, Leaf]]) -> bool:
    compiler = _Compiler(Facing())
    return any(bool(compiler.leaf(key, leaf).wakes) for key, leaf in leaves)


class _Compiler:
    """Compiles the rules of one program."""

    def __init__(self, facing: Facing) -> None:
        self._facing = facing
        self.building = Building()
        self._chooser = Chooser(self.building, facing.zone, facing.records, facing.upcasts)
        self._sequences = Sequences(self._chooser)
        self._profile = Profile(self.building, facing.profile_rules)
        self._leaves: dict[str, tuple[int, Verdict]] = {}
        self._lists: set[str] = set()
        self._segments: dict[str, Verdict] = {}
        self._named: list[Composable] = []

    def compile(self, ruled: Sequence[Ruled]) -> tuple[Composed, Composed]:
        """The statement in both forms: with a row for each rule, and for each customer."""
        rules, held, wakes = [], [], []
        for place, one in enumerate(ruled):
            verdict = self._rule(one.rule, frozenset({one.code}))
            named = {
                "segment": self.building.text(one.code),
                "version": self.building.parameter(one.version, "integer"),
            }
            rules.append(fragment("rule", holds=verdict.holds, wakes=least(verdict.wakes), **named))
            asked = fragment("is_asked", place=sql.Literal(place))
            held.append(fragment("held", asked=asked, holds=verdict.holds, place=sql.Literal(place)))
            if verdict.wakes:
                wakes.append(fragment("where", chosen=asked, x=least(verdict.wakes)))
        self.building.leaf = -1  # what is put together from here is nobody's need
        found = self._found()
        segments = sql.SQL("\n").join(self._named)
        several = fragment("verdicts", found=found, segments=segments, rules=sql.SQL(", ").join(rules))
        answers = fragment(
            "answers", found=found, segments=segments, held=sql.SQL(", ").join(held), wake=least(wakes)
        )  # fmt: skip
        return several, answers

    def gates(self, ruled: Sequence[Ruled]) -> list[set[int]]:
        """The places of the rules that need what stands behind each gate."""
        places: dict[int, set[int]] = {}
        for place, one in enumerate(ruled):
            for rule in reached(one.rule, self._facing.others):
                for leaf in rule.leaves():
                    known = self._leaves.get(_spelling(leaf.key, leaf.leaf))
                    if known is not None:
                        places.setdefault(known[0], set()).add(place)
        return [{place for leaf in leaves for place in places.get(leaf, ())} for leaves in self.building.gates]

    def _found(self) -> Composed:
        """What was found out of each customer: which leaves hold."""
        leaves = [
            fragment(
                "leaf", holds=verdict.holds, name=sql.Identifier(f"h{number}"),
                wakes=least(verdict.wakes), wake=sql.Identifier(f"w{number}"),
            )
            for number, verdict in self._leaves.values()
        ]  # fmt: skip
        return fragment(
            "found",
            sources=self._sources(),
            lists=sql.SQL(", listed.lists" if self._lists else ""),
            leaves=sql.SQL("").join([sql.SQL(", ") + one for one in leaves]),
        )

    def _sources(self) -> Composable:
        found = []
        for source in _SOURCES:
            columns = self.building.columns(source)
            if columns is not None:
                chosen = self.building.columns("contact") or YES
                found.append(self._source(source, fragment(source, columns=columns, chosen=chosen)))
        if self._lists:
            lists = self.building.parameter(sorted(self._lists), "text[]")
            found.append(fragment("always", query=fragment("listed", lists=lists), source=sql.Identifier("listed")))
        columns = self.building.columns("told")
        if columns is not None:
            found.append(self._source("told", self._told(columns)))
        return sql.SQL("\n").join(found)

    def _told(self, columns: Composable) -> Composed:
        filled = self._chooser.filled()
        sequences = sql.SQL("").join([sql.SQL(",\n") + one for one in self._sequences.ctes])
        matching = self.building.columns("matched") or YES
        return fragment("told", columns=columns, sequences=sequences, matching=matching, **filled)

    def _source(self, name: str, query: Composable) -> Composed:
        return fragment("source", query=query, source=sql.Identifier(name), gate=self.building.gate(name))

    def _rule(self, rule: Rule, within: frozenset[str]) -> Verdict:
        """within: the segments that ask for it, so that one that asks for itself holds nobody by that."""
        if rule.group is not None:
            name, rules = rule.group
            verdicts = [self._rule(one, within) for one in rules]
            wakes = tuple(wake for one in verdicts for wake in one.wakes)
            holds = [one.holds for one in verdicts]
            if name == "none":
                return Verdict(sql.SQL("NOT {}").format(either(*holds)), wakes)
            return Verdict(both(*holds) if name == "all" else either(*holds), wakes)
        key, leaf = rule.leaf or ("", None)
        if isinstance(leaf, SegmentLeaf):
            return self._segment(leaf, within)
        if leaf is None:
            return Verdict(NO)
        spelling = _spelling(key, leaf)
        if spelling not in self._leaves:
            self.building.leaf = len(self._leaves)
            self._leaves[spelling] = (self.building.leaf, self.leaf(key, leaf))
        number, verdict = self._leaves[spelling]
        wakes = (sql.Identifier("leaf", f"w{number}"),) if verdict.wakes else ()
        return Verdict(sql.Identifier("leaf", f"h{number}"), wakes)

    def _segment(self, leaf: SegmentLeaf, within: frozenset[str]) -> Verdict:
        """Found out once, however many rules ask for it, and after those that it asks for itself."""
        if leaf.code not in self._facing.others or leaf.code in within:
            return Verdict(NO)
        if leaf.code not in self._segments:
            self._segments[leaf.code] = self._named_segment(leaf.code, within)
        return self._segments[leaf.code]

    def _named_segment(self, code: str, within: frozenset[str]) -> Verdict:
        rule = self._facing.others[code]
        if rule is None:
            self._lists.add(code)
            verdict = Verdict(fragment("on_list", code=self.building.text(code)))
        else:
            verdict = self._rule(rule, within | {code})
        name = sql.Identifier(f"segment_{len(self._named)}")
        self._named.append(fragment("segment", segment=name, holds=verdict.holds, wakes=least(verdict.wakes)))
        wakes = (name + sql.SQL(".wake"),) if verdict.wakes else ()
        return Verdict(name + sql.SQL(".holds"), wakes)

    def leaf(self, key: str, leaf: Leaf) -> Verdict:
        """One leaf that asks for no other segment."""
        match leaf:
            case EventsLeaf():
                return events(self._chooser, leaf)
            case SequenceLeaf():
                return self._sequences.verdict(leaf)
            case FactLeaf():
                return known.fact(self._chooser, leaf)
            case ProfileLeaf():
                return known.profile(self._profile, leaf)
            case PlaceLeaf():
                return known.place(self._profile, leaf)
            case IdentifierLeaf():
                return known.identifier(self.building, leaf)
            case ConsentLeaf():
                return known.consent(self.building, leaf)
            case WorkLeaf():
                return known.work(self.building, key, leaf)
            case RfmLeaf():
                return known.rfm(self.building, leaf, self._facing.rfm)
            case IndustryLeaf():
                return known.industry(self.building, leaf)
            case SegmentLeaf():
                return Verdict(NO)
