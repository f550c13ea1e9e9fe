"""S71: are likely duplicates proposed with a score and reasons, decided by a steward, and is quality measured?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from psycopg_pool import ConnectionPool
from typer.testing import CliRunner

from commands.proposing import Proposing
from commands.rulings import Rulings
from storyline.cli import app
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running_api(postgres, tmp_path_factory.mktemp("proposals")) as running:
        yield running


@pytest.fixture
def steward(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("steward", "read") as client:
        yield client


def person(number: int, name: str, email: str, customer_no: str = "", **claim: Any) -> dict[str, Any]:
    """A profile as the shop's CRM publishes it."""
    who = [{"kind": "email", "value": email}]
    who += [{"kind": "customer_no", "value": customer_no}] if customer_no else []
    content = {"name": name, **claim}
    return event(number, type="profile.updated", source="test/crm", data={"who": who, "content": content})


def publish(api: RunningApi, *events: dict[str, Any]) -> None:
    with api.client("publish") as client:
        answer = client.post("/v1/events", json=list(events), headers={"Content-Type": BATCH})
    assert answer.status_code == 202, answer.text
    api.project()


def look(api: RunningApi) -> None:
    """What `storyline proposals run` does."""
    story = api.story
    with ConnectionPool(story.dsn, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        Proposing(pool, lambda: Rulings(story.publisher, story.keyring, story.hasher)).run()


def customer_of(api: RunningApi, email: str) -> str:
    with api.client("read") as client:
        answer = client.post("/v1/lookup", json={"kind": "email", "value": email})
    [found] = answer.json()["customers"]
    return str(found["id"])


def test_S71_likely_duplicates_are_proposed_decided_and_measured(api: RunningApi, steward: httpx.Client) -> None:
    home: dict[str, Any] = {"address": {"street": "12 Mill Lane", "postcode": "LS1 4AB"}}
    publish(
        api,
        person(1, "Ann Carter", "ann.carter@example.org", "K-1", **home),
        person(2, "Carter, Ann", "ann.cartr@example.org", **home),
        person(3, "Bea Stone", "bea.stone@example.org", "K-3", birthday="1980-05-04"),
        person(4, "Bea Stone", "bea.stonee@example.org", "K-4", birthday="1980-05-04"),
        person(5, "Tom Carter", "tom@example.net", "K-5", **home),
    )
    look(api)
    found = steward.get("/v1/proposals").json()
    assert found["next"] is None
    ann, bea = found["proposals"]
    assert ann["score"] > bea["score"] > 0.6
    words = {reason["words"] for reason in ann["reasons"]}
    assert {"same name", "same postcode and street", "e-mail addresses differ by one letter"} <= words
    assert "each has a customer number of its own" in {reason["words"] for reason in bea["reasons"]}

    shown = steward.get(f"/v1/proposals/{ann['id']}").json()
    assert {side["profile"]["name"] for side in shown["sides"]} == {"Ann Carter", "Carter, Ann"}

    accepted = steward.post(f"/v1/proposals/{ann['id']}/accept", json={"why": "the same on the telephone"}).json()
    assert accepted["state"] == "accepted"
    assert accepted["merge"].startswith("storyline/steward#")
    rejected = steward.post(f"/v1/proposals/{bea['id']}/reject", json={"why": "twins"}).json()
    assert (rejected["state"], rejected["why"], rejected["label"]) == ("rejected", "twins", "test")
    api.project()
    assert customer_of(api, "ann.carter@example.org") == customer_of(api, "ann.cartr@example.org")
    assert customer_of(api, "bea.stone@example.org") != customer_of(api, "bea.stonee@example.org")

    look(api)
    assert steward.get("/v1/proposals").json()["proposals"] == []
    [day] = steward.get("/v1/quality").json()["days"]
    assert day["figures"]["acceptance_rate"] == 0.5
    assert day["figures"]["share_with_email"] == 1


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        (("read",), "/v1/proposals", 403),
        (("steward",), "/v1/proposals", 200),
        (("steward",), "/v1/proposals/" + "0" * 32, 403),
        (("steward", "read"), "/v1/proposals/" + "0" * 32, 404),
        (("steward", "read"), "/v1/proposals/nonsense", 404),
        (("steward",), "/v1/proposals?cursor=x", 422),
        (("publish",), "/v1/quality", 403),
        (("read",), "/v1/quality?since=2026-01-01", 200),
    ],
)
def test_proposals_are_for_stewards(api: RunningApi, scopes: tuple[str, ...], path: str, status: int) -> None:
    with api.client(*scopes) as client:
        assert client.get(path).status_code == status


def test_a_decision_says_why(steward: httpx.Client) -> None:
    for body in ({}, {"why": ""}, {"why": "x", "more": 1}):
        assert steward.post(f"/v1/proposals/{'0' * 32}/reject", json=body).status_code == 422


def test_the_command_line_finds_lists_decides_and_measures(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "KEYS_URL", "LOG_URL"):
        monkeypatch.setenv(name, api.story.dsn)
    publish(
        api,
        person(21, "Uma Iyer", "uma.iyer@example.org", "K-21", birthday="1971-01-02"),
        person(22, "Uma Iyer", "umaiyer@example.org", birthday="1971-01-02"),
    )

    def told(*words: str) -> list[Any]:
        done = CliRunner().invoke(app(), [*words, "--json"])
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    [run] = told("proposals", "run")
    assert run["proposed"] == run["new"] == 1
    [found] = told("proposals", "list")
    assert {side["profile"]["name"] for side in told("proposals", "show", found["id"])[0]["sides"]} == {"Uma Iyer"}
    [rejected] = told("proposals", "reject", found["id"], "--why", "a made-up twin")
    assert (rejected["state"], rejected["decided_by"]) == ("rejected", "cli")
    assert told("proposals", "list") == []
    assert "share_with_email" in {one["figure"] for one in told("quality")}
