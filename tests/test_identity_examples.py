"""Who is who, by example: limits, shared identifiers, large components, stewards, families and switchboards."""

from __future__ import annotations

import pytest

from domain.identifiers import KINDS
from domain.identity import Dispute, Link, Resolution, Trace, resolve
from domain.identity_rules import Rules
from tests.support.identity import at, evidence, kinds_of, node, people, resolved, ruling


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
