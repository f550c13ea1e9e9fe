"""Which campaign brought a sale? The parts come to the whole, whatever the model, the order, or who is who."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.attribution import DECAY, MODELS, MOST_DAYS, Model, shares, weights
from projections.insight.asking import Window
from projections.insight.attribution import AttributionReader, Question
from tests.support.api import RunningApi, running_api
from tests.support.insight import ask
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage, stage
from tests.support.story import START, event

EVER = datetime(9999, 12, 31, tzinfo=UTC)
DAY = 24 * 60
EXAMPLES = int(os.environ.get("STORYLINE_TEST_EXAMPLES", "12"))
"""Of histories; by hand a thousand: STORYLINE_TEST_EXAMPLES=1000."""
amounts = st.decimals(0, 10**12, places=2) | st.decimals(0, 10**6, places=4)


def sums(given: list[Decimal]) -> Decimal:
    return sum(given, start=Decimal(0))


@given(st.sampled_from(MODELS), st.lists(st.integers(0, MOST_DAYS), min_size=1, max_size=40), amounts)
@example("position", [3, 2, 1], Decimal("0.01"))
def test_the_parts_of_an_amount_come_to_the_whole(model: Model, ages: list[int], amount: Decimal) -> None:
    parts = shares(amount, weights(model, sorted(ages, reverse=True)))
    assert sums(parts) == amount and len(parts) == len(ages)
    assert all(part >= 0 for part in parts)


@given(st.sampled_from(MODELS), st.lists(st.integers(0, 364), min_size=1, max_size=12), amounts)
def test_no_part_is_a_whole_unit_away_from_what_is_fair(model: Model, ages: list[int], amount: Decimal) -> None:
    weighed = weights(model, sorted(ages, reverse=True))
    unit = Fraction(1, 10 ** max(2, -int(amount.as_tuple().exponent)))
    for part, weight in zip(shares(amount, weighed), weighed, strict=True):
        assert abs(Fraction(part) - Fraction(amount) * weight / sum(weighed)) < unit


@pytest.mark.parametrize(
    ("model", "fair"),
    [
        ("first", ["100", "0", "0", "0"]),
        ("last", ["0", "0", "0", "100"]),
        ("linear", ["25", "25", "25", "25"]),
        ("position", ["40", "10", "10", "40"]),
        ("time_decay", ["6.67", "13.33", "26.67", "53.33"]),
    ],
)
def test_each_model_weighs_as_the_field_knows_it(model: Model, fair: list[str]) -> None:
    assert shares(Decimal(100), weights(model, [21, 14, 7, 0])) == [Decimal(one) for one in fair]


def test_one_answer_gets_all_and_two_by_position_get_half_each() -> None:
    assert {weights(model, [5])[0] > 0 for model in get_args(Model)} == {True}
    assert shares(Decimal(3), weights("position", [5, 1])) == [Decimal("1.5"), Decimal("1.5")]


def test_an_answer_a_week_older_weighs_half_and_none_weighs_nothing() -> None:
    assert all(abs(2 * DECAY[day + 7] - DECAY[day]) <= 2 for day in range(MOST_DAYS - 6))
    assert min(DECAY) > 0


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def of(
    number: int, at: int, type_: str, who: list[str], refs: list[tuple[str, str]], **content: Any
) -> dict[str, Any]:
    data = {
        "who": [{"kind": "email", "value": f"{one}@example.org"} for one in who],
        "refs": [{"kind": kind, "value": value} for kind, value in refs],
        "content": content,
    }
    return event(number, type=type_, source="test/all", time=minute(at).isoformat(), data=data)


def purchase(number: int, at: int, who: list[str], amount: str, currency: str = "GBP", order: str = "") -> Any:
    refs = [("order", order)] if order else []
    return of(number, at, "purchase.made", who, refs, amount=amount, currency=currency)


def answer(number: int, at: int, who: list[str], campaign: str, type_: str = "email.clicked") -> Any:
    return of(number, at, type_, who, [("campaign", campaign)])


def credits_of(shop: Stage, model: Model, days: int = 30, by: Any = "campaign", **edges: Any) -> Any:
    window = Window(minute(edges.get("start", 0)), minute(edges.get("end", 90 * DAY)), "UTC", minute(90 * DAY))
    question = Question(model, days, by, edges.get("recorded_by", EVER))
    return ask(shop.story.dsn, lambda pool: AttributionReader(pool).credits(window, question))


def fed(shop: Stage, events: list[dict[str, Any]], *order: int) -> None:
    shop.begin()
    published = shop.publish([(one, 100 * DAY) for one in events])
    told = [published[place] for place in order] or published
    third = len(told) // 3 + 1
    shop.feed(*[told[place : place + third] for place in range(0, len(told), third)])


class Plain:
    """The same, out of the events alone: people are one who share an address."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.home: dict[str, str] = {}
        for one in events:
            names = [who["value"] for who in one["data"]["who"]]
            for name in names:
                self.home.setdefault(name, name)
            roots = {self.home[name] for name in names}
            self.home = {name: min(roots) if root in roots else root for name, root in self.home.items()}
        self.events = events

    def of(self, one: dict[str, Any]) -> str:
        return self.home[one["data"]["who"][0]["value"]]

    def credits(self, model: Model, days: int) -> tuple[dict[str, Decimal], dict[tuple[str, str], Decimal]]:
        """(revenue by currency, what falls to (campaign, currency))."""
        whole: dict[str, Decimal] = defaultdict(Decimal)
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        answers = [one for one in self.events if one["type"] == "email.clicked"]
        for sale in self.events:
            if sale["type"] != "purchase.made":
                continue
            amount, currency = Decimal(sale["data"]["content"]["amount"]), sale["data"]["content"]["currency"]
            whole[currency] += amount
            at = datetime.fromisoformat(sale["time"])
            path = [
                (datetime.fromisoformat(one["time"]), one["data"]["refs"][0]["value"])
                for one in answers
                if self.of(one) == self.of(sale)
            ]
            path = sorted(one for one in path if at - timedelta(days=days) < one[0] <= at)
            parts = shares(amount, weights(model, [(at - when).days for when, _ in path])) if path else []
            for (_, campaign), part in zip(path, parts, strict=True):
                found[campaign, currency] += part
        return dict(whole), {key: value for key, value in found.items() if value}


