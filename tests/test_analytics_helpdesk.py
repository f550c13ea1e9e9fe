"""Are the figures of a real help desk those that an independent reading of its file finds, in several time zones?

The plain reading below knows XML and clocks, and nothing of ours.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple
from xml.etree.ElementTree import iterparse
from zoneinfo import ZoneInfo

import pytest

from adapters.importing import run_import
from adapters.xes_map import XesMap
from projections.insight.asking import Window
from projections.insight.service import Group, ServiceReader, Tickets
from tests.support.imports import into
from tests.support.insight import LAST, ask, percentile
from tests.support.stage import Stage, stage

pytestmark = [pytest.mark.data, pytest.mark.timeout(300)]

_MAPPING = Path(__file__).parent.parent / "docs" / "examples" / "helpdesk.toml"
ZONES = ["Europe/London", "America/Sao_Paulo"]
WHOLE = (datetime(2010, 1, 1, tzinfo=UTC), datetime(2014, 2, 1, tzinfo=UTC))
YEAR = (datetime(2012, 3, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC))
RESOLVED, CLOSED = "Resolve ticket", "Closed"
STAYING = {"Take in charge ticket", "Assign seriousness"}
BOOKED = "Schedule intervention"


class Case(NamedTuple):
    """One ticket: (activity, when) in the file's order, with its last queue and priority."""

    steps: list[tuple[str, datetime]]
    queue: str | None
    priority: str | None


class Fact(NamedTuple):
    """What happened to a ticket, when, and after how many seconds from its opening."""

    what: str
    at: datetime
    seconds: float
    case: Case


@pytest.fixture(scope="module")
def path() -> Path:
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "helpdesk"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with helpdesk")
    return folder / "helpdesk.xes.gz"


@pytest.fixture(scope="module")
def desk(postgres: Any, path: Path) -> Iterator[Stage]:
    """The whole file, imported."""
    events: list[dict[str, Any]] = []
    run_import(XesMap([path], _MAPPING), into(events))
    with stage(postgres) as made:
        made.begin()
        for place in range(0, len(events), 3000):
            made.feed(made.publish([(one, 60) for one in events[place : place + 3000]]))
        yield made


@pytest.fixture(scope="module")
def cases(path: Path) -> list[Case]:
    found = []
    with gzip.open(path) as stream:
        for _, node in iterparse(stream):
            if node.tag.rpartition("}")[2] == "trace":
                plain = [{one.get("key"): one.get("value") for one in event} for event in node if len(event)]
                found.append(_case(plain))
                node.clear()
    assert len(found) == 4580
    return found


def _case(plain: list[dict[str | None, str | None]]) -> Case:
    """Events at one moment come a microsecond after each other, as the mapping asks for."""
    steps: list[tuple[str, datetime]] = []
    queue = priority = None
    before = datetime.min.replace(tzinfo=UTC)
    for event in plain:
        at = datetime.fromisoformat(str(event["time:timestamp"])).astimezone(UTC)
        before = at = max(at, before + timedelta(microseconds=1))
        activity = str(event["concept:name"])
        if activity == BOOKED:
            continue
        steps.append((activity, at))
        priority = event["seriousness_2"]
        if activity not in {RESOLVED, CLOSED}:
            queue = event["support_section"]
    return Case(steps, queue, priority)


def facts_of(case: Case) -> Iterator[Fact]:
    """Of what happened several times the last counts; what follows a resolution and moves the ticket reopens it."""
    opened = case.steps[0][1]
    resolved: datetime | None = None
    closed: datetime | None = None
    ended = False
    yield Fact("opened", opened, 0, case)
    for activity, at in case.steps:
        if activity == RESOLVED:
            resolved, closed, ended = at, None, True
        elif activity == CLOSED:
            closed, ended = at, True
        elif activity not in STAYING:
            if ended:
                yield Fact("reopened", at, 0, case)
            resolved = closed = None
            ended = False
    if resolved or closed:
        done = resolved or closed
        assert done is not None
        yield Fact("resolved", done, (done - opened).total_seconds(), case)
    if closed:
        yield Fact("closed", closed, 0, case)


