"""Can an operator of a whole system mend what was parked: a missing type, an old shape, one wrong event?"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaProducer

from tests.support.asking import get
from tests.support.kafka import KafkaBroker
from tests.support.served import Served, served
from tests.support.story import event
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka

TOPIC = "inbox.academy-letters"


def type_file(name: str, version: int, **more: Any) -> str:
    """The file of a type of the deployment's own."""
    schema = {
        "type": "object",
        "required": ["course"],
        "additionalProperties": False,
        "properties": {"course": {"type": "string", "maxLength": 40, "x-public": True}},
    }
    spec = {"type": name, "version": version, "category": "touchpoint", "channel": "academy"}
    told = {"doc": "Something happened in a course.", "line": f"{name}: {{course}}", "schema": schema}
    return json.dumps({**spec, **told, **more})


def sent(number: int, name: str = "course.enrolled", **content: Any) -> dict[str, Any]:
    refs = [{"kind": "order", "value": "course-letters"}]
    return event(number, source="academy/web", type=name, data={"content": content, "refs": refs})


def send(servers: str, *events: dict[str, Any]) -> None:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", metrics_enabled=False)
    for one in events:
        producer.send(TOPIC, json.dumps(one).encode(), headers=[("content-type", b"application/cloudevents+json")])
    producer.flush(20)
    producer.close()


def kinds(client: httpx.Client) -> list[tuple[str, str | None, int]]:
    found = client.get("/v1/dead-letters/kinds").json()["kinds"]
    return [(kind["reason"], kind.get("type"), kind["letters"]) for kind in found]


def lines(client: httpx.Client) -> list[str]:
    """The course's story, as a person reads it."""
    found = client.get("/v1/refs/order/course-letters/timeline")
    return [item["line"] for item in found.json()["items"]] if found.status_code == 200 else []


def before(system: Served, servers: str) -> None:
    """Events of a type that nobody registered wait, and one of an old shape; a redrive changes nothing. Each process
    counts them alike."""
    with system.client() as client:
        send(servers, *[sent(n, course=f"Course {n}") for n in range(5)])
        send(servers, sent(5, "lesson.booked", **{"class": "Old"}) | {"dataschema": "https://x/lesson.booked/1"})
        waiting = [("bad-input", "lesson.booked", 1), ("unknown-type", "course.enrolled", 5)]
        eventually(lambda: sorted(kinds(client), key=str) == waiting)
        found = client.get("/v1/dead-letters/kinds").json()["kinds"]
        [kind] = [one for one in found if one["reason"] == "unknown-type"]
        assert "STORYLINE_TYPES_DIR" in kind["remedy"]
        tried = client.post(f"/v1/dead-letters/kinds/{kind['id']}/redrive").json()
        assert (tried["settled"], tried["stayed"], tried["remaining"], tried["next"]) == (0, 5, 5, None)
        inbox = f"http://127.0.0.1:{system.env['STORYLINE_INBOX_PORT']}"
        for address in (system.url, system.projector_url, inbox):
            shown = get(f"{address}/metrics").text
            assert 'storyline_dead_letters{consumer="inbox",reason="unknown-type"} 5.0' in shown, address


def redrive_the_mended(system: Served) -> None:
    """One by itself, all others of its kind in steps of two, and the old shape from the command line."""
    with system.client() as client:
        page = client.get("/v1/dead-letters", params={"reason": "unknown-type"}).json()["letters"]
        [kind] = {letter["kind"] for letter in page}
        one = client.post(f"/v1/dead-letters/{page[0]['id']}/redrive").json()
        assert one["status"] == "redriven"
        assert [step["did"] for step in one["history"]] == ["stayed", "redriven"]
        assert {step["label"] for step in one["history"]} == {"development"}
        steps = [client.post(f"/v1/dead-letters/kinds/{kind}/redrive?limit=2").json()]
        while steps[-1]["next"] is not None:
            asked = {"limit": 2, "cursor": steps[-1]["next"]}
            steps.append(client.post(f"/v1/dead-letters/kinds/{kind}/redrive", params=asked).json())
        assert sum(step["settled"] for step in steps) == 4
        assert kinds(client) == [("bad-input", "lesson.booked", 1)]
    done = system.run("dead-letters", "redrive", "--reason", "bad-input", "--json")
    assert json.loads(done.stdout) == {"redriven": 1, "stayed": 0, "remaining": 0}


