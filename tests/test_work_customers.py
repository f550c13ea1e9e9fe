"""Do deals, tickets and tasks stay with the customer, whoever that turns out to be, and when they are erased?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import ONE, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event

ANY = {"If-Match": "*"}


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("work", "read", "publish", "steward", "erase") as made:
        yield made


def mail(client: httpx.Client, *emails: str) -> None:
    who = [{"kind": "email", "value": one} for one in emails]
    told = event(f"mail {emails}", data={"who": who})
    assert client.post("/v1/events", json=told, headers={"Content-Type": ONE}).status_code == 202


def made(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def titles(client: httpx.Client, customer: str) -> set[str]:
    work = client.get(f"/v1/customers/{customer}").json().get("work", {})
    found = [one.get("title") or one.get("subject", "") for kind in work.values() for one in kind]
    return set(found)


def test_the_customer_view_shows_what_is_open(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    mail(client, email)
    api.project()
    customer = api.customer(email)
    deal = made(client, "/v1/deals", title="A roof", customer=customer)
    won = made(client, "/v1/deals", title="Won", customer=customer, amount="1", currency="GBP")
    client.post(f"/v1/deals/{won['id']}/move", json={"to": "won"}, headers=ANY)
    made(client, "/v1/tickets", subject="It leaks", customer=customer)
    made(client, "/v1/tasks", title="Call", customer=customer)
    made(client, "/v1/leads", title="A wall", customer=customer)
    api.project()
    assert titles(client, customer) == {"A roof", "It leaks", "Call", "A wall"}
    assert client.get(f"/v1/deals/{deal['id']}").json()["customer"] == customer
    assert client.post("/v1/deals", json={"customer": "0" * 32}).json()["errors"][0]["field"] == "customer"
    with api.client("read-sealed") as sealed:
        work = sealed.get(f"/v1/customers/{customer}").json()["work"]
        assert len(work["deals"]) == 1
        assert "title" not in work["deals"][0]


def test_a_merge_and_a_split_carry_everything_along(api: RunningApi, client: httpx.Client) -> None:
    one, other = api.fresh(), api.fresh()
    mail(client, one)
    mail(client, other)
    api.project()
    made(client, "/v1/deals", title="Of one", customer=api.customer(one))
    made(client, "/v1/tickets", subject="Of the other", customer=api.customer(other))
    api.project()
    assert titles(client, api.customer(one)) == {"Of one"}
    merged = client.post("/v1/customers/merge", json={"customers": [api.customer(one), api.customer(other)]})
    assert merged.status_code == 200, merged.text
    api.project()
    assert titles(client, api.customer(other)) == {"Of one", "Of the other"}
    undone = client.post(f"/v1/rulings/{merged.json()['ruling']}/undo", json={})
    assert undone.status_code == 200, undone.text
    api.project()
    assert titles(client, api.customer(one)) == {"Of one"}
    assert titles(client, api.customer(other)) == {"Of the other"}


def test_of_an_erased_customer_the_figures_stay_and_the_texts_are_gone(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    mail(client, email)
    api.project()
    customer = api.customer(email)
    deal = made(client, "/v1/deals", title="Canary", customer=customer, amount="99", currency="GBP")
    ticket = made(client, "/v1/tickets", subject="Canary", comment="Canary", customer=customer, queue="erased")
    api.project()
    erased = client.post(f"/v1/customers/{customer}/erase", json={"why": "asked"})
    assert erased.status_code in {200, 202}, erased.text
    api.project()
    for path, key in ((f"/v1/deals/{deal['id']}", "title"), (f"/v1/tickets/{ticket['id']}", "subject")):
        shown = client.get(path)
        assert "Canary" not in shown.text
        assert key not in shown.json()
        assert shown.json()["history"][0]["erased"] is True
    assert client.get(f"/v1/deals/{deal['id']}").json()["amount"] == "99"
    board = client.get("/v1/deals", params={"pipeline": "sales"})
    assert "Canary" not in board.text
    assert deal["id"] in board.text
    assert "Canary" not in client.get("/v1/tickets", params={"queue": "erased"}).text
    moved = client.post(f"/v1/deals/{deal['id']}/move", json={"to": "won"}, headers=ANY)
    assert moved.status_code == 200, moved.text
