"""Are the reasons of one customer those by which all customers are told apart? What a story comes to, asked in
Python, and what the compiled rules find, asked in Postgres, are the same at every moment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from domain.segment_story import Around, CustomerStory
from domain.segment_verdict import evaluate, holds
from domain.segments import Rule, plain_rule
from projections.segments.reader import estimated
from projections.segments.story import StoryReader
from tests.support.histories import deliver
from tests.support.plain_world import Definition
from tests.support.random_rules import random_leaf, random_rule
from tests.support.segment_histories import story_of
from tests.support.segment_moments import around, turning_points
from tests.support.segment_stage import SegmentStage, segment_stage

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "2"))
"""Random histories, each with 12 rules; set SEGMENT_EXAMPLES to ask for more by hand."""
MOMENTS = 8


@pytest.fixture(scope="module")
def arena(postgres: Any) -> Iterator[SegmentStage]:
    with segment_stage(postgres) as made:
        yield made


def test_an_estimate_of_a_part_bounds_the_whole_nineteen_times_of_twenty() -> None:
    pick, kept = Random(7), 0
    for _ in range(400):
        everybody, share = pick.randrange(2000, 20_000), pick.choice([0.02, 0.1, 0.5])
        members = int(everybody * pick.choice([0.001, 0.05, 0.4, 1.0]))
        drawn = [pick.random() < share for _ in range(everybody)]
        found = estimated(sum(drawn[:members]), sum(drawn), share, ())
        kept += found.low <= members <= (found.high or 0)
        assert not found.exact and found.looked == sum(drawn)
    assert kept >= 0.93 * 400
    assert estimated(0, 0, 0.0, ()) == (0, 0, None, False, 0, ())


def act_out(arena: SegmentStage, pick: Random) -> datetime:
    """A history, and rules; gives when the last of it was recorded."""
    arena.begin()
    arena.told = arena.arena.publish(story_of(pick, pick.randrange(5, 30)))
    arena.arena.apply(deliver(pick, [one.value for one in arena.told]))
    for number in range(12):
        rule = random_leaf(pick) if number % 2 else random_rule(pick, 3)
        arena.definitions[f"r{number}"] = Definition(plain_rule(rule).plain())
    return max(one.recorded_at for one in arena.told)


def stories(
    arena: SegmentStage, customers: Sequence[str], rules: Sequence[Rule], now: datetime
) -> Mapping[str, CustomerStory]:
    """The stories of these customers, as the API reads them."""

    async def read() -> dict[str, CustomerStory]:
        dsn = arena.arena.story.dsn
        async with AsyncConnectionPool(dsn, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
            reader = StoryReader(pool, arena.arena.story.catalogue)
            found = {one: await reader.story(UUID(hex=one), rules, now) for one in customers}
            return {one: told for one, told in found.items() if told is not None}

    return asyncio.run(read())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(seed=st.integers(0, 2**40))
def test_what_one_story_comes_to_is_what_is_found_out_for_all(arena: SegmentStage, seed: int) -> None:
    pick = Random(seed)
    now = act_out(arena, pick)
    world, program = arena.world(), arena.program()
    rules = {code: plain_rule(one.rule) for code, one in arena.definitions.items()}
    surroundings = Around(arena.facing.zone, arena.facing.rfm, arena.facing.profile_rules)
    told = stories(arena, sorted(world.customers), list(rules.values()), now)
    plain = [one.rule for one in arena.definitions.values()]
    moments = around(turning_points(world, plain, now, now + timedelta(days=70)))
    for at in [now, *sorted(pick.sample(moments, min(MOMENTS, len(moments))))]:
        held, wakes = arena.ask(program, sorted(told), at)
        for code, rule in rules.items():
            found = {customer for customer, story in told.items() if holds(rule, story, at, surroundings)}
            assert found == held[code], (at, rule.plain())
            for customer, story in told.items() if at == now else ():
                turn = evaluate(rule, story, at, surroundings).turn
                wake = wakes[code, customer]
                assert turn is None or (wake is not None and wake <= turn.at), (rule.plain(), turn)
