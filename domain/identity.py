"""Who is the same person? One pure function over the identifiers that stood together, and what stewards ruled.

A *node* is a token (an identifier by its hash), an *evidence* a set of nodes that stood together in an event, a
*customer* a set of nodes that are taken for one person, named by its first node. What `resolve` answers depends on
the set of evidences and rulings alone, never on the order in which they came; and independent components never
influence each other. docs/identity.md tells the rules in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, combinations, repeat
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from domain.identity_clusters import Clusters, Refusal, find
from domain.identity_graph import BITS, MASK, PAIR, Graph
from domain.identity_rules import Rules

__all__ = [
    "Dispute",
    "Evidence",
    "Kind",
    "Link",
    "NodeState",
    "Outside",
    "Resolution",
    "Ruling",
    "Token",
    "Trace",
    "resolve",
]

Token = UUID
Reason = Refusal


class Kind(NamedTuple):
    """What a node is: its kind, its namespace ("" for none), the place of its kind (the lowest is the strongest)."""

    kind: str
    namespace: str
    priority: int


class Evidence(NamedTuple):
    """A set of distinct nodes that stood together. `first_at` None: inactive, it links nobody but has a home."""

    id: UUID
    nodes: tuple[UUID, ...]
    first_at: datetime | None


class Ruling(NamedTuple):
    """What a steward said of some sides: that they are one (`merges`), or that they are not."""

    name: UUID
    at: datetime
    merges: bool
    sides: tuple[tuple[UUID, ...], ...]


class Outside(NamedTuple):
    """What is known of a node whose evidences are not all given."""

    first_at: datetime | None
    shared: bool


class Dispute(NamedTuple):
    """A link that was not followed, `a` < `b`."""

    a: UUID
    b: UUID
    reason: Reason
    first_at: datetime


class NodeState(NamedTuple):
    """What is to be kept of a node; the fields are columns of `identity.nodes`."""

    first_at: datetime | None
    shared: bool
    strong: tuple[str, ...]
    direct: UUID | None
    direct_at: datetime | None
    component: UUID | None
    customer: UUID


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who is who. `nodes`: all but those outside; `homes` and `components` are by evidence; `stars` are labels."""

    nodes: dict[UUID, NodeState] = field(default_factory=dict)
    homes: dict[UUID, UUID] = field(default_factory=dict)
    components: dict[UUID, UUID | None] = field(default_factory=dict)
    disputes: list[Dispute] = field(default_factory=list)
    stars: set[UUID] = field(default_factory=set)


class Link(NamedTuple):
    """Two nodes that stood together, in which evidence first, and when. `refused`: why it was not followed."""

    a: UUID
    b: UUID
    evidence: UUID
    first_at: datetime
    refused: Reason | None = None


@dataclass(slots=True)
class Trace:
    """Give one to `resolve` and it tells how it came to its answer.

    `followed`: the links that made two clusters one, in their order (the others said nothing new); `refused`: those
    that were not followed; `shared`: how many of each strong kind stood beside a shared node; `rulings`: the name of
    each ruling, newest first, and whether it changed or forbade anything (a newer one may have revoked it).
    """

    followed: list[Link] = field(default_factory=list)
    refused: list[Link] = field(default_factory=list)
    shared: dict[UUID, dict[str, int]] = field(default_factory=dict)
    rulings: dict[UUID, bool] = field(default_factory=dict)


def resolve(
    kinds: Mapping[UUID, Kind],
    evidences: Sequence[Evidence],
    rulings: Sequence[Ruling],
    rules: Rules,
    outside: Mapping[UUID, Outside] = MappingProxyType({}),
    trace: Trace | None = None,
) -> Resolution:
    """Who is who, by these evidences and rulings.

    `kinds` names every node of the evidences, and those of the rulings that are known (others are passed over).
    Whole components are to be given: all evidences and rulings of each node that is not in `outside`, and every
    inactive evidence that it is in. `outside` holds what else stands in these evidences: shared nodes, and in an
    inactive evidence nodes of other components. Where such an evidence is at home in another component, its home is
    told as the node itself that is first, whose customer the caller knows. `rulings`: only those that count.
    """
    return _Resolving(Graph(kinds, _earliest(evidences), rules, outside), rulings, rules, trace).answer(outside)


def _earliest(evidences: Iterable[Evidence]) -> Collection[Evidence]:
    """Each evidence once, with the earliest time that is given for it."""
    found: dict[UUID, Evidence] = {}
    for one in evidences:
        before = found.setdefault(one.id, one)
        if before is not one and one.first_at and (before.first_at is None or one.first_at < before.first_at):
            found[one.id] = one
    return found.values()


