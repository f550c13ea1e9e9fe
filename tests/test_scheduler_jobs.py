"""Does each job do what time asks for: warnings, breaches, stalled deals, timed moves, reminders; never early, never
twice?"""

from __future__ import annotations

import heapq
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import psycopg
import pytest

from domain.configuration import Pipeline, builtin_configuration
from tests.support.clockwork import Clockwork, clockwork
from tests.support.commanding import ANNA
from tests.support.postgres import PostgresServer

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TARGETS = ("target.warned", "target.breached")


@pytest.fixture(scope="module")
def system(postgres: PostgresServer) -> Iterator[Clockwork]:
    """One for all tests of this file."""
    name = postgres.create_database()
    stages = [{"code": "new", "timed": {"after": "30d", "to": "lost", "reason": "no-answer"}}, {"code": "offer"}]
    builtin = builtin_configuration()
    quick = Pipeline.model_validate({"stages": stages})
    rules = builtin.model_copy(update={"pipelines": {**builtin.pipelines, "quick": quick}})
    with clockwork(postgres.dsn_of(name), rules=rules) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def work(system: Clockwork) -> Clockwork:
    """The system, on a Monday morning on which nothing is left to do."""
    system.begin()
    return system


def told(work: Clockwork) -> list[tuple[str, str]]:
    return [(type_.partition(".")[2], public["target"]) for type_, _, _, public in work.events(*TARGETS)]


def test_S21_a_target_is_warned_of_and_its_breach_told_at_their_moments(work: Clockwork) -> None:
    ticket = work.working.open_ticket({"subject": "Broken", "priority": "urgent"}, actor=ANNA).id
    work.settle()
    state = work.working.load("ticket", ticket).state
    work.tick(state.respond_warn - timedelta(microseconds=1))
    assert told(work) == []
    work.tick(state.respond_warn)
    work.tick(state.respond_by - timedelta(microseconds=1))
    assert told(work) == [("warned", "first_response")]
    work.tick(state.respond_by)
    work.tick()
    assert told(work) == [("warned", "first_response"), ("breached", "first_response")]
    assert [at for _, _, at, _ in work.events(*TARGETS)] == [state.respond_warn, state.respond_by]


def test_S21_what_was_answered_in_time_is_neither_warned_of_nor_missed(work: Clockwork) -> None:
    ticket = work.working.open_ticket({"subject": "Broken", "priority": "urgent"}, actor=ANNA).id
    work.settle()
    state = work.working.load("ticket", ticket).state
    work.now += timedelta(minutes=5)
    work.working.comment_ticket(ticket, "We look at it", actor=ANNA)  # the read models do not know yet
    work.scheduler.tick(state.respond_warn)
    work.settle()
    work.tick(state.respond_by)
    assert told(work) == []
    assert work.outcomes("first_response_warning", ticket) == ["refused"]


def test_after_a_day_of_standstill_what_was_missed_is_told_and_the_warning_of_it_is_not(work: Clockwork) -> None:
    ticket = work.working.open_ticket({"subject": "Broken", "priority": "urgent"}, actor=ANNA).id
    work.settle()
    work.tick(work.now + DAY)
    assert sorted(told(work)) == [("breached", "first_response"), ("breached", "resolution")]
    assert work.outcomes("first_response_warning", ticket) == ["skipped"]
    assert work.outcomes("first_response_breach", ticket) == ["done"]


def test_S13_a_deal_that_stays_too_long_is_stalled_once_for_each_stay(work: Clockwork) -> None:
    deal = work.working.create_deal({"title": "Bikes", "assignee": "anna"}, actor=ANNA).id
    work.settle()
    since = work.working.load("deal", deal).state.stage_since
    work.tick(since + timedelta(days=14) - timedelta(seconds=1))
    assert work.events("deal.stalled") == []
    work.tick(since + timedelta(days=14))
    work.tick(since + timedelta(days=20))
    [(_, ref, _, public)] = work.events("deal.stalled")
    assert (ref, public["stage"], public["assignee"]) == (f"deal:{deal.hex}", "new", "anna")
    work.working.move_deal(deal, "qualified", actor=ANNA)
    work.settle()
    work.tick(work.now + timedelta(days=21))
    assert [public["stage"] for _, _, _, public in work.events("deal.stalled")] == ["new", "qualified"]


def test_a_resolved_ticket_is_closed_by_time_and_one_that_was_reopened_just_now_is_not(work: Clockwork) -> None:
    done, again = [work.working.open_ticket({"subject": "Broken"}, actor=ANNA).id for _ in range(2)]
    for ticket in (done, again):
        work.working.move_ticket(ticket, "resolved", actor=ANNA)
    work.settle()
    work.now += timedelta(days=7)
    work.working.move_ticket(again, "open", actor=ANNA)  # the read models do not know yet
    work.tick()
    states = [work.working.load("ticket", ticket).state.state for ticket in (done, again)]
    assert states == ["closed", "open"]
    [(_, _, at, public)] = work.events("ticket.closed")
    assert (at, public["reason"]) == (work.now, "no-answer")


def test_a_timed_move_of_a_deal_goes_where_the_stage_says(work: Clockwork) -> None:
    deal = work.working.create_deal({"title": "Bikes", "pipeline": "quick"}, actor=ANNA).id
    work.settle()
    work.tick(work.now + timedelta(days=30))
    state = work.working.load("deal", deal).state
    assert (state.status, state.reason) == ("lost", "no-answer")


