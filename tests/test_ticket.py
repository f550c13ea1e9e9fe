"""What may be done with a ticket, and what is refused? By example; `test_ticket_machine.py` has any sequence of
commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.configuration import Configuration, builtin_configuration
from domain.errors import BadInput, Refused
from domain.identifiers import Identifier
from domain.ticket import HANDOVER, Ticket, TicketState, allowed_moves, broken, kind_of, may_reopen
from domain.ticket_rules import (
    TicketFieldsMissing,
    TicketFoldsInCircle,
    TicketFoldsIntoFolded,
    TicketFoldsIntoItself,
    TicketIsClosed,
    TicketIsFolded,
    TicketIsResolved,
    TicketLinkedAlready,
    TicketLinksToItself,
    TicketMoveForbidden,
    TicketNotLinked,
    TicketPriorityUnknown,
    TicketQueueUnknown,
    TicketReopenTooLate,
    TicketSameState,
    TicketStateUnknown,
)
from domain.ticket_state import Link, fold_ticket
from domain.work import Step
from tests.support.aggregates import LONDON, STATES, configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday, when the office opens in London."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANNA = "user:anna"
RULES = configured()


def ticket(rules: Configuration = RULES, **content: Any) -> Ticket:
    who = (Identifier("email", "b@example.org"),)
    return Ticket.open(uuid4(), content, rules, LONDON, at=START, actor=ANNA, who=who)


def move(one: Ticket, to: str, rules: Configuration = RULES, at: datetime = START, **content: Any) -> None:
    one.move(to, content, rules, LONDON, at=at, actor=ANNA)


def write(one: Ticket, by: str, rules: Configuration = RULES, at: datetime = START, internal: bool = False) -> None:
    one.comment({"comment": "Hello", "by": by, "internal": internal}, rules, LONDON, at=at, actor=ANNA)


def assign(one: Ticket, assignee: str | None, rules: Configuration = RULES, **more: Any) -> None:
    one.assign(rules, LONDON, assignee=assignee, team=None, at=START, actor=ANNA, **more)


def closed(rules: Configuration = RULES, at: datetime = START) -> Ticket:
    one = ticket(rules)
    move(one, "closed", rules, at, reason="done")
    return one


def told(one: Ticket) -> list[str]:
    return [step.type for step in steps_of(one)]


def foreign(
    *steps: tuple[str, Mapping[str, Any]], rules: Configuration = RULES
) -> tuple[TicketState, list[list[str]]]:
    """The state of a foreign ticket, an hour between its steps, and the rules that each would have broken."""
    state, noted = None, []
    for number, (type_, content) in enumerate(steps):
        step = Step(type_, START + number * HOUR, content, name=str(number))
        noted.append([one.rule for one in broken(state, step, rules)])
        state = fold_ticket(state, step)
    assert state is not None
    return state, noted


def test_a_ticket_begins_in_the_initial_state_with_a_priority_and_a_queue() -> None:
    queues = {"billing": {"team": "back-office"}}
    rules = configured(tickets={**STATES, "queues": queues, "queue": "billing"})
    one = ticket(rules, subject="Invoice", channel="email")
    assert (one.state.state, one.state.priority, one.state.queue, one.state.team) == (
        "new", "normal", "billing", "back-office",
    )  # fmt: skip
    assert (one.state.subject, one.state.channel, one.state.opened_at) == ("Invoice", "email", START)
    assert kind_of(one.state, rules) == "new"


def test_S20_a_ticket_moves_only_where_its_state_leads() -> None:
    one = ticket()
    assert [one.to for one in allowed_moves(one.state, RULES)] == ["open", "pending", "hold", "resolved", "closed"]
    move(one, "hold")
    assert [one.to for one in allowed_moves(one.state, RULES)] == ["open", "resolved"]
    with pytest.raises(TicketMoveForbidden) as refused:
        move(one, "pending")
    assert refused.value.allowed == ("open", "resolved")
    with pytest.raises(TicketSameState):
        move(one, "hold")
    with pytest.raises(TicketStateUnknown):
        move(one, "limbo")


def test_S20_a_state_says_what_it_asks_for() -> None:
    one = ticket()
    with pytest.raises(TicketFieldsMissing) as refused:
        move(one, "resolved")
    assert refused.value.missing == ("category",)
    move(one, "resolved", category="billing")
    with pytest.raises(TicketFieldsMissing) as refused:
        move(one, "closed")
    assert refused.value.missing == ("reason",)
    move(one, "closed", reason="solved", at=START + DAY)
    assert (one.state.category, one.state.reason) == ("billing", "solved")


def test_each_kind_of_move_has_its_type() -> None:
    one = ticket(category="billing")
    for to in ("open", "pending", "resolved", "open", "closed", "open"):
        move(one, to, reason="x", at=START + HOUR)
    assert told(one)[1:] == [
        "ticket.state_changed", "ticket.state_changed", "ticket.resolved", "ticket.reopened", "ticket.closed",
        "ticket.reopened",
    ]  # fmt: skip
    assert one.state.reopened == 2
    assert steps_of(one)[3].content["duration_s"] == 3600
    assert all(step.content["state"] for step in steps_of(one))


def test_S22_a_closed_ticket_is_reopened_in_time_and_does_nothing_else() -> None:
    one = closed()
    move_back = START + 14 * DAY
    assert may_reopen(one.state, RULES, move_back)
    assert not may_reopen(one.state, RULES, move_back + HOUR)
    assert [one.to for one in allowed_moves(one.state, RULES, move_back)] == ["open"]
    assert allowed_moves(one.state, RULES, move_back + HOUR) == ()
    tries: list[Callable[[], None]] = [
        lambda: move(one, "resolved", category="x"),
        lambda: move(one, "closed", reason="x"),
        lambda: assign(one, "bert"),
        lambda: write(one, "company"),
        lambda: one.change({"priority": "high"}, RULES, LONDON, at=START, actor=ANNA),
        lambda: one.escalate({}, RULES, at=START, actor=ANNA),
        lambda: one.fold_into(uuid4(), ticket().state, RULES, LONDON, at=START, actor=ANNA),
    ]
    for attempt in tries:
        with pytest.raises(TicketIsClosed) as refused:
            attempt()
        assert refused.value.allowed == ("open",)
    with pytest.raises(TicketReopenTooLate):
        move(one, "open", at=move_back + HOUR)
    move(one, "open", at=move_back)
    assert (one.state.closed_at, one.state.reopened) == (None, 1)


def test_colleagues_may_still_write_to_each_other_in_a_closed_ticket() -> None:
    one = closed()
    write(one, "company", internal=True)
    one.link(uuid4(), "follows", RULES, at=START, actor=ANNA)


def test_S22_the_customers_answer_reopens_a_closed_ticket_in_time() -> None:
    one = closed()
    write(one, "customer", at=START + 14 * DAY)
    assert told(one)[-2:] == ["ticket.reopened", "ticket.commented"]
    late = closed()
    with pytest.raises(TicketReopenTooLate) as refused:
        write(late, "customer", at=START + 15 * DAY)
    assert refused.value.rule == "ticket-reopen-too-late"


def test_a_configuration_may_say_that_closed_is_the_end() -> None:
    states = [{**one, "moves": []} if one["code"] == "closed" else one for one in STATES["states"]]
    rules = configured(tickets={**STATES, "states": states})
    assert not may_reopen(closed(rules).state, rules, START)


def test_a_ticket_that_lacks_what_reopening_asks_for_is_not_reopened_by_an_answer() -> None:
    states = [{**one, "requires": ["product"]} if one["code"] == "open" else one for one in STATES["states"]]
    rules = configured(tickets={**STATES, "states": states})
    one = closed(rules)
    assert not may_reopen(one.state, rules, START)
    with pytest.raises(TicketFieldsMissing):
        write(one, "customer", rules)


def test_a_state_that_is_not_there_is_said_to_be_so() -> None:
    one = ticket()
    move(one, "open")
    with pytest.raises(TicketStateUnknown):
        move(one, "limbo")


def test_S22_the_customers_answer_sets_a_waiting_ticket_going() -> None:
    one = ticket(category="billing")
    move(one, "pending")
    write(one, "customer")
    assert (one.state.state, told(one)[-2:]) == ("open", ["ticket.state_changed", "ticket.commented"])
    move(one, "resolved")
    write(one, "customer")
    assert (one.state.state, one.state.reopened) == ("open", 1)
    move(one, "hold")
    write(one, "customer")
    assert one.state.state == "hold", "on hold it waits for somebody else"


def test_our_first_answer_takes_a_new_ticket_up() -> None:
    one = ticket()
    write(one, "company", internal=True)
    assert (one.state.responded_at, one.state.state) == (None, "new")
    write(one, "company", at=START + HOUR)
    write(one, "company", at=START + 2 * HOUR)
    assert (one.state.responded_at, one.state.state) == (START + HOUR, "open")


def test_what_somebody_wrote_is_not_refused_because_of_a_state() -> None:
    states = [{**one, "requires": ["product"]} if one["code"] == "open" else one for one in STATES["states"]]
    rules = configured(tickets={**STATES, "states": states})
    one = ticket(rules)
    move(one, "pending", rules)
    write(one, "customer", rules)
    assert (one.state.state, told(one)[-1]) == ("pending", "ticket.commented")


def test_a_resolved_ticket_is_reopened_before_somebody_takes_it_in_charge() -> None:
    one = ticket(category="billing")
    move(one, "resolved")
    with pytest.raises(TicketIsResolved):
        assign(one, "bert")
    with pytest.raises(TicketIsResolved):
        one.escalate({"team": "second"}, RULES, at=START, actor=ANNA)
    assign(one, "carla", reason=HANDOVER)
    assert one.state.assignee == "carla", "whoever had it left, and nobody works on it"


def test_priorities_and_queues_are_those_of_the_configuration() -> None:
    rules = configured(tickets={**STATES, "queues": {"billing": {"team": "money"}, "shop": {}}})
    for content, error in (({"priority": "hot"}, TicketPriorityUnknown), ({"queue": "attic"}, TicketQueueUnknown)):
        with pytest.raises(error):
            ticket(rules, **content)
    one = ticket(rules)
    with pytest.raises(TicketPriorityUnknown):
        one.change({"priority": None}, rules, LONDON, at=START, actor=ANNA)
    with pytest.raises(TicketQueueUnknown):
        assign(one, None, rules, queue="attic")
    assign(one, None, rules, queue="billing")
    assert (one.state.queue, one.state.team) == ("billing", "money")


def test_details_and_priority_are_told_apart() -> None:
    one = ticket()
    one.change({"priority": "high", "comment": "Big customer"}, RULES, LONDON, at=START, actor=ANNA)
    one.change({"priority": "low", "subject": "Chairs"}, RULES, LONDON, at=START, actor=ANNA)
    assert told(one)[1:] == ["ticket.priority_changed", "ticket.changed", "ticket.priority_changed"]
    assert steps_of(one)[1].content["previous"] == "normal"
    for name in ("state", "assignee", "queue", "respond_by", "service_level"):
        with pytest.raises(BadInput):
            one.change({name: "x"}, RULES, LONDON, at=START, actor=ANNA)


def test_links_go_to_another_ticket_and_once() -> None:
    one, other = ticket(), uuid4()
    with pytest.raises(TicketLinksToItself):
        one.link(one.id, "duplicate", RULES, at=START, actor=ANNA)
    one.link(other, "blocks", RULES, at=START, actor=ANNA)
    assert one.state.links == (Link(other.hex, "blocks"),)
    with pytest.raises(TicketLinkedAlready):
        one.link(other, "duplicate", RULES, at=START, actor=ANNA)
    one.unlink(other, RULES, at=START, actor=ANNA)
    with pytest.raises(TicketNotLinked):
        one.unlink(other, RULES, at=START, actor=ANNA)


def test_two_tickets_are_folded_into_one_that_goes_on() -> None:
    one, other, third = ticket(), ticket(), ticket()
    with pytest.raises(TicketFoldsIntoItself):
        one.fold_into(one.id, one.state, RULES, LONDON, at=START, actor=ANNA)
    one.fold_into(other.id, other.state, RULES, LONDON, at=START + HOUR, actor=ANNA)
    assert (one.state.folded_into, one.state.state, one.state.closed_at) == (other.id.hex, "closed", START + HOUR)
    with pytest.raises(TicketFoldsInCircle):
        other.fold_into(one.id, one.state, RULES, LONDON, at=START, actor=ANNA)
    with pytest.raises(TicketFoldsIntoFolded):
        third.fold_into(one.id, one.state, RULES, LONDON, at=START, actor=ANNA)
    assert allowed_moves(one.state, RULES) == ()
    assert not may_reopen(one.state, RULES, START)
    tries: list[Callable[[], None]] = [
        lambda: move(one, "open"),
        lambda: write(one, "customer"),
        lambda: write(one, "company", internal=True),
        lambda: assign(one, "bert", reason=HANDOVER),
        lambda: one.link(other.id, "x", RULES, at=START, actor=ANNA),
    ]
    for attempt in tries:
        with pytest.raises(TicketIsFolded):
            attempt()


def test_a_ticket_is_handed_up_by_hand() -> None:
    one = ticket()
    one.escalate({"team": "second", "comment": "Help"}, RULES, at=START, actor=ANNA)
    one.escalate({"level": 5}, RULES, at=START, actor=ANNA)
    assert (one.state.team, one.state.level) == ("second", 5)


def test_states_that_a_configuration_lost_hold_no_ticket() -> None:
    one = ticket()
    move(one, "hold")
    states = [one for one in STATES["states"] if one["code"] != "hold"]
    states = [{**one, "moves": None if "hold" in one.get("moves", []) else one.get("moves")} for one in states]
    rules = configured(tickets={**STATES, "states": states})
    assert kind_of(one.state, rules) == "hold"
    assert [one.to for one in allowed_moves(one.state, rules)] == ["new", "open", "pending", "resolved", "closed"]
    move(one, "pending", rules)


def test_foreign_tickets_have_the_same_rules_noted() -> None:
    state, noted = foreign(
        ("ticket.priority_changed", {"priority": "Value 2", "queue": "Value 7"}),
        ("ticket.assigned", {"assignee": "Value 3"}),
        ("ticket.state_changed", {"state": "Wait"}),
        ("ticket.resolved", {}),
        ("ticket.assigned", {"assignee": "Value 1"}),
        ("ticket.closed", {"reason": "x"}),
        ("ticket.commented", {"by": "company"}),
        ("ticket.closed", {}),
        ("ticket.assigned", {}),
        ("ticket.reopened", {}),
        ("ticket.state_changed", {"state": "Wait"}),
        ("ticket.reopened", {}),
        rules=builtin_configuration(),
    )
    assert noted == [
        [], [], [], [], ["ticket-resolved"], [], ["ticket-closed"], ["ticket-closed"],
        ["ticket-closed", "ticket-resolved"], [], [], ["ticket-open"],
    ]  # fmt: skip
    assert (state.state, state.assignee, state.priority, state.reopened) == ("open", "Value 1", "Value 2", 2)


def test_the_state_of_a_foreign_ticket_is_what_its_steps_come_to() -> None:
    state, _ = foreign(
        ("ticket.opened", {}),
        ("ticket.commented", {"by": "company"}),
        ("ticket.resolved", {}),
        ("ticket.closed", {"state": "Erledigt"}),
        ("ticket.closed", {"state": "Erledigt"}),
    )
    assert (state.state, state.state_since) == ("Erledigt", START + 3 * HOUR)
    assert (state.responded_at, state.resolved_at, state.closed_at) == (
        START + HOUR, START + 2 * HOUR, START + 4 * HOUR,
    )  # fmt: skip
    assert kind_of(state, RULES) == "closed"
    waiting, _ = foreign(("ticket.closed", {}), ("ticket.state_changed", {"state": "Wait"}))
    assert (waiting.closed_at, kind_of(waiting, RULES)) == (None, "open")


@pytest.mark.parametrize(
    ("type_", "content", "rule"),
    [
        ("ticket.state_changed", {"state": "open"}, "ticket-same-state"),
        ("ticket.resolved", {}, "ticket-fields-missing"),
        ("ticket.commented", {"state": "new"}, "ticket-move-forbidden"),
        ("ticket.unlinked", {"other": "T-2"}, "ticket-not-linked"),
    ],
)
def test_each_rule_is_noted_of_a_foreign_step(type_: str, content: dict[str, Any], rule: str) -> None:
    _, noted = foreign(("ticket.opened", {}), ("ticket.state_changed", {"state": "open"}), (type_, content))
    assert noted[-1] == [rule]


def test_every_rule_has_a_code_of_its_own() -> None:
    found = [one for one in Refused.__subclasses__() if one.__module__.startswith("domain.")]
    assert len({one.rule for one in found}) == len(found)
    assert all(one.__doc__ and one.rule != Refused.rule for one in found)
