"""Is who is who decided by what was seen and ruled, whatever came first? Claims for all histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identity import Evidence, Outside, Resolution, Ruling, Trace, resolve
from domain.identity_rules import Rules
from tests.support.identity import at, evidence, kinds_of, node, ruling
from tests.support.identity_reference import resolve_plainly

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
    parts: dict[UUID, set[UUID]] = {}
    for one, state in whole.nodes.items():
        if state.component:
            parts.setdefault(state.component, set()).add(one)
    for part in parts.values():
        here = [one for one in evidences if part & set(one.nodes)]
        met = {one for each in here for one in each.nodes} - part
        told = resolve(
            {one: ALL[one] for one in part | met},
            here,
            [one for one in rulings if any(part & set(side) for side in one.sides)],
            rules,
            {one: Outside(whole.nodes[one].first_at, whole.nodes[one].shared) for one in met},
        )
        assert told.nodes == {one: whole.nodes[one] for one in part}
        assert told.disputes == [one for one in whole.disputes if one.a in part]
        assert told.stars == whole.stars & part
        for each in here:
            home = told.homes[each.id]
            # An inactive evidence may be at home in another component: then the node is told that says in whose.
            assert whole.homes[each.id] == (whole.nodes[home].customer if home in met else home)
            assert home in met or told.components[each.id] == whole.components[each.id]


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
