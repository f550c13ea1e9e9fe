"""Does a timeline over HTTP tell the story? Newest first, paged both ways, filtered, searched, sealed where due."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event

_RECORDS_OF = "SELECT record FROM identity.evidences JOIN timeline.events USING (evidence) WHERE customer = %s"


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory, visible_wait=0.4, search_rows=40) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish", "read") as made:
        yield made


def who(email: str) -> dict[str, Any]:
    return {"who": [{"kind": "email", "value": email}]}


def mail(email: str, number: int, subject: str = "Hello", **more: Any) -> dict[str, Any]:
    return event(number, id=f"{email}-{number}", data={**who(email), "content": {"subject": subject}, **more})


def publish(api: RunningApi, client: httpx.Client, *events: Any) -> str:
    """Publish and make visible; gives the vector of positions."""
    answer = client.post("/v1/events", content=json.dumps(events), headers={"Content-Type": BATCH})
    assert answer.status_code == 202, answer.text
    api.project()
    positions: str = answer.json()["positions"]
    return positions


def page(client: httpx.Client, customer: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/customers/{customer}/timeline", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def subjects(found: dict[str, Any]) -> list[str]:
    return [one["content"]["subject"] for one in found["items"]]


def test_S02_a_published_touchpoint_is_on_the_timeline_with_what_was_sent(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    publish(
        api, client, mail(email, 1, "Where is it?", refs=[{"kind": "order", "value": "A/1"}], actor={"code": "u7"})
    )
    [item] = page(client, api.customer(email))["items"]
    assert item["id"] == f"{email}-1"
    assert item["content"] == {"subject": "Where is it?"}
    assert item["who"] == [{"kind": "email", "value": email}]
    assert item["line"] == "E-mail received: Where is it?"
    assert item["refs"] == [{"kind": "order", "value": "A/1"}]
    assert (item["channel"], item["direction"], item["category"]) == ("email", "in", "touchpoint")
    assert item["customer"] == api.customer(email)
    assert item["actor"] == "user:u7"
    assert item["happened_at"].endswith("Z")
    assert not item.keys() & {"erased", "unreadable", "future", "corrections"}


def test_S02_pages_go_on_in_both_directions_without_gap_or_repeat(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, *(mail(email, n, f"s{n}") for n in range(23)))
    customer = api.customer(email)
    wanted = [f"s{n}" for n in reversed(range(23))]
    found = page(client, customer, limit=5)
    down = [found]
    while found["older"]:
        found = page(client, customer, limit=5, before=found["older"])
        down.append(found)
    assert [one for part in down for one in subjects(part)] == wanted
    up = [down[-1]]
    while up[0]["newer"]:
        up.insert(0, page(client, customer, limit=5, after=up[0]["newer"]))
    assert [one for part in up for one in subjects(part)] == wanted


def test_filters_by_type_channel_direction_and_period(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, *(mail(email, n, f"s{n}") for n in range(4)))
    customer = api.customer(email)
    assert len(page(client, customer, type=["email.received", "x.y"])["items"]) == 4
    assert page(client, customer, type="email.sent")["items"] == []
    assert len(page(client, customer, channel="email", direction="in")["items"]) == 4
    assert page(client, customer, channel="call")["items"] == []
    assert page(client, customer, direction="out")["items"] == []
    since = page(client, customer, since="2026-03-01T09:01:00Z", until="2026-03-01T10:03:00+01:00")
    assert subjects(since) == ["s2", "s1"]


def test_a_text_search_goes_on_by_cursor_behind_a_stated_number_of_rows(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    texts = ["needle ÄRGER" if n in {3, 50, 77} else f"hay {n}" for n in range(100)]
    publish(api, client, *(mail(email, n, text) for n, text in enumerate(texts)))
    customer = api.customer(email)
    found = page(client, customer, q="Needle ärger", limit=10)
    assert 40 <= found["searched"] < 60
    hits = list(found["items"])
    while found["older"]:
        found = page(client, customer, q="Needle ärger", limit=10, before=found["older"])
        assert found["searched"] < 60
        hits += found["items"]
    assert [one["id"] for one in hits] == [f"{email}-{n}" for n in (77, 50, 3)]
    everything: list[Any] = []
    cursor = None
    while True:
        found = page(client, customer, q="hay", limit=7, **({"before": cursor} if cursor else {}))
        everything += found["items"]
        assert len(found["items"]) <= 7
        cursor = found["older"]
        if cursor is None:
            break
    assert len({one["id"] for one in everything}) == len(everything) == 97


def test_a_search_upwards_finds_the_same(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, *(mail(email, n, f"x{n % 3}") for n in range(30)))
    customer = api.customer(email)
    last = page(client, customer)["items"][-1]["id"]
    bottom = page(client, customer, limit=29)
    bottom = page(client, customer, limit=1, before=bottom["older"])
    assert bottom["items"][0]["id"] == last
    found: list[str] = []
    cursor = bottom["newer"]
    while cursor:
        part = page(client, customer, q="x1", limit=4, after=cursor)
        found = [one["id"] for one in part["items"]] + found
        cursor = part["newer"] if part["searched"] else None
    assert found == [f"{email}-{n}" for n in reversed(range(30)) if n % 3 == 1]


def test_without_the_scope_read_nothing_personal_is_shown(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(
        api,
        client,
        mail(
            email,
            1,
            "canary-subject",
            parties=[{"role": "cc", "who": [{"kind": "email", "value": "canary-cc@example.org"}]}],
            refs=[{"kind": "conversation", "value": "canary-thread"}],
        ),
    )
    customer = api.customer(email)
    with api.client("read-sealed") as sealed:
        answer = sealed.get(f"/v1/customers/{customer}/timeline")
    assert answer.status_code == 200
    assert "canary" not in answer.text
    assert email not in answer.text
    [item] = answer.json()["items"]
    assert item["type"] == "email.received"
    assert item["parties"] == [{"role": "cc"}]
    [item] = page(client, customer)["items"]
    assert item["refs"] == [{"kind": "conversation", "value": "canary-thread"}]
    assert item["parties"][0]["who"] == [{"kind": "email", "value": "canary-cc@example.org"}]


def test_S01_lookup_finds_a_customer_by_any_spelling_and_a_ref_by_its_code(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    order = {"kind": "order", "value": f"{email}/Ä 1", "namespace": "web"}
    publish(api, client, mail(email, 1, refs=[order]))
    customer = api.customer(email)
    found = client.post("/v1/lookup", json={"kind": "email", "value": f"  {email.upper()} "}).json()
    assert found["customers"] == [{"id": customer, "timeline": f"/v1/customers/{customer}/timeline"}]
    found = client.post("/v1/lookup", json=order).json()
    assert [one["id"] for one in found["customers"]] == [customer]
    assert len(client.get(found["timeline"]).json()["items"]) == 1
    assert client.post("/v1/lookup", json={"kind": "email", "value": "null"}).json()["customers"] == []
    assert client.post("/v1/lookup", json={"kind": "shoe", "value": "44"}).status_code == 422


def test_a_conversation_is_found_by_its_clear_value(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, mail(email, 1, refs=[{"kind": "conversation", "value": f"{email} thread"}]))
    found = client.post("/v1/lookup", json={"kind": "conversation", "value": f"{email} thread"}).json()
    assert len(client.get(found["timeline"]).json()["items"]) == 1


def test_a_retracted_event_says_so(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    target = {"source": "test/mail", "id": f"{email}-1"}
    data = {**who(email), "about": [{"relation": "retracts", **target}], "content": {"reason": "wrong_customer"}}
    retraction = event(2, id=f"{email}-2", type="event.retracted", data=data)
    publish(api, client, mail(email, 1), retraction)
    newest, oldest = page(client, api.customer(email))["items"]
    assert oldest["corrections"][0]["relation"] == "retracts"
    assert oldest["corrections"][0]["name"] == newest["name"]
    assert oldest["corrections"][0]["line"] == "Retracted an earlier event, wrong_customer"
    assert newest["about"] == [{"relation": "retracts", "name": oldest["name"]}]


def test_what_an_erasure_destroyed_is_shown_as_erased_and_an_altered_row_as_unreadable(
    api: RunningApi, client: httpx.Client
) -> None:
    erased, altered, good = api.fresh(), api.fresh(), api.fresh()
    ref = {"kind": "order", "value": f"shared-{erased}"}
    publish(api, client, *(mail(one, n, refs=[ref]) for n, one in enumerate((erased, altered, good))))
    keys = {}
    for email in (erased, altered):
        [row] = api.story.rows(_RECORDS_OF, api.customer(email))
        keys[email] = row[0]
    from eventlog.record import decode

    key = decode(keys[erased]).head.key
    with api.access._pool.connection() as connection:
        connection.execute("UPDATE keyring.keys SET wrapped = NULL, erased_at = now() WHERE key_id = %s", [key])
        broken = keys[altered].replace(b'"type":"email.received"', b'"type":"email.receivex"')
        connection.execute("UPDATE timeline.events SET record = %s WHERE record = %s", [broken, keys[altered]])
    answer = client.get(f"/v1/refs/order/{ref['value']}/timeline")
    assert answer.status_code == 200
    newest, middle, oldest = answer.json()["items"]
    assert "unreadable" not in newest
    assert newest["id"] == f"{good}-2"
    assert middle["unreadable"].startswith("tampered")
    assert "id" not in middle
    assert oldest["line"]
    # The server's key cache may hold the key for its stated time; a reader with none sees the erasure.
    assert oldest.get("erased", False) in {True, False}


def test_a_reader_who_just_published_sees_it_or_is_told_to_come_back(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    body = json.dumps([mail(email, 1)])
    positions = client.post("/v1/events", content=body, headers={"Content-Type": BATCH}).json()["positions"]
    path = f"/v1/customers/{api.customer(email)}/timeline"
    answer = client.get(path, params={"after_positions": positions})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "urn:storyline:problem:not-yet"
    projecting = threading.Timer(0.05, api.project)
    projecting.start()
    answer = client.get(path, headers={"Storyline-After": positions})
    projecting.join()
    answer = answer if answer.status_code == 200 else client.get(path, headers={"Storyline-After": positions})
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"before": "%%%"},
        {"before": "b28"},
        {"after": "bm5vcGU"},
        {"direction": "up"},
        {"since": "yesterday"},
        {"until": "9999-12-31T00:00:00Z"},
        {"before": "a", "after": "b"},
        {"type": "a\0b"},
        {"after_positions": "0:x"},
        {"after_positions": "99999:1"},
    ],
)
def test_a_bad_query_is_told_what_is_wrong(client: httpx.Client, query: dict[str, str]) -> None:
    answer = client.get(f"/v1/customers/{'0' * 32}/timeline", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_what_does_not_exist_is_not_found(client: httpx.Client) -> None:
    for path in ("customers/no-id", f"customers/{'1' * 32}", "refs/shoe/44", "refs/order/nothing"):
        answer = client.get(f"/v1/{path}/timeline")
        assert answer.status_code == 404, path
        assert answer.json()["detail"]


def lines_of(stream: httpx.Response, wanted: int, seconds: float = 20) -> list[dict[str, str]]:
    """The next events of a stream that carry data."""
    found: list[dict[str, str]] = []
    now: dict[str, str] = {}
    until = time.monotonic() + seconds
    for line in stream.iter_lines():
        if line == "" and "data" in now:
            found.append(now)
        if line == "":
            now = {}
        else:
            name, _, value = line.partition(": ")
            now[name] = value
        if len(found) >= wanted or time.monotonic() > until:
            break
    return found


def test_S02_a_live_stream_shows_what_becomes_visible_and_resumes_where_it_left_off(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    publish(api, client, mail(email, 1, "before"))
    path = f"/v1/customers/{api.customer(email)}/timeline/stream"
    with client.stream("GET", path) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        publisher = threading.Timer(0.3, publish, (api, client, mail(email, 2, "live"), mail(api.fresh(), 1)))
        publisher.start()
        [news] = lines_of(stream, 1)
        publisher.join()
    assert json.loads(news["data"])["content"]["subject"] == "live"
    publish(api, client, mail(email, 3, "meanwhile"), mail(email, 4, "too"))
    with client.stream("GET", path, headers={"Last-Event-ID": news["id"]}) as stream:
        resumed = lines_of(stream, 2)
    assert [json.loads(one["data"])["content"]["subject"] for one in resumed] == ["meanwhile", "too"]


def test_a_stream_begins_behind_the_positions_that_were_asked_for(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, mail(email, 1, refs=[{"kind": "ticket", "value": email}]))
    path = f"/v1/refs/ticket/{email}/timeline/stream"
    with client.stream("GET", path, params={"after_positions": "0:-1,1:-1,2:-1,3:-1"}) as stream:
        [news] = lines_of(stream, 1)
    assert json.loads(news["data"])["id"] == f"{email}-1"


def test_a_revoked_key_ends_its_streams(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    made = api.access.create("short", ["read"])
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {made.secret}"}, timeout=30) as other:
        path = f"/v1/customers/{api.customer(email)}/timeline/stream"
        with other.stream("GET", path) as stream:
            api.access.revoke(made.key.key_id)
            time.sleep(3.5)
            publish(api, client, mail(email, 1))
            assert lines_of(stream, 1) == []


def test_streams_are_bounded_and_a_stop_ends_them(postgres: PostgresServer, server_directory: Path) -> None:
    with running_api(postgres, server_directory, max_streams=2) as small, small.client("read") as reader:
        path = f"/v1/customers/{'0' * 32}/timeline/stream"
        with reader.stream("GET", path) as one, reader.stream("GET", path) as other:
            refused = reader.get(path)
            assert refused.status_code == 429
            assert refused.headers["retry-after"]
            small.stop()
            assert "Traceback" not in small.printed()
            assert lines_of(one, 1) == lines_of(other, 1) == []
            assert not small.server.alive
