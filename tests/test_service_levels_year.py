"""Do service levels hold for a year, over changes of the clocks, holidays and three zones? A count of minutes tells.

The count knows nothing of the product's reckoning: it looks at a clock on the wall of each zone for every minute of
the year, at a list of holidays that is written out, and counts the minutes in which a ticket waited for us.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from domain.configuration import read_configuration
from domain.service_levels import Clock, TicketFacts, clock_of, clock_runs

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 400 * 1440
DEPLOYMENT = ZoneInfo("Asia/Kolkata")
PLACES = {
    "london": ("Europe/London", "09:00", "17:30", {"country": "GB", "subdivision": "ENG"}),
    "new-york": ("America/New_York", "08:30", "18:00", {"country": "US"}),
    "sydney": ("Australia/Sydney", "09:00", "17:00", {"country": "AU", "subdivision": "NSW"}),
}
HOLIDAYS = {
    "london": "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28",
    "new-york": "01-01 01-19 02-16 05-25 06-19 07-03 09-07 10-12 11-11 11-26 12-25",
    "sydney": "01-01 01-26 04-03 04-06 04-27 06-08 10-05 12-25 12-28",
}
"""Public holidays of 2026 that fall on a weekday; after it only New Year's Day."""
TARGETS = {"urgent": (60, 480), "normal": (480, 2400)}
RULES = read_configuration(
    {
        "version": 1,
        "calendars": {
            code: {
                "time_zone": zone,
                "hours": {day: [f"{opens}-{closes}"] for day in ("mon", "tue", "wed", "thu", "fri")},
                "holidays": holidays,
            }
            for code, (zone, opens, closes, holidays) in PLACES.items()
        },
        "service_levels": {
            code: {
                "calendar": code,
                "queues": [code],
                "targets": {
                    "urgent": {"first_response": "1h", "resolution": "8h"},
                    "any": {"first_response": "8h", "resolution": "40h"},
                },
            }
            for code in PLACES
        },
    }
)


def open_minutes(place: str) -> Iterator[bool]:
    name, opens, closes, _ = PLACES[place]
    zone, first, last = ZoneInfo(name), time.fromisoformat(opens), time.fromisoformat(closes)
    off = {date.fromisoformat(f"2026-{day}") for day in HOLIDAYS[place].split()}
    off |= {date(2027, 1, 1), date(2027, 1, 26)}
    for n in range(MINUTES):
        local = (BEGIN + timedelta(minutes=n)).astimezone(zone)
        yield first <= local.time() < last and local.weekday() < 5 and local.date() not in off


@pytest.fixture(scope="module")
def counted() -> dict[str, list[int]]:
    """For each place: how many minutes were open before each minute of the year."""
    return {place: [0, *accumulate(open_minutes(place))] for place in PLACES}


class Happens(NamedTuple):
    """A step of a made-up ticket: at which minute, and what holds after it."""

    at: int
    kind: str
    priority: str
    queue: str
    answered: bool


def a_ticket(chance: random.Random) -> list[Happens]:
    """Opened, answered or not, waiting for the customer, handed over to another place, resolved, taken up again."""
    now = Happens(chance.randrange(340 * 1440), "open", "normal", chance.choice(list(PLACES)), False)
    steps = [now]
    for _ in range(chance.randrange(9)):
        now = now._replace(at=now.at + int(chance.expovariate(1 / chance.choice((90, 900, 2500)))))
        match chance.randrange(6):
            case 0:
                now = now._replace(answered=True)
            case 1:
                now = now._replace(priority="urgent" if now.priority == "normal" else "normal")
            case 2:
                now = now._replace(queue=chance.choice(list(PLACES)))
            case 3:
                now = now._replace(kind="resolved")
            case _:
                now = now._replace(kind="pending" if now.kind == "open" else "open")
        if now.at < 360 * 1440:
            steps.append(now)
    return steps


