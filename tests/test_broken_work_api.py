"""Do the routes of deals, tickets, tasks and colleagues stand who means harm, sends much, or sends nonsense?"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.api import BATCH, ONE, RunningApi, running_api
from tests.support.postgres import PostgresServer

ANY = {"If-Match": "*"}


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running
        assert "Traceback" not in running.printed()


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("work", "read", "manage") as made:
        yield made


def made(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    "moment",
    ["2026-W01-1T00:00+00:00", "2026-01-01T00:00:00+00:00:30.5", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00"],
)
@pytest.mark.parametrize("path", ["/v1/deals", "/v1/tickets", "/v1/tasks", "/v1/leads", "/v1/users/anna/notices"])
def test_a_cursor_that_was_tampered_with_is_refused_or_is_a_place(
    client: httpx.Client, path: str, moment: str
) -> None:
    cursor = urlsafe_b64encode(f"{moment} {uuid4().hex}".encode()).decode().rstrip("=")
    assert client.get(path, params={"cursor": cursor}).status_code in {200, 422}


def test_a_NUL_character_is_refused_by_the_name_of_its_field(client: httpx.Client) -> None:
    answer = client.post("/v1/deals/batch", json={"deals": [{"title": "Kettles"}, {"title": "Ket\0tles"}]})
    assert [one["field"] for one in answer.json()["errors"]] == ["deals[1].title"]
    assert client.post("/v1/tickets", json={"subject": "\\u0000"}).status_code == 201
    assert client.get("/v1/users", params={"cursor": "\0"}).status_code == 422
    for what in ("leave", "return"):
        assert client.post(f"/v1/users/a%00/{what}", json={}, headers=ANY).status_code == 404
    assert client.patch("/v1/users/a%00", json={}, headers=ANY).status_code == 404


def test_a_text_may_be_as_long_as_its_field_wherever_it_is_sent(client: httpx.Client) -> None:
    text = "ö" * 200_000
    ticket = made(client, "/v1/tickets", subject="It leaks", comment=text)["id"]
    deal = made(client, "/v1/deals", title="Kettles", comment=text)["id"]
    made(client, "/v1/tasks", title="Call", text=text)
    for path, body in (
        (f"/v1/tickets/{ticket}/comments", {"text": text}),
        (f"/v1/tickets/{ticket}/answer", {"text": text}),
        (f"/v1/deals/{deal}/move", {"to": "lost", "reason": "price", "comment": text}),
    ):
        assert client.post(path, json=body, headers=ANY).status_code == 200, path
    assert client.post("/v1/tasks", json={"title": "Call", "text": text + "ö"}).status_code == 422


def test_a_task_tells_what_it_is_on_but_not_which_conversation_to_who_may_not_see_that(
    api: RunningApi, client: httpx.Client
) -> None:
    refs = [{"kind": "order", "value": "W-1"}, {"kind": "conversation", "value": "Re: my divorce"}]
    headers = {"Idempotency-Key": uuid4().hex}
    both = ["order:W-1", "conversation:Re: my divorce"]
    for _ in range(2):
        task = client.post("/v1/tasks", json={"title": "Call", "refs": refs}, headers=headers).json()
        assert task["task"]["refs"] == both
    path = f"/v1/tasks/{task['id']}"
    assert client.get(path).json()["refs"] == both
    with api.client("read-sealed", "work") as other:
        assert other.get(path).json()["refs"] == ["order:W-1"]
        answer = other.post(f"{path}/finish", headers=ANY)
        assert answer.json()["task"]["refs"] == ["order:W-1"]
        assert "divorce" not in answer.text


def test_who_may_publish_puts_no_step_of_ours_right(api: RunningApi, client: httpx.Client) -> None:
    deal = made(client, "/v1/deals", title="Kettles", amount="5", currency="GBP")["id"]
    about = {"source": "storyline/deal", "id": f"{deal}.1"}
    told = {"type": "deal.created", "content": {"amount": "999", "currency": "GBP", "stage": "proposal"}}
    with api.client("publish") as channel:
        for type_, relation, content in (("event.amended", "corrects", told), ("event.retracted", "retracts", {})):
            data = {"about": [{"relation": relation, **about}], "content": content}
            named = {"specversion": "1.0", "source": "evil/crm", "id": uuid4().hex, "type": type_}
            body = {**named, "time": "2026-03-01T09:00:00Z", "data": data}
            answer = channel.post("/v1/events", json=body, headers={"Content-Type": ONE})
            assert answer.status_code == 403, answer.text
    api.project()
    board = {one["id"]: one for one in client.get("/v1/deals").json()["deals"]}
    assert (board[deal]["stage"], board[deal]["amount"]) == ("new", "5")


def test_the_history_as_of_then_goes_back_page_by_page_as_the_one_of_now_does(client: httpx.Client) -> None:
    task = f"/v1/tasks/{made(client, '/v1/tasks', title='Call')['id']}"
    for number in range(6):
        assert client.patch(task, json={"priority": f"p{number}"}, headers=ANY).status_code == 200
    for asked in ("", "2099-01-01T00:00:00Z"):
        seen: list[int] = []
        before = None
        while before is not None or not seen:
            query = {"limit": 3, "happened_by": asked or None, "before": before}
            page = client.get(task, params={name: one for name, one in query.items() if one}).json()
            seen += [one["revision"] for one in reversed(page["history"])]
            before = page.get("earlier")
        assert seen == [7, 6, 5, 4, 3, 2, 1], asked


def test_a_long_story_of_another_system_is_told_to_its_end(api: RunningApi, client: httpx.Client) -> None:
    name, steps = uuid4().hex, 1100
    events = [
        {
            "specversion": "1.0",
            "source": "their/crm",
            "id": f"{name}.{number}",
            "type": "deal.value_changed",
            "time": f"2026-03-{1 + number // 60:02d}T09:{number % 60:02d}:00Z",
            "data": {
                "refs": [{"kind": "deal", "value": name}],
                "content": {"amount": str(number), "currency": "GBP"},
            },
        }
        for number in range(steps)
    ]
    with api.client("publish") as channel:
        for begin in (0, 600):
            part = events[begin : begin + 600]
            assert channel.post("/v1/events", json=part, headers={"Content-Type": BATCH}).status_code == 202
    api.project()
    [row] = [one for one in client.get("/v1/deals").json()["deals"] if one["ref"] == f"deal:{name}"]
    shown = client.get(f"/v1/deals/{row['id']}").json()
    assert shown["amount"] == row["amount"] == str(steps - 1)
    assert shown["history"][-1]["happened_at"] == row["changed_at"]


def test_nobody_has_seen_what_they_are_told_later(client: httpx.Client) -> None:
    made(client, "/v1/users", code="dora")
    seen, now = "/v1/users/dora/notices/seen", datetime.now(UTC)
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        answer = client.post(seen, json={"at": at})
        assert answer.status_code == 200, answer.text
    assert now <= datetime.fromisoformat(answer.json()["seen_at"]) <= datetime.now(UTC)
    assert client.get("/v1/users/dora/notices").status_code == 200
