"""Do other rules of identity take effect as if they had held from the start, and is it told before?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from domain.errors import Misconfigured, Unavailable
from domain.identity_rules import Blocked, Rules
from projections.identity.changing import change, check, ignored_by, live_rules
from storyline.cli import identity as cli
from storyline.parts import Parts
from storyline.settings import Settings
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import Story, event, story

STRICT = Rules(shared={"customer_no": 1, "email": 2})
LOOSE = Rules(limits={"customer_no": 3}, shared={"customer_no": 9, "external": 9, "email": 9})
STARRED = Rules(star_nodes=6, star_links=8)


@pytest.fixture(scope="module")
def told(postgres: PostgresServer) -> Iterator[Story]:
    """A history with shared phones, numbers that clash, rulings and what was taken back."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, f"{dsn}&partitions=2") as made, one_runner(made):
        made.publish(*history(Random(17), 160))
        made.publish(*rulings())
        made.project()
        yield made
    postgres.drop_database(name)


def history(random: Random, count: int, told: str = "h") -> list[dict[str, Any]]:
    """Events that name one to three of a few people's identifiers. told: what their ids begin with."""
    kinds = {"customer_no": 24, "external": 16, "email": 30, "phone": 12, "cookie": 40}
    events = []
    for number in range(count):
        chosen = random.choices(sorted(kinds), k=random.choice((1, 2, 2, 3)))
        who = [{"kind": kind, "value": f"{kind}-{random.randint(1, kinds[kind])}"} for kind in chosen]
        events.append(event(random.randint(0, 500), id=f"{told}-{number}", data={"who": who, "content": {}}))
    taken = [one["id"] for one in random.sample(events, 6)]
    for number, gone in enumerate(taken):
        about = [{"relation": "retracts", "source": "test/mail", "id": gone}]
        events.append(
            event(
                600, id=f"r{told}-{number}", type="event.retracted", data={"who": [], "about": about, "content": {}}
            )
        )
    return events


def rulings() -> list[dict[str, Any]]:
    def side(*emails: int) -> list[dict[str, str]]:
        return [{"kind": "email", "value": f"email-{number}"} for number in emails]

    return [
        ruling(1, "identity.merged", side(1), side(2), side(3)),
        ruling(2, "identity.split", side(4), side(5)),
        ruling(3, "identity.split", side(2), side(3)),
    ]


def ruling(number: int, type_: str, who: Any, *others: Any) -> dict[str, Any]:
    parties = [{"role": type_.partition(".")[2], "who": one} for one in others]
    return event(
        900 + number, id=f"ruling-{number}", type=type_, data={"who": who, "parties": parties, "content": {}}
    )


def identity_of(story: Story) -> Any:
    return story.hashes()["identity"]


