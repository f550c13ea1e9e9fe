"""Do compiled rules say of customers what rules mean? Leaf by leaf, on histories that people can follow.

tests/test_segment_equivalence.py holds the compiler against an independent evaluator; here stand the meanings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.segment_text import read_rule
from domain.segments import Rule
from projections.registry import use
from projections.segments.compiling import Facing, Program, Ruled
from tests.support.rules import rules
from tests.support.stage import Stage, stage
from tests.support.story import START

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "60"))
"""More of them by hand: SEGMENT_EXAMPLES=3000."""
LONDON = ZoneInfo("Europe/London")


class Held(NamedTuple):
    held: bool
    wake: datetime | None


@pytest.fixture(scope="module")
def acted(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def asked(stage: Stage, facing: Facing, now: datetime, *several: Rule) -> dict[UUID, list[Held]]:
    """What is found out of every customer, rule by rule."""
    program = Program([Ruled(f"s{number}", 1, rule) for number, rule in enumerate(several)], facing)
    with psycopg.connect(stage.story.dsn) as connection:
        use(connection)
        customers = [row[0] for row in connection.execute("SELECT DISTINCT customer FROM evidences").fetchall()]
        parameters = {**program.parameters, "customers": [*customers, uuid4()], "now": now}
        rows = connection.execute(program.query, parameters).fetchall()
    assert len(rows) == (len(customers) + 1) * len(several)
    found: dict[UUID, list[Any]] = {one: [None] * len(several) for one in customers}
    for customer, segment, _, held, wake in rows:
        if customer in found:
            found[customer][int(segment[1:])] = Held(held, wake)
    return found


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rules("vip", "listed", "gone"), min_size=1, max_size=3))
def test_whatever_the_rule_postgres_understands_it(acted: Stage, several: list[Rule]) -> None:
    others = {"vip": read_rule("in segment vip or exists(purchase.made in last 1d)"), "listed": None}
    asked(acted, Facing(zone=LONDON, others=others), START + timedelta(days=1), *several)
