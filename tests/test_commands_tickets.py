"""Are answers to tickets, shares of what comes in, and notes done right, also late, at once and twice?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from commands.working import Key, New, Working
from domain.configuration import AssignmentRule, Configuration, Escalation, builtin_configuration
from domain.errors import BadInput, Refused
from domain.identifiers import Identifier
from tests.support.commanding import ANNA, MANAGER, at_once, relay, working_of
from tests.support.story import START, Story, story

ANN = (Identifier("email", "ann@example.org"),)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rules() -> Configuration:
    share = [
        AssignmentRule(code="turn", of="lead", by="round_robin", users=["anna", "bert", "cleo", "gone"]),
        AssignmentRule(code="least", of="ticket", by="load", users=["anna", "bert", "cleo"]),
    ]
    return builtin_configuration().model_copy(update={"assignment": share})


@pytest.fixture
def working(whole: Story, clock: Clock) -> Iterator[Working]:
    with psycopg.connect(whole.dsn, autocommit=True) as connection:
        for table in ("storyline.owned", "storyline.people", "storyline.turns", "eventstore.events"):
            connection.execute(f"DELETE FROM {table}")
    with working_of(whole, rules(), clock) as made:
        for code in ("anna", "bert", "cleo"):
            made.register_user(code, {}, actor=MANAGER)
        yield made


def test_S22_an_answer_reopens_a_closed_ticket_within_the_time_and_opens_another_after_it(
    working: Working, clock: Clock
) -> None:
    ticket = working.open_ticket({"subject": "It leaks", "category": "roof", "assignee": "anna"}, who=ANN, actor=ANNA)
    working.move_ticket(ticket.id, "closed", actor=ANNA)
    clock.now += timedelta(days=13)
    assert working.answer_ticket(ticket.id, "Again", actor=ANNA).id == ticket.id
    assert working.load("ticket", ticket.id).state.state == "open"
    working.move_ticket(ticket.id, "closed", actor=ANNA)
    clock.now += timedelta(days=15)
    key = Key("test", uuid4().hex, b"an answer")
    later = working.answer_ticket(ticket.id, "And again", actor=ANNA, key=key)
    assert working.answer_ticket(ticket.id, "And again", actor=ANNA, key=key).id == later.id != ticket.id
    follower = working.load("ticket", later.id)
    assert (follower.state.follows, follower.state.subject) == (ticket.id.hex, "It leaks")
    assert (follower.state.assignee, follower.state.category, follower.who) == ("anna", "roof", ANN)
    assert working.load("ticket", ticket.id).state.state == "closed"


def test_S22_a_reopened_ticket_of_somebody_who_left_is_nobodys(working: Working) -> None:
    ticket = working.open_ticket({"subject": "It leaks", "assignee": "anna"}, who=ANN, actor=ANNA)
    working.move_ticket(ticket.id, "closed", actor=ANNA)
    working.leave_user("anna", to="bert", actor=MANAGER)
    working.answer_ticket(ticket.id, "Again", actor=ANNA)
    state = working.load("ticket", ticket.id).state
    assert (state.state, state.assignee) == ("open", None)


def test_leads_are_given_in_turn_however_many_come_at_once(working: Working) -> None:
    done = at_once(lambda n: working.capture_lead({"title": f"{n}"}, actor=ANNA), 12)
    whose = Counter(working.load("lead", one.id).state.assignee for one in done)
    assert whose == {"anna": 4, "bert": 4, "cleo": 4}


def test_a_turn_is_not_lost_with_a_command_that_is_repeated_or_fails(working: Working) -> None:
    key = Key("test", uuid4().hex, b"a lead")
    at_once(lambda _: working.capture_lead({"title": "Once"}, actor=ANNA, key=key), 8)
    with pytest.raises(BadInput):
        working.capture_lead({"title": "x" * 1000}, actor=ANNA)
    whose = [working.load("lead", working.capture_lead({"title": f"{n}"}, actor=ANNA).id) for n in range(2)]
    assert [one.state.assignee for one in whose] == ["bert", "cleo"]


def test_tickets_go_to_whoever_has_least_also_within_one_batch(working: Working) -> None:
    working.open_ticket({"subject": "His", "assignee": "bert"}, actor=ANNA)
    done = working.open_tickets([New({"subject": f"{n}"}) for n in range(5)], actor=ANNA)
    whose = Counter(working.load("ticket", one.id).state.assignee for one in done)
    assert whose == {"anna": 2, "bert": 1, "cleo": 2}


def test_one_that_names_nobody_on_purpose_is_nobodys(working: Working) -> None:
    lead = working.capture_lead({"title": "Nobody's", "assignee": None}, actor=ANNA)
    assert working.load("lead", lead.id).state.assignee is None


def test_a_target_is_told_once_and_only_when_it_is_due(working: Working, clock: Clock) -> None:
    ticket = working.open_ticket({"subject": "It leaks", "priority": "urgent"}, actor=ANNA)
    state = working.load("ticket", ticket.id).state
    with pytest.raises(Refused):
        working.warn_target(ticket.id, "first_response", state.respond_warn, actor=ANNA)
    clock.now = state.respond_warn
    working.warn_target(ticket.id, "first_response", state.respond_warn, actor=ANNA)
    clock.now = state.respond_by
    working.breach_target(ticket.id, "first_response", state.respond_by, actor=ANNA)
    with pytest.raises(Refused):
        working.breach_target(ticket.id, "first_response", state.respond_by, actor=ANNA)
    with pytest.raises(Refused, match="another time"):
        working.breach_target(ticket.id, "resolution", state.respond_by, actor=ANNA)


@pytest.mark.parametrize(("team", "assignee"), [("second-line", None), (None, "bert")])
@pytest.mark.parametrize("left", [False, True], ids=["never here", "left"])
def test_S21_a_missed_target_is_noted_also_where_it_escalates_to_nobody_who_is_here(
    whole: Story, working: Working, clock: Clock, team: str | None, assignee: str | None, left: bool
) -> None:
    named = "dora" if left else "zoe"
    if left:
        working.register_user("dora", {}, actor=MANAGER)
        working.leave_user("dora", to="bert", actor=MANAGER)
    ways = [Escalation(on=on, assignee=named, team=team, priority="urgent") for on in ("warning", "breach")]
    built = builtin_configuration()
    levels = {code: one.model_copy(update={"escalations": ways}) for code, one in built.service_levels.items()}
    with working_of(whole, built.model_copy(update={"service_levels": levels}), clock) as late:
        ticket = late.open_ticket({"subject": "It leaks", "assignee": "bert"}, actor=ANNA)
        state = late.load("ticket", ticket.id).state
        clock.now = state.respond_warn
        late.warn_target(ticket.id, "first_response", state.respond_warn, actor=ANNA)
        state = late.load("ticket", ticket.id).state
        assert (state.assignee, state.team, state.reason, state.level) == (assignee, team, "absent", 1)
        clock.now = max(clock.now, state.respond_by)
        late.breach_target(ticket.id, "first_response", state.respond_by, actor=ANNA)
        state = late.load("ticket", ticket.id).state
        assert (state.assignee, state.team, state.priority, state.level) == (assignee, team, "urgent", 2)
        assert [(one.what, one.target) for one in state.told][-1] == ("breached", "first_response")
        with pytest.raises(BadInput, match="no colleague"):
            late.escalate_ticket(ticket.id, {"assignee": named}, actor=ANNA)
        late.escalate_ticket(ticket.id, {"assignee": "cleo"}, actor=ANNA)


def test_a_stalled_deal_is_noted_for_the_stay_that_was_meant(working: Working, clock: Clock) -> None:
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)
    since = working.load("deal", deal.id).state.stage_since
    clock.now += timedelta(days=15)
    with pytest.raises(Refused, match="has moved"):
        working.stall_deal(deal.id, "proposal", since, actor=ANNA)
    assert working.stall_deal(deal.id, "new", since, actor=ANNA).revision == 2


def test_a_note_that_is_sent_twice_is_one_event(working: Working, whole: Story, clock: Clock) -> None:
    key = Key("test", uuid4().hex, b"a note")
    first = working.add_note("Call her", who=ANN, mentions=["bert"], actor=ANNA, key=key)
    clock.now += timedelta(minutes=1)
    again = working.add_note("Call her", who=ANN, mentions=["bert"], actor=ANNA, key=key)
    assert again == first._replace(repeated=True)
    with pytest.raises(BadInput, match="another request"):
        working.add_note("Call him", who=ANN, actor=ANNA, key=key._replace(request=b"another note"))
    with psycopg.connect(whole.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.idempotency SET answer = '{}' WHERE key = %s", [key.value])
    lost = working.add_note("Call her", who=ANN, mentions=["bert"], actor=ANNA, key=key)
    assert (lost.name, lost.repeated) == (first.name, False)
    relay(whole)
    whole.project()
    assert whole.rows("SELECT count(*) FROM timeline.events WHERE name = %s", first.name.rpartition("#")[2]) == [(1,)]
    assert whole.parked == []