def put_rules(story: Story, rules: Rules) -> None:
    with psycopg.connect(story.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM identity.rules")
        connection.execute("INSERT INTO identity.rules VALUES (%s)", [Jsonb(rules.to_json())])


def customers(story: Story) -> dict[UUID, set[UUID]]:
    """The evidences of each customer."""
    found: dict[UUID, set[UUID]] = {}
    for evidence, customer in story.rows("SELECT evidence, customer FROM identity.evidences"):
        found.setdefault(customer, set()).add(evidence)
    return found


def test_the_same_rules_change_nothing_and_check_writes_nothing(told: Story) -> None:
    before = told.hashes()
    found = check(told.dsn, live_rules(told.dsn))
    assert (found.merges, found.splits, found.shared, found.unshared) == (0, 0, 0, 0)
    assert found.customers[0] == found.customers[1] > 10
    assert found.disputed[0] == found.disputed[1] > 0
    assert told.hashes() == before
    assert told.rows("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'identity\\_%%'") == [(0,)]


@pytest.mark.parametrize("rules", [STRICT, LOOSE, STARRED, Rules()])
def test_rules_that_take_effect_give_the_rows_that_they_would_have_given_from_the_start(
    told: Story, rules: Rules
) -> None:
    before = customers(told)
    foreseen = check(told.dsn, rules)
    done = change(told.dsn, told.log, rules)
    after, hashes = customers(told), identity_of(told)
    assert live_rules(told.dsn) == rules
    assert (
        foreseen.merges
        == done.merges
        == sum(len({old for old, its in before.items() if its & evidences}) > 1 for evidences in after.values())
    )
    assert (
        foreseen.splits
        == done.splits
        == sum(len({new for new, its in after.items() if its & evidences}) > 1 for evidences in before.values())
    )
    for moved in done.merged:
        assert set(moved.parts) == {old for old, its in before.items() if its & after[moved.customer]}
    told.empty()
    told.project()
    assert identity_of(told) == hashes


def test_what_comes_while_the_rules_change_is_not_lost(told: Story) -> None:
    put_rules(told, Rules())
    told.empty()
    told.project()
    late = iter(
        [
            [
                *history(Random(5), 20),
                ruling(
                    8,
                    "identity.merged",
                    [{"kind": "email", "value": "email-6"}],
                    [{"kind": "email", "value": "email-7"}],
                ),
            ]
        ]
    )

    def meanwhile(_done: int, _total: int) -> None:
        for events in late:
            told.publish(*[{**one, "source": "test/late"} for one in events])
            told.project()

    change(told.dsn, told.log, STRICT, meanwhile)
    told.project()  # live goes on with the new tables
    hashes = identity_of(told)
    told.empty()
    told.project()
    assert identity_of(told) == hashes


def test_blocked_values_stop_linking_what_is_there_already(told: Story) -> None:
    put_rules(told, Rules())
    told.empty()
    told.project()
    blocked = Blocked({}, {"external": ["external-.*"]})
    tokens = [told.hasher.token(one) for one in Blocked({"email": ["email-1"]}).identifiers()]
    ignored = ignored_by(told.dsn, blocked, tokens)
    kinds = dict(
        told.rows("SELECT kind, count(*) FROM identity.nodes WHERE node = ANY (%s) GROUP BY 1", list(ignored))
    )
    [(external,)] = told.rows("SELECT count(*) FROM identity.nodes WHERE kind = 'external'")
    assert kinds == {"external": external, "email": 1}
    found = change(told.dsn, told.log, Rules().ignoring(ignored))
    assert found.splits > 0
    query = "SELECT bool_and(shared), bool_and(customer = node) FROM identity.nodes WHERE node = ANY (%s)"
    assert told.rows(query, list(ignored)) == [(True, True)]


def test_rules_do_not_change_while_a_rebuild_is_at_work(told: Story) -> None:
    with psycopg.connect(told.dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(705308103, hashtext('identity'))")
        with pytest.raises(Unavailable, match="at work"):
            change(told.dsn, told.log, STRICT)


def test_the_command_line_shows_tries_and_applies_rules(
    told: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[limits]\ncustomer_no = 2\n[star]\nnodes = 50\n", encoding="utf-8")
    parts = Parts(Settings(database_url=told.dsn, log_url=told.log_url, keys_url=told.dsn))
    parts.__dict__.update(log=told.log, hasher=told.hasher, keyring=told.keyring)
    monkeypatch.setattr(cli, "open_parts", lambda: _Open(parts))

    def printed(command: Callable[..., None], *arguments: Any) -> Any:
        command(*arguments, as_json=True)
        return json.loads(capsysbinary.readouterr().out)

    foreseen = printed(cli.check_rules, file)
    assert foreseen["customers"][0] > 0
    assert printed(cli.apply_rules, file)["merges"] == foreseen["merges"]
    assert printed(cli.rules)["limits"] == {"customer_no": 2}
    assert printed(cli.rules)["star"]["nodes"] == 50
    cli.rules()
    cli.check_rules(file)
    shown = capsysbinary.readouterr().out.decode()
    assert "customer_no = 2" in shown
    assert "0 would merge out of several, 0 would split into several." in shown
    file.write_text("[limits]\nphones = 2\n", encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"limits\.phones is unknown"):
        cli.check_rules(file)


class _Open:
    """Parts that their owner closes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __enter__(self) -> Parts:
        return self._parts

    def __exit__(self, *_: object) -> None:
        pass
