"""Are all routes guarded, documented and discreet? And do those for operators, auditors and orchestrators answer?"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_app
from api.parts import ApiParts
from api.security import Guard, LocalGuard
from commands.parking import Letter, Parking
from commands.proposing import Proposing
from commands.publishing import Rights
from commands.rulings import Rulings
from commands.segments import Segments
from commands.webhooks import Webhooks
from commands.working import Working
from domain.configuration.rfm import Rfm
from domain.segment_limits import Known
from eventlog.record import decode
from tests.support.api import BATCH, ONE, RunningApi, running_api
from tests.support.asking import get
from tests.support.commanding import working_of
from tests.support.erasing import erasing_with
from tests.support.postgres import PostgresServer
from tests.support.story import event

DOCS = Path(__file__).resolve().parents[1] / "docs" / "http-api.md"
OPEN = {"/livez", "/readyz", "/docs", "/docs/oauth2-redirect", "/openapi.json"}


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


@pytest.fixture(scope="module")
def parking(api: RunningApi) -> Parking:
    story = api.story
    return Parking(
        api.access._pool,
        story.keyring,
        lambda: story.hasher,
        publisher=lambda: story.publisher,
        log=lambda: story.log,
        rights=lambda topic: Rights(),
    )


@pytest.fixture(scope="module")
def working(api: RunningApi) -> Iterator[Working]:
    with working_of(api.story) as made:
        yield made


@pytest.fixture(scope="module")
def routes(api: RunningApi, parking: Parking, working: Working) -> list[Any]:
    story = api.story
    parts = ApiParts(
        publisher=story.publisher,
        access=api.access,
        keyring=story.keyring,
        hasher=story.hasher,
        catalogue=story.catalogue,
        log=story.log,
        dead_letters=parking,
        erasing=erasing_with(story, api.access._pool, parking, api.output.with_suffix(".ledger")),
        proposing=Proposing(api.access._pool, lambda: Rulings(story.publisher, story.keyring, story.hasher)),
        working=working,
        webhooks=Webhooks(api.access._pool),
        segments=Segments(api.access._pool, Known(story.catalogue, Rfm())),
        reader_dsn=story.dsn,
    )
    return list(iter_route_contexts(create_app(parts).routes))


def guards_of(dependant: Any) -> list[Any]:
    found = [dependant.call] if isinstance(dependant.call, (Guard, LocalGuard)) else []
    return found + [guard for one in dependant.dependencies for guard in guards_of(one)]


def test_every_route_but_the_open_ones_is_guarded(routes: list[Any]) -> None:
    assert len(routes) > 20
    for route in routes:
        dependant = getattr(route, "dependant", None)
        guards = guards_of(dependant) if dependant is not None else []
        assert bool(guards) == (route.path not in OPEN), route.path
        assert all(guard.scopes for guard in guards)


def test_every_route_is_documented_with_its_scope(routes: list[Any]) -> None:
    text = DOCS.read_text()
    for route in routes:
        if route.path == "/docs/oauth2-redirect":
            continue
        path = re.sub(r":path}", "}", route.path)
        for method in sorted(route.methods - {"HEAD"}):
            line = next((one for one in text.splitlines() if one.startswith(f"| `{method} {path}` |")), None)
            assert line is not None, f"{method} {path} is missing from docs/http-api.md"
            dependant = getattr(route, "dependant", None)
            for guard in guards_of(dependant) if dependant is not None else []:
                assert all(f"`{scope}`" in line for scope in guard.scopes), f"{method} {path}: scopes"


def test_without_a_key_or_with_a_wrong_one_or_scope_nothing_opens(api: RunningApi, routes: list[Any]) -> None:
    with api.client() as nobody, api.client("system") as other:
        for route in routes:
            if route.path in OPEN or route.path == "/metrics":
                continue
            path = re.sub(r"{[^}]*}", "1", route.path)
            for method in route.methods - {"HEAD"}:
                refused = nobody.request(method, path)
                assert refused.status_code == 401, path
                assert refused.headers["www-authenticate"].startswith("Bearer")
                assert nobody.request(method, path, headers={"Authorization": "Bearer sl_no"}).status_code == 401
                assert other.request(method, path).status_code == 403, path


def test_every_answer_has_security_headers_and_errors_are_problem_details(api: RunningApi) -> None:
    with api.client("read") as client:
        for path, status in (("/livez", 200), ("/nowhere", 404), ("/v1/log", 403)):
            answer = client.get(path)
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers
            if status >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
        wrong = client.put("/v1/events")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "POST"
        assert wrong.headers["content-type"] == "application/problem+json"


def test_the_log_lines_hold_no_value_of_a_caller(api: RunningApi) -> None:
    with api.client("publish", "read", "operate") as client:
        client.post(
            "/v1/events",
            content=json.dumps(event("canary-1", data={"content": {"subject": "canary-2"}})),
            headers={"Content-Type": ONE},
        )
        client.post("/v1/lookup", json={"kind": "email", "value": "canary-3@example.org"})
        client.get("/v1/refs/order/canary-4/timeline", params={"q": "canary-5", "since": "canary-6"})
        client.get("/canary-7")
        client.get("/v1/dead-letters/canary-8")
        metrics = client.get("/metrics").text
    printed = api.printed()
    assert "canary" not in printed
    assert "canary" not in metrics
    assert "/v1/refs/{kind}/{value}/timeline" in printed
    assert 'route="/v1/lookup"' in metrics


def test_health_tells_of_the_lag(api: RunningApi) -> None:
    assert get(f"{api.url}/livez").json() == {"status": "alive"}
    api.project()
    before = get(f"{api.url}/readyz").json()
    assert before["status"] == "ready"
    assert set(before["lag"].values()) <= {0}
    with api.client("publish") as client:
        client.post("/v1/events", content=json.dumps(event("lagging")), headers={"Content-Type": ONE})
    assert sum(get(f"{api.url}/readyz").json()["lag"].values()) == 1
    metrics = get(f"{api.url}/metrics").text
    assert len(re.findall(r'storyline_projector_lag{partition="\d"} 1\.0', metrics)) == 1
    assert "storyline_dead_letters_oldest_seconds 0.0" in metrics


def test_the_raw_log_is_shown_as_it_stands(api: RunningApi) -> None:
    with api.client("publish", "log") as client:
        batch = json.dumps([event(f"raw-{n}") for n in range(3)])
        placed = client.post("/v1/events", content=batch, headers={"Content-Type": BATCH}).json()["events"]
        ends = client.get("/v1/log").json()
        assert ends["log_id"] == api.story.log.log_id
        partition, offset = placed[0]["partition"], placed[0]["offset"]
        assert {"partition": partition, "end": placed[-1]["offset"] + 1} in ends["partitions"]
        exact = client.get(f"/v1/log/{partition}/{offset}", params={"raw": True})
        assert exact.headers["content-type"] == "application/octet-stream"
        record = decode(exact.content)
        shown = client.get(f"/v1/log/{partition}/{offset}").json()
        assert shown["head"]["name"] == record.head.name == placed[0]["name"]
        assert shown["sealed"] == list(record.sealed)
        page = client.get(f"/v1/log/{partition}", params={"from": offset, "limit": 2, "raw": True}).json()
        assert [one["offset"] for one in page["records"]] == [offset, offset + 1]
        assert base64.b64decode(page["records"][0]["raw"]) == exact.content
        assert page["next"] == offset + 2
        assert client.get(f"/v1/log/{partition}", params={"from": 10**9}).json()["records"] == []
        for missing in (f"/v1/log/{partition}/{10**9}", "/v1/log/99", "/v1/log/99/0"):
            assert client.get(missing).status_code == 404


def test_the_catalogue_is_served(api: RunningApi) -> None:
    with api.client("publish") as client:
        types = client.get("/v1/types").json()["types"]
        assert "email.received" in {one["type"] for one in types}
        for one in types:
            schema = client.get(one["schema"]).json()
            jsonschema.Draft202012Validator.check_schema(schema)
        assert client.get("/v1/types/no.such/schema").status_code == 404
        assert client.get("/asyncapi.json").json()["asyncapi"].startswith("3.")


def test_keys_are_made_listed_and_revoked(api: RunningApi) -> None:
    with api.client("admin") as admin:
        made = admin.post("/v1/keys", json={"label": "shop", "scopes": ["read"], "expires": "2199-01-01T00:00:00Z"})
        assert made.status_code == 201
        key = made.json()
        with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {key['secret']}"}) as fresh:
            assert fresh.get("/v1/types").status_code == 200
            listed = admin.get("/v1/keys")
            assert key["secret"] not in listed.text
            assert key["key_id"] in {one["key_id"] for one in listed.json()["keys"]}
            assert admin.delete(f"/v1/keys/{key['key_id']}").json()["revoked_at"]
            assert fresh.get("/v1/types").status_code == 401
        assert admin.delete("/v1/keys/nothing").status_code == 404
        assert admin.post("/v1/keys", json={"label": "", "scopes": []}).status_code == 422
        assert admin.post("/v1/keys", json={"label": "x", "scopes": ["fly"]}).json()["errors"][0]["field"] == "scopes"
        assert admin.post("/v1/keys", content=b"x" * 70_000).status_code == 415
        huge = admin.post("/v1/keys", content=b"x" * 70_000, headers={"Content-Type": "application/json"})
        assert huge.status_code == 413


def letter(offset: int, body: Any) -> Letter:
    value = json.dumps(body).encode()
    headers = (("content-type", ONE.encode()),)
    return Letter(
        "inbox", "bad-input", "data.canary: is wrong.", "message", "inbox.shop", 0, offset, value, b"", headers
    )


def test_S70_dead_letters_are_listed_read_redriven_and_discarded(api: RunningApi, parking: Parking) -> None:
    parking.park_many([letter(1, event("parked")), letter(2, {"canary": 1})])
    with api.client("operate") as operator, api.client("operate", "read") as reader:
        page = operator.get("/v1/dead-letters", params={"limit": 1}).json()
        rest = operator.get("/v1/dead-letters", params={"limit": 1, "cursor": page["next"]}).json()
        assert rest["next"] is None
        ids = {one["offset"]: one["id"] for one in page["letters"] + rest["letters"]}
        assert "canary" not in operator.get(f"/v1/dead-letters/{ids[2]}").text
        assert operator.get(f"/v1/dead-letters/{ids[2]}", params={"unseal": True}).status_code == 403
        shown = reader.get(f"/v1/dead-letters/{ids[2]}", params={"unseal": True}).json()
        assert shown["content"] == '{"canary": 1}'
        assert operator.post(f"/v1/dead-letters/{ids[1]}/redrive").json()["status"] == "redriven"
        assert operator.post(f"/v1/dead-letters/{ids[2]}/redrive").json()["status"] == "parked"
        gone = operator.post(f"/v1/dead-letters/{ids[2]}/discard", json={"why": "a test"})
        assert (gone.json()["status"], gone.json()["status_why"]) == ("discarded", "a test")
        again = operator.post(f"/v1/dead-letters/{ids[2]}/redrive")
        assert again.status_code == 422
        assert operator.get("/v1/dead-letters/nothing").status_code == 404
        assert operator.get("/v1/dead-letters", params={"reason": "too-large"}).json()["letters"] == []
        odd = operator.get("/v1/dead-letters", params={"reason": "a\0b"})
        assert (odd.status_code, odd.json()["errors"][0]["field"]) == (422, "reason")
        assert len(operator.get("/v1/dead-letters", params={"status": "all"}).json()["letters"]) == 2


def test_the_openapi_document_is_whole(api: RunningApi) -> None:
    document = get(f"{api.url}/openapi.json").json()
    text = json.dumps(document)
    known = set(document["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= known
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], path
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    assert list(answer["content"]) == ["application/problem+json"], (method, path, status)
