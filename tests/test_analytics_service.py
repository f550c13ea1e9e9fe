"""Can a manager see how well customers are served? Small desks, of which every figure can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from projections.insight.asking import Window
from projections.insight.service import Group, ServiceReader, Tickets
from tests.support.api import RunningApi, running_api
from tests.support.insight import LAST, ask
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage, stage
from tests.support.story import START, event

ANN = [{"kind": "email", "value": "ann@example.org"}]
HOUR = 60
ALL = Tickets()


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def desk(whole: Stage) -> Stage:
    whole.begin()
    return whole


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


class Desk:
    """Tells what happens to tickets, as Storyline publishes it of its own."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._revisions: dict[str, int] = {}

    def tell(self, at: int, type_: str, item: str, **content: Any) -> None:
        """at: minutes after START; item: one hex digit. Moments of the content are minutes, too."""
        revision = self._revisions[item] = self._revisions.get(item, 0) + 1
        for name in ("respond_by", "resolve_by"):
            if isinstance(content.get(name), int):
                content[name] = minute(content[name]).isoformat()
        raw = event(len(self.events), source="storyline/ticket", type=type_, time=minute(at).isoformat())
        refs = [{"kind": "ticket", "value": item * 32}]
        content = {"revision": revision, **content}
        self.events.append({**raw, "data": {"who": ANN, "refs": refs, "content": content}})


def publish(desk: Stage, told: Desk) -> None:
    desk.feed(desk.publish([(one, 60 * 24 * 30) for one in told.events]))


def figures(
    desk: Stage, by: str = "day", chosen: Tickets = ALL, now: int = 48 * HOUR, **edges: int
) -> tuple[Group, dict[str | None, Group], Any]:
    """(all, by group, what runs) of the first two days, or between two minutes."""
    window = Window(minute(edges.get("start", 0)), minute(edges.get("end", 48 * HOUR)), "Europe/London", minute(now))
    total, groups, running = ask(desk.story.dsn, lambda pool: ServiceReader(pool).groups(window, chosen, by))
    return total, {one.key: one for one in groups}, running


def test_response_and_resolution_take_what_the_clock_says_and_business_time_is_that_of_the_level(desk: Stage) -> None:
    told = Desk()
    for item, answered, resolved, clock in (("a", 10, 100, 4000), ("b", 20, 200, 5000), ("c", 90, 900, 6000)):
        told.tell(0, "ticket.opened", item, team="support", queue="general", state="new")
        told.tell(answered, "ticket.commented", item, by="company")
        told.tell(resolved, "ticket.resolved", item, clock_s=clock, state="resolved")
    publish(desk, told)
    total, groups, _ = figures(desk, "queue")
    assert groups == {"general": total._replace(key="general")}
    assert (total.opened, total.resolved, total.closed, total.reopened) == (3, 3, 0, 0)
    assert total.response == pytest.approx((3, 1200, 60 * (20 + 0.8 * 70), 2400))
    assert total.resolution == pytest.approx((3, 12_000, 60 * (200 + 0.8 * 700), 24_000))
    assert total.business == pytest.approx((3, 5000, 5800, 5000))


def test_what_colleagues_write_among_themselves_is_no_response(desk: Stage) -> None:
    told = Desk()
    told.tell(0, "ticket.opened", "a")
    told.tell(5, "ticket.commented", "a", by="company", internal=True)
    told.tell(9, "ticket.commented", "a", by="customer")
    publish(desk, told)
    assert figures(desk)[0].response.measured == 0
    later = Desk()
    later._revisions["a"] = 3
    later.events = [{}, {}, {}]
    later.tell(30, "ticket.commented", "a", by="company")
    desk.feed(desk.publish([(later.events[3], 60 * 24 * 31)]))
    assert figures(desk)[0].response == (1, 1800, 1800, 1800)