def reckoned(steps: Sequence[Happens]) -> list[Clock]:
    """What the product says after each step, as a ticket's events would carry it."""
    found: list[Clock] = []
    answered: datetime | None = None
    since: datetime | None = None
    for step in steps:
        at = BEGIN + timedelta(minutes=step.at)
        answered = answered or (at if step.answered else None)
        facts = TicketFacts(queue=step.queue, priority=step.priority)
        runs = clock_runs(RULES, facts, step.kind)  # type: ignore[arg-type]
        last = found[-1] if found else Clock(None, None, None, None, None, 0)
        clock = clock_of(
            RULES, DEPLOYMENT, facts, opened_at=BEGIN + timedelta(minutes=steps[0].at), responded_at=answered,
            clock_s=last.clock_s, running_since=since, at=at, runs=runs, ended=step.kind == "resolved",
            counted_by=last.service_level, due=(last.resolve_by, last.resolve_warn),
        )  # fmt: skip
        found.append(clock)
        since = at if runs else None
    return found


def minute_of(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - BEGIN) // timedelta(minutes=1)


def over_at(counted: dict[str, list[int]], steps: Sequence[Happens], share: float) -> list[int | None]:
    """For each step the first minute, before the next step, at which that share of the target had been used up."""
    ran, found = 0, list[int | None]()
    for step, after in zip(steps, [*steps[1:], None], strict=True):
        limit = TARGETS[step.priority][1] * share
        open_before = counted[step.queue]
        last = after.at if after else step.at + 30 * 1440
        over = None
        for minute in range(step.at, last + 1):
            used = ran + (open_before[minute] - open_before[step.at] if step.kind == "open" else 0)
            if used >= limit and step.kind != "resolved":
                over = minute
                break
        found.append(over)
        if step.kind == "open":
            ran += open_before[last] - open_before[step.at]
    return found


SEEDS = range(120)


@pytest.mark.parametrize(("share", "name"), [(1.0, "resolve_by"), (0.8, "resolve_warn")])
def test_S21_a_resolution_is_due_at_the_very_minute_that_a_count_of_minutes_says(
    counted: dict[str, list[int]], share: float, name: str
) -> None:
    late = 0
    for seed in SEEDS:
        steps = a_ticket(random.Random(seed))
        clocks = reckoned(steps)
        for number, (step, over) in enumerate(zip(steps, over_at(counted, steps, share), strict=True)):
            due = minute_of(getattr(clocks[number], name))
            last = steps[number + 1].at if number + 1 < len(steps) else step.at + 30 * 1440
            told = max(due, step.at) if due is not None and due <= last else None
            assert told == over, f"ticket {seed}, step {number}: {steps}"
            late += over is not None
    assert late > 100


def test_S21_a_first_response_is_due_at_the_very_minute_whatever_the_state(counted: dict[str, list[int]]) -> None:
    checked = 0
    for seed in SEEDS:
        steps = a_ticket(random.Random(seed))
        answered = False
        for step, clock in zip(steps, reckoned(steps), strict=True):
            answered = answered or step.answered
            if answered or step.kind == "resolved":
                assert (clock.respond_by, clock.respond_warn) == (None, None)
                continue
            opened, before = steps[0].at, counted[step.queue]
            for share, due in ((1, clock.respond_by), (0.8, clock.respond_warn)):
                minute = minute_of(due)
                assert minute is not None
                wanted = TARGETS[step.priority][0] * share
                assert before[minute] - before[opened] == wanted
                assert before[minute - 1] - before[opened] == wanted - 1
                checked += 1
    assert checked > 200


def test_S21_what_the_clock_has_run_is_what_a_count_of_minutes_says(counted: dict[str, list[int]]) -> None:
    for seed in SEEDS:
        steps = a_ticket(random.Random(seed))
        ran = 0
        for before, step, clock in zip([None, *steps], steps, reckoned(steps), strict=False):
            if before is not None and before.kind == "open":
                ran += counted[before.queue][step.at] - counted[before.queue][before.at]
            assert clock.clock_s == ran * 60
