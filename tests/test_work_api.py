"""Can deals and tickets be worked on over HTTP, by many at once, so that nobody overwrites or repeats anything?"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import httpx
import pytest

from domain.configuration import Configuration, Pipeline, Stage, builtin_configuration
from eventlog.relay import Relay
from storyline.configuration import as_yaml
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.commanding import at_once
from tests.support.postgres import PostgresServer
from tests.support.story import event

ANY = {"If-Match": "*"}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    path = server_directory / "special.yaml"
    path.write_text(as_yaml(rules()), encoding="utf-8")
    with running_api(postgres, server_directory, path) as running:
        yield running


def rules() -> Configuration:
    """The built-in ones, and a pipeline with an approval and a stage in which deals stall at once."""
    stages = [
        Stage(code="new"),
        Stage(code="short", stalled_after=timedelta(seconds=1)),
        Stage(code="discount", approval="manager"),
    ]
    built_in = builtin_configuration()
    special = Pipeline(stages=stages)
    return built_in.model_copy(update={"pipelines": {**built_in.pipelines, "special": special}})


@pytest.fixture(scope="module")
def manager(api: RunningApi) -> Iterator[httpx.Client]:
    """A colleague who manages, and may read everything."""
    with api.client("manage", "admin") as admin:
        assert admin.post("/v1/users", json={"code": "maria", "roles": ["manager"]}).status_code == 201
        secret = admin.post(
            "/v1/keys", json={"label": "maria", "scopes": ["work", "manage", "read"], "user": "maria"}
        ).json()["secret"]
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client:
        yield client


@pytest.fixture
def rep(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("work", "read") as client:
        yield client


def colleague(manager: httpx.Client) -> str:
    """A new colleague's code."""
    code = f"rep{next(_numbers)}"
    assert manager.post("/v1/users", json={"code": code, "name": f"Rep {code}"}).status_code == 201
    return code


