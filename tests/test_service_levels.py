"""What is due when for a ticket: which service level holds, what pauses it, and what a change makes of it?"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.configuration import Configuration, read_configuration
from domain.service_levels import Clock, TicketFacts, clock_of, clock_runs, level_of

LONDON = ZoneInfo("Europe/London")
OFFICE = {day: ["09:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
STANDARD = {
    "calendar": "office",
    "targets": {
        "urgent": {"first_response": "1h", "resolution": "4h"},
        "any": {"first_response": "4h", "resolution": "16h"},
    },
}


def rules(**levels: Any) -> Configuration:
    calendars = {"office": {"hours": OFFICE}, "always": {}}
    return read_configuration(
        {"version": 1, "calendars": calendars, "service_levels": levels or {"standard": STANDARD}}
    )


def monday(hour: int, minute: int = 0, day: int = 6) -> datetime:
    """Monday, 6 July 2026, or another day of that week."""
    return datetime(2026, 7, day, hour, minute, tzinfo=LONDON)


def opened(configured: Configuration | None = None, priority: str = "normal") -> Clock:
    """A ticket that was opened on Monday at ten."""
    return after(configured, at=monday(10), priority=priority)


def after(
    configured: Configuration | None = None, *, at: datetime, since: datetime | None = None, runs: bool = True,
    clock_s: int = 0, responded_at: datetime | None = None, ended: bool = False, counted_by: str | None = None,
    due: tuple[datetime | None, datetime | None] = (None, None), **facts: str,
) -> Clock:  # fmt: skip
    return clock_of(
        configured or rules(), LONDON, TicketFacts.of(facts), opened_at=monday(10), responded_at=responded_at,
        clock_s=clock_s, running_since=since, at=at, runs=runs, ended=ended, counted_by=counted_by, due=due,
    )  # fmt: skip


def test_a_new_ticket_has_its_moments_in_business_hours() -> None:
    assert opened() == Clock("standard", monday(14), monday(13, 12), monday(10, day=8), monday(14, 48, day=7), 0)


def test_a_priority_without_targets_of_its_own_has_those_of_any() -> None:
    assert opened(priority="urgent").resolve_by == monday(14)
    assert opened(priority="low").resolve_by == opened(priority="normal").resolve_by == monday(10, day=8)


def test_while_it_waits_for_the_customer_the_resolution_is_not_due_and_the_first_response_is() -> None:
    waiting = after(at=monday(12), since=monday(10), runs=False)
    assert (waiting.resolve_by, waiting.resolve_warn, waiting.clock_s) == (None, None, 7200)
    assert waiting.respond_by == monday(14)


def test_after_the_pause_what_was_left_is_left() -> None:
    assert after(at=monday(9, day=8), clock_s=7200).resolve_by == monday(15, day=9)


def test_a_response_that_was_given_is_due_no_more() -> None:
    answered = after(at=monday(12), since=monday(10), responded_at=monday(12))
    assert (answered.respond_by, answered.respond_warn) == (None, None)
    assert answered.resolve_by == monday(10, day=8)


def test_nothing_is_due_of_a_ticket_that_is_resolved() -> None:
    resolved = after(at=monday(16), since=monday(10), runs=False, ended=True)
    assert resolved == Clock("standard", None, None, None, None, 6 * 3600)


def test_another_priority_is_reckoned_with_what_was_used_up() -> None:
    assert after(at=monday(13), since=monday(10), priority="urgent").resolve_by == monday(14)


def test_a_target_that_another_priority_makes_over_was_due_when_so_much_was_used_up() -> None:
    raised = after(at=monday(16), since=monday(10), priority="urgent")
    assert (raised.resolve_by, raised.resolve_warn) == (monday(14), monday(13, 12))


def test_what_is_over_stays_due_when_it_was_through_pauses_and_changes() -> None:
    over = (monday(14), monday(13, 12))
    paused = after(at=monday(16), since=monday(15), clock_s=5 * 3600, runs=False, due=over, priority="urgent")
    assert (paused.resolve_by, paused.resolve_warn) == over
    resumed = after(at=monday(16, day=7), clock_s=6 * 3600, due=over, priority="urgent")
    assert (resumed.resolve_by, resumed.resolve_warn) == over


def test_a_target_that_is_extended_is_due_again_in_the_future() -> None:
    eased = after(at=monday(16), since=monday(10), due=(monday(14), monday(13, 12)), priority="low")
    assert eased.resolve_by == monday(10, day=8)


def test_handed_over_to_others_the_time_before_counts_by_the_hours_before() -> None:
    both = rules(night={**STANDARD, "calendar": "always", "queues": ["night"]}, standard=STANDARD)
    # 30 hours from Monday ten: all of them by the clock of the night shift, twelve by that of the office.
    handed = after(both, at=monday(16, day=7), since=monday(10), counted_by="night", queue="day")
    assert (handed.clock_s, handed.resolve_by) == (30 * 3600, monday(16, day=7))
    back = after(both, at=monday(16, day=7), since=monday(10), counted_by="standard", queue="night")
    assert (back.clock_s, back.resolve_by) == (14 * 3600, monday(18, day=7))


def test_without_a_service_level_nothing_is_due_and_nothing_is_counted() -> None:
    none = rules(standard={**STANDARD, "queues": ["billing"]})
    assert after(none, at=monday(12), since=monday(10), clock_s=5, queue="sales") == Clock(
        None, None, None, None, None, 5
    )


def test_a_service_level_that_is_gone_counts_by_the_one_that_holds_now() -> None:
    assert after(at=monday(12), since=monday(10), counted_by="former").clock_s == 7200


def test_the_first_level_that_fits_and_promises_something_holds() -> None:
    vip = {**STANDARD, "products": ["gold"], "channels": ["email"], "targets": {"urgent": {"resolution": "1h"}}}
    both = rules(vip=vip, standard=STANDARD)

    def code(**facts: str) -> str | None:
        found = level_of(both, TicketFacts.of(facts))
        return found[0] if found else None

    assert code(product="gold", channel="email", priority="urgent") == "vip"
    assert code(product="gold", channel="email", priority="low") == "standard"
    assert code(product="gold", channel="email") == "standard"
    assert code(product="gold", channel="call", priority="urgent") == "standard"
    assert code(product="tin", channel="email", priority="urgent") == "standard"
    assert code() == "standard"


def test_a_level_may_promise_one_of_both() -> None:
    clock = opened(rules(one={**STANDARD, "targets": {"any": {"resolution": "1h"}}}))
    assert (clock.respond_by, clock.respond_warn, clock.resolve_by) == (None, None, monday(11))


@pytest.mark.parametrize(
    ("kind", "runs"),
    [("new", True), ("open", True), ("pending", False), ("hold", True), ("resolved", False), ("closed", False)],
)
def test_the_clock_stands_still_in_the_kinds_that_the_level_names(kind: Any, runs: bool) -> None:
    assert clock_runs(rules(), TicketFacts(), kind) is runs


def test_seconds_are_kept_through_many_changes() -> None:
    at, clock = monday(10), opened()
    for step in range(1, 200):
        since, at = at, monday(10) + timedelta(seconds=step, microseconds=step * 1003)
        clock = after(at=at, since=since, clock_s=clock.clock_s)
    assert abs(clock.clock_s - 199) <= 1
