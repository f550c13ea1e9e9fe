"""Is business time counted as a clock on the wall counts it, over changes of the clocks, holidays and half days?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.configuration import Calendar
from domain.errors import BadInput
from domain.hours import WorkingHours, working_hours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTE = timedelta(minutes=1)
CHANGES = [
    ("Europe/London", date(2026, 3, 29)), ("Europe/London", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)), ("America/New_York", date(2026, 11, 1)),
    ("Australia/Sydney", date(2026, 4, 5)), ("Australia/Sydney", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2026, 4, 5)), ("America/Havana", date(2026, 11, 1)),
    ("America/Sao_Paulo", date(2018, 11, 4)), ("Pacific/Apia", date(2011, 12, 30)),
    ("Asia/Kolkata", date(2026, 3, 29)),
]  # fmt: skip
"""Zones with days on which their clocks change: by an hour, by half of one, at midnight, by a whole day, never."""


def hours_of(calendar: dict[str, Any]) -> WorkingHours:
    return WorkingHours(Calendar.model_validate(calendar), ZoneInfo("UTC"))


def office(zone: str = "Europe/London", **more: Any) -> WorkingHours:
    week = {day: ["09:00-17:30"] for day in DAYS[:5]}
    return hours_of({"time_zone": zone, "hours": week, **more})


def london(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo("Europe/London"))  # type: ignore[arg-type, misc]


def is_open(calendar: dict[str, Any], moment: datetime) -> bool:
    """The definition, read off a clock on the wall; apart from how the product reckons."""
    local = moment.astimezone(ZoneInfo(calendar["time_zone"]))
    day, clock = local.isoformat()[:10], local.isoformat()[11:16]
    if day in calendar["special"]:
        spans = calendar["special"][day]
    elif day in calendar["holidays"]["days"]:
        spans = []
    else:
        spans = calendar["hours"].get(DAYS[local.weekday()], []) if calendar["hours"] else ["00:00-24:00"]
    return any(span[:5] <= clock < span[6:] for span in spans)


@st.composite
def spans(draw: st.DrawFn) -> list[str]:
    edges = sorted(draw(st.lists(st.integers(0, 1440), min_size=2, max_size=4, unique=True)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in pairs]


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], datetime]:
    """A calendar, and midnight in UTC three days before the clocks of its zone change."""
    zone, change = draw(st.sampled_from(CHANGES))
    near = st.integers(-3, 3).map(lambda days: str(change + timedelta(days=days)))
    calendar = {
        "time_zone": zone,
        "hours": draw(st.one_of(st.just({}), st.dictionaries(st.sampled_from(DAYS), spans(), min_size=1))),
        "holidays": {"days": draw(st.lists(near, max_size=2))},
        "special": draw(st.dictionaries(near, spans(), max_size=2)),
    }
    start = datetime(change.year, change.month, change.day, tzinfo=UTC) - timedelta(days=3)
    return calendar, start


@settings(deadline=None, max_examples=40)
@given(cases(), st.integers(0, 6 * 1440), st.integers(0, 6 * 1440))
def test_between_counts_the_minutes_that_a_clock_on_the_wall_shows_within_the_hours(
    case: tuple[dict[str, Any], datetime], one: int, other: int
) -> None:
    calendar, midnight = case
    first, last = sorted((midnight + one * MINUTE, midnight + other * MINUTE))
    counted = sum(is_open(calendar, first + n * MINUTE) for n in range((last - first) // MINUTE))
    assert hours_of(calendar).between(first, last) == counted * MINUTE


@settings(deadline=None, max_examples=40)
@given(cases(), st.integers(0, 3 * 1440), st.integers(1, 20 * 60))
def test_add_gives_the_first_moment_by_which_so_much_has_passed(
    case: tuple[dict[str, Any], datetime], offset: int, amount: int
) -> None:
    calendar, midnight = case
    start = midnight + offset * MINUTE
    left, now = amount, start
    while left and now < midnight + timedelta(days=7):
        left -= is_open(calendar, now)
        now += MINUTE
    if not left:
        assert hours_of(calendar).add(start, amount * MINUTE) == now


MOMENTS = st.timedeltas(timedelta(0), timedelta(days=3650)).map(
    lambda since: datetime(2020, 1, 1, tzinfo=UTC) + since
)


@settings(deadline=None, max_examples=60)
@given(cases(), MOMENTS, st.timedeltas(timedelta(0), timedelta(hours=500)), st.timedeltas(timedelta(0), MINUTE * 90))
def test_add_and_between_are_each_others_inverse_and_never_turn_back(
    case: tuple[dict[str, Any], datetime], start: datetime, amount: timedelta, more: timedelta
) -> None:
    calendar = case[0]
    calendar["hours"] = calendar["hours"] or {"mon": ["09:00-17:00"]}
    calendar["hours"]["wed"] = ["13:00-24:00"]
    hours = hours_of(calendar)
    end = hours.add(start, amount)
    assert hours.between(start, end) == amount
    assert start <= end <= hours.add(start, amount + more)
    assert hours.add(end, more) == hours.add(start, amount + more)
    assert hours.between(start, end + more) >= amount
    if amount:
        assert hours.between(start, end - timedelta(microseconds=1)) < amount


def test_what_begins_at_night_begins_to_count_in_the_morning() -> None:
    assert office().add(london(2026, 7, 17, 22), timedelta(hours=1)) == london(2026, 7, 20, 10)


def test_what_ends_with_the_day_is_due_in_the_evening_and_not_the_next_morning() -> None:
    assert office().add(london(2026, 7, 17, 16, 30), timedelta(hours=1)) == london(2026, 7, 17, 17, 30)


def test_a_calendar_without_hours_is_always_open_and_an_hour_that_is_skipped_counts_for_nobody() -> None:
    always = hours_of({"time_zone": "Europe/London"})
    assert always.between(london(2026, 3, 29), london(2026, 3, 30)) == timedelta(hours=23)
    assert always.between(london(2026, 10, 25), london(2026, 10, 26)) == timedelta(hours=25)
    assert always.add(london(2026, 3, 28), timedelta(days=2)) == london(2026, 3, 30, 1)


def test_a_night_shift_over_midnight_is_two_spans_that_meet() -> None:
    night = hours_of({"time_zone": "Europe/London", "hours": {"fri": ["22:00-24:00"], "sat": ["00:00-06:00"]}})
    assert night.add(london(2026, 7, 17, 21), timedelta(hours=8)) == london(2026, 7, 18, 6)


def test_a_public_holiday_and_the_day_that_stands_for_it_are_off() -> None:
    # Boxing Day 2026 is a Saturday, so the Monday after it is off in England.
    england = office(holidays={"country": "GB", "subdivision": "ENG"})
    assert england.add(london(2026, 12, 24, 17), timedelta(hours=1)) == london(2026, 12, 29, 9, 30)


def test_work_goes_on_on_a_holiday_that_is_named_as_working_and_stops_on_a_day_that_is_named_as_off() -> None:
    shop = office(holidays={"country": "GB", "subdivision": "ENG", "working": ["2026-05-04"], "days": ["2026-05-05"]})
    assert shop.between(london(2026, 5, 4), london(2026, 5, 6)) == timedelta(hours=8, minutes=30)


def test_a_half_day_has_hours_of_its_own_also_on_a_holiday() -> None:
    shop = office(holidays={"country": "GB"}, special={"2026-12-24": ["09:00-12:00"], "2026-12-25": ["10:00-11:00"]})
    assert shop.between(london(2026, 12, 24), london(2026, 12, 26)) == timedelta(hours=4)


def test_a_calendar_that_does_not_open_for_two_years_is_told() -> None:
    shut = WorkingHours(Calendar.model_construct(hours={"mon": []}, special={}), ZoneInfo("UTC"))
    with pytest.raises(BadInput, match="opens on no day of two years"):
        shut.add(london(2026, 1, 1), timedelta(seconds=1))
    assert shut.between(london(2026, 1, 1), london(2027, 1, 1)) == timedelta(0)


def test_nothing_passes_backwards_and_nothing_is_over_at_once() -> None:
    hours = office()
    assert hours.between(london(2026, 7, 17), london(2026, 7, 1)) == timedelta(0)
    assert hours.add(london(2026, 7, 18), timedelta(0)) == london(2026, 7, 18)
    assert hours.add(london(2026, 7, 18), timedelta(hours=-1)) == london(2026, 7, 18)


def test_the_hours_of_a_calendar_are_made_once_and_many_calendars_do_not_pile_up() -> None:
    zone = ZoneInfo("Europe/London")
    calendar = Calendar()
    assert working_hours(calendar, zone) is working_hours(calendar, zone)
    assert working_hours(calendar, ZoneInfo("Asia/Tokyo")) is not working_hours(calendar, zone)
    many = [working_hours(Calendar(), zone) for _ in range(200)]
    assert len(set(map(id, many))) == 200


def test_days_that_were_looked_at_do_not_pile_up() -> None:
    hours = office()
    hours.between(datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    assert len(hours._days) <= 4096