def made(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_S11_a_deal_moves_by_the_rules_of_its_pipeline(rep: httpx.Client, api: RunningApi) -> None:
    deal = made(rep, "/v1/deals", title="A roof", who=[{"kind": "email", "value": api.fresh()}])
    assert deal["deal"]["stage"] == "new"
    path = f"/v1/deals/{deal['id']}"
    refused = rep.post(f"{path}/move", json={"to": "proposal"}, headers=ANY)
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["rule"] == "deal-fields-missing"
    assert problem["missing"] == ["amount", "currency"]
    assert {"to": "qualified", "missing": ["assignee"]} in problem["allowed"]
    moved = rep.post(f"{path}/move", json={"to": "proposal", "amount": "1200.50", "currency": "GBP"}, headers=ANY)
    assert moved.status_code == 200, moved.text
    assert (moved.headers["etag"], moved.json()["deal"]["amount"]) == ('"2"', "1200.50")
    lost = rep.post(f"{path}/move", json={"to": "lost"}, headers=ANY).json()
    assert (lost["rule"], lost["missing"]) == ("deal-reason-missing", ["reason"])
    assert rep.post(f"{path}/move", json={"to": "lost", "reason": "price"}, headers=ANY).status_code == 200
    assert rep.patch(path, json={"title": "B"}, headers=ANY).json()["rule"] == "deal-closed"
    assert rep.post(f"{path}/reopen", json={}, headers=ANY).json()["deal"]["status"] == "open"


def test_S12_how_a_deal_goes_is_told_without_asking_anyone(rep: httpx.Client, manager: httpx.Client) -> None:
    deal = made(manager, "/v1/deals", title="A wall", amount="10", currency="GBP", stage="proposal")
    manager.post(f"/v1/deals/{deal['id']}/move", json={"to": "won"}, headers=ANY)
    shown = rep.get(f"/v1/deals/{deal['id']}")
    told = shown.json()
    assert shown.headers["etag"] == '"2"'
    assert told["title"] == "A wall"
    assert [one["type"] for one in told["history"]] == ["deal.created", "deal.won"]
    assert {one["actor"] for one in told["history"]} == {"user:maria"}
    assert [one["stage"] for one in told["spent"]] == ["proposal"]
    before = rep.get(f"/v1/deals/{deal['id']}", params={"happened_by": told["history"][0]["happened_at"]}).json()
    assert (before["status"], before["revision"], len(before["history"])) == ("open", 1, 1)
    assert rep.get(f"/v1/deals/{deal['id']}", params={"happened_by": "2020-01-01T00:00:00Z"}).status_code == 404
    assert rep.get(f"/v1/tickets/{deal['id']}").status_code == 404


def test_S12_a_deal_tells_the_last_touchpoints_and_what_is_to_be_done(
    api: RunningApi, rep: httpx.Client, manager: httpx.Client
) -> None:
    email = api.fresh()
    who = {"who": [{"kind": "email", "value": email}]}
    mails = [event(n, id=f"{email}-{n}", data={**who, "content": {"subject": f"Mail {n}"}}) for n in range(8)]
    about = [{"relation": "retracts", "source": "test/mail", "id": f"{email}-7"}]
    mails.append(event(9, id=f"{email}-9", type="event.retracted", data={**who, "about": about, "content": {}}))
    with api.client("publish") as mail:
        sent = mail.post("/v1/events", content=json.dumps(mails), headers={"Content-Type": BATCH})
        assert sent.status_code == 202, sent.text
    deal, ticket = made(rep, "/v1/deals", title="A roof", **who), made(rep, "/v1/tickets", subject="A leak", **who)
    on = [{"kind": "deal", "value": deal["id"]}]
    late = made(rep, "/v1/tasks", title="Later", due="2026-03-02T09:00:00Z", refs=on)
    made(rep, "/v1/tasks", title="First", due="2026-03-01T09:00:00Z", refs=on)
    finished = made(rep, "/v1/tasks", title="Finished", refs=on)
    assert rep.post(f"/v1/tasks/{finished['id']}/finish", headers=ANY).status_code == 200
    made(rep, "/v1/tasks", title="Of the ticket", refs=[{"kind": "ticket", "value": ticket["id"]}])
    api.project()
    told = manager.get(f"/v1/deals/{deal['id']}").json()
    assert [one["title"] for one in told["tasks"]] == ["First", "Later"]
    assert told["tasks"][1] == manager.get("/v1/tasks", params={"on": f"deal:{deal['id']}"}).json()["tasks"][1]
    assert told["tasks"][1]["id"] == late["id"]
    lines = [one["line"] for one in told["touchpoints"]]
    assert (lines[0], len(lines)) == ("Ticket opened, normal: A leak", 5)
    assert lines[1:] == [f"E-mail received: Mail {n}" for n in (6, 5, 4, 3)]
    assert {name: told["touchpoints"][1][name] for name in ("channel", "direction")} == {
        "channel": "email", "direction": "in",
    }  # fmt: skip
    then = manager.get(f"/v1/deals/{deal['id']}", params={"happened_by": told["history"][0]["happened_at"]}).json()
    assert not {"touchpoints", "tasks"} & then.keys()
    of_ticket = manager.get(f"/v1/tickets/{ticket['id']}").json()
    assert [one["title"] for one in of_ticket["tasks"]] == ["Of the ticket"]
    assert [one["line"] for one in of_ticket["touchpoints"][1:]] == lines[1:]
    with api.client("work") as blind, api.client("read-sealed") as sealed:
        assert "touchpoints" not in blind.get(f"/v1/deals/{deal['id']}").json()
        hidden = sealed.get(f"/v1/deals/{deal['id']}")
        assert [len(hidden.json()[each]) for each in ("touchpoints", "tasks")] == [5, 2]
        assert not any(each in hidden.text for each in ("Mail 6", "First", "Later"))
    with api.client("erase") as officer:
        erased = officer.post(f"/v1/customers/{told['customer']}/erase", json={"why": "asked"})
        assert erased.status_code in {200, 202}, erased.text
    assert "touchpoints" not in manager.get(f"/v1/deals/{deal['id']}").json()


def test_without_read_no_title_is_shown(api: RunningApi, rep: httpx.Client) -> None:
    deal = made(rep, "/v1/deals", title="Canary", who=[{"kind": "email", "value": api.fresh()}])
    with api.client("work") as blind, api.client("read-sealed") as sealed:
        for client in (blind, sealed):
            assert "Canary" not in client.get(f"/v1/deals/{deal['id']}").text
        assert "Canary" not in blind.patch(f"/v1/deals/{deal['id']}", json={"amount": None}, headers=ANY).text
        assert sealed.post("/v1/deals", json={}).status_code == 403


def test_S51_a_change_says_of_which_revision_it_is(rep: httpx.Client) -> None:
    deal = made(rep, "/v1/deals", title="A roof")
    path = f"/v1/deals/{deal['id']}"
    assert rep.patch(path, json={"title": "B"}).status_code == 428
    assert rep.patch(path, json={"title": "B"}, headers={"If-Match": "3"}).status_code == 422
    assert rep.patch(path, json={"title": "B"}, headers={"If-Match": '"1"'}).status_code == 200
    stale = rep.patch(path, json={"title": "C"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.headers["etag"], stale.json()["revision"]) == (412, '"2"', 2)
    [change] = stale.json()["changes"]
    assert (change["revision"], change["type"]) == (2, "deal.changed")
    assert "B" not in change["line"]


def test_S51_fifty_clients_edit_ten_deals_and_each_conflict_is_told(api: RunningApi) -> None:
    secret = api.key("work", "read")

    def client() -> httpx.Client:
        return httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60)

    with client() as first:
        deals = [made(first, "/v1/deals", title=f"Deal {n}")["id"] for n in range(10)]

    def edit(number: int) -> list[tuple[str, int, int]]:
        outcomes = []
        with client() as mine:
            for deal in (deals[(number + step) % 10] for step in range(3)):
                etag = mine.get(f"/v1/deals/{deal}").headers["etag"]
                answer = mine.patch(f"/v1/deals/{deal}", json={"title": f"{number}"}, headers={"If-Match": etag})
                assert answer.status_code in {200, 412}, answer.text
                if answer.status_code == 412:
                    assert answer.json()["revision"] > int(etag.strip('"'))
                    assert answer.json()["changes"]
                outcomes.append((deal, answer.status_code, number))
        return outcomes

    outcomes = [one for each in at_once(edit, 50) for one in each]
    accepted = Counter(deal for deal, status, _ in outcomes if status == 200)
    assert len(outcomes) == 150
    with client() as last:
        for deal in deals:
            told = last.get(f"/v1/deals/{deal}").json()
            assert told["revision"] == 1 + accepted[deal]
            titles = [one["content"]["title"] for one in told["history"][1:]]
            assert sorted(titles) == sorted(str(n) for each, status, n in outcomes if (each, status) == (deal, 200))


def test_fifty_equal_posts_at_once_make_one_deal(api: RunningApi) -> None:
    secret, key = api.key("work", "read"), uuid4().hex

    def send(_: int) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
        return httpx.post(f"{api.url}/v1/deals", json={"title": "Once"}, headers=headers, timeout=60)

    answers = at_once(send, 50)
    assert {one.status_code for one in answers} == {201}
    assert len({one.json()["id"] for one in answers}) == 1
    assert sorted(one.json().get("repeated", False) for one in answers) == [False] + [True] * 49
    other = httpx.post(
        f"{api.url}/v1/deals", json={"title": "Other"},
        headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": key},
    )  # fmt: skip
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_the_board_tells_what_is_in_each_stage(api: RunningApi, rep: httpx.Client) -> None:
    owner = f"team-{uuid4().hex[:6]}"
    for amount, stage in (("10", "new"), ("20.5", "new"), ("30", "proposal")):
        made(rep, "/v1/deals", title=f"Deal {amount}", amount=amount, currency="GBP", stage=stage, team=owner)
    done = rep.post("/v1/deals/batch", json={"deals": [{"title": "Bulk", "team": owner}] * 3})
    assert (done.status_code, len(done.json()["items"])) == (201, 3)
    api.project()
    page = rep.get("/v1/deals", params={"pipeline": "sales", "team": owner, "limit": 2}).json()
    stages = {one["stage"]: one for one in page["board"]["stages"]}
    assert list(stages) == ["new", "qualified", "proposal", "negotiation"]
    assert (stages["new"]["count"], stages["new"]["sums"][0]["amount"]) == (5, "30.5")
    assert stages["proposal"]["sums"] == [{"currency": "GBP", "amount": "30", "expected": "15"}]
    seen = page["deals"]
    while page["next"]:
        page = rep.get("/v1/deals", params={"team": owner, "limit": 2, "cursor": page["next"]}).json()
        seen += page["deals"]
    assert sorted(one["title"] for one in seen) == ["Bulk", "Bulk", "Bulk", "Deal 10", "Deal 20.5", "Deal 30"]
    assert all(one["native"] for one in seen)


def test_S11_approval_is_by_whoever_has_the_role(rep: httpx.Client, manager: httpx.Client) -> None:
    deal = made(rep, "/v1/deals", title="Half price", pipeline="special")
    url = f"/v1/deals/{deal['id']}"
    refused = rep.post(f"{url}/move", json={"to": "discount"}, headers=ANY).json()
    assert (refused["rule"], refused["missing"]) == ("deal-not-approved", ["approval:manager"])
    assert rep.post(f"{url}/approve", json={"stage": "discount"}, headers=ANY).status_code == 409
    approved = manager.post(f"{url}/approve", json={"stage": "discount"}, headers=ANY)
    assert approved.json()["deal"]["approvals"][0]["by"] == "user:maria"
    assert rep.post(f"{url}/move", json={"to": "discount"}, headers=ANY).status_code == 200
    transferred = rep.post(f"{url}/transfer", json={"pipeline": "sales"}, headers=ANY).json()["deal"]
    assert (transferred["pipeline"], transferred["stage"]) == ("sales", "new")


def test_S13_deals_that_stall_are_flagged_and_the_stage_stands_out(rep: httpx.Client, api: RunningApi) -> None:
    team = f"team-{uuid4().hex[:6]}"
    fast = made(rep, "/v1/deals", title="Fast", pipeline="special", stage="short", team=team)
    slow = made(rep, "/v1/deals", title="Slow", pipeline="special", team=team)
    time.sleep(1.1)  # the configuration of these tests lets deals stall after a second
    api.project()
    page = rep.get("/v1/deals", params={"pipeline": "special", "team": team}).json()
    assert {one["id"]: one.get("stalled", False) for one in page["deals"]} == {fast["id"]: True, slow["id"]: False}
    assert {one["stage"]: one["stalled"] for one in page["board"]["stages"]}["short"] == 1
    stalled = rep.get("/v1/deals", params={"pipeline": "special", "team": team, "stalled": True}).json()["deals"]
    assert [one["id"] for one in stalled] == [fast["id"]]
    assert rep.get(f"/v1/deals/{fast['id']}").json()["stalled"] is True
    assert isinstance(rep.get("/v1/stalls").json()["stalls"], list)


def test_S04_a_colleague_who_leaves_leaves_nothing_and_is_locked_out(manager: httpx.Client, api: RunningApi) -> None:
    gone, heir = colleague(manager), colleague(manager)
    with api.client("admin") as admin:
        key = admin.post("/v1/keys", json={"label": gone, "scopes": ["work"], "user": gone}).json()["secret"]
    theirs = httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {key}"})
    with theirs:
        task = made(theirs, "/v1/tasks", title="Call", assignee=gone)
        deal = made(theirs, "/v1/deals", title="A roof", assignee=gone)
        left = manager.post(f"/v1/users/{gone}/leave", json={"to": heir}, headers=ANY)
        assert left.status_code == 200, left.text
        assert left.json()["user"]["present"] is False
        assert manager.get(f"/v1/tasks/{task['id']}").json()["assignee"] == heir
        assert manager.get(f"/v1/deals/{deal['id']}").json()["assignee"] == heir
        refused = manager.post(f"/v1/deals/{deal['id']}/assign", json={"assignee": gone}, headers=ANY)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "assignee")
        assert gone not in {one["code"] for one in manager.get("/v1/users", params={"limit": 100}).json()["users"]}
        api.access._cache.clear()
        with api.client("admin") as admin:
            [listed] = [one for one in admin.get("/v1/keys").json()["keys"] if one.get("user") == gone]
            assert listed["revoked_at"]
        assert manager.post(f"/v1/users/{gone}/return", headers=ANY).json()["user"]["present"] is True