def key_of(fact: Fact, by: str, zone: str) -> str | None:
    at = fact.at.astimezone(ZoneInfo(zone))
    keys = {
        "day": f"{at:%Y-%m-%d}", "week": f"{at:%G-W%V}", "month": f"{at:%Y-%m}", "hour": f"{at:%H}",
        "weekday": str(at.isoweekday()), "queue": fact.case.queue, "priority": fact.case.priority,
    }  # fmt: skip
    return keys[by]


def equal(group: Group, facts: list[Fact]) -> bool:
    counts = Counter(one.what for one in facts)
    if (group.opened, group.resolved, group.closed, group.reopened) != tuple(
        counts[what] for what in ("opened", "resolved", "closed", "reopened")
    ):
        return False
    seconds = [one.seconds for one in facts if one.what == "resolved"]
    told = (group.resolution.median, group.resolution.p90, group.resolution.mean)
    expected = (percentile(seconds, 0.5), percentile(seconds, 0.9), fmean(seconds) if seconds else None)
    return told == pytest.approx(expected) and group.response.measured == group.business.measured == 0


@pytest.mark.parametrize("by", ["day", "week", "month", "hour", "weekday", "queue", "priority"])
@pytest.mark.parametrize("zone", ZONES)
def test_durations_and_reopenings_of_the_help_desk_are_those_of_its_file(
    desk: Stage, cases: list[Case], zone: str, by: str
) -> None:
    start, end = WHOLE if by in {"month", "hour", "queue"} else YEAR
    expected: dict[str | None, list[Fact]] = defaultdict(list)
    for case in cases:
        for fact in facts_of(case):
            if start <= fact.at < end:
                expected[key_of(fact, by, zone)].append(fact)
    window = Window(start, end, zone, end)
    whole, groups, _ = ask(desk.story.dsn, lambda pool: ServiceReader(pool).groups(window, Tickets(), by))
    assert {one.key for one in groups} == set(expected)
    assert [one.key for one in groups if not equal(one, expected[one.key])] == []
    assert equal(whole, [one for every in expected.values() for one in every])


@pytest.mark.parametrize("zone", ZONES)
def test_the_backlog_of_each_day_is_that_of_the_file(desk: Stage, cases: list[Case], zone: str) -> None:
    start, end = YEAR
    there = ZoneInfo(zone)
    opened, ended = Counter[date](), Counter[date]()
    for case in cases:
        was_open = False
        for activity, at in case.steps:
            goes_on = activity not in {RESOLVED, CLOSED}
            begins = at == case.steps[0][1]  # whatever it is that comes first
            if not was_open and (begins or (goes_on and activity not in STAYING)):
                opened[at.astimezone(there).date()] += at < end
                was_open = True
            if was_open and not goes_on:
                ended[at.astimezone(there).date()] += at < end
                was_open = False
    window = Window(start, end, zone, end)
    found = ask(desk.story.dsn, lambda pool: ServiceReader(pool).backlog(window, Tickets()))
    assert len(found) in {365, 366}
    for told in found:
        standing = sum(opened[day] - ended[day] for day in opened.keys() | ended.keys() if day <= told.day)
        assert told.open == standing, told
    inner = found[1:-1]
    assert [(one.opened, one.ended) for one in inner] == [(opened[one.day], ended[one.day]) for one in inner]


def test_a_figure_opens_into_its_tickets(desk: Stage, cases: list[Case]) -> None:
    start, end = YEAR
    window = Window(start, end, "Europe/London", end)
    expected = sorted(
        (fact.at for case in cases for fact in facts_of(case) if fact.what == "reopened" and start <= fact.at < end),
        reverse=True,
    )
    told = ask(
        desk.story.dsn,
        lambda pool: ServiceReader(pool).tickets(window, Tickets(), None, None, "reopened", LAST, 1000),
    )
    assert [one.at for one in told] == expected
    assert len(expected) == 5