def test_S50_somebody_is_reminded_once_and_not_long_after_it_was_of_use(work: Clockwork) -> None:
    at = work.now + DAY
    tasks = []
    for name, remind_at in (("Call", at), ("Write", at - 2 * HOUR), ("Visit", at - 25 * HOUR)):
        content = {"title": name, "assignee": "anna", "remind_at": remind_at.isoformat()}
        tasks.append(work.working.create_task(content, actor=ANNA).id)
    work.settle()
    work.tick(at)
    work.tick(at + HOUR)
    assert len(work.events("task.reminded")) == 2
    assert Counter(work.outcomes("task_reminder", *tasks)) == {"done": 2, "skipped": 1}


def test_two_schedulers_at_once_tell_nothing_twice(work: Clockwork) -> None:
    for _ in range(30):
        work.working.open_ticket({"subject": "Broken", "priority": "urgent"}, actor=ANNA)
    work.settle()
    work.now += DAY
    both = [threading.Thread(target=one.tick, args=[work.now]) for one in (work.scheduler, work.another())]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    work.settle()
    assert Counter(told(work)) == {("breached", "first_response"): 30, ("breached", "resolution"): 30}


def test_old_keys_claims_and_webhooks_are_forgotten_once_an_hour(work: Clockwork) -> None:
    with psycopg.connect(work.story.dsn, autocommit=True) as connection:
        for days in (29, 31):
            connection.execute(
                "INSERT INTO storyline.idempotency VALUES ('x', %s, '', '{}', %s)",
                [str(days), work.now - timedelta(days=days)],
            )
        for days in (89, 91):
            at = work.now - timedelta(days=days)
            connection.execute(
                "INSERT INTO storyline.due VALUES ('x', %s, %s, NULL, %s, %s, 1, 'done', %s)",
                [str(days), at, at, at, at],
            )
        for number, state in enumerate(("delivered", "discarded", "parked", "waiting")):
            for days in (29, 31):
                at = work.now - timedelta(days=days)
                connection.execute(
                    "INSERT INTO storyline.deliveries VALUES (%s, 'x', 'e', 'u', 's', %s, %s, 1, %s, 200, NULL, %s)",
                    [UUID(int=number * 100 + days), at, state, at, at],
                )
    work.tick()
    assert work.story.rows("SELECT key FROM storyline.idempotency WHERE scope = 'x'") == [("29",)]
    assert work.story.rows("SELECT item FROM storyline.due WHERE job = 'x'") == [("89",)]
    kept = work.story.rows("SELECT id FROM storyline.deliveries WHERE rule = 'x' ORDER BY id")
    assert [id.int for (id,) in kept] == [29, 129, 229, 231, 329, 331], "all but what was over a month ago"
    work.tick()
    work.tick(work.now + HOUR)
    hours = work.story.rows("SELECT outcome FROM storyline.due WHERE job = 'tidying' AND at >= %s", work.began)
    assert hours == [("done",), ("done",)]


def test_a_year_of_tickets_has_each_warning_and_each_breach_once_at_its_moment(work: Clockwork) -> None:
    """Tickets are opened at any hour of a year, answered and resolved by chance, in time or not. Who looks at each
    moment at which something falls due has told, at the end, what a plain reckoning tells."""
    chance = Random(6)
    agenda: list[tuple[datetime, int, str, UUID | None]] = []
    for number in range(20):
        at = work.began + timedelta(minutes=chance.randrange(365 * 24 * 60))
        heapq.heappush(agenda, (at, number, "open", None))
    expected: set[tuple[str, str, str, datetime]] = set()
    number = len(agenda)
    while agenda:
        at, _, what, ticket = heapq.heappop(agenda)
        work.now = max(work.now, at)
        if what == "tick":
            work.tick()
            continue
        if what == "open":
            priority = chance.choice(["urgent", "high", "normal"])
            ticket = work.working.open_ticket({"subject": "Broken", "priority": priority}, actor=ANNA).id
            ends, more = plan(work, ticket, chance)
            expected |= ends
            for moment, then in more:
                number += 1
                heapq.heappush(agenda, (moment, number, then, ticket))
        elif what == "answer" and ticket is not None:
            work.working.comment_ticket(ticket, "We look at it", actor=ANNA)
        elif ticket is not None:
            work.working.move_ticket(ticket, "resolved", actor=ANNA)
        work.settle()
    found = [
        (type_.partition(".")[2], public["target"], ref.partition(":")[2], at)
        for type_, ref, at, public in work.events(*TARGETS)
    ]
    assert len(found) == len(set(found)) > 20
    assert set(found) == expected


def plan(
    work: Clockwork, ticket: UUID, chance: Random
) -> tuple[set[tuple[str, str, str, datetime]], list[tuple[datetime, str]]]:
    """What is to be told of a ticket, and when something happens to it: it is answered, resolved, looked at."""
    state = work.working.load("ticket", ticket).state
    answered = work.now + timedelta(minutes=chance.randrange(10, 3 * 24 * 60))
    resolved = answered + timedelta(minutes=chance.randrange(10, 14 * 24 * 60))
    moments = {
        ("warned", "first_response"): (state.respond_warn, answered),
        ("breached", "first_response"): (state.respond_by, answered),
        ("warned", "resolution"): (state.resolve_warn, resolved),
        ("breached", "resolution"): (state.resolve_by, resolved),
    }
    ends = {(*what, ticket.hex, moment) for what, (moment, met) in moments.items() if moment < met}
    ticks = [(moment, "tick") for moment, _ in moments.values()]
    return ends, [*ticks, (answered, "answer"), (resolved, "resolve")]
