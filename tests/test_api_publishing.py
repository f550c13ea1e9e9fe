"""Does publishing over HTTP keep its word? Durable when acknowledged, all or none, and clear about what is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.problems import response_of
from domain.errors import LogDamaged
from tests.support.api import BATCH, ONE, RunningApi, running_api
from tests.support.asking import get
from tests.support.postgres import PostgresServer
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish") as made:
        yield made


def post(client: httpx.Client, body: Any, media_type: str = ONE, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post("/v1/events", content=content, headers={"Content-Type": media_type, **headers})


def told(response: httpx.Response) -> dict[str, Any]:
    """The problem details of an error."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:storyline:problem:")
    return problem


def test_S08_an_accepted_event_is_on_the_log_at_the_position_given(api: RunningApi, client: httpx.Client) -> None:
    answer = post(client, event("accepted"))
    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 1
    [placed] = body["events"]
    assert body["positions"] == f"{placed['partition']}:{placed['offset']}"
    [logged] = api.story.log.read({placed["partition"]: placed["offset"]}, 1, 5)
    assert placed["name"].encode() in logged.value


def test_a_batch_answers_in_order_with_the_last_position_of_each_partition(client: httpx.Client) -> None:
    batch = [event(f"b-{n}", data={"who": [{"kind": "email", "value": f"b{n % 7}@example.org"}]}) for n in range(50)]
    body = post(client, batch, BATCH).json()
    assert body["accepted"] == 50
    last: dict[int, int] = {}
    for placed in body["events"]:
        last[placed["partition"]] = placed["offset"]
    assert body["positions"] == ",".join(f"{part}:{last[part]}" for part in sorted(last))
    again = post(client, batch, BATCH).json()
    assert [one["name"] for one in again["events"]] == [one["name"] for one in body["events"]]


def test_an_empty_batch_is_accepted(client: httpx.Client) -> None:
    assert post(client, [], BATCH).json() == {"accepted": 0, "positions": "", "events": []}


def test_one_refused_item_refuses_all_and_each_is_named(api: RunningApi, client: httpx.Client) -> None:
    before = api.story.log.ends()
    bad = event("bad", data={"content": {"subject": 7}})
    missing = {key: value for key, value in event("no-id").items() if key != "id"}
    answer = post(client, [event("good"), bad, missing], BATCH)
    assert answer.status_code == 422
    errors = told(answer)["errors"]
    assert {(one["item"], one["field"]) for one in errors} == {(1, "data.content.subject"), (2, "id")}
    assert all(one["trouble"] and one["way_out"] for one in errors)
    assert api.story.log.ends() == before


def test_an_error_repeats_no_value_that_was_sent(client: httpx.Client) -> None:
    answer = post(client, event("canary", data={"who": [{"kind": "canary-value-7Q", "value": "canary-value-8Q"}]}))
    assert answer.status_code == 422
    assert "canary-value" not in answer.text


def test_binary_mode_and_structured_mode_are_one_event(client: httpx.Client) -> None:
    one = event("both-modes")
    structured = post(client, one).json()
    headers = {f"ce-{name}": value for name, value in one.items() if name != "data"}
    binary = post(client, one["data"], "application/json; charset=utf-8", **headers).json()
    assert binary["events"][0]["name"] == structured["events"][0]["name"]


def test_json_without_ce_headers_is_told_what_to_send(client: httpx.Client) -> None:
    answer = post(client, event("plain"), "application/json")
    assert answer.status_code == 415
    assert "cloudevents" in told(answer)["detail"]


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/cloudevents+json; charset=latin-1", "a/b;=;"])
def test_another_content_type_is_refused(client: httpx.Client, media_type: str) -> None:
    assert post(client, event("type"), media_type).status_code == 415


def test_a_charset_of_utf_8_is_taken(client: httpx.Client) -> None:
    assert post(client, event("charset"), f'{ONE}; charset="UTF-8"').status_code == 202


def test_gzip_is_taken_and_bounded_by_what_it_inflates_to(client: httpx.Client) -> None:
    packed = gzip.compress(json.dumps(event("packed")).encode())
    assert post(client, packed, **{"Content-Encoding": "gzip"}).status_code == 202
    bomb = gzip.compress(b" " * 2**26)
    answer = post(client, bomb, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    told(answer)
    for broken in (packed[:-4], b"no gzip", packed + b"more"):
        assert post(client, broken, **{"Content-Encoding": "gzip"}).status_code == 422
    assert post(client, packed, **{"Content-Encoding": "br"}).status_code == 415


def test_too_many_events_in_a_batch_are_refused(client: httpx.Client) -> None:
    answer = post(client, [{}] * 1001, BATCH)
    assert answer.status_code == 413
    assert "1000" in told(answer)["detail"]


def test_a_key_publishes_only_what_it_is_bound_to(api: RunningApi) -> None:
    secret = api.key("publish", sources=("shop/*",), types=("email.*",))
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {secret}"}) as bound:
        assert post(bound, event("bound", source="shop/web")).status_code == 202
        refused = post(bound, event("bound"))
        assert refused.status_code == 403
        told(refused)
        other = event("bound", source="shop/web", type="note.added", data={"content": {"text": "n"}})
        assert post(bound, other).status_code in {403, 422}


def test_what_is_storylines_own_to_publish_is_refused(client: httpx.Client) -> None:
    assert post(client, event("own", source="storyline/rules")).status_code == 403


def test_metrics_count_what_was_accepted_and_refused(api: RunningApi, client: httpx.Client) -> None:
    def count(name: str) -> float:
        lines = get(f"{api.url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    before = count("storyline_events_accepted_total"), count("storyline_publish_refused_total")
    post(client, [event("m-1"), event("m-2")], BATCH)
    post(client, {})
    after = count("storyline_events_accepted_total"), count("storyline_publish_refused_total")
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


def test_a_log_that_is_another_one_is_a_503_and_says_so() -> None:
    """A channel keeps its events and tries again: an operator can put the log back."""
    answer = response_of(LogDamaged("Partition 3 does not hold the record that was applied."))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert b"urn:storyline:problem:log-damaged" in answer.body