def test_targets_are_met_when_it_is_done_and_missed_when_it_was_due(desk: Stage) -> None:
    told = Desk()
    told.tell(0, "ticket.opened", "a", service_level="s", respond_by=60, resolve_by=300)  # both met
    told.tell(30, "ticket.commented", "a", by="company", respond_by=None)
    told.tell(200, "ticket.resolved", "a", resolve_by=None, state="resolved")
    told.tell(0, "ticket.opened", "b", service_level="s", respond_by=60, resolve_by=300)  # both late
    told.tell(90, "ticket.commented", "b", by="company", respond_by=None)
    told.tell(400, "ticket.resolved", "b", resolve_by=None, state="resolved")
    told.tell(0, "ticket.opened", "c", service_level="s", respond_by=70, resolve_by=5000)  # never answered
    told.tell(0, "ticket.opened", "d", service_level="s", respond_by=4000, resolve_by=5000)  # still time
    told.tell(0, "ticket.opened", "e", service_level="s", respond_by=60, resolve_by=300)  # paused, resolved later
    told.tell(10, "ticket.commented", "e", by="company", respond_by=None)
    told.tell(20, "ticket.state_changed", "e", state="pending", resolve_by=None)
    told.tell(2000, "ticket.resolved", "e", resolve_by=None, state="resolved")
    publish(desk, told)
    total, _, running = figures(desk)
    assert (total.response_met, total.response_missed) == (2, 2)
    assert (total.resolution_met, total.resolution_missed) == (2, 1)
    assert running == (2, 1, 2)
    # a miss stands where it was due, not where it was made up for
    assert figures(desk, start=60, end=61)[0].response_missed == 1
    assert figures(desk, start=70, end=71)[0].response_missed == 1
    assert figures(desk, start=90, end=91)[0].response_missed == 0
    assert figures(desk, start=300, end=301)[0].resolution_missed == 1


def test_a_target_that_is_not_over_at_the_moment_is_not_missed(desk: Stage) -> None:
    told = Desk()
    told.tell(0, "ticket.opened", "a", service_level="s", respond_by=60, resolve_by=300)
    publish(desk, told)
    assert figures(desk, now=60)[0].response_missed == 0
    assert figures(desk, now=60)[2] == (1, 1, 1)
    assert figures(desk, now=61)[0].response_missed == 1
    assert figures(desk, now=61)[2] == (1, 0, 1)


def test_a_ticket_that_is_taken_up_again_is_reopened_and_no_more_resolved(desk: Stage) -> None:
    told = Desk()
    told.tell(0, "ticket.opened", "a")
    told.tell(100, "ticket.resolved", "a")
    told.tell(200, "ticket.closed", "a")
    told.tell(1500, "ticket.reopened", "a")
    publish(desk, told)
    total, groups, _ = figures(desk, "day")
    assert (total.opened, total.resolved, total.closed, total.reopened) == (1, 0, 0, 1)
    assert {key: one.reopened for key, one in groups.items()} == {"2026-03-01": 0, "2026-03-02": 1}


def test_figures_go_by_team_and_hour_in_the_zone_that_is_asked_for(desk: Stage) -> None:
    told = Desk()
    told.tell(0, "ticket.opened", "a", team="support")  # 09:00 UTC
    told.tell(30, "ticket.opened", "b", team="sales")
    told.tell(60, "ticket.opened", "c")
    publish(desk, told)
    assert {key: one.opened for key, one in figures(desk, "team")[1].items()} == {"support": 1, "sales": 1, None: 1}
    assert {key: one.opened for key, one in figures(desk, "hour")[1].items()} == {"09": 2, "10": 1}
    window = Window(minute(0), minute(HOUR * 24), "Australia/Lord_Howe", minute(HOUR * 24))
    _, groups, _ = ask(desk.story.dsn, lambda pool: ServiceReader(pool).groups(window, Tickets(), "hour"))
    assert {one.key: one.opened for one in groups} == {"20": 2, "21": 1}
    assert figures(desk, chosen=Tickets(team="sales"))[0].opened == 1


