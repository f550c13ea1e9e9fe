"""Do the figures of selling equal what the rules of deals, and plain sums, make of the same histories?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pytest

from domain.deal_state import DealState, fold_deal
from domain.work import Step
from projections.insight.asking import Times, Window
from projections.insight.pipeline import Deals, PipelineReader, StageOf
from tests.support.api import RunningApi, running_api
from tests.support.insight import LAST, ask, percentile
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage, stage
from tests.support.story import START, event

DAY = 24 * 60
ALL = Deals("sales")
STAGES = [StageOf("sales", "new", 10), StageOf("sales", "offer", 50)]


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def sales(whole: Stage) -> Stage:
    whole.begin()
    return whole


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


@dataclass
class Book:
    """Tells what happens to deals of another system, and keeps the same for a plain reading."""

    events: list[dict[str, Any]] = field(default_factory=list)
    steps: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))

    def tell(self, at: int, type_: str, item: str, **content: Any) -> None:
        """at: minutes after START, one event a minute at most for each deal."""
        raw = event(len(self.events), source="crm/x", type=type_, time=minute(at).isoformat())
        data = {
            "who": [{"kind": "email", "value": "ann@example.org"}],
            "refs": [{"kind": "deal", "value": item}],
            "content": content,
        }
        self.events.append({**raw, "data": data})
        self.steps[item].append(Step(type_, minute(at), content, None, 0, f"{len(self.events):032x}"))

    def states(self) -> dict[str, DealState]:
        """What the rules make of each deal."""
        found = {}
        for item, steps in self.steps.items():
            state: DealState | None = None
            for step in sorted(steps, key=lambda one: one.at):
                state = fold_deal(state, step)
            assert state is not None
            found[item] = state
        return found


def publish(sales: Stage, book: Book) -> None:
    sales.feed(sales.publish([(one, 400 * DAY) for one in book.events]))


def period(start: int = 0, end: int = 60 * DAY, zone: str = "Europe/London") -> Window:
    return Window(minute(start), minute(end), zone, minute(end))


def reader(sales: Stage, method: str, *asked: Any) -> Any:
    return ask(sales.story.dsn, lambda pool: getattr(PipelineReader(pool), method)(*asked))


def test_what_is_open_is_weighted_by_the_probability_of_the_deal_and_else_of_its_stage(sales: Stage) -> None:
    book = Book()
    book.tell(0, "deal.created", "a", stage="new", amount="100", currency="GBP", expected_close="2026-05-20")
    book.tell(1, "deal.created", "b", stage="new", amount="50", currency="GBP", probability="80")
    book.tell(2, "deal.created", "c", stage="offer", amount="30", currency="EUR", expected_close="2026-05-02")
    book.tell(3, "deal.created", "d", stage="elsewhere", amount="7", currency="GBP", expected_close="2026-06-01")
    book.tell(4, "deal.created", "e", stage="new", amount="9", currency="GBP")
    book.tell(5, "deal.won", "e")
    publish(sales, book)
    standing, coming = reader(sales, "open", ALL, STAGES)
    assert {tuple(one) for one in standing} == {
        ("sales", "new", "GBP", 2, 150, 50), ("sales", "offer", "EUR", 1, 30, 15),
        ("sales", "elsewhere", "GBP", 1, 7, 0),
    }  # fmt: skip
    assert {tuple(one) for one in coming} == {
        ("2026-05", "GBP", 1, 100, 10), ("2026-05", "EUR", 1, 30, 15), ("2026-06", "GBP", 1, 7, 0),
        (None, "GBP", 1, 50, 40),
    }  # fmt: skip


def by_chance(pick: Random) -> Book:
    """Forty deals that walk, are won, lost and taken up again, within sixty days and some after."""
    book = Book()
    for number in range(40):
        at, item = pick.randrange(50 * DAY), f"d{number}"
        team, origin = pick.choice(["red", "blue"]), pick.choice(["web", "fair"])
        book.tell(
            at, "deal.created", item, stage="new", amount=f"{pick.randrange(1, 9999) / 100:.2f}",
            currency=pick.choice(["GBP", "EUR"]), team=team, origin=origin, assignee=pick.choice(["ann", "ben"]),
        )  # fmt: skip
        for _ in range(pick.randrange(6)):
            at += pick.randrange(1, 8 * DAY)
            type_ = pick.choice(["deal.stage_changed"] * 4 + ["deal.won", "deal.lost", "deal.reopened"])
            content: dict[str, Any] = {"reason": pick.choice(["price", "silence"])} if type_ == "deal.lost" else {}
            if type_ == "deal.stage_changed":
                content = {"stage": pick.choice(["new", "offer", "terms"])}
                if pick.random() < 0.1:
                    content["pipeline"] = "partners"
            book.tell(at, type_, item, **content)
    return book


def times(seconds: list[float]) -> Times:
    return Times(
        len(seconds), percentile(seconds, 0.5), percentile(seconds, 0.9), fmean(seconds) if seconds else None
    )


def within(at: datetime | None, window: Window) -> bool:
    return at is not None and window.start <= at < window.end


@pytest.mark.parametrize("seed", range(3))
def test_deals_won_and_lost_are_those_that_the_rules_tell(sales: Stage, seed: int) -> None:
    book, window = by_chance(Random(seed)), period()
    publish(sales, book)
    states = list(book.states().values())
    whole, groups, reasons = reader(sales, "closed", window, ALL, "team")
    for group, chosen in [
        (whole, states),
        *[(one, [each for each in states if each.team == one.key]) for one in groups],
    ]:
        created = [one for one in chosen if within(one.created_at, window)]
        won = [one for one in chosen if one.status == "won" and within(one.closed_at, window)]
        lost = [one for one in chosen if one.status == "lost" and within(one.closed_at, window)]
        assert (group.created, group.won, group.lost) == (len(created), len(won), len(lost))
        cycle = [(one.closed_at - one.created_at).total_seconds() for one in won]  # type: ignore[operator]
        assert group.cycle == pytest.approx(times(cycle))
        for worth in group.worth:
            of = [
                [one.amount for one in some if one.amount is not None and one.currency == worth.currency]
                for some in (created, won, lost)
            ]
            assert (worth.created, worth.won, worth.lost) == tuple(sum(one, Decimal(0)) for one in of)
            assert worth.sized == len(of[1])
    lost = [one for one in states if one.status == "lost" and within(one.closed_at, window)]
    expected = Counter((one.reason, one.currency) for one in lost)
    assert {(one.reason, one.currency): one.deals for one in reasons} == expected
    assert {one.key for one in groups} == {"red", "blue"}


@pytest.mark.parametrize("seed", range(3))
def test_stays_in_stages_and_where_deals_went_are_those_that_the_rules_tell(sales: Stage, seed: int) -> None:
    book, window = by_chance(Random(100 + seed)), period(5 * DAY, 40 * DAY)
    publish(sales, book)
    stayed: dict[tuple[str, str], list[float]] = defaultdict(list)
    entered, closed = Counter[Any](), Counter[Any]()
    states = book.states()
    for state in states.values():
        been = {(one.within or "sales", one.place) for one in state.stays}
        for one in state.stays:
            key = (one.within or "sales", one.place)
            entered[key] += within(one.since, window)
            if within(one.until, window):
                stayed[key].append((one.until - one.since).total_seconds())  # type: ignore[operator]
        if within(state.closed_at, window):
            closed.update((*key, state.status) for key in been)
    stages, moves = reader(sales, "stages", window, ALL)
    told = {(one.pipeline, one.stage): one for one in stages}
    assert {key: one.entered for key, one in told.items() if one.entered} == +entered
    assert {key: one.stayed for key, one in told.items() if one.stayed.measured} == {
        key: pytest.approx(times(seconds)) for key, seconds in stayed.items()
    }
    assert {(*key, "won"): one.won for key, one in told.items() if one.won} == {
        key: count for key, count in closed.items() if key[2] == "won"
    }
    assert {(*key, "lost"): one.lost for key, one in told.items() if one.lost} == {
        key: count for key, count in closed.items() if key[2] == "lost"
    }
    for key, seconds in stayed.items():
        assert sum(one.deals for one in moves if (one.pipeline, one.stage) == key) == len(seconds)
    went = Counter[Any]()
    for state in states.values():
        for one, after in zip(state.stays, [*state.stays[1:], None], strict=True):
            if within(one.until, window):
                direct = after is not None and after.since == one.until
                went[one.place, after.place if direct and after is not None else "closed"] += 1
    found = Counter[Any]()
    for move in moves:
        found[move.stage, "closed" if move.to in {"won", "lost"} else move.to] += move.deals
    assert found == went


def test_a_figure_opens_into_its_deals(sales: Stage) -> None:
    book = Book()
    for number, item in enumerate("abc"):
        book.tell(number, "deal.created", item, amount="5", currency="GBP", assignee="ann" if item != "b" else "ben")
        book.tell(10 + number, "deal.lost", item, reason="price")
    publish(sales, book)
    found = reader(sales, "deals", period(), ALL, "lost", ("assignee", "ann"), LAST, 10)
    assert [(one.ref, one.reason) for one in found] == [("deal:c", "price"), ("deal:a", "price")]
    assert len(reader(sales, "deals", period(), ALL, "lost", None, LAST, 2)) == 2
    assert reader(sales, "deals", period(end=5), ALL, "lost", None, LAST, 2) == []


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def test_S15_pipeline_forecast_conversion_size_cycle_and_win_rate(api: RunningApi) -> None:
    book = Book()
    for item, amount, end in (("a", "100", "won"), ("b", "60", "lost"), ("c", "200", "won"), ("d", "50", None)):
        book.tell(0, "deal.created", item, stage="new", amount=amount, currency="GBP", assignee="ann", origin="web")
        book.tell(DAY, "deal.stage_changed", item, stage="proposal", expected_close="2026-04-10")
        if end is not None:
            book.tell(3 * DAY, f"deal.{end}", item, **({"reason": "price"} if end == "lost" else {}))
    api.story.publish(*book.events)
    api.project()
    asked = {"from": "2026-03-01", "to": "2026-03-31"}
    with api.client("read-sealed") as analyst:

        def told(path: str, **more: Any) -> Any:
            answer = analyst.get(f"/v1/analytics/pipeline{path}", params=more)
            assert answer.status_code == 200, answer.text
            return answer.json()

        standing = told("")
        assert standing["open"] == [
            {"pipeline": "sales", "stage": "proposal", "currency": "GBP", "deals": 1, "amount": "50.00",
             "weighted": "25.00"}
        ]  # fmt: skip
        assert [(one["month"], one["weighted"]) for one in standing["forecast"]] == [("2026-04", "25.00")]
        closed = told("/deals", by="assignee", **asked)
        [ann] = closed["series"]
        assert (ann["key"], ann["created"], ann["won"], ann["lost"], ann["win_rate"]) == ("ann", 4, 2, 1, 0.6667)
        assert ann["cycle"]["median_s"] == 3 * DAY * 60
        assert ann["worth"] == [
            {"currency": "GBP", "created": "410.00", "won": "300.00", "lost": "60.00", "average": "150.00"}
        ]
        assert closed["lost_reasons"] == [{"reason": "price", "currency": "GBP", "deals": 1, "amount": "60.00"}]
        new, proposal = told("/stages", **asked)["stages"]
        assert (new["stage"], new["entered"], new["moves"]) == (
            "new", 4, [{"to": "proposal", "deals": 4, "share": 1}]
        )  # fmt: skip
        assert (proposal["win_rate"], proposal["stayed"]["median_s"]) == (0.6667, 2 * DAY * 60)
        assert {one["to"]: one["share"] for one in proposal["moves"]} == {"won": 0.6667, "lost": 0.3333}
        behind = told("/events", what="won", limit=1, **asked)
        assert len(behind["deals"]) == 1
        assert len(told("/events", what="won", limit=1, cursor=behind["next"], **asked)["deals"]) == 1
        assert told("/deals", team="nobody", **asked)["total"]["created"] == 0
