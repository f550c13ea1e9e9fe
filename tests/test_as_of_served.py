"""Does the API tell what we knew then? One customer's story, answer, consents and identity, with two bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import START, event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running, one_runner(running.story):
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish", "read", "system") as made:
        yield made


def at(minute: int) -> str:
    return (START + timedelta(minutes=minute)).isoformat()


def who(email: str, number: str | None = None) -> list[dict[str, str]]:
    found = [{"kind": "email", "value": email}]
    return [*found, {"kind": "customer_no", "value": number}] if number else found


def known(api: RunningApi, recorded: int, *events: dict[str, Any]) -> None:
    """These events come in at a minute after the start."""
    api.story.log.append(api.story.seal(events, START + timedelta(minutes=recorded)))
    api.project()


def did(type: str, minute: int, email: str, content: Any = None, **more: Any) -> dict[str, Any]:
    """An event of hers. Its id is its type and minute."""
    made = event(minute, id=f"{email}-{type}-{minute}", type=type)
    return {**made, "data": {"who": who(email, more.pop("number", None)), "content": content or {}, **more}}


def about(relation: str, target: dict[str, Any]) -> list[dict[str, str]]:
    return [{"relation": relation, "source": target["source"], "id": target["id"]}]


def ask(client: httpx.Client, address: str, **query: Any) -> Any:
    answer = client.get(address, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def pounds(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


def test_S09_what_we_knew_when_we_wrote_to_her(api: RunningApi, client: httpx.Client) -> None:
    """She moved, bought, complained and took her consent back; when we wrote to her, half of it had not come in."""
    ann = api.fresh()
    lives = did("profile.updated", 0, ann, {"name": "Ann", "address": {"city": "Leeds"}})
    buys = did("purchase.made", 1, ann, pounds("10.00"), refs=[{"kind": "order", "value": f"{ann}-1"}])
    allows = did("consent.given", 2, ann, {"purpose": "marketing", "channel": "email"})
    known(api, 10, lives, buys, allows)
    # What had happened before we wrote, and came in late:
    forbids = did("consent.withdrawn", 20, ann, {"purpose": "marketing", "channel": "email"})
    moved = did("profile.updated", 21, ann, {"name": "Ann", "address": {"city": "York"}})
    known(api, 60, forbids, moved)
    # What was put right later still: the purchase was of 12 pounds.
    right = did("event.amended", 70, ann, {"type": "purchase.made", "content": pounds("12.00")})
    known(api, 80, {**right, "data": {**right["data"], "about": about("corrects", buys)}})
    address = f"/v1/customers/{api.customer(ann)}"

    then, now = ask(client, address, recorded_by=at(30)), ask(client, address)
    assert then["profile"]["address"]["value"] == {"city": "Leeds"}
    assert then["facts"]["money"][0]["revenue"] == "10.00"
    assert then["consents"][0]["granted"]
    assert (then["recorded_by"], then["now"]) == ("2026-03-01T09:30:00Z", now["id"])
    assert now["profile"]["address"]["value"] == {"city": "York"}
    assert now["facts"]["money"][0]["revenue"] == "12.00"
    assert not now["consents"][0]["granted"]
    assert "now" not in now

    # By what we know today had happened by then: the right price holds all along, the move came later.
    true = ask(client, address, happened_by=at(20))
    assert true["profile"]["address"]["value"] == {"city": "Leeds"}
    assert true["facts"]["money"][0]["revenue"] == "12.00"
    assert not true["consents"][0]["granted"]
    words = ask(client, f"{address}/consents", happened_by=at(20), recorded_by=at(30))
    assert [one["granted"] for one in words["history"]] == [True]
    assert words["current"][0]["granted"]
    assert {"happened_by", "recorded_by", "now"} <= words.keys()

    page = ask(client, f"{address}/timeline", recorded_by=at(30))
    assert [one["type"] for one in page["items"]] == ["consent.given", "purchase.made", "profile.updated"]
    assert not any(one.get("corrections") for one in page["items"])
    page = ask(client, f"{address}/timeline", happened_by=at(1))
    assert [one["type"] for one in page["items"]] == ["purchase.made", "profile.updated"]
    assert [one["relation"] for one in page["items"][0]["corrections"]] == ["corrects"]
    with api.client("read-sealed") as sealed:
        told = ask(sealed, address, recorded_by=at(30))
    assert told["facts"] == then["facts"]
    assert "profile" not in told


def test_S09_who_she_was_then(api: RunningApi, client: httpx.Client) -> None:
    """A later link, and a merge that was taken back, are as if they had not been; each id finds who it was."""
    ann, ben, number = api.fresh(), api.fresh(), f"n-{api.fresh()}"
    known(api, 10, did("email.received", 0, ann), did("email.received", 1, ben))
    ruled = {**event(5, id=f"merge-{ann}", type="identity.merged"), "source": "storyline/steward"}
    ruled["data"] = {"who": who(ann), "parties": [{"role": "same", "who": who(ben)}], "content": {}}
    known(api, 20, ruled)
    undone = event(29, id=f"undo-{ann}", type="event.retracted", source="storyline/steward")
    known(api, 30, {**undone, "data": {"about": about("retracts", ruled), "content": {}}})
    known(api, 40, did("page.viewed", 39, ann, number=number))
    ids = {api.customer(one): f"/v1/customers/{api.customer(one)}" for one in (ann, ben)}
    mine, its = ids

    def people(minute: int) -> list[str]:
        return [ask(client, address, recorded_by=at(minute))["id"] for address in ids.values()]

    assert people(10) == [mine, its]
    merged = people(20)
    assert merged[0] == merged[1]
    assert merged[0] in ids
    assert people(30) == [mine, its]
    now = ask(client, ids[mine])["id"]
    assert people(40) == [now, its]
    assert now not in ids

    then = ask(client, ids[its] + "/identity", recorded_by=at(20))
    assert set(then["ids"]) == set(ids)
    assert (then["now"], then["recorded_by"]) == (its, at(20).replace("+00:00", "Z"))
    assert [(one["merges"], one.get("undone", False), one["did"]) for one in then["rulings"]] == [(True, False, True)]
    explained = ask(client, ids[mine] + "/identity", happened_by=at(39))
    assert [one["event"]["type"] for one in explained["links"]] == ["page.viewed"]
    assert [one["undone"] for one in explained["rulings"]] == [True]
    both = ask(client, ids[its] + "/timeline", recorded_by=at(20), type="email.received")
    assert [one["customer"] for one in both["items"]] == [merged[0]] * 2

    # Her number was nobody's before it was seen.
    refused = client.get(f"/v1/customers/{now}", params={"recorded_by": at(30)})
    assert refused.status_code == 404
    assert "then" in refused.json()["detail"]
    assert client.get(f"/v1/customers/{'0' * 32}", params={"recorded_by": at(30)}).status_code == 404
    for path in ("", "/timeline", "/consents", "/identity"):
        wrong = client.get(f"{ids[mine]}{path}", params={"happened_by": "yesterday"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "happened_by")


def test_pages_as_of_then_go_on_in_both_directions(api: RunningApi, client: httpx.Client) -> None:
    ann = api.fresh()
    known(api, 10, *[did("email.received", minute, ann, {"subject": f"Mail {minute}"}) for minute in range(7)])
    known(api, 20, did("email.received", 8, ann), did("call.ended", 3, ann))
    address, moment = f"/v1/customers/{api.customer(ann)}/timeline", {"recorded_by": at(10), "limit": 3}
    pages = [ask(client, address, **moment)]
    while (older := pages[-1]["older"]) is not None:
        pages.append(ask(client, address, before=older, **moment))
    found = [one["happened_at"] for page in pages for one in page["items"]]
    assert found == [at(minute).replace("+00:00", "Z") for minute in reversed(range(7))]
    back = ask(client, address, after=pages[-1]["newer"], **moment)
    assert [one["happened_at"] for one in back["items"]] == found[3:6]
    some = ask(client, address, since=at(2), until=at(5), q="mail 3", **moment)
    assert [one["content"]["subject"] for one in some["items"]] == ["Mail 3"]


def test_S08_what_happened_last_week_but_arrives_today_stands_where_it_belongs(
    api: RunningApi, client: httpx.Client
) -> None:
    """… and every figure includes it; as of what was known yesterday none does."""
    ann = api.fresh()
    week = 7 * 24 * 60
    known(api, week, did("email.received", 0, ann), did("purchase.made", week - 1, ann, pounds("5.00")))
    address = f"/v1/customers/{api.customer(ann)}"
    before = ask(client, address)
    late = did("purchase.made", 30, ann, pounds("7.50"))
    opted = did("consent.given", 31, ann, {"purpose": "marketing"})
    answer = client.post("/v1/events", content=json.dumps([late, opted]), headers={"Content-Type": BATCH})
    assert answer.status_code == 202, answer.text
    api.project()
    items = ask(client, f"{address}/timeline")["items"]
    assert [one["type"] for one in items] == ["purchase.made", "consent.given", "purchase.made", "email.received"]
    facts = ask(client, address)["facts"]
    assert (facts["orders"], facts["money"][0]["revenue"], facts["touchpoints"]) == (2, "12.50", 3)
    assert ask(client, address)["consents"][0]["granted"]
    yesterday = ask(client, address, recorded_by=(START + timedelta(minutes=week)).isoformat())
    assert yesterday["facts"] == before["facts"]
    assert "consents" not in yesterday
    today = ask(client, address, recorded_by=datetime.now(UTC).isoformat())
    assert today["facts"] == facts
