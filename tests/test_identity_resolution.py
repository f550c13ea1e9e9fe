"""Is who is who decided by what was seen and ruled, whatever came first?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identifiers import KINDS, priority
from domain.identity import Dispute, Evidence, Kind, Link, Outside, Resolution, Ruling, Trace, resolve
from domain.identity_rules import Rules
from tests.support.identity_reference import resolve_plainly

_SPACE = UUID(int=35)
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def node(name: str) -> UUID:
    """The token of `customer_no:1`, `email:anna` or `customer_no/crm:1`."""
    return uuid5(_SPACE, name)


def at(day: int) -> datetime:
    return _BEGAN + timedelta(days=day)


def kinds_of(names: Iterable[str]) -> dict[UUID, Kind]:
    told = {}
    for name in names:
        kind, _, namespace = name.partition(":")[0].partition("/")
        told[node(name)] = Kind(kind, namespace, priority(kind))
    return told


def evidence(day: int | None, *names: str) -> Evidence:
    return Evidence(node("&".join(sorted(names))), tuple(map(node, names)), None if day is None else at(day))


def ruling(day: int, merges: bool, *sides: Sequence[str], name: str = "") -> Ruling:
    called = node(f"ruling {name} {day} {merges} {sides}")
    return Ruling(called, at(day), merges, tuple(tuple(map(node, side)) for side in sides))


def resolved(
    evidences: Sequence[tuple[object, ...]], *rulings: Ruling, rules: Rules | None = None, trace: Trace | None = None
) -> Resolution:
    """Evidences as (day, name, name …)."""
    kinds = kinds_of(str(name) for _, *names in evidences for name in names)
    made = [evidence(day if isinstance(day, int) else None, *map(str, names)) for day, *names in evidences]
    return resolve(kinds, made, rulings, rules or Rules(), trace=trace)


def people(told: Resolution, *names: str) -> list[set[str]]:
    """These names by customer, in the order of names."""
    found: dict[UUID, set[str]] = {}
    for name in names:
        found.setdefault(told.nodes[node(name)].customer, set()).add(name)
    return list(found.values())


NAMES = (
    *("customer_no:1", "customer_no:2", "customer_no:3", "customer_no/shop:1", "external/crm:1", "external/crm:2"),
    *("email:1", "email:2", "email:3", "phone:1", "phone:2", "cookie:1", "cookie:2", "cookie:3"),
)
_names = st.sampled_from(NAMES)
_RULES = (
    Rules(),
    Rules(shared={"customer_no": 1, "email": 1}),
    Rules(shared={"customer_no": 2}, star_nodes=4),
    Rules(shared={}, star_links=5),
    Rules(limits={"customer_no": 2, "email": 1}, shared={"email": 2}),
    Rules(shared={"customer_no": 1}, ignored=frozenset({node("customer_no:1"), node("phone:1"), node("phone:99")})),
)
_evidences = st.lists(
    st.builds(
        lambda day, names: evidence(day, *names),
        st.one_of(st.integers(0, 4), st.integers(0, 4), st.none()),
        st.lists(_names, min_size=1, max_size=4, unique=True),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)
_rulings = st.lists(
    st.builds(
        lambda day, merges, sides: ruling(day, merges, *sides),
        st.integers(0, 5),
        st.booleans(),
        st.lists(st.lists(_names, min_size=1, max_size=2, unique=True), min_size=2, max_size=3),
    ),
    max_size=5,
    unique_by=lambda one: one.name,
)
_rules = st.sampled_from(_RULES)
ALL = kinds_of(NAMES)


@settings(max_examples=400, deadline=None)
@given(_evidences, _rulings, _rules)
def test_a_plain_reading_of_the_rules_gives_the_same(
    evidences: list[Evidence], rulings: list[Ruling], rules: Rules
) -> None:
    expected = resolve_plainly(ALL, evidences, rulings, rules)
    assert resolve(ALL, evidences, rulings, rules) == expected
    assert resolve(ALL, evidences, rulings, rules, trace=Trace()) == expected


@settings(max_examples=100, deadline=None)
@given(_evidences, _rulings, _rules, st.data())
def test_order_and_repeats_do_not_matter(
    evidences: list[Evidence], rulings: list[Ruling], rules: Rules, data: st.DataObject
) -> None:
    expected = resolve(ALL, evidences, rulings, rules)
    again = data.draw(st.permutations(evidences + evidences[:3]))
    # An evidence that was read twice, once before an older event of it was known, counts from the older one.
    newer = [one._replace(first_at=one.first_at + timedelta(days=9)) for one in evidences[:2] if one.first_at]
    again = newer[:1] + again + newer[1:]
    ruled = data.draw(st.permutations(rulings + rulings[:2]))
    kinds = dict(data.draw(st.permutations(list(ALL.items()))))
    trace, other = Trace(), Trace()
    assert resolve(kinds, again, ruled, rules, trace=trace) == expected
    resolve(ALL, evidences, rulings, rules, trace=other)
    assert trace == other


@settings(max_examples=150, deadline=None)
@given(_evidences, _rulings, _rules)
def test_a_component_by_itself_is_resolved_as_it_is_among_others(
    evidences: list[Evidence], rulings: list[Ruling], rules: Rules
) -> None:
    whole = resolve(ALL, evidences, rulings, rules)
    outside = {one: Outside(state.first_at, True) for one, state in whole.nodes.items() if state.shared}
    for part in _parts(whole, evidences, rulings):
        here = [one for one in evidences if part & set(one.nodes)]
        met = part | {one for each in here for one in each.nodes}
        assert met - part <= outside.keys()
        told = resolve(
            {one: ALL[one] for one in met},
            here,
            [one for one in rulings if any(part & set(side) for side in one.sides)],
            rules,
            {one: outside[one] for one in met - part},
        )
        assert told.nodes == {one: whole.nodes[one] for one in part}
        assert told.homes == {one.id: whole.homes[one.id] for one in here}
        assert told.components == {one.id: whole.components[one.id] for one in here}
        assert told.disputes == [one for one in whole.disputes if one.a in part]
        assert told.stars == whole.stars & part


def _parts(whole: Resolution, evidences: Iterable[Evidence], rulings: Iterable[Ruling]) -> list[set[UUID]]:
    """What is loaded together: components, and those that an inactive evidence has nodes of (its home is in one)."""
    parts: dict[UUID, set[UUID]] = {}
    for one, state in whole.nodes.items():
        if state.component:
            parts.setdefault(state.component, set()).add(one)
    found = list(parts.values())
    for each in evidences:
        touched = [part for part in found if part & set(each.nodes)]
        if each.first_at is None and touched:
            found = [part for part in found if part not in touched] + [set[UUID]().union(*touched)]
    return found


@settings(max_examples=60, deadline=None)
@given(_evidences, _rules, st.lists(_names, min_size=1, max_size=4, unique=True))
def test_inactive_evidence_has_a_home_and_links_nobody(
    evidences: list[Evidence], rules: Rules, names: list[str]
) -> None:
    gone = evidence(None, *names)
    without = [one for one in evidences if one.id != gone.id]
    before, after = resolve(ALL, without, [], rules), resolve(ALL, [*without, gone], [], rules)
    assert after.nodes == before.nodes
    assert after.disputes == before.disputes
    assert after.homes[gone.id] in {before.nodes[node(name)].customer for name in names}


@settings(max_examples=60, deadline=None)
@given(_evidences, _rules, st.lists(_names, min_size=1, max_size=4, unique=True))
def test_whoever_is_shared_stays_shared_when_more_is_seen(
    evidences: list[Evidence], rules: Rules, names: list[str]
) -> None:
    before = resolve(ALL, evidences, [], rules)
    after = resolve(ALL, [*evidences, evidence(3, *names)], [], rules)
    assert {one for one, state in before.nodes.items() if state.shared} <= {
        one for one, state in after.nodes.items() if state.shared
    }


@settings(max_examples=100, deadline=None)
@given(
    _evidences,
    _rulings,
    _rules,
    st.lists(_names, min_size=2, max_size=5, unique=True),
    st.integers(1, 2),
)
def test_a_merge_and_a_later_split_of_the_same_sides_is_as_if_it_had_never_been(
    evidences: list[Evidence], rulings: list[Ruling], rules: Rules, names: list[str], cut: int
) -> None:
    rules = replace(rules, star_nodes=1000, star_links=20_000)  # a merge joins components, whose size makes a star
    cut = min(cut, len(names) - 1)
    sides = names[:cut], names[cut:]
    merge, split = ruling(3, True, *sides, name="M"), ruling(4, False, *sides, name="S")
    rulings = [one for one in rulings if one.at <= at(3)]  # what was ruled after it may have built upon it
    after = _who(resolve(ALL, evidences, [*rulings, merge, split], rules))
    assert after == _who(resolve(ALL, evidences, [*rulings, split], rules))
    apart = resolve(ALL, evidences, rulings, rules)
    components = [{apart.nodes[node(name)].component for name in side} for side in sides]
    if not components[0] & components[1]:
        assert after == _who(apart)


def _who(told: Resolution) -> tuple[object, ...]:
    return {one: state.customer for one, state in told.nodes.items()}, told.homes, told.disputes


def test_links_of_stronger_kinds_are_followed_first_and_then_the_earliest() -> None:
    told = resolved([(1, "customer_no:2", "cookie:1"), (3, "customer_no:1", "email:1"), (2, "email:1", "cookie:1")])
    assert people(told, "customer_no:1", "email:1", "cookie:1", "customer_no:2") == [
        {"customer_no:1", "email:1"},
        {"customer_no:2", "cookie:1"},
    ]
    a, b = sorted((node("email:1"), node("cookie:1")))
    assert told.disputes == [Dispute(a, b, "limit", at(2))]


def test_a_link_that_gets_older_may_change_who_is_who() -> None:
    first = [(1, "cookie:1"), (1, "customer_no:1"), (1, "customer_no:2")]
    late = [*first, (5, "customer_no:1", "cookie:1"), (4, "customer_no:2", "cookie:1")]
    assert people(resolved(late), "customer_no:2", "cookie:1") == [{"customer_no:2", "cookie:1"}]
    # No node is seen any earlier, only the link.
    older = [*late, (2, "customer_no:1", "cookie:1", "device:1")]
    assert people(resolved(older), "customer_no:1", "cookie:1") == [{"customer_no:1", "cookie:1"}]


def test_a_limit_counts_each_namespace_by_itself() -> None:
    told = resolved([(1, "customer_no:1", "customer_no/shop:1", "email:1"), (2, "customer_no:2", "email:1")])
    assert people(told, "customer_no:1", "customer_no/shop:1", "email:1") == [
        {"customer_no:1", "customer_no/shop:1", "email:1"}
    ]
    assert [one.reason for one in told.disputes] == ["limit"]


def test_a_customer_is_named_by_its_strongest_and_then_its_earliest_node() -> None:
    told = resolved([(1, "email:1", "cookie:1"), (2, "email:1", "customer_no:1")])
    assert told.nodes[node("cookie:1")].customer == node("customer_no:1")
    told = resolved([(1, "email:1", "cookie:1"), (2, "email:2", "cookie:1")])
    assert told.nodes[node("email:2")].customer == node("email:1")


@pytest.mark.parametrize("numbers", [3, 4])
def test_an_identifier_beside_more_numbers_than_the_threshold_links_nobody(numbers: int) -> None:
    told = resolved([(day, f"customer_no:{day}", "phone:1") for day in range(numbers)])
    state = told.nodes[node("phone:1")]
    assert state.shared == (numbers > 3)
    assert len(state.strong) == numbers
    assert (state.component is None) == state.shared
    assert state.customer == node("phone:1" if state.shared else "customer_no:0")
    assert len(told.disputes) == (0 if state.shared else 2)
    assert told.homes[evidence(0, "customer_no:0", "phone:1").id] == node("customer_no:0")


def test_strong_neighbours_are_kept_only_until_there_are_too_many() -> None:
    told = resolved([(day, f"customer_no:{day}", "phone:1") for day in range(40)])
    assert len(told.nodes[node("phone:1")].strong) == 3 + 3 + 5 + 1
    assert told.nodes[node("phone:1")].shared


def test_an_evidence_of_shared_nodes_alone_is_at_home_with_its_first_node() -> None:
    crowd = [(day, f"customer_no:{day}", "phone:1", "cookie:1") for day in range(4)]
    told = resolved([*crowd, (9, "phone:1", "cookie:1")])
    alone = evidence(9, "phone:1", "cookie:1").id
    assert told.homes[alone] == node("phone:1")
    assert told.components[alone] is None


def test_what_is_ignored_links_nobody_and_is_nobodys_number() -> None:
    rules = Rules(ignored=frozenset({node("customer_no:0"), node("email:1")}))
    told = resolved(
        [(1, "email:1", "cookie:1"), (1, "email:1", "cookie:2"), (0, "customer_no:0", "cookie:1")], rules=rules
    )
    assert people(told, "cookie:1", "cookie:2") == [{"cookie:1"}, {"cookie:2"}]
    assert told.nodes[node("cookie:1")].direct is None
    assert told.nodes[node("email:1")].shared and not told.nodes[node("cookie:1")].strong[1:]


def test_direct_is_the_number_that_stood_beside_first() -> None:
    told = resolved([(2, "customer_no:1", "email:1"), (1, "customer_no:2", "email:1"), (1, "email:2")])
    state = told.nodes[node("email:1")]
    assert (state.direct, state.direct_at) == (node("customer_no:2"), at(1))
    assert told.nodes[node("customer_no:1")].direct is None
    assert told.nodes[node("email:2")].direct is None


def _crowd(cookies: int) -> list[tuple[object, ...]]:
    """One terminal with many visitors, some of whom have a number or an e-mail address."""
    told: list[tuple[object, ...]] = [(day, "device:kiosk", f"cookie:{day}") for day in range(cookies)]
    told += [(day, f"cookie:{day}", f"customer_no:{day}") for day in range(0, cookies, 3)]
    return told + [(day, f"cookie:{day}", f"email:{day}") for day in range(0, cookies, 2)]


def test_a_component_beyond_the_threshold_is_resolved_by_a_star() -> None:
    evidences = _crowd(6)  # 1 device, 6 cookies, 2 numbers, 3 addresses
    small = resolved(evidences, rules=Rules(star_nodes=12))
    assert not small.stars and small.disputes
    assert people(small, "cookie:1", "cookie:2") == [{"cookie:1", "cookie:2"}]
    large = resolved(evidences, rules=Rules(star_nodes=11))
    assert len(large.stars) == 1 and not large.disputes
    assert large.stars == {large.nodes[node("device:kiosk")].component}
    assert people(large, "customer_no:0", "cookie:0", "email:0", "cookie:1", "device:kiosk") == [
        {"customer_no:0", "cookie:0"},
        {"email:0"},
        {"cookie:1"},
        {"device:kiosk"},
    ]


def test_links_beyond_the_threshold_make_a_star_too() -> None:
    evidences = [(1, "customer_no:1", "email:1", "email:2", "cookie:1"), (1, "email:1", "cookie:2")]
    assert not resolved(evidences, rules=Rules(star_links=7)).stars
    told = resolved(evidences, rules=Rules(star_links=6))
    assert people(told, "customer_no:1", "email:1", "cookie:2") == [{"customer_no:1", "email:1"}, {"cookie:2"}]


def test_a_star_is_none_any_more_when_what_made_it_was_taken_back() -> None:
    evidences = _crowd(6)
    gone = [(None, *names) if "device:kiosk" in names else (day, *names) for day, *names in evidences]
    told = resolved(gone, rules=Rules(star_nodes=5))
    assert not told.stars
    assert people(told, "customer_no:0", "cookie:0", "email:0") == [{"customer_no:0", "cookie:0", "email:0"}]


def test_a_steward_is_obeyed_within_a_star() -> None:
    merge = ruling(9, True, ["email:0"], ["customer_no:0"])
    split = ruling(9, False, ["cookie:3"], ["customer_no:3"])
    told = resolved(_crowd(6), merge, split, rules=Rules(star_nodes=5))
    assert people(told, "customer_no:0", "email:0", "customer_no:3", "cookie:3") == [
        {"customer_no:0", "email:0"},
        {"customer_no:3"},
        {"cookie:3"},
    ]
    assert [one.reason for one in told.disputes] == ["split"]


TWO = [(1, "customer_no:1", "email:1"), (2, "customer_no:2", "email:2")]


def test_a_merge_wins_over_limits_and_what_it_made_too_full_still_takes_the_numberless() -> None:
    merge = ruling(3, True, ["customer_no:1"], ["customer_no:2"])
    told = resolved([*TWO, (3, "email:2", "cookie:1"), (4, "customer_no:3", "cookie:1")], merge)
    assert people(told, "customer_no:1", "customer_no:2", "email:2", "cookie:1", "customer_no:3") == [
        {"customer_no:1", "customer_no:2", "email:2"},
        {"cookie:1", "customer_no:3"},
    ]
    told = resolved([*TWO, (3, "email:2", "cookie:1")], merge)
    assert people(told, "customer_no:1", "customer_no:2", "email:1", "email:2", "cookie:1") == [
        {"customer_no:1", "customer_no:2", "email:1", "email:2", "cookie:1"}
    ]


def test_a_split_wins_over_evidence() -> None:
    told = resolved([(1, "email:1", "cookie:1", "phone:1")], ruling(2, False, ["email:1"], ["phone:1"]))
    assert people(told, "email:1", "cookie:1", "phone:1") == [{"email:1", "cookie:1"}, {"phone:1"}]
    assert {one.reason for one in told.disputes} == {"split"}
    assert len(told.disputes) == 2


@pytest.mark.parametrize(("merged", "split", "one"), [(3, 4, False), (4, 3, True)])
def test_of_a_merge_and_a_split_the_newer_wins(merged: int, split: int, one: bool) -> None:
    sides = ["customer_no:1"], ["customer_no:2"]
    told = resolved(TWO, ruling(merged, True, *sides), ruling(split, False, *sides))
    assert len(people(told, "customer_no:1", "customer_no:2")) == (1 if one else 2)


def test_a_split_of_one_from_a_merge_of_three_leaves_the_other_two_together() -> None:
    three = [*TWO, (3, "customer_no:3")]
    merge = ruling(4, True, ["customer_no:1"], ["customer_no:2"], ["customer_no:3"])
    split = ruling(5, False, ["customer_no:1"], ["customer_no:2", "customer_no:3"])
    told = resolved(three, merge, split)
    assert people(told, "customer_no:1", "customer_no:2", "customer_no:3") == [
        {"customer_no:1"},
        {"customer_no:2", "customer_no:3"},
    ]


def test_rulings_at_the_same_moment_are_told_apart_by_name() -> None:
    rulings = [ruling(3, True, ["email:1"], ["email:2"]), ruling(3, False, ["email:1"], ["email:2"])]
    newest = max(rulings, key=lambda one: one.name)
    for given_ in (rulings, rulings[::-1]):
        assert len(people(resolved(TWO, *given_), "customer_no:1", "email:1", "email:2")) == (2 - newest.merges)


def test_a_trace_tells_what_was_followed_and_what_was_refused() -> None:
    trace = Trace()
    merge, split = (ruling(day, day == 8, ["email:9"], ["customer_no:1"]) for day in (8, 9))
    resolved(
        [*TWO, (4, "email:2", "email:1"), (3, "customer_no:1", "email:1", "phone:1"), (5, "email:9")],
        merge, split, trace=trace,
    )  # fmt: skip
    first = evidence(1, "customer_no:1", "email:1")
    followed = {(frozenset({one.a, one.b}), one.evidence) for one in trace.followed}
    assert (frozenset(first.nodes), first.id) in followed
    assert len(trace.followed) == 3  # a tree: two links for three nodes, one for two
    link = evidence(4, "email:2", "email:1")
    assert trace.refused == [Link(min(link.nodes), max(link.nodes), link.id, at(4), "limit")]
    assert trace.rulings == {split.name: True, merge.name: False}


def test_a_trace_counts_what_made_a_node_shared() -> None:
    trace = Trace()
    resolved([(day, f"customer_no:{day}", f"email:{day}", "phone:1") for day in range(5)], trace=trace)
    assert trace.shared == {node("phone:1"): {"customer_no": 5, "email": 5}}


def test_S07_a_family_shares_a_phone_and_stays_two_people() -> None:
    told = resolved([
        (1, "customer_no:anna", "email:anna", "phone:home"), (2, "customer_no:bert", "email:bert", "phone:home"),
        (3, "phone:home"), (4, "email:bert", "cookie:bert"),
    ])  # fmt: skip
    assert people(told, "customer_no:anna", "email:anna", "phone:home", "customer_no:bert", "email:bert") == [
        {"customer_no:anna", "email:anna", "phone:home"},
        {"customer_no:bert", "email:bert"},
    ]
    assert told.nodes[node("cookie:bert")].customer == node("customer_no:bert")
    assert told.homes[evidence(3, "phone:home").id] == node("customer_no:anna")
    assert {one.reason for one in told.disputes} == {"limit"}


def test_S07_a_switchboard_makes_nobody_one() -> None:
    colleagues = [(day, f"customer_no:{day}", f"email:{day}", "phone:board") for day in range(6)]
    strangers = [(day, f"email:{day}", "phone:board") for day in range(10, 13)]
    told = resolved([*colleagues, *strangers, (20, "phone:board")])
    customers = {told.nodes[node(f"email:{day}")].customer for day in (*range(6), *range(10, 13))}
    assert len(customers) == 9
    assert not told.disputes
    assert told.homes[evidence(20, "phone:board").id] == node("phone:board")


def test_nothing_seen_is_nobody_and_nodes_without_evidence_are_alone() -> None:
    assert resolve({}, [], [], Rules()) == Resolution()
    told = resolve(kinds_of(["email:1"]), [], [ruling(1, True, ["email:1"], ["email:2"])], Rules())
    assert told.nodes[node("email:1")].first_at is None
    assert told.nodes[node("email:1")].component == node("email:1")


def test_kinds_are_ranked_as_they_are_listed() -> None:
    told = resolved([(1, *(f"{kind}:1" for kind in reversed(KINDS)))])
    assert {state.customer for state in told.nodes.values()} == {node("customer_no:1")}