class _Resolving:
    def __init__(self, graph: Graph, rulings: Iterable[Ruling], rules: Rules, trace: Trace | None) -> None:
        self.graph = graph
        self.rules = rules
        self.trace = trace
        count = len(graph.tokens)
        newest = sorted({ruling.name: ruling for ruling in rulings}.values(), key=_by_age, reverse=True)
        self.rulings = [(ruling, [graph.known(side) for side in ruling.sides]) for ruling in newest]
        self.parents = list(range(count))
        self._connect()
        self.roots = [find(self.parents, node) for node in range(count)]
        self.stars = self._find_stars()
        self.slow = self._find_slow()
        self.clusters = Clusters(count, graph.groups, graph.group_limits)
        self.disputes: list[Dispute] = []

    def _connect(self) -> None:
        """Components: what active evidences and merges connect. The root of each is its least node."""
        graph, parents = self.graph, self.parents
        self.open = graph.members
        if any(graph.shared):
            self.open = [graph.open_members(evidence) for evidence in range(len(graph.members))]
        merges = [tuple([node for side in sides for node in side]) for ruling, sides in self.rulings if ruling.merges]
        for members in self.open[: graph.active] + merges:
            if len(members) < 2:
                continue
            root = find(parents, members[0])
            for node in members[1:]:
                other = parents[node]
                while parents[other] != other:
                    parents[other] = other = parents[parents[other]]
                parents[node] = other
                if other < root:
                    parents[root] = root = other
                else:
                    parents[other] = root

    def _find_stars(self) -> set[int]:
        """The roots of components that are too large to be resolved link by link."""
        graph, roots = self.graph, self.roots
        links_in_all = sum([len(members) * (len(members) - 1) for members in self.open]) // 2
        if len(roots) <= self.rules.star_nodes and links_in_all <= self.rules.star_links:
            return set()
        nodes: dict[int, int] = {}
        for node, root in enumerate(roots):
            if not graph.shared[node]:
                nodes[root] = nodes.get(root, 0) + 1
        links: dict[int, int] = {}
        for members in self.open[: graph.active]:
            size = len(members)
            if size > 1:
                root = roots[members[0]]
                links[root] = links.get(root, 0) + size * (size - 1) // 2
        stars = {root for root, count in nodes.items() if count > self.rules.star_nodes}
        return stars | {root for root, count in links.items() if count > self.rules.star_links}

    def _find_slow(self) -> set[int] | None:
        """The roots of components that are not one customer as they stand (None: look at each)."""
        if self.trace is not None:
            return None
        graph, roots = self.graph, self.roots
        slow = set(self.stars)
        for _, sides in self.rulings:
            slow.update([roots[node] for side in sides for node in side])
        held: dict[tuple[int, int], int] = {}
        for node, group in enumerate(graph.groups):
            if group >= 0 and not graph.shared[node]:
                place = (roots[node], group)
                held[place] = count = held.get(place, 0) + 1
                if count > graph.group_limits[group]:
                    slow.add(roots[node])
        return slow

    def answer(self, outside: Mapping[UUID, Outside]) -> Resolution:
        if self.slow is None or self.slow:
            graph, slow = self.graph, self.slow
            self.clusters.hold_numbers(
                [n for n, group in enumerate(graph.groups) if group >= 0 and (slow is None or self.roots[n] in slow)]
            )
            self._apply_rulings()
            self._follow_links()
            if self.stars:
                self._follow_stars()
        return self._told(outside)

    def _apply_rulings(self) -> None:
        for number, (ruling, sides) in enumerate(self.rulings):
            told = self.clusters.merge(sides) if ruling.merges else self._split(number, sides)
            if self.trace is not None:
                self.trace.rulings[ruling.name] = told

    def _split(self, number: int, sides: Sequence[Sequence[int]]) -> bool:
        """A split in each component by itself: what became of one side elsewhere is of no account here."""
        roots = {self.roots[node] for side in sides for node in side}
        told = False
        for root in roots:
            here = [[node for node in side if self.roots[node] == root] for side in sides]
            told = self.clusters.split(number, here) or told
        return told

    def _follow_links(self) -> None:
        """Unite what stood together, strongest kinds first, then the earliest; what is refused is disputed."""
        graph, roots, slow, stars, order = self.graph, self.roots, self.slow, self.stars, self.graph.order
        keys: list[int] = []
        for members, moment in zip(self.open, graph.moments_of, strict=False):
            if len(members) < 2 or (slow is not None and roots[members[0]] not in slow) or roots[members[0]] in stars:
                continue
            places = sorted([order[node] for node in members])
            for at, place in enumerate(places):
                head = (place >> 2 * BITS << 16 << BITS) | moment
                stronger = (place & MASK) << BITS
                for other in places[at + 1 :]:
                    key = head | (other >> 2 * BITS << BITS)
                    keys.append((key << 2 * BITS) | stronger | (other & MASK))
        keys.sort()
        followed = self._first_evidences() if self.trace is not None else None
        parents, refusals = self.clusters.parents, set[int]()
        for key in keys:
            pair = key & PAIR
            a, b = pair >> BITS, pair & MASK
            if find(parents, a) == find(parents, b) or pair in refusals:
                continue
            refused = self.clusters.unite(a, b)
            if refused:
                refusals.add(pair)
                self._dispute(a, b, refused, (key >> 2 * BITS) & MASK)
            if followed is not None:
                self._note(a, b, followed, refused)

    def _first_evidences(self) -> dict[int, int]:
        """The first evidence that holds a pair of nodes (lower number first), by pair; of equals the lowest id."""
        graph = self.graph
        found: dict[int, int] = {}
        for evidence in sorted(range(graph.active), key=lambda one: (graph.moments_of[one], graph.ids[one].int)):
            for a, b in combinations(sorted(self.open[evidence]), 2):
                found.setdefault((a << BITS) | b, evidence)
        return found

    def _dispute(self, a: int, b: int, reason: Reason, moment: int) -> None:
        tokens = self.graph.tokens
        self.disputes.append(Dispute(tokens[min(a, b)], tokens[max(a, b)], reason, self.graph.moments[moment]))

    def _note(self, a: int, b: int, first: Mapping[int, int], refused: Reason | None) -> None:
        """Tell the trace of a link that was followed or refused."""
        graph = self.graph
        if self.trace is not None:
            a, b = min(a, b), max(a, b)
            evidence = first[(a << BITS) | b]
            at = graph.moments[graph.moments_of[evidence]]
            link = Link(graph.tokens[a], graph.tokens[b], graph.ids[evidence], at, refused)
            (self.trace.refused if refused else self.trace.followed).append(link)

    def _follow_stars(self) -> None:
        """In a component that is too large each node joins the number that stood beside it first, or stays alone."""
        graph, roots = self.graph, self.roots
        followed = self._first_evidences() if self.trace is not None else None
        stars = self.stars
        for place in sorted([place for place, root in zip(graph.order, roots, strict=True) if root in stars]):
            node = place & MASK
            number = graph.direct[node]
            if number < 0 or graph.shared[number] or graph.shared[node]:
                continue
            refused = self.clusters.unite(node, number, limited=False)
            if refused:
                self._dispute(node, number, refused, graph.direct_at[node])
            if followed is not None:
                self._note(node, number, followed, refused)

    def _told(self, outside: Mapping[UUID, Outside]) -> Resolution:
        graph = self.graph
        customers = self._customers()
        told = Resolution(disputes=sorted(self.disputes), stars={graph.tokens[root] for root in self.stars})
        self._tell_nodes(told, customers, outside)
        tokens, order, roots, shared = graph.tokens, graph.order, self.roots, graph.shared
        linking = chain(self.open[: graph.active], repeat(()))
        for one, members, open_ in zip(graph.ids, graph.members, linking, strict=False):
            if members:
                first = min([order[node] for node in open_]) & MASK if open_ else self._strongest(members)
                told.homes[one] = tokens[customers[first]]
                told.components[one] = None if shared[first] else tokens[roots[first]]
        return told

    def _strongest(self, members: Collection[int]) -> int:
        """Whose an evidence is that links nobody; times are of no account, some are those of other components."""
        priorities = self.graph.priorities
        return min(members, key=lambda node: (priorities[node], node))

    def _customers(self) -> list[int]:
        """The first node of each node's cluster."""
        order, slow = self.graph.order, self.slow
        clusters = self.roots
        if slow is None or slow:
            united = self.clusters.parents
            clusters = [
                find(united, node) if slow is None or root in slow else root for node, root in enumerate(self.roots)
            ]
        first = list(order)
        for place, cluster in zip(order, clusters, strict=True):
            if place < first[cluster]:  # noqa: PLR1730 - min() is twice as slow, and this is for each node
                first[cluster] = place
        return [first[cluster] & MASK for cluster in clusters]

    def _tell_nodes(self, told: Resolution, customers: Sequence[int], outside: Mapping[UUID, Outside]) -> None:
        graph, tokens, moments, strong, nodes = (
            self.graph,
            self.graph.tokens,
            self.graph.moments,
            self.graph.strong,
            told.nodes,
        )
        columns = zip(graph.first, graph.shared, graph.direct, graph.direct_at, self.roots, customers, strict=True)
        for node, (first, shared, direct, direct_at, root, customer) in enumerate(columns):
            nodes[tokens[node]] = NodeState(
                moments[first] if first != MASK else None,
                shared > 0,
                strong.get(node, ()),
                tokens[direct] if direct >= 0 else None,
                moments[direct_at] if direct >= 0 else None,
                None if shared else tokens[root],
                tokens[customer],
            )
            if shared and self.trace is not None:
                self.trace.shared[tokens[node]] = graph.strong_counts.get(node, {})
        for token in outside:
            nodes.pop(token, None)


def _by_age(ruling: Ruling) -> tuple[datetime, int]:
    return ruling.at, ruling.name.int
