"""Does a person get everything that is held about them, in one file that can be read, and nothing of anybody else?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.api import RunningApi, running_api
from tests.support.erasing import ADA, BOB, CANARY, node_of, tale, who
from tests.support.postgres import PostgresServer
from tests.support.story import event

WHY = {"why": "asked for it"}


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running_api(postgres, tmp_path_factory.mktemp("api")) as made:
        made.story.publish(*tale())
        word = {"who": who("#17"), "content": {"purpose": "newsletter", "channel": "email"}}
        consents = [
            event(60, type="consent.given", data=word),
            event(61, type="consent.withdrawn", data=word),
        ]
        made.story.publish(*consents)
        made.project()
        yield made


def export(api: RunningApi, value: str) -> dict[str, Any]:
    with api.client("erase") as client:
        answer = client.get(f"/v1/customers/{node_of(api.story, value)}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    assert answer.text.count("\n") > 50, "a person can read it"
    return found


def test_S83_an_export_holds_everything_about_a_person_in_full(api: RunningApi) -> None:
    found = export(api, ADA)
    assert found["complete"] is True
    assert list(found)[-1] == "complete"
    profile = found["customer"]["profile"]
    assert profile["name"]["value"] == f"Ada {CANARY}"
    assert profile["name"]["source"] == "test/mail"
    assert {one["value"] for one in found["customer"]["identifiers"]} == {ADA, "17"}
    assert found["customer"]["facts"]["money"][0]["revenue"] == "1250.00"
    assert len(found["identity"]["links"]) == 1
    assert [one["granted"] for one in found["consents"]] == [False, True]
    assert len(found["events"]) == 6
    mail = next(one for one in found["events"] if "text" in one.get("content", {}) and "extensions" in one)
    assert mail["content"]["text"] == f"The text says {CANARY}."
    assert mail["extensions"] == {"region": f"extension {CANARY}"}
    assert mail["refs"] == [{"kind": "conversation", "value": f"<{CANARY}@example.org>"}]
    assert mail["who"] == who(ADA, "#17")
    assert found["erasures"] == []


def test_of_the_events_of_others_an_export_holds_the_own_part_alone(api: RunningApi) -> None:
    [named] = export(api, ADA)["named_in"]
    assert (named["role"], named["type"], named["who"]) == ("cc", "email.received", who(ADA))
    assert named["happened_at"] == "2026-03-01T09:06:00Z"
    assert BOB not in json.dumps(named)


def test_an_export_of_many_events_comes_whole_and_in_pieces(api: RunningApi) -> None:
    many = [event(100 + n, data={"who": who("#500"), "content": {"text": "x" * 2000}}) for n in range(450)]
    cc = [{"role": "cc", "who": who("#500")}]
    many += [event(900 + n, data={"who": who("#501"), "parties": cc}) for n in range(230)]
    api.story.publish(*many)
    api.project()
    before = api.rss()
    found = export(api, "#500")
    assert len({one["name"] for one in found["events"]}) == 450
    assert len({one["name"] for one in found["named_in"]}) == 230
    assert api.rss() - before < 100 * 2**20


def test_an_export_holds_every_identifier_however_many_there_are(api: RunningApi) -> None:
    devices = [{"kind": "device", "value": f"d-{n}"} for n in range(1100)]
    api.story.publish(*[event(2000 + n, data={"who": [*who("#600"), one]}) for n, one in enumerate(devices)])
    api.project()
    found = export(api, "#600")["customer"]["identifiers"]
    assert {one["value"] for one in found} == {"600", *(one["value"] for one in devices)}


def test_an_export_needs_the_scope_and_an_id(api: RunningApi) -> None:
    with api.client("read", "operate", "admin") as client:
        assert client.get(f"/v1/customers/{node_of(api.story, ADA)}/export").status_code == 403
        assert client.post(f"/v1/customers/{node_of(api.story, ADA)}/erase", json=WHY).status_code == 403
        assert client.get("/v1/erasures").status_code == 403
    with api.client("erase") as client:
        for node in ("0" * 32, CANARY):
            for answer in (
                client.get(f"/v1/customers/{node}/export"),
                client.post(f"/v1/customers/{node}/erase", json=WHY),
                client.get(f"/v1/erasures/{node}"),
            ):
                assert answer.status_code == 404
                assert CANARY not in answer.text
        assert client.get("/v1/erasures", params={"cursor": "none"}).status_code == 404
        wrong: list[Any] = [{}, {"why": ""}, {"why": "x", "more": 1}, {"why": "x" * 501}, []]
        for body in wrong:
            assert client.post(f"/v1/customers/{node_of(api.story, ADA)}/erase", json=body).status_code == 422


def test_S83_an_erasure_over_http_is_told_by_every_answer_about_the_customer(api: RunningApi) -> None:
    ada = node_of(api.story, "#17")
    with api.client("erase", "read", "publish") as client:
        counted = client.get(f"/v1/customers/{ada}").json()["facts"]
        foreseen = client.post(f"/v1/customers/{ada}/erase", json={**WHY, "dry_run": True}).json()
        assert foreseen["events"] == 6
        assert client.get("/v1/erasures").json() == {"erasures": [], "next": None}
        done = client.post(f"/v1/customers/{ada}/erase", json=WHY)
        assert done.status_code == 200
        told = done.json()
        assert told["step"] == "certified"
        assert told["certificate"]["events"] == 6
        assert client.get("/v1/erasures").json() == {"erasures": [told], "next": None}
        assert client.get(f"/v1/erasures/{told['id']}").json() == told
        shown = client.get(f"/v1/customers/{node_of(api.story, ADA)}").json()
        assert shown["erased"] is True
        assert shown["facts"] == counted
        items = client.get(f"/v1/customers/{ada}/timeline").json()["items"]
        assert [item["erased"] for item in items] == [True] * 6
        answers = [
            shown,
            items,
            client.get(f"/v1/customers/{ada}/identity").json(),
            client.post("/v1/search", json={"q": CANARY}).json(),
            client.post("/v1/lookup", json={"kind": "email", "value": ADA}).json(),
            client.get(f"/v1/customers/{node_of(api.story, '#18')}/timeline").json(),
            export(api, "#17"),
        ]
        assert CANARY not in json.dumps(answers).lower()
        assert [one["id"] for one in answers[-1]["erasures"]] == [told["id"]]
        back = event(70, data={"who": who(ADA, "#17"), "content": {"subject": "Here again"}})
        sent = client.post("/v1/events", json=back, headers={"Content-Type": "application/cloudevents+json"})
        assert sent.status_code == 202, "the one who erased knows at once"
        api.project()
        [found] = client.post("/v1/lookup", json={"kind": "customer_no", "value": "17"}).json()["customers"]
        assert found["id"] != ada
        assert len(client.get(found["timeline"]).json()["items"]) == 1
    assert CANARY not in api.printed().lower()


def test_what_an_event_of_another_says_of_an_erased_person_is_shown_with_the_other_alone(api: RunningApi) -> None:
    """Cleo's address once stood beside Dan's number: by the limit of one number that link is disputed, and Dan's."""
    cleo, dan = f"cleo.{CANARY}@example.org", "#702"
    api.story.publish(event(80, data={"who": who(cleo, "#701")}), event(81, data={"who": who(dan)}))
    api.story.publish(event(82, data={"who": who(cleo, dan)}))
    api.project()
    with api.client("erase", "read") as client:
        done = client.post(f"/v1/customers/{node_of(api.story, '#701')}/erase", json=WHY).json()
        assert done["certificate"]["elsewhere"]["count"] == 1
        hers = f"/v1/customers/{node_of(api.story, '#701')}"
        told = [client.get(hers).json(), client.get(f"{hers}/identity").json(), export(api, "#701")]
        assert told[0]["disputed"] != []
        assert CANARY not in json.dumps(told).lower()
        his = client.get(f"/v1/customers/{node_of(api.story, dan)}/timeline").json()["items"][0]
        assert his["who"] == who(cleo, dan), "what Dan's channel said of Dan stays with Dan"


