"""Do tickets, tasks, leads, notes and mentions do over HTTP what support, sales and everybody else need?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.configuration import AssignmentRule, Configuration, builtin_configuration
from storyline.configuration import as_yaml
from tests.support.api import ONE, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event

ANY = {"If-Match": "*"}
_numbers = itertools.count()


def rules() -> Configuration:
    """The built-in ones, and leads from the website in turn."""
    turn = AssignmentRule(code="website", of="lead", by="round_robin", users=["anna", "bert"])
    return builtin_configuration().model_copy(update={"assignment": [turn]})


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    path = server_directory / "website.yaml"
    path.write_text(as_yaml(rules()), encoding="utf-8")
    with running_api(postgres, server_directory, path) as running:
        with running.client("manage") as manager:
            for code in ("anna", "bert"):
                assert manager.post("/v1/users", json={"code": code, "name": code.title()}).status_code == 201
        yield running


@pytest.fixture(scope="module")
def anna(api: RunningApi) -> Iterator[httpx.Client]:
    secret = api.key("work", "read", user="anna")
    with httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client:
        yield client


def made(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def act(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body, headers=ANY)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def person(api: RunningApi) -> dict[str, str]:
    return {"kind": "email", "value": api.fresh()}


def test_S20_a_ticket_moves_along_its_transitions_and_keeps_its_history(api: RunningApi, anna: httpx.Client) -> None:
    ticket = made(anna, "/v1/tickets", subject="It leaks", comment="Since Monday", who=[person(api)], channel="phone")
    url = f"/v1/tickets/{ticket['id']}"
    told = ticket["ticket"]
    assert (told["state"], told["priority"], told["service_level"]) == ("new", "normal", "standard")
    assert told["respond_by"] > told["opened_at"]
    act(anna, f"{url}/assign", assignee="anna")
    answered = act(anna, f"{url}/comments", text="We send somebody.")["ticket"]
    assert answered["state"] == "open"
    assert "respond_by" not in answered
    act(anna, f"{url}/move", to="pending")
    refused = anna.post(f"{url}/move", json={"to": "new"}, headers=ANY)
    assert (refused.status_code, refused.json()["rule"]) == (409, "ticket-move-forbidden")
    assert {one["to"] for one in refused.json()["allowed"]} == {"open", "hold", "resolved", "closed"}
    act(anna, f"{url}/move", to="resolved", reason="repaired")
    assert act(anna, f"{url}/answer", text="It leaks again!")["ticket"]["state"] == "open"
    history = anna.get(url).json()["history"]
    assert [one["type"] for one in history] == [
        "ticket.opened", "ticket.assigned", "ticket.commented", "ticket.state_changed", "ticket.state_changed",
        "ticket.resolved", "ticket.reopened", "ticket.commented",
    ]  # fmt: skip
    assert {one["actor"] for one in history} == {"user:anna"}
    assert history[0]["content"]["comment"] == "Since Monday"


def test_S20_the_time_in_each_state_is_told_now_and_as_of_then(anna: httpx.Client) -> None:
    ticket = made(anna, "/v1/tickets", subject="It leaks")["id"]
    for to in ("open", "pending", "open", "closed"):
        told = act(anna, f"/v1/tickets/{ticket}/move", to=to)["ticket"]
    now = anna.get(f"/v1/tickets/{ticket}").json()
    assert (now["stays"], now["spent"]) == (told["stays"], told["spent"])
    assert [one["state"] for one in now["stays"]] == ["new", "open", "pending", "open"]
    assert [one["until"] for one in now["stays"]] == [
        *[one["since"] for one in now["stays"][1:]], now["closed_at"],
    ]  # fmt: skip
    assert {one["state"] for one in now["spent"]} == {"new", "open", "pending"}
    then = anna.get(f"/v1/tickets/{ticket}", params={"happened_by": now["stays"][2]["since"]}).json()
    assert then["stays"] == [*now["stays"][:2], {"state": "pending", "since": now["stays"][2]["since"]}]
    assert then["spent"][-1] == {"state": "pending", "seconds": 0}


def test_S20_tickets_wait_in_a_queue_the_first_due_first(api: RunningApi, anna: httpx.Client) -> None:
    queue = f"queue-{next(_numbers)}"
    slow = made(anna, "/v1/tickets", subject="Slow", queue=queue, priority="low")
    fast = made(anna, "/v1/tickets", subject="Fast", queue=queue, priority="urgent")
    with api.client("publish") as shop:
        far = event("far", type="ticket.opened", source="desk/eu")
        far["data"] = {"refs": [{"kind": "ticket", "value": "T-77"}], "content": {"subject": "Far", "queue": queue}}
        assert shop.post("/v1/events", json=far, headers={"Content-Type": ONE}).status_code == 202
    api.project()
    page = anna.get("/v1/tickets", params={"queue": queue}).json()
    assert [one["subject"] for one in page["tickets"]] == ["Fast", "Slow", "Far"]
    assert [one["native"] for one in page["tickets"]] == [True, True, False]
    assert [one["id"] for one in page["tickets"][:2]] == [fast["id"], slow["id"]]
    assert page["counts"] == {"new": 3}
    assert (
        anna.get("/v1/tickets", params={"queue": queue, "priority": "low"}).json()["tickets"][0]["id"] == slow["id"]
    )
    due = anna.get("/v1/service-levels", params={"queue": queue, "due_by": "2100-01-01T00:00:00Z"}).json()["tickets"]
    assert [one["id"] for one in due] == [fast["id"], slow["id"]]
    assert anna.get("/v1/service-levels", params={"queue": queue}).json()["tickets"] == []


def test_what_another_system_tells_is_shown_with_the_rules_it_broke(api: RunningApi, anna: httpx.Client) -> None:
    steps = [
        ("ticket.opened", {"subject": "Far away"}), ("ticket.closed", {}), ("ticket.assigned", {"assignee": "zoe"}),
    ]  # fmt: skip
    with api.client("publish") as shop:
        for number, (type_, content) in enumerate(steps):
            told = event(number, type=type_, id=f"broke-{number}", source="desk/eu")
            told["data"] = {"refs": [{"kind": "ticket", "value": "T-78"}], "content": content}
            assert shop.post("/v1/events", json=told, headers={"Content-Type": ONE}).status_code == 202
    api.project()
    [row] = api.story.rows("SELECT item FROM work.tickets WHERE ref = 'ticket:T-78'")
    shown = anna.get(f"/v1/tickets/{row[0].hex}").json()
    assert (shown["native"], shown["subject"], shown["ref"]) == (False, "Far away", "ticket:T-78")
    assert [[each["rule"] for each in one.get("broken", [])] for one in shown["history"]] == [
        [],
        [],
        ["ticket-closed"],
    ]
    assert anna.post(f"/v1/tickets/{row[0].hex}/move", json={"to": "open"}, headers=ANY).status_code == 404
    assert anna.get(f"/v1/deals/{row[0].hex}").status_code == 404


def test_tickets_are_linked_folded_and_handed_up(api: RunningApi, anna: httpx.Client) -> None:
    one, other = (made(anna, "/v1/tickets", subject=f"T{n}", who=[person(api)])["id"] for n in range(2))
    linked = act(anna, f"/v1/tickets/{one}/links", other=other, relation="blocks")["ticket"]
    assert linked["links"] == [{"other": other, "relation": "blocks"}]
    assert anna.delete(f"/v1/tickets/{one}/links/{other}", headers=ANY).json()["ticket"].get("links", []) == []
    assert anna.post(f"/v1/tickets/{one}/fold", json={"into": one}, headers=ANY).status_code == 409
    folded = act(anna, f"/v1/tickets/{one}/fold", into=other)["ticket"]
    assert (folded["state"], folded["folded_into"]) == ("closed", other)
    assert anna.get(f"/v1/tickets/{other}").json()["links"] == [{"other": one, "relation": "folded"}]
    answered = act(anna, f"/v1/tickets/{one}/answer", text="More about it")
    assert answered["id"] == other
    raised = act(anna, f"/v1/tickets/{other}/escalate", team="second-line", reason="hard")["ticket"]
    assert (raised["level"], raised["team"]) == (1, "second-line")
    changed = anna.patch(f"/v1/tickets/{other}", json={"priority": "urgent"}, headers=ANY).json()["ticket"]
    assert changed["priority"] == "urgent"


def test_S10_a_lead_is_captured_and_given_to_somebody_in_turn(api: RunningApi, anna: httpx.Client) -> None:
    leads = [
        made(anna, "/v1/leads", title=f"Lead {n}", origin="website", campaign="spring", who=[person(api)])
        for n in range(4)
    ]
    assert [one["lead"]["assignee"] for one in leads] in (["anna", "bert"] * 2, ["bert", "anna"] * 2)
    assert leads[0]["lead"]["assigned_by"] == "website"
    first = leads[0]["id"]
    task = made(anna, "/v1/tasks", title="Call back", assignee="anna", refs=[{"kind": "lead", "value": first}])
    assert task["task"]["status"] == "open"
    api.project()
    listed = anna.get("/v1/leads", params={"campaign": "spring"}).json()["leads"]
    assert [one["title"] for one in listed] == ["Lead 3", "Lead 2", "Lead 1", "Lead 0"]
    deal = act(anna, f"/v1/leads/{first}/convert", amount="500", currency="GBP")
    assert deal["deal"]["title"] == "Lead 0"
    assert anna.get(f"/v1/leads/{first}").json()["deal"] == deal["id"]
    given_up = anna.post(f"/v1/leads/{leads[1]['id']}/disqualify", json={"reason": "spam"}, headers=ANY)
    assert given_up.json()["lead"]["status"] == "disqualified"
    assert anna.post(f"/v1/leads/{leads[1]['id']}/reopen", headers=ANY).json()["lead"]["status"] == "open"
    on = anna.get("/v1/tasks", params={"on": f"lead:{first}"}).json()["tasks"]
    assert [one["title"] for one in on] == ["Call back"]


def test_S50_who_is_mentioned_is_told_and_everybody_sees_the_note(api: RunningApi, anna: httpx.Client) -> None:
    who = person(api)
    deal = made(anna, "/v1/deals", title="A roof", who=[who])
    body = {"text": "Bert, look at this.", "who": [who], "refs": [{"kind": "deal", "value": deal["id"]}]}
    noted = anna.post("/v1/notes", json={**body, "mentions": ["bert"]}, headers={"Idempotency-Key": "note-1"})
    again = anna.post("/v1/notes", json={**body, "mentions": ["bert"]}, headers={"Idempotency-Key": "note-1"})
    assert (noted.status_code, again.json()["name"], again.json()["repeated"]) == (201, noted.json()["name"], True)
    assert anna.post("/v1/notes", json={**body, "mentions": ["zoe"]}).json()["errors"][0]["field"] == "mentions"
    assert anna.post("/v1/notes", json={"text": "Of nothing"}).status_code == 422
    api.project()
    story = anna.get(f"/v1/customers/{api.customer(who['value'])}/timeline").json()["items"]
    assert story[0]["line"] == "Note: Bert, look at this."
    assert len(anna.get(f"/v1/refs/deal/{deal['id']}/timeline").json()["items"]) == 2
    bert = httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {api.key('work', 'read', user='bert')}"})
    with bert:
        [notice] = [one for one in bert.get("/v1/users/bert/notices").json()["notices"] if one["why"] == "mentioned"]
        assert (notice["actor"], notice["line"]) == ("user:anna", "Note: Bert, look at this.")
        assert bert.post("/v1/users/bert/notices/seen", json={}).status_code == 200
        assert all(one["seen"] for one in bert.get("/v1/users/bert/notices").json()["notices"])
        assert bert.get("/v1/users/anna/notices").status_code == 403


def test_S50_tasks_are_mine_when_they_are_given_to_me(api: RunningApi, anna: httpx.Client) -> None:
    late = made(anna, "/v1/tasks", title="Late", assignee="anna", due="2026-03-02T09:00:00Z")
    soon = made(anna, "/v1/tasks", title="Soon", assignee="anna", due="2026-03-01T09:00:00Z")
    made(anna, "/v1/tasks", title="His", assignee="bert")
    api.project()
    mine = anna.get("/v1/tasks", params={"assignee": "me", "due_by": "2026-04-01T00:00:00Z"}).json()["tasks"]
    assert [one["id"] for one in mine] == [soon["id"], late["id"]]
    assert anna.post(f"/v1/tasks/{soon['id']}/finish", headers=ANY).json()["task"]["status"] == "done"
    assert anna.post(f"/v1/tasks/{soon['id']}/finish", headers=ANY).json()["rule"] == "task-closed"
    assert anna.post(f"/v1/tasks/{late['id']}/cancel", json={}, headers=ANY).json()["task"]["status"] == "cancelled"
    assert anna.post(f"/v1/tasks/{late['id']}/reopen", headers=ANY).json()["task"]["status"] == "open"
    moved = anna.patch(f"/v1/tasks/{late['id']}", json={"due": None}, headers=ANY).json()["task"]
    assert "due" not in moved
    assert anna.patch(f"/v1/tasks/{late['id']}", json={"due": "soon"}, headers=ANY).status_code == 422