people = st.lists(st.sampled_from(["ann", "bob", "eve"]), min_size=1, max_size=2, unique=True)


@st.composite
def histories(draw: Any) -> list[dict[str, Any]]:
    """Answers and purchases at different minutes; two people in one event make them one."""
    events = []
    count = draw(st.integers(1, 12))
    moments = draw(st.lists(st.integers(0, 40 * DAY), min_size=count, max_size=count, unique=True))
    for number, at in enumerate(moments):
        who = draw(people)
        if draw(st.booleans()):
            events.append(answer(number, at, who, draw(st.sampled_from(["c1", "c2", "c3"]))))
        else:
            amount = draw(st.decimals(0, 100, places=draw(st.sampled_from([2, 3]))))
            events.append(purchase(number, at, who, f"{amount:f}", draw(st.sampled_from(["GBP", "EUR"]))))
    return events


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories(), st.sampled_from([7, 30]), st.randoms(use_true_random=False))
def test_sales_are_attributed_as_a_plain_reading_does_in_any_order_through_merges(
    whole: Stage, events: list[dict[str, Any]], days: int, random: Random
) -> None:
    order = list(range(len(events)))
    random.shuffle(order)
    fed(whole, events, *order)
    for model in MODELS:
        revenue, expected = Plain(events).credits(model, days)
        totals, credits = credits_of(whole, model, days)
        assert {(one.key, one.currency): one.amount for one in credits} == expected
        assert {one.currency: one.amount for one in totals} == revenue
        for one in totals:
            assert one.attributed == sums([each.amount for each in credits if each.currency == one.currency])


