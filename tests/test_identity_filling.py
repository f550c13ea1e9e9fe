"""Do the tables of identity that are filled as a whole hold, in every column, what the rules say of all evidences and
rulings at once? Most components are filled by SQL and never loaded: so this is held against `resolve` itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from domain.identity import Evidence, Kind, Resolution, resolve
from domain.identity_rules import Rules
from projections.identity.changing import change, live_rules
from projections.identity.plain import plains_of
from projections.identity.tables import ruling_of
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import Story, event, story
from tests.test_identity_rules_change import LOOSE, STARRED, STRICT, history, put_rules, ruling, rulings
from tests.test_rebuild_one import rebuild

NODES = (
    "SELECT node, kind, namespace, priority, first_at, shared, strong, direct, direct_at, component, customer "
    "FROM identity.nodes"
)
SAID = "SELECT evidence, nodes, first_at, component, customer FROM identity.evidences WHERE first_at IS NOT NULL"
RULED = "SELECT name, at, merges, nodes, sides FROM identity.rulings WHERE counts"
PLAIN = "SELECT component, customer, priority, first_at, nodes, links, numbers FROM identity.plain"
SCRATCH = (
    "SELECT relname FROM pg_class WHERE relname IN ('placed', 'grouped', 'strange', 'said_members', 'said_nodes')"
)


@pytest.fixture(scope="module")
def told(postgres: PostgresServer) -> Iterator[Story]:
    """People who hang together in every way, and many of whom nothing is to be decided."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, f"{dsn}&partitions=2") as made, one_runner(made):
        made.publish(*history(Random(17), 90), *rulings(), *calm(Random(5), 80))
        made.publish(*history(Random(18), 30, "late"))
        made.project()
        yield made
    postgres.drop_database(name)


def calm(random: Random, count: int) -> Iterator[dict[str, Any]]:
    """Events of people with some identifiers each; of two of them is ruled that they are one."""
    for number in range(count):
        person = number % 30
        names = [("customer_no", 1), ("email", 2), ("phone", 1), ("cookie", 3), ("external", 1)]
        chosen = random.sample(names, k=random.choice((1, 2, 2, 3)))
        who = [{"kind": kind, "value": f"calm-{person}-{random.randint(1, most)}"} for kind, most in chosen]
        yield event(random.randint(0, 500), id=f"calm-{number}", data={"who": who, "content": {}})
    for number, value in enumerate(("said-1", "said-2", "said-3")):  # said alone, too, so that its evidence counts
        who = [{"kind": "phone", "value": value}]
        yield event(number, id=f"alone-{number}", data={"who": who, "content": {}})
    sides = [[{"kind": "phone", "value": value}] for value in ("said-1", "said-2")]
    yield ruling(50, "identity.merged", *sides)
    for number in range(2):  # two numbers of one kind beside one address: a link is not followed
        who = [{"kind": "customer_no", "value": f"clash-{number}"}, {"kind": "email", "value": "clash"}]
        yield event(number, id=f"clash-{number}", data={"who": who, "content": {}})


def expected(made: Story, rules: Rules) -> tuple[Resolution, dict[Any, Any]]:
    nodes = {row[0]: row for row in made.rows(NODES)}
    kinds = {node: Kind(*row[1:4]) for node, row in nodes.items()}
    said = made.rows(SAID.replace(" WHERE first_at IS NOT NULL", ""))
    evidences = [Evidence(row[0], tuple(row[1]), row[2]) for row in said]
    ruled = [ruling_of(*row) for row in made.rows(RULED)]
    found = resolve(kinds, evidences, ruled, rules)
    spoken = {node for one in ruled for side in one.sides for node in side if node in kinds}
    active = [one.nodes for one in evidences if one.first_at is not None]
    return found, plains_of(found.nodes, kinds, active, spoken, found.stars, rules)


@pytest.mark.parametrize("way", ["rebuild", "change"])
@pytest.mark.parametrize("rules", [STRICT, LOOSE, STARRED, Rules()], ids=["strict", "loose", "starred", "default"])
def test_every_column_is_what_the_rules_say_of_all_at_once(told: Story, rules: Rules, way: str) -> None:
    if way == "change":
        change(told.dsn, told.log, rules)
    else:
        put_rules(told, rules)
        told.empty()
        told.project()
        assert rebuild(told, "identity", workers=1).run().same is True
    assert live_rules(told.dsn) == rules
    found, plains = expected(told, rules)
    for node, _, _, _, first_at, *rest in told.rows(NODES):
        state = found.nodes[node]
        assert (first_at, *rest[:1], tuple(rest[1]), *rest[2:]) == state or first_at is None
    for evidence, _, _, component, customer in told.rows(SAID):
        assert (component, customer) == (found.components[evidence], found.homes[evidence])
    assert {row[0]: (*row[1:6], tuple(row[6])) for row in told.rows(PLAIN)} == plains
    assert set(told.rows("SELECT component FROM identity.stars")) == {(one,) for one in found.stars}
    assert sorted(told.rows("SELECT a, b FROM identity.disputes")) == [one[:2] for one in found.disputes]
    members = {
        (node, row[0]) for row in told.rows("SELECT evidence, nodes FROM identity.evidences") for node in row[1]
    }
    assert sorted(told.rows("SELECT node, evidence FROM identity.members")) == sorted(members)
    assert told.rows(SCRATCH) == []
    assert len(plains) > (0 if rules is STARRED else 10)
