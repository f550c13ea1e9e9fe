"""What is due of a ticket and when, who is told, once, and what follows?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.configuration import Configuration
from domain.identifiers import Identifier
from domain.ticket import Ticket, escalations_of
from domain.ticket_rules import TicketTargetNotDue, TicketTargetTold
from domain.ticket_state import Told
from tests.support.aggregates import LONDON, configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday, when the office opens in London."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANNA = "user:anna"
RULES = configured()
OFFICE = {"office": {"hours": {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}}}


def promised(escalations: list[dict[str, Any]] | None = None, **level: Any) -> Configuration:
    """Eight business hours to resolve, four where it is urgent; two to answer."""
    targets = {
        "urgent": {"first_response": "1h", "resolution": "4h"}, "any": {"first_response": "2h", "resolution": "8h"},
    }  # fmt: skip
    standard = {"calendar": "office", "targets": targets, "escalations": escalations or [], **level}
    return configured(calendars=OFFICE, service_levels={"standard": standard})


def ticket(rules: Configuration = RULES, **content: Any) -> Ticket:
    who = (Identifier("email", "b@example.org"),)
    return Ticket.open(uuid4(), content, rules, LONDON, at=START, actor=ANNA, who=who)


def move(one: Ticket, to: str, rules: Configuration = RULES, at: datetime = START, **content: Any) -> None:
    one.move(to, content, rules, LONDON, at=at, actor=ANNA)


def write(one: Ticket, by: str, rules: Configuration = RULES, at: datetime = START, internal: bool = False) -> None:
    one.comment({"comment": "Hello", "by": by, "internal": internal}, rules, LONDON, at=at, actor=ANNA)


def told(one: Ticket) -> list[str]:
    return [step.type for step in steps_of(one)]


def test_what_is_due_when_stands_in_the_events() -> None:
    rules = promised()
    one = ticket(rules)
    assert (one.state.service_level, one.state.respond_by) == ("standard", START + 2 * HOUR)
    assert (one.state.resolve_by, one.state.resolve_warn) == (START + 8 * HOUR, START + 6.4 * HOUR)
    write(one, "company", rules, START + HOUR)
    assert (one.state.respond_by, one.state.respond_warn) == (None, None)
    move(one, "pending", rules, START + 2 * HOUR)
    assert (one.state.resolve_by, one.state.clock_s) == (None, 7200)
    move(one, "open", rules, START + DAY)
    assert one.state.resolve_by == START + DAY + 6 * HOUR
    one.change({"priority": "urgent"}, rules, LONDON, at=START + DAY + HOUR, actor=ANNA)
    assert (one.state.clock_s, one.state.resolve_by) == (3 * 3600, START + DAY + 2 * HOUR)
    move(one, "resolved", rules, START + DAY + 1.5 * HOUR, category="billing")
    assert (one.state.resolve_by, one.state.clock_s) == (None, 3.5 * 3600)
    write(one, "customer", rules, START + 2 * DAY)
    assert (one.state.resolve_by, one.state.respond_by) == (START + 2 * DAY + 0.5 * HOUR, None)


def test_a_ticket_that_was_resolved_without_an_answer_waits_for_no_first_one() -> None:
    rules = promised()
    one = ticket(rules, category="billing")
    move(one, "resolved", rules, START + HOUR)
    move(one, "open", rules, START + DAY)
    one.change({"priority": "urgent"}, rules, LONDON, at=START + DAY, actor=ANNA)
    assert one.state.respond_by is None


def test_a_changed_calendar_does_not_change_what_was_due() -> None:
    one = ticket(promised())
    always = configured(calendars={"office": {}}, service_levels={})
    write(one, "customer", always, START + HOUR)
    assert one.state.resolve_by == START + 8 * HOUR


def test_a_target_is_warned_of_and_missed_once_and_never_early() -> None:
    rules = promised()
    one = ticket(rules)
    second = timedelta(seconds=1)
    with pytest.raises(TicketTargetNotDue):
        one.warn("first_response", rules, LONDON, at=START + 1.6 * HOUR - second, actor=None)
    one.warn("first_response", rules, LONDON, at=START + 1.6 * HOUR, actor=None)
    with pytest.raises(TicketTargetTold):
        one.warn("first_response", rules, LONDON, at=START + 1.7 * HOUR, actor=None)
    with pytest.raises(TicketTargetNotDue):
        one.breach("first_response", rules, LONDON, at=START + 2 * HOUR - second, actor=None)
    one.breach("first_response", rules, LONDON, at=START + 2 * HOUR, actor=None)
    for tell in (one.warn, one.breach):
        with pytest.raises(TicketTargetTold):
            tell("first_response", rules, LONDON, at=START + 3 * HOUR, actor=None)
    assert told(one)[1:] == ["target.warned", "target.breached"]
    content = steps_of(one)[-1].content
    assert content == {
        "target": "first_response", "policy": "standard", "due": "2026-03-02T11:00:00Z", "assignee": None,
        "revision": 3,
    }  # fmt: skip
    one.breach("resolution", rules, LONDON, at=START + DAY, actor=None)
    with pytest.raises(TicketTargetTold):
        one.warn("resolution", rules, LONDON, at=START + DAY, actor=None)


def test_nothing_is_missed_of_a_ticket_that_is_answered_or_resolved() -> None:
    rules = promised()
    one = ticket(rules, category="billing")
    write(one, "company", rules)
    with pytest.raises(TicketTargetNotDue):
        one.breach("first_response", rules, LONDON, at=START + DAY, actor=None)
    move(one, "resolved", rules)
    with pytest.raises(TicketTargetNotDue):
        one.breach("resolution", rules, LONDON, at=START + 9 * DAY, actor=None)


def test_another_promise_is_warned_of_anew_and_what_was_missed_stays_missed() -> None:
    rules = promised()
    one = ticket(rules)
    one.warn("resolution", rules, LONDON, at=START + 7 * HOUR, actor=None)
    one.change({"priority": "urgent"}, rules, LONDON, at=START + 7 * HOUR, actor=ANNA)
    one.breach("resolution", rules, LONDON, at=START + 7 * HOUR, actor=None)
    one.change({"priority": "low"}, rules, LONDON, at=START + 7 * HOUR, actor=ANNA)
    with pytest.raises(TicketTargetTold):
        one.breach("resolution", rules, LONDON, at=START + 9 * DAY, actor=None)
    assert one.state.told == (Told("breached", "resolution"),)


def test_a_missed_target_escalates_as_the_service_level_says() -> None:
    rules = promised(
        [
            {"on": "warning", "target": "resolution", "priority": "high"},
            {"on": "breach", "team": "second-line", "priority": "low", "notify": ["maria"]},
            {"on": "breach", "target": "first_response", "assignee": "maria"},
        ]
    )
    one = ticket(rules, assignee="bert")
    one.warn("resolution", rules, LONDON, at=START + 7 * HOUR, actor=None)
    assert (one.state.priority, told(one)[1:]) == ("high", ["target.warned", "ticket.priority_changed"])
    one.breach("resolution", rules, LONDON, at=START + 8 * HOUR, actor=None)
    assert (one.state.priority, one.state.team, one.state.assignee, one.state.level) == (
        "high", "second-line", None, 1,
    )  # fmt: skip
    assert [one.notify for one in escalations_of(one.state, rules, "breach", "resolution")] == [["maria"]]
    one.breach("first_response", rules, LONDON, at=START + 8 * HOUR, actor=None)
    assert (one.state.assignee, one.state.team, one.state.level) == ("maria", "second-line", 3)


def test_an_escalation_to_a_colleague_who_is_absent_goes_to_the_team_or_leaves_the_ticket_where_it_is() -> None:
    rules = promised(
        [{"on": "warning", "assignee": "maria"}, {"on": "breach", "assignee": "maria", "team": "second-line"}]
    )
    one = ticket(rules, assignee="bert")
    one.warn("resolution", rules, LONDON, at=START + 7 * HOUR, actor=None, absent=["maria"])
    assert (one.state.assignee, one.state.reason, one.state.level) == ("bert", "absent", 1)
    one.breach("resolution", rules, LONDON, at=START + 8 * HOUR, actor=None, absent=["maria"])
    assert (one.state.assignee, one.state.team, one.state.reason) == (None, "second-line", "absent")