def test_the_backlog_counts_what_was_open_when_each_day_ended(desk: Stage) -> None:
    told = Desk()
    day = 24 * HOUR
    told.tell(0, "ticket.opened", "a")
    told.tell(day, "ticket.opened", "b")
    told.tell(day + 10, "ticket.closed", "a")
    told.tell(2 * day, "ticket.reopened", "a")
    told.tell(2 * day + 5, "ticket.resolved", "b")
    told.tell(2 * day + 6, "ticket.closed", "b")
    publish(desk, told)
    window = Window(minute(day), minute(4 * day), "UTC", minute(4 * day))
    found = ask(desk.story.dsn, lambda pool: ServiceReader(pool).backlog(window, Tickets()))
    # the period begins at nine: until then the day has no changes of its own
    assert [tuple(one[1:]) for one in found] == [(1, 1, 1), (1, 1, 1), (1, 0, 0), (1, 0, 0)]


def test_a_figure_opens_into_its_tickets_page_by_page(desk: Stage) -> None:
    told = Desk()
    for number, item in enumerate("abc"):
        told.tell(number, "ticket.opened", item, team="support")
    publish(desk, told)
    window = Window(minute(0), minute(HOUR), "UTC", minute(HOUR))
    seen: list[str] = []
    place = LAST
    while True:
        page = ask(
            desk.story.dsn,
            lambda pool, place=place: ServiceReader(pool).tickets(  # type: ignore[misc]
                window, Tickets(), "team", "support", "opened", place, 2
            ),
        )
        seen += [one.item.hex[:1] for one in page]
        if len(page) < 2:
            break
        place = (page[-1].at, page[-1].item)
    assert seen == ["c", "b", "a"]
    none = ask(
        desk.story.dsn,
        lambda pool: ServiceReader(pool).tickets(window, Tickets(), "team", "sales", "opened", LAST, 2),
    )
    assert none == []


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def test_S23_a_manager_sees_response_times_slip_by_team_channel_and_hour(api: RunningApi) -> None:
    told = Desk()
    for number, item in enumerate("abcdef"):
        late = 8 * number  # each day the answer takes a little longer
        at = 24 * HOUR * number
        told.tell(at, "ticket.opened", item, team="support", channel="chat", respond_by=at + 20, service_level="s")
        told.tell(at + 4 + late, "ticket.commented", item, by="company", respond_by=None)
    api.story.publish(*told.events)
    api.project()
    asked = {"from": "2026-03-01", "to": "2026-03-06", "team": "support", "channel": "chat"}
    with api.client("read-sealed") as analyst:
        answer = analyst.get("/v1/analytics/service", params=asked).json()
        medians = [one["first_response"]["median_s"] for one in answer["series"]]
        assert medians == [240, 720, 1200, 1680, 2160, 2640]
        assert answer["total"]["response_target"] == {"met": 3, "missed": 3, "share": 0.5}
        by_hour = analyst.get("/v1/analytics/service", params={**asked, "by": "hour"}).json()
        assert [(one["key"], one["opened"]) for one in by_hour["series"]] == [("09", 6)]
        behind = analyst.get(
            "/v1/analytics/service/tickets", params={**asked, "what": "response_missed", "limit": 2}
        ).json()
        assert [one["id"][:1] for one in behind["tickets"]] == ["f", "e"]
        rest = analyst.get(
            "/v1/analytics/service/tickets",
            params={**asked, "what": "response_missed", "limit": 2, "cursor": behind["next"]},
        ).json()
        assert [one["id"][:1] for one in rest["tickets"]] == ["d"] and "next" not in rest
        backlog = analyst.get("/v1/analytics/backlog", params=asked).json()
        assert [one["open"] for one in backlog["days"]] == [1, 2, 3, 4, 5, 6]


def test_what_was_known_then_is_not_asked_of_states(api: RunningApi) -> None:
    with api.client("read-sealed") as analyst:
        refused = analyst.get("/v1/analytics/service", params={"recorded_by": "2026-03-01T00:00:00Z"})
        assert refused.status_code in {400, 422} and "happened_by" in refused.text
        then = {"from": "2026-03-01", "to": "2026-03-06", "happened_by": "2026-03-02T12:00:00Z"}
        answer = analyst.get("/v1/analytics/service", params=then).json()
        assert (answer["total"]["opened"], answer["to"]) == (2, "2026-03-02T12:00:00.000001Z")
