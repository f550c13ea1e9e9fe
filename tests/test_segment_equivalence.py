"""Do the compiled rules of segments mean what an independent, plain reading of them means, at every moment?

Rules and histories are made by chance (`random_rules`, `segment_histories`), fed in any order, and asked just before,
at and just after moments at which time alone may change an answer. A few of them here; for a night of them set
SEGMENT_EXAMPLES=1000. A failure names its seed, which alone makes the same example again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.segment_text import print_rule, read_rule
from domain.segments import plain_rule
from eventlog.port import Logged
from projections.segments import compiling_choosing
from tests.support.histories import RULES, deliver
from tests.support.plain_segments import members
from tests.support.plain_world import Definition
from tests.support.random_rules import random_leaf, random_rule
from tests.support.segment_histories import story_of
from tests.support.segment_moments import around, turning_points
from tests.support.segment_stage import SegmentStage, segment_stage
from tests.support.stage import DEFAULTS

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "2"))
MOMENTS = 12
SEEDS = st.integers(0, 2**40)
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@pytest.fixture(scope="module")
def arena(postgres: Any) -> Iterator[SegmentStage]:
    with segment_stage(postgres) as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling_choosing, "LONG_STORY", compiling_choosing.LONG_STORY)  # `read_from` sets it
        yield made


def read_from(pick: Random) -> None:
    """Take no story for long, or all, or those of more than a few touchpoints: they are read from their ends."""
    compiling_choosing.LONG_STORY = pick.choice((300, 0, 0, 3))


def acted(arena: SegmentStage, pick: Random) -> list[datetime]:
    """Act out a history, define rules, and choose moments at which they are asked, in their order."""
    read_from(pick)
    arena.begin(pick.choice(RULES) if pick.random() < 0.3 else DEFAULTS)
    arena.told = arena.arena.publish(story_of(pick, pick.randrange(5, 30)))
    arena.arena.apply(deliver(pick, [one.value for one in arena.told]))
    for number in range(12):
        rule = random_leaf(pick) if number % 2 else random_rule(pick, 3)
        arena.definitions[f"r{number}"] = Definition(plain_rule(rule).plain())
    now = max(one.recorded_at for one in arena.told)
    rules = [one.rule for one in arena.definitions.values()]
    moments = around(turning_points(arena.world(), rules, now, now + timedelta(days=70)))
    return [now, *sorted(pick.sample(moments, min(MOMENTS, len(moments))))]


@few
@given(seed=SEEDS)
def test_compiled_rules_mean_what_the_plain_reading_means_just_before_at_and_after_every_boundary(
    arena: SegmentStage, seed: int
) -> None:
    moments = acted(arena, Random(seed))
    world, program = arena.world(), arena.program()
    for now in moments:
        held, _ = arena.ask(program, sorted(world.customers), now)
        expected = members(world, now)
        wrong = {code: (held[code], expected[code]) for code in expected if held[code] != expected[code]}
        assert wrong == {}, (now, [arena.definitions[code].rule for code in wrong])


@few
@given(seed=SEEDS)
def test_some_of_the_rules_asked_of_each_customer_answer_as_all_of_them_do(arena: SegmentStage, seed: int) -> None:
    pick = Random(seed)
    moments = acted(arena, pick)
    customers, program = sorted(arena.world().customers), arena.program()
    codes = [code for code, _ in program.segments]
    for now in moments:
        held, wakes = arena.ask(program, customers, now)
        chosen = {one: pick.sample(range(len(codes)), pick.randrange(len(codes))) for one in customers}
        for customer, (places, wake) in arena.ask_some(program, chosen, now).items():
            asked = chosen[customer]
            assert set(places) == {place for place in asked if customer in held[codes[place]]}
            told = [at for place in asked if (at := wakes[codes[place], customer]) is not None]
            assert wake == min(told, default=None), [arena.definitions[codes[place]].rule for place in asked]


@few
@given(seed=SEEDS)
def test_nothing_changes_by_time_alone_before_the_moment_that_was_told(arena: SegmentStage, seed: int) -> None:
    moments = acted(arena, Random(seed))
    world, program = arena.world(), arena.program()
    last: dict[tuple[str, str], bool] = {}
    told: dict[tuple[str, str], list[datetime | None]] = {}
    for now in moments:
        _, wakes = arena.ask(program, sorted(world.customers), now)
        expected = members(world, now)
        for (code, customer), wake in wakes.items():
            place, holds = (code, customer), customer in expected[code]
            assert wake is None or wake > now
            if holds is not last.get(place, holds):
                late = [one for one in told.pop(place) if one is None or one > now]
                assert late == [], (now, arena.definitions[code].rule)
            last[place] = holds
            told.setdefault(place, []).append(wake)


def cut(pick: Random, values: list[bytes]) -> list[list[Logged]]:
    """Deliveries in any order with duplicates over partitions, or one after the other."""
    if pick.random() < 0.4:
        return deliver(pick, values)
    logged = [Logged(0, offset, b"", value) for offset, value in enumerate(values)]
    batches = []
    while logged:
        size = pick.choice([1, 1, 2, 3, 5])
        batches.append(logged[:size])
        logged = logged[size:]
    return batches


def agrees(arena: SegmentStage) -> None:
    """What is kept is what the plain reading tells."""
    wrong = arena.differences()
    assert wrong == {}, (arena.now, [arena.definitions[code] for code in wrong])


@few
@given(seed=SEEDS)
def test_kept_memberships_and_what_is_told_of_them_follow_events_rules_lists_and_time(
    arena: SegmentStage, seed: int
) -> None:
    pick = Random(seed)
    read_from(pick)
    arena.begin(pick.choice(RULES) if pick.random() < 0.5 else DEFAULTS)
    arena.arena.remembers = pick.random() < 0.7
    history = story_of(pick, pick.randrange(5, 25))
    if pick.random() < 0.6:
        history.sort(key=lambda one: one[1])
    published = arena.arena.publish(history)
    for number in range(4):
        arena.define(f"r{number}", random_rule(pick, 2, list(arena.definitions)))
    for batch in cut(pick, [one.value for one in published]):
        arena.apply(batch, published)
        nodes = sorted(arena.world().people.kinds)
        if pick.random() < 0.1:
            arena.define(f"r{pick.randrange(6)}", random_rule(pick, 2))
        if nodes and pick.random() < 0.1:
            arena.list_of("list", frozenset(pick.sample(nodes, min(2, len(nodes)))))
        if pick.random() < 0.3:
            continue  # the scheduler comes later
        arena.settle()
        agrees(arena)
        rules = [one.rule for one in arena.definitions.values()]
        moments = around(turning_points(arena.world(), rules, arena.now, arena.now + timedelta(days=10)))
        for moment in sorted(pick.sample(moments, min(pick.choice([0, 1, 2]), len(moments)))):
            arena.now = moment
            arena.settle()
            agrees(arena)
    arena.settle()
    agrees(arena)
    tells_who_is_in(arena)


def tells_who_is_in(arena: SegmentStage) -> None:
    """Of each customer and segment: to enter and to leave alternate, and come to what is so now."""
    kept, last = arena.kept(), {}
    for (code, customer), changes in arena.changes().items():
        entered = [one for one, _ in changes]
        assert entered == [place % 2 == 0 for place in range(len(entered))], changes
        last[code, customer] = entered[-1]
    now = {(code, customer) for code, customers in kept.items() for customer in customers}
    assert {place for place, inside in last.items() if inside} == now


@settings(max_examples=30 * EXAMPLES, deadline=None)
@given(seed=SEEDS)
def test_a_rule_that_went_through_its_text_is_the_same_rule(seed: int) -> None:
    rule = plain_rule(random_rule(Random(seed), codes=["staff", "not", "b.2-c"]))
    text = print_rule(rule)
    assert (read_rule(text), read_rule(text).hash) == (rule, rule.hash)
    assert print_rule(read_rule(text)) == text