def test_S04_twenty_give_to_somebody_who_leaves_and_nothing_stays(manager: httpx.Client, api: RunningApi) -> None:
    gone, heir = colleague(manager), colleague(manager)
    secret = api.key("work")
    tasks = manager.post("/v1/deals/batch", json={"deals": [{"title": "T"}] * 40}).json()["items"]

    def act(number: int) -> list[int]:
        if number == 20:
            return [manager.post(f"/v1/users/{gone}/leave", json={"to": heir}, headers=ANY).status_code]
        with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {secret}", **ANY}, timeout=60) as mine:
            return [
                mine.post(f"/v1/deals/{one['id']}/assign", json={"assignee": gone}).status_code
                for one in tasks[number * 2 : number * 2 + 2]
            ]

    statuses = [one for each in at_once(act, 21) for one in each]
    assert set(statuses) <= {200, 422}
    api.project()
    assert manager.get("/v1/deals", params={"assignee": gone}).json()["deals"] == []
    assert api.story.rows("SELECT * FROM storyline.owned WHERE assignee = %s", gone) == []


def test_whoever_changed_something_sees_it_on_the_board(rep: httpx.Client, api: RunningApi) -> None:
    stop = Event()

    def keep_relaying() -> None:
        one = Relay(api.story.dsn, api.story.log, api.story.hasher)
        try:
            assert one.take()
            while not stop.is_set():
                if not one.step():
                    time.sleep(0.01)
        finally:
            one.leave()
            one.drop()

    thread = Thread(target=keep_relaying)
    thread.start()
    time.sleep(0.5)
    try:
        deal = made(rep, "/v1/deals", title="Seen", team="seen")
    finally:
        stop.set()
        thread.join()
    late = rep.get("/v1/deals", params={"team": "seen", "after_positions": deal["positions"]})
    assert late.status_code == 503
    api.project()
    page = rep.get("/v1/deals", params={"team": "seen", "after_positions": deal["positions"]}).json()
    assert [one["title"] for one in page["deals"]] == ["Seen"]
    assert "positions" not in made(rep, "/v1/deals", title="Nobody relays")