def test_only_counted_purchases_are_attributed_and_refunds_take_nothing_back(whole: Stage) -> None:
    twice = {**purchase(3, 30, ["ann"], "10", order="O1"), "source": "test/other"}
    refund = of(4, 40, "refund.made", ["ann"], [("order", "O1")], amount="4", currency="GBP")
    fed(whole, [answer(1, 10, ["ann"], "spring"), purchase(2, 20, ["ann"], "10", order="O1"), twice, refund])
    totals, credits = credits_of(whole, "last")
    assert [(one.purchases, one.amount, one.attributed) for one in totals] == [(1, 10, 10)]
    assert [(one.key, one.purchases, one.amount) for one in credits] == [("spring", 1, 10)]


def test_what_a_campaign_cost_stands_beside_what_it_brought_in_the_same_currency(whole: Stage) -> None:
    def described(number: int, at: int, **content: Any) -> Any:
        return of(number, at, "campaign.described", [], [("campaign", "spring")], **content)

    fed(
        whole,
        [
            described(1, 1, cost="100", currency="GBP"),
            described(2, 2, cost="40"),
            described(3, 3, channel="email"),
            answer(4, 10, ["ann"], "spring"),
            purchase(5, 20, ["ann"], "50"),
            purchase(6, 30, ["ann"], "70", "EUR"),
            purchase(7, 30, ["bob"], "5"),
        ],
    )
    totals, credits = credits_of(whole, "linear")
    assert [(one.currency, one.amount, one.cost) for one in credits] == [("EUR", 70, None), ("GBP", 50, 40)]
    assert [(one.currency, one.amount - one.attributed) for one in totals] == [("EUR", 0), ("GBP", 5)]


def test_channels_are_those_of_the_answers(whole: Stage) -> None:
    fed(
        whole,
        [
            answer(1, 1, ["ann"], "spring"),
            answer(2, 2, ["ann"], "spring", "page.viewed"),
            purchase(3, 20, ["ann"], "9"),
        ],
    )
    _, credits = credits_of(whole, "linear", by="channel")
    assert {one.key: one.amount for one in credits} == {"email": Decimal("4.5"), "web": Decimal("4.5")}


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def test_S33_the_campaigns_and_channels_that_bring_most_sales_by_each_model(api: RunningApi) -> None:
    api.story.publish(
        of(1, 0, "campaign.described", [], [("campaign", "spring")], cost="20", currency="GBP"),
        answer(2, 10, ["ann"], "spring"),
        answer(3, DAY, ["ann"], "summer", "page.viewed"),
        purchase(4, 2 * DAY, ["ann"], "100"),
        purchase(5, 3 * DAY, ["bob"], "30"),
    )
    api.project()
    asked = {"from": "2026-03-01", "to": "2026-03-31"}
    with api.client("read-sealed") as analyst:

        def told(path: str, **more: Any) -> Any:
            answer = analyst.get(f"/v1/analytics/{path}", params={**asked, **more})
            assert answer.status_code == 200, answer.text
            return answer.json()

        first = told("attribution", model="first")
        assert [(one["key"], one["amount"], one["cost"], one["return"]) for one in first["credits"]] == [
            ("spring", "100.00", "20.00", 4)
        ]
        assert first["currencies"] == [
            {"currency": "GBP", "purchases": 2, "revenue": "130.00", "attributed": "100.00", "unattributed": "30.00"}
        ]
        position = told("attribution", model="position", by="channel")
        assert {one["key"]: one["amount"] for one in position["credits"]} == {"email": "50.00", "web": "50.00"}
        [sale] = told("attribution/events", model="linear", key="summer")["sales"]
        assert (sale["amount"], sale["share"], sale["customer"]) == (
            "100.00",
            "50.00",
            api.customer("ann@example.org"),
        )
        assert told("attribution/events", model="first", key="summer")["sales"] == []
        assert told("attribution", model="last", window=2)["credits"][0]["amount"] == "100.00"