def test_the_description_of_the_api_tells_the_shapes_of_erasures_and_exports(api: RunningApi) -> None:
    with api.client() as client:
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert {"Erasure", "Erasures", "Foreseen", "Certificate", "EraseRequest", "Export", "NamedIn"} <= set(schemas)


def test_erasures_that_wait_keep_nobody_else_waiting(api: RunningApi) -> None:
    path = f"/v1/customers/{node_of(api.story, BOB)}/erase"
    with (
        psycopg.connect(api.story.dsn, autocommit=True) as other,
        api.client("erase", "read") as client,
        ThreadPoolExecutor(6) as threads,
    ):
        other.execute("SELECT pg_advisory_lock(7053081021)")
        waiting = [threads.submit(client.post, path, json={**WHY, "dry_run": True}) for _ in range(6)]
        try:
            assert client.get("/v1/rulings", timeout=20).status_code == 200
            assert client.get("/v1/erasures", timeout=20).status_code == 200
        finally:
            other.execute("SELECT pg_advisory_unlock(7053081021)")
        assert {one.result(60).status_code for one in waiting} == {200}


def test_the_ledger_of_the_api_is_apart_from_its_database(api: RunningApi) -> None:
    [ledger] = list(Path(api.output).parent.glob("*.ledger"))
    assert ledger.read_text().count("\n") == 4