def correct_and_discard(system: Served, servers: str, corrected: Path) -> None:
    """One wrong event is corrected over HTTP, one from the command line, one is given up."""
    with system.client() as client:
        send(servers, sent(7, course=["Wrong"]), sent(8, course=["Also wrong"]), sent(9, course=7))
        eventually(lambda: kinds(client) == [("bad-input", "course.enrolled", 3)])
        ids = {}
        for letter in client.get("/v1/dead-letters").json()["letters"]:
            shown = client.get(f"/v1/dead-letters/{letter['id']}", params={"unseal": True}).json()
            assert "data.content.course" in shown["detail"]
            ids[json.loads(shown["content"])["id"]] = letter["id"]
        amended = {"event": sent(7, course="Right"), "why": "a list for a text"}
        key = client.post("/v1/keys", json={"label": "ops", "scopes": ["operate", "read"]}).json()["secret"]
        path = f"/v1/dead-letters/{ids['e-7']}/amend"
        assert client.post(path, json=amended, headers={"Authorization": f"Bearer {key}"}).status_code == 403
        assert client.post(path, json=amended).json()["status"] == "redriven"
        corrected.write_text(json.dumps(sent(8, course="Also right")))
        run = system.run("dead-letters", "redrive", ids["e-8"], "--with", str(corrected), "--why", "the same")
        assert run.returncode == 0, run.stderr
        listed = system.run("dead-letters", "kinds")
        assert "1 bad-input of course.enrolled at inbox" in listed.stdout
        [kind] = client.get("/v1/dead-letters/kinds").json()["kinds"]
        gone = client.post(f"/v1/dead-letters/kinds/{kind['id']}/discard", json={"why": "a test"}).json()
        assert (gone["settled"], gone["remaining"], gone["next"]) == (1, 0, None)
        history = client.get(f"/v1/dead-letters/{ids['e-9']}").json()["history"]
        assert [(step["did"], step["label"]) for step in history] == [
            ("unsealed", "development"),
            ("discarded", "development"),
        ]


def test_S70_S92_a_missing_type_an_old_shape_and_a_wrong_event_are_mended_and_stand_on_the_timeline_once(
    server_directory: Path, kafka_broker: KafkaBroker
) -> None:
    directory = server_directory / "letters"
    types = directory / "types"
    types.mkdir(mode=0o755, parents=True)
    directory.chmod(0o755)
    channels = directory / "channels.json"
    bound = {"channel": "academy", "sources": ["academy/*"], "types": ["course.*", "lesson.*"], "topic": TOPIC}
    channels.write_text(json.dumps({"channels": [bound]}))
    settings = {
        "LOG_URL": f"kafka://{kafka_broker.bootstrap}/letters-log?partitions=2&replication=1&min_isr=1",
        "STORYLINE_CHANNELS_FILE": str(channels),
        "STORYLINE_TYPES_DIR": str(types),
    }
    (types / "lesson.json").write_text(type_file("lesson.booked", 2, upcasters={"1": [{}]}))
    with served(directory, **settings) as system:
        before(system, kafka_broker.bootstrap)
    (types / "course.json").write_text(type_file("course.enrolled", 1))
    raised = {"1": [{"rename": {"class": "course"}}]}
    (types / "lesson.json").write_text(type_file("lesson.booked", 2, upcasters=raised))
    with served(directory, **settings) as system:
        redrive_the_mended(system)
        correct_and_discard(system, kafka_broker.bootstrap, directory / "corrected.json")
        told = [f"course.enrolled: {name}" for name in ("Right", "Also right", *[f"Course {n}" for n in range(5)])]
        with system.client() as client:
            eventually(lambda: len(lines(client)) == 8)
            assert sorted(lines(client)) == sorted([*told, "lesson.booked: Old"])
