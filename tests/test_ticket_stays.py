"""How long was a ticket in each state? Of ours, of one of another system, and however often it moves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from domain.stays import MOST_STAYS
from domain.ticket import Ticket
from domain.ticket_state import TicketState, fold_ticket, time_in_states
from domain.work import Step
from tests.support.aggregates import LONDON, configured

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = configured()


def hours(state: TicketState, at: datetime) -> dict[str, float]:
    return {one.place: one.seconds / 3600 for one in time_in_states(state, at)}


def foreign(*steps: tuple[int, str, Mapping[str, Any]]) -> TicketState:
    """The state of a foreign ticket; each step so many hours after START."""
    state = None
    for number, (hour, type_, content) in enumerate(steps):
        state = fold_ticket(state, Step(type_, START + hour * HOUR, content, name=str(number)))
    assert state is not None
    return state


def test_S20_the_time_in_each_state_is_known() -> None:
    one = Ticket.open(uuid4(), {"category": "billing"}, RULES, LONDON, at=START, actor=None)
    assert hours(one.state, START + HOUR) == {"new": 1}
    for hour, to in ((2, "open"), (3, "pending"), (7, "open"), (8, "resolved"), (10, "closed")):
        one.move(to, {"reason": "done"}, RULES, LONDON, at=START + hour * HOUR, actor=None)
    closed = {"new": 2, "open": 2, "pending": 4, "resolved": 2}
    assert hours(one.state, START + 99 * HOUR) == closed, "while it is closed no time counts"
    one.move("open", {}, RULES, LONDON, at=START + 100 * HOUR, actor=None)
    assert hours(one.state, START + 101 * HOUR) == {**closed, "open": 3}
    assert [(stay.place, stay.until) for stay in one.state.stays[-2:]] == [
        ("resolved", START + 10 * HOUR), ("open", None),
    ]  # fmt: skip
    assert Ticket.state_from_plain(*Ticket.state_to_plain(one.state)) == one.state


def test_of_a_foreign_ticket_too_whatever_it_calls_its_states() -> None:
    steps: list[tuple[int, str, Mapping[str, Any]]] = [
        (0, "ticket.opened", {"state": "triage"}), (2, "ticket.changed", {"state": "lab"}),
        (3, "ticket.state_changed", {"state": "lab"}), (5, "ticket.closed", {}), (7, "ticket.closed", {}),
        (9, "ticket.reopened", {"state": None}),
    ]  # fmt: skip
    assert hours(foreign(*steps), START + 10 * HOUR) == {"triage": 2, "lab": 3, "open": 1}
    backwards = foreign((5, "ticket.opened", {}), (0, "ticket.resolved", {}))
    assert hours(backwards, START) == {"new": 0, "resolved": 0}, "no stay takes less than nothing"
    assert hours(foreign((0, "ticket.folded", {"into": "x"})), START + HOUR) == {}


def test_however_often_a_ticket_moves_its_state_stays_small() -> None:
    many = MOST_STAYS + 50
    state = foreign(*[(n, "ticket.state_changed", {"state": "ab"[n % 2]}) for n in range(many)])
    assert len(state.stays) == MOST_STAYS
    assert hours(state, START + many * HOUR) == {"a": many / 2, "b": many / 2}
