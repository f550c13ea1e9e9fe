"""Do rules act once for each event, on what is true by then, and never for the past or against a customer's will?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from commands.working import Actor
from projections.rebuild import Rebuild
from tests.support.automating import Automated, automated, rules_of, survey
from tests.support.commanding import ANNA
from tests.support.postgres import PostgresServer


def on(code: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    """When a survey of this code is answered, and all of these hold."""
    return {"all": [{"field": "event.content.survey", "value": code}, *conditions]}


def a_rule(code: str, *then: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": code, "on": ["survey.answered"], "when": on(code), "then": list(then), **more}


TASK = {"do": "create_task", "title": "Call about {event.content.survey}: {event.content.score}", "assignee": "anna"}
RULES = rules_of(
    a_rule("make-task", {**TASK, "due": "2d", "remind": "1h", "priority": "high"}),
    a_rule("make-ticket", {"do": "open_ticket", "title": "Unhappy", "text": "See the survey", "priority": "high"}),
    a_rule("make-lead", {"do": "capture_lead", "title": "Interested", "assignee": "bob"}),
    a_rule("touched", TASK, when=on("touched", {"field": "customer.facts.touchpoints", "is": ">=", "value": 2})),
    a_rule("good-customer", TASK, when=on(
        "good-customer", {"field": "customer.facts.revenue_gbp", "is": ">", "value": 100})),
    a_rule("marketing", TASK, purpose="marketing", channel="email"),
    a_rule("patient", TASK, after="1d", when=on("patient", {"field": "customer.facts.orders", "value": 0})),
    a_rule("tell", {"do": "notify", "user": "bob", "text": "{event.content.survey} of {event.content.nothing}"}),
    a_rule("wrong", {**TASK, "assignee": "nobody"}),
    a_rule("off", TASK, enabled=False),
    a_rule("newer", TASK),
    {"code": "urgent-to-bob", "on": ["ticket.opened"], "when": {"field": "ticket.priority", "value": "urgent"},
     "then": [{"do": "assign", "assignee": "bob"}, {"do": "notify", "user": "bob", "text": "Urgent"}]},
    {"code": "lost-at-once", "on": ["deal.created"], "when": {"field": "deal.amount", "is": ">", "value": 1000},
     "then": [{"do": "move", "to": "negotiation"}]},
    {"code": "again", "on": ["task.created"], "when": {"field": "event.actor", "value": "automation:again"},
     "then": [TASK]},
    *[{"code": f"chain-{number}", "on": ["task.assigned"], "when": {"field": "task.team", "value": "chain"},
       "then": [{"do": "assign", "team": "chain"}]} for number in range(2)],
)  # fmt: skip


@pytest.fixture(scope="module")
def system(postgres: PostgresServer) -> Iterator[Automated]:
    """One for all tests of this file; each has a customer and a rule of its own."""
    name = postgres.create_database()
    with automated(postgres.dsn_of(name), RULES) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def work(system: Automated) -> Iterator[Automated]:
    yield system
    system.ahead = timedelta(0)


def test_a_rule_makes_a_task_about_the_customer_with_what_is_public_of_the_event(work: Automated) -> None:
    work.publish(survey("make-task", "task", 2, data={"refs": [{"kind": "order", "value": "A1"}]}))
    work.act()
    assert work.runs("make-task") == [("done", None)]
    [head] = work.heads("task.created", "automation:make-task")
    assert head.refs[1:] == ("order:A1",)
    task = work.working.load("task", _id(head.refs[0]))
    assert (task.state.title, task.state.assignee) == ("Call about make-task: 2", "anna")
    assert task.state.due - task.state.remind_at == timedelta(hours=1)
    [source] = [one for one in work.heads("survey.answered") if one.public["survey"] == "make-task"]
    assert head.tokens == source.tokens


def test_a_rule_opens_a_ticket_and_captures_a_lead(work: Automated) -> None:
    work.publish(survey("make-ticket", "ticket"), survey("make-lead", "lead"))
    work.act()
    [ticket] = work.heads("ticket.opened", "automation:make-ticket")
    assert ticket.public["priority"] == "high" and ticket.public["service_level"] == "standard"
    [lead] = work.heads("lead.captured", "automation:make-lead")
    assert lead.public["assignee"] == "bob"


def test_once_for_each_event_however_often_it_is_carried_out(work: Automated) -> None:
    work.publish(survey("make-task", "often"))
    work.act()
    made = len(work.heads("task.created"))
    with psycopg.connect(work.story.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.automation_runs SET state = 'waiting' WHERE rule = 'make-task'")
    work.act()
    assert len(work.heads("task.created")) == made


def test_conditions_are_looked_at_when_the_read_models_know_the_event(work: Automated) -> None:
    work.publish(survey("touched", "twice"), survey("touched", "twice"), survey("touched", "once"))
    work.act()
    assert sorted(work.runs("touched")) == [("done", None), ("done", None), ("unmet", None)]


def test_a_run_waits_until_the_read_models_have_seen_its_event(work: Automated) -> None:
    work.publish(survey("make-task", "unseen"))
    ends = work.story.log.ends()
    while work.positions() != ends:
        pass
    assert work.carrier.exhaust() >= 1
    assert work.runs("make-task")[-1] == ("waiting", "not-visible")
    work.ahead += timedelta(seconds=20)
    work.act()
    assert work.runs("make-task")[-1] == ("done", None)


def test_what_is_known_of_the_customer_counts(work: Automated) -> None:
    bought = survey("", "rich", type="purchase.made", data={
        "content": {"amount": "250.00", "currency": "GBP"}, "refs": [{"kind": "order", "value": "R1"}]})  # fmt: skip
    work.publish(bought, survey("good-customer", "rich"), survey("good-customer", "poor"))
    work.act()
    assert sorted(work.runs("good-customer")) == [("done", None), ("unmet", None)]


def test_S11_a_rule_acts_on_the_ticket_that_the_event_is_about(work: Automated) -> None:
    urgent, normal = [
        work.working.open_ticket({"subject": "Broken", "priority": priority}, actor=ANNA).id
        for priority in ("urgent", "normal")
    ]
    work.act()
    assert work.working.load("ticket", urgent).state.assignee == "bob"
    assert work.working.load("ticket", normal).state.assignee is None
    [told] = work.heads("user.notified", "automation:urgent-to-bob")
    assert told.public == {"user": "bob", "rule": "urgent-to-bob"}
    assert told.refs == (f"ticket:{urgent.hex}", "user:bob")


def test_what_a_deal_refuses_is_told_on_the_timeline(work: Automated) -> None:
    deal = work.working.create_deal({"title": "Bikes", "amount": "5000", "currency": "GBP"}, actor=ANNA).id
    work.act()
    [(state, why)] = work.runs("lost-at-once")
    assert state == "refused" and why is not None and why.startswith("move:deal-")
    [head] = work.heads("automation.refused")
    assert head.public["rule"] == "lost-at-once" and f"deal:{deal.hex}" in head.refs
    assert work.working.load("deal", deal).state.stage == "new"


def test_what_can_never_work_has_failed_and_says_why(work: Automated) -> None:
    work.publish(survey("wrong", "wrong"))
    work.act()
    assert work.runs("wrong") == [("failed", "create_task:assignee")]


def test_a_colleague_is_told_in_words_that_hold_nothing_personal_unless_it_is_sealed(work: Automated) -> None:
    work.publish(survey("tell", "told"))
    work.act()
    [head] = work.heads("user.notified", "automation:tell")
    assert head.public == {"user": "bob", "rule": "tell"}
    rows = work.story.rows("SELECT user_code, why FROM work.notices WHERE name = %s", head.name[-32:])
    assert rows == [("bob", "notified")]


@pytest.mark.parametrize(
    ("said", "acts"),
    [
        ([], False),
        ([("consent.given", "email")], True),
        ([("consent.given", None)], True),
        ([("consent.given", "sms")], False),
        ([("consent.given", None), ("consent.withdrawn", "email")], False),
        ([("consent.given", "email"), ("consent.withdrawn", None)], False),
    ],
)
def test_S62_without_consent_nothing_is_done_and_the_timeline_says_so(
    work: Automated, said: list[tuple[str, str | None]], acts: bool
) -> None:
    who = f"consent-{len(said)}-{acts}-{'-'.join(str(channel) for _, channel in said)}"
    for number, (type_, channel) in enumerate(said):
        content = {"purpose": "marketing", **({"channel": channel} if channel else {})}
        at = datetime.now(UTC) - timedelta(minutes=10 - number)
        work.publish(survey("", who, type=type_, time=at.isoformat(), data={"content": content}))
    before = len(work.heads("automation.suppressed"))
    work.publish(survey("marketing", who))
    work.act()
    [source] = [one for one in work.heads("survey.answered") if one.public["survey"] == "marketing"][-1:]
    suppressed = [one for one in work.heads("automation.suppressed") if one.tokens == source.tokens]
    assert work.runs("marketing")[-1][0] == ("done" if acts else "suppressed")
    assert len(work.heads("automation.suppressed")) - before == len(suppressed) == (0 if acts else 1)
    assert all(
        one.public == {"rule": "marketing", "purpose": "marketing", "reason": "no-consent"} for one in suppressed
    )


def test_S62_a_consent_that_is_withdrawn_while_the_rule_waits_counts(work: Automated) -> None:
    """Between the event and the carrying out, which may be days for a rule with `after`."""
    who = "withdrawn"
    given = survey("", who, type="consent.given", data={"content": {"purpose": "marketing"}})
    work.publish(given, survey("marketing", who))
    work.settle()
    work.publish(survey("", who, type="consent.withdrawn", data={"content": {"purpose": "marketing"}}))
    work.act()
    assert work.runs("marketing")[-1][0] == "suppressed"


def test_a_rule_that_waits_looks_at_its_conditions_then(work: Automated) -> None:
    work.publish(survey("patient", "still"), survey("patient", "bought"))
    work.act()
    assert {state for state, _ in work.runs("patient")} == {"waiting"}
    work.publish(survey("", "bought", type="purchase.made", data={"content": {"amount": "1", "currency": "GBP"}}))
    work.settle()
    work.ahead = timedelta(days=1)
    work.act()
    assert sorted(work.runs("patient")) == [("done", None), ("unmet", None)]


def test_what_was_taken_back_while_the_rule_waits_sets_off_nothing(work: Automated) -> None:
    asked = survey("patient", "taken-back")
    work.publish(asked)
    work.settle()
    about = [{"relation": "retracts", "source": asked["source"], "id": asked["id"]}]
    work.publish(survey("", type="event.retracted", data={"about": about, "content": {}, "who": []}))
    work.ahead = timedelta(days=1)
    work.act()
    assert work.runs("patient")[-1] == ("unmet", "retracted")


def test_the_past_sets_off_nothing(work: Automated) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=400)
    before = work.runs("make-task")
    work.publish(survey("make-task", "past", time=long_ago.isoformat()))
    work.act()
    assert work.runs("make-task") == before


def test_a_rule_that_is_off_does_nothing(work: Automated) -> None:
    work.publish(survey("off", "off"))
    work.act()
    assert work.runs("off") == []


def test_a_rule_that_this_process_does_not_have_yet_is_left_to_those_that_have_it(work: Automated) -> None:
    older = replace(work.carrier, rules=[], registry=CollectorRegistry())
    work.publish(survey("newer", "newer"))
    work.settle()
    assert older.exhaust() == 1
    assert work.runs("newer") == [("waiting", "rule-gone")]
    work.ahead += timedelta(seconds=61)
    work.act()
    assert work.runs("newer") == [("done", None)]
    work.publish(survey("newer", "newer"))
    work.settle()
    for _ in range(6):
        work.ahead += timedelta(seconds=61)
        assert older.exhaust() == 1
    assert work.runs("newer") == [("done", None), ("unmet", "rule-gone")], "nobody has it: it is gone"


def test_a_log_that_is_read_once_more_sets_off_nothing_again(work: Automated) -> None:
    """As after a move to another log, or a restore of the positions."""
    work.publish(survey("make-task", "read-again"))
    work.act()
    runs = "SELECT rule, event, state FROM storyline.automation_runs ORDER BY rule, event"
    before, ends = work.story.rows(runs), work.story.log.ends()
    with psycopg.connect(work.story.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.positions SET next_offset = 0 WHERE consumer = 'automation'")
    work.publish(survey("off", "wakes-it"))  # the compare-and-set refuses what it holds; it takes its place again
    work.act()
    assert work.story.rows(runs) == before
    assert sum(work.story.log.ends().values()) == sum(ends.values()) + 1


def test_what_a_rule_did_does_not_set_it_off_again(work: Automated) -> None:
    work.working.create_task({"title": "Once"}, actor=Actor("automation:again"))
    work.act()
    assert work.runs("again") == []


def test_rules_that_set_off_each_other_come_to_an_end(work: Automated) -> None:
    task = work.working.create_task({"title": "Round"}, actor=ANNA).id
    work.working.assign_task(task, team="chain", actor=ANNA)
    work.act()
    runs = work.story.rows("SELECT depth FROM storyline.automation_runs WHERE rule LIKE %s", "chain-%")
    assert max(depth for (depth,) in runs) == 5
    assert len(work.heads("task.assigned")) < 30


def test_a_rebuild_causes_nothing(work: Automated) -> None:
    work.act()
    runs = work.story.rows("SELECT rule, event, state FROM storyline.automation_runs ORDER BY rule, event")
    ends = work.story.log.ends()
    small = work.story
    assert Rebuild(small.dsn, small.log_url, small.log, lambda connection, parked: None, small.reading).run().same
    work.act()
    assert work.story.log.ends() == ends
    again = work.story.rows("SELECT rule, event, state FROM storyline.automation_runs ORDER BY rule, event")
    assert again == runs


def test_an_erased_customer_is_left_alone(work: Automated) -> None:
    work.publish(survey("make-task", "erased"))
    work.settle()
    [head] = [one for one in work.heads("survey.answered") if one.public["survey"] == "make-task"][-1:]
    work.story.keyring.destroy([head.key])
    work.act()
    assert work.runs("make-task")[-1] == ("unmet", "erased")


def _id(ref: str) -> UUID:
    return UUID(hex=ref.partition(":")[2])
