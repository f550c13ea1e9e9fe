"""Do scores, cohorts, returning customers and cancellations come to what a plain reading of the same events finds?"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.configuration import Rfm
from domain.rfm import Scores, scores_of
from projections.insight.asking import Window
from projections.insight.cancellations import CancellationsReader
from projections.insight.customers import CustomersReader, When
from tests.support.api import RunningApi, running_api
from tests.support.insight import LAST, ask
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage, stage
from tests.support.story import START, event

EVER = datetime(9999, 12, 31, tzinfo=UTC)
DAY = 24 * 60
RULES = Rfm(recency_days=[10, 20, 40, 80], frequency=[2, 3, 4, 5], monetary=[10, 50, 100, 200])
PEOPLE = ["ann", "bob", "eve", "kim"]
EXAMPLES = int(os.environ.get("STORYLINE_TEST_EXAMPLES", "8"))
"""Of histories; by hand a thousand: STORYLINE_TEST_EXAMPLES=1000."""


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def shop(whole: Stage) -> Stage:
    whole.begin()
    return whole


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def of(number: int | str, at: int, type_: str, who: list[str], **content: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"who": [{"kind": "email", "value": f"{one}@example.org"} for one in who]}
    for part in ("refs", "about"):
        if part in content:
            data[part] = content.pop(part)
    return event(
        number, type=type_, source="test/all", time=minute(at).isoformat(), data={**data, "content": content}
    )


def buys(number: int, at: int, who: list[str], amount: str, order: str = "", **more: Any) -> dict[str, Any]:
    refs = [{"kind": "order", "value": order}] if order else []
    type_ = more.pop("type_", "purchase.made")
    return of(number, at, type_, who, amount=amount, currency=more.pop("currency", "GBP"), refs=refs)


def fed(shop: Stage, events: list[dict[str, Any]], at: int = 900 * DAY, *order: int) -> None:
    published = shop.publish([(one, at) for one in events])
    told = [published[place] for place in order] or published
    third = len(told) // 3 + 1
    shop.feed(*[told[place : place + third] for place in range(0, len(told), third)])


def reader(shop: Stage, method: str, *asked: Any) -> Any:
    return ask(shop.story.dsn, lambda pool: getattr(CustomersReader(pool), method)(*asked))


class Plain:
    """People and purchases, out of the events alone: people are one who share an address; an order that is named
    twice is one."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.home: dict[str, str] = {}
        for one in events:
            names = [who["value"] for who in one["data"]["who"]]
            for name in names:
                self.home.setdefault(name, name)
            roots = {self.home[name] for name in names}
            self.home = {name: min(roots) if root in roots else root for name, root in self.home.items()}
        self.bought: dict[str, list[tuple[datetime, str, Decimal, str]]] = defaultdict(list)
        for place, one in enumerate(events):
            if one["type"] == "purchase.made":
                refs = one["data"]["refs"]
                key = refs[0]["value"] if refs else str(place)
                content = one["data"]["content"]
                sale = (datetime.fromisoformat(one["time"]), key, Decimal(content["amount"]), content["currency"])
                self.bought[self.home[one["data"]["who"][0]["value"]]].append(sale)

    def scores(self, now: datetime) -> dict[str, Scores]:
        found = {}
        for who, every in self.bought.items():
            until = [one for one in every if one[0] <= now]
            if until:
                revenue = sum((one[2] for one in until if one[3] == "GBP"), Decimal(0))
                scores = scores_of(max(until)[0], len({one[1] for one in until}), revenue, now, RULES)
                assert scores is not None
                found[who] = scores
        return found


@st.composite
def histories(draw: Any) -> list[dict[str, Any]]:
    """Purchases and contacts at different minutes of 120 days; two people in one event make them one."""
    count = draw(st.integers(1, 14))
    moments = draw(st.lists(st.integers(0, 120 * DAY), min_size=count, max_size=count, unique=True))
    events = []
    for number, at in enumerate(moments):
        who = draw(st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True))
        if draw(st.integers(0, 4)) == 0:
            events.append(of(number, at, "email.received", who, subject="Hello"))
        else:
            amount = f"{draw(st.decimals(0, 120, places=2)):f}"
            currency = draw(st.sampled_from(["GBP", "GBP", "EUR"]))
            events.append(buys(number, at, who, amount, currency=currency))
    return events


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories(), st.integers(0, 200 * DAY), st.randoms(use_true_random=False))
def test_scores_are_those_of_the_rules_in_any_order_through_merges(
    whole: Stage, events: list[dict[str, Any]], now: int, random: Random
) -> None:
    whole.begin()
    order = list(range(len(events)))
    random.shuffle(order)
    fed(whole, events, 900 * DAY, *order)
    when = When(minute(now), EVER)
    expected = Plain(events).scores(minute(now))
    found = reader(whole, "loyal", when, RULES, 100)
    told = Counter((one.recency, one.frequency, one.monetary) for one in found)
    assert told == Counter(one[:3] for one in expected.values())
    ranks = [one.recency + one.frequency + one.monetary for one in found]
    assert ranks == sorted(ranks, reverse=True)
    classes = {one.code: one.customers for one in reader(whole, "classes", when, RULES) if one.customers}
    assert classes == Counter(one.code for one in expected.values())
    for code, count in classes.items():
        assert len(reader(whole, "members", when, RULES, code, LAST, 100)) == count
    for one in found:
        assert reader(whole, "one", when, RULES, one.customer) == one


def test_what_is_counted_twice_by_two_systems_is_one_order(shop: Stage) -> None:
    other = {**buys(2, 20, ["ann"], "10", "O1"), "source": "test/other"}
    fed(shop, [buys(1, 10, ["ann"], "10", "O1"), other, buys(3, 30, ["ann"], "4", "O1", type_="refund.made")])
    [ann] = reader(shop, "loyal", When(minute(DAY), EVER), RULES, 10)
    assert (ann.orders, ann.revenue, ann.refunds, ann.frequency, ann.monetary) == (1, 10, 4, 1, 2)


def test_who_only_got_money_back_has_no_scores_and_what_was_not_known_does_not_count(shop: Stage) -> None:
    fed(shop, [buys(1, 10, ["ann"], "10", type_="refund.made"), buys(2, 20, ["bob"], "10")], at=DAY)
    late = buys(3, 30, ["bob"], "10")
    fed(shop, [late], at=9 * DAY)
    assert [one.orders for one in reader(shop, "loyal", When(minute(DAY), EVER), RULES, 10)] == [2]
    assert [one.orders for one in reader(shop, "loyal", When(minute(DAY), minute(2 * DAY)), RULES, 10)] == [1]
    assert reader(shop, "one", When(minute(DAY), EVER), RULES, UUID(int=9)) is None


def month_of(at: datetime, zone: str) -> tuple[int, int]:
    local = at.astimezone(ZoneInfo(zone))
    return local.year, local.month


@pytest.mark.parametrize("zone", ["Europe/London", "Pacific/Auckland"])
def test_cohorts_and_returning_customers_are_those_of_a_plain_reading(shop: Stage, zone: str) -> None:
    pick = Random(5)
    people = [f"p{number}" for number in range(25)]
    events = []
    for number in range(150):
        who = pick.choice(people)
        of_several = f"{who}-{pick.randrange(2)}" if pick.random() < 0.4 else ""  # one order in several parts
        events.append(
            buys(
                number, pick.randrange(400 * DAY), [who], f"{pick.randrange(1, 9000) / 100:.2f}", of_several,
                currency=pick.choice(["GBP", "GBP", "EUR"]),
            )
        )  # fmt: skip
    unknown = [
        buys(900 + day, day * DAY, [], "7", order) for day, order in ((1, ""), (150, "N1"), (151, "N1"), (152, ""))
    ]
    fed(shop, [*events, *unknown])
    plain = Plain(events).bought
    window = Window(minute(0), minute(300 * DAY), zone, minute(390 * DAY))
    expected: dict[tuple[str, int], tuple[int, int, Decimal]] = {}
    for every in plain.values():
        first = min(every)[0]
        year, month = month_of(first, zone)
        if not window.start <= first < window.end:
            continue
        since: dict[int, list[Any]] = defaultdict(list)
        for one in every:
            if one[0] <= window.now:
                y, m = month_of(one[0], zone)
                since[(y - year) * 12 + m - month].append(one)
        for months, sales in since.items():
            customers, orders, revenue = expected.get((f"{year}-{month:02}", months), (0, 0, Decimal(0)))
            gbp = sum((one[2] for one in sales if one[3] == "GBP"), Decimal(0))
            keys = len({one[1] for one in sales})
            expected[f"{year}-{month:02}", months] = (customers + 1, orders + keys, revenue + gbp)
    found = reader(shop, "cohorts", window, EVER)
    assert {(one.month, one.since): (one.customers, one.orders) for one in found if one.currency is None} == {
        key: value[:2] for key, value in expected.items()
    }
    assert {(one.month, one.since): one.revenue for one in found if one.currency == "GBP"} == {
        key: value[2] for key, value in expected.items() if value[2]
    }
    returning(shop, plain, Window(minute(100 * DAY), minute(300 * DAY), zone, minute(390 * DAY)))


def returning(shop: Stage, plain: dict[str, list[Any]], window: Window) -> None:
    counts, sums = reader(shop, "loyalty", window, EVER, "month")
    groups: dict[Any, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    revenue: dict[Any, Decimal] = defaultdict(Decimal)
    for who, every in plain.items():
        first = min(every)[0]
        orders = len({one[1] for one in every if one[0] < window.end})
        for at, key, amount, currency in every:
            if not window.start <= at < window.end:
                continue
            year, month = month_of(at, window.zone)
            for group, new in (
                (f"{year}-{month:02}", month_of(first, window.zone) == (year, month)),
                (None, first >= window.start),
            ):
                into = groups[group]
                into["customers"].add(who)
                if new:
                    into["new"].add(who)
                if orders > 1:
                    into["repeat"].add(who)
                into["new_orders" if new else "returning_orders"].add(key)
                revenue[group, currency, new] += amount
    told = {one.key: one for one in counts}
    assert set(told) == set(groups)
    for key, into in groups.items():
        for name in ("customers", "new", "repeat", "new_orders", "returning_orders"):
            assert getattr(told[key], name) == len(into[name]), (key, name)
    for one in sums:
        assert one.new == revenue[one.key, one.currency, True]
        assert one.returning == revenue[one.key, one.currency, False]
    assert counts[0].key is None and counts[0].unknown_orders == 2
    assert sum(one.unknown for one in sums if one.key is None) == 21


def cancelled(number: int | str, at: int, who: str, reason: str, plan: str = "basic") -> dict[str, Any]:
    return of(number, at, "subscription.cancelled", [who], reason=reason, plan=plan)


def test_reasons_of_cancellations_count_as_they_are_right(shop: Stage) -> None:
    fed(
        shop,
        [
            cancelled(1, 10, "ann", "price"),
            cancelled(2, 20, "bob", "price", "gold"),
            cancelled(3, 30, "eve", "moved"),
            cancelled(4, 40, "kim", "moved"),
            of(5, 50, "event.retracted", [], about=[{"source": "test/all", "id": "e-3", "relation": "retracts"}]),
            of(
                6, 60, "event.amended", [], about=[{"source": "test/all", "id": "e-4", "relation": "corrects"}],
                type="subscription.cancelled", content={"reason": "price", "plan": "gold"},
            ),
            of(7, 70, "subscription.cancelled", ["ann"]),
        ],
    )  # fmt: skip
    window = Window(minute(0), minute(DAY), "UTC", minute(DAY))
    found = ask(shop.story.dsn, lambda pool: CancellationsReader(pool).reasons(window, EVER))
    assert found.whole[1:] == (4, 3)
    assert {one.code: one.cancellations for one in found.reasons} == {"price": 3, None: 1}
    assert {one.code: one.cancellations for one in found.plans} == {"gold": 2, "basic": 1, None: 1}
    told = ask(shop.story.dsn, lambda pool: CancellationsReader(pool).events(window, EVER, "price", "gold", LAST, 9))
    assert [(one.at, one.reason) for one in told] == [(minute(40), "price"), (minute(20), "price")]


def test_what_came_before_is_set_beside_what_came_to_who_stayed(shop: Stage) -> None:
    events = []
    for number, who in enumerate(["ann", "bob", "eve", "kim"]):
        events.append(of(number, number, "subscription.started", [who], plan="basic"))
    events += [
        of(10, 5 * DAY, "email.received", ["ann"], subject="Hm"),
        of(11, 5 * DAY, "touchpoint.enriched", [], sentiment="-0.7",
           about=[{"source": "test/all", "id": "e-10", "relation": "enriches"}]),
        of(12, 6 * DAY, "email.received", ["bob"], subject="Why"),
        of(13, 6 * DAY, "email.received", ["bob"], subject="Why again"),
        of(14, 6 * DAY, "survey.answered", ["bob"], measure="nps", score="3"),
        of(15, 29 * DAY, "email.received", ["eve"], subject="Nice"),
        cancelled(20, 7 * DAY, "ann", "price"),
        cancelled(21, 8 * DAY, "bob", "price"),
        of(22, 9 * DAY, "email.received", ["ann"], subject="After"),
    ]  # fmt: skip
    fed(shop, events)
    window = Window(minute(3 * DAY), minute(30 * DAY), "UTC", minute(30 * DAY))
    found = ask(shop.story.dsn, lambda pool: CancellationsReader(pool).before(window, EVER, 4))
    assert {one.signal: (one.left, one.left_total, one.stayed, one.stayed_total) for one in found} == {
        "email.received": (2, 2, 1, 2), "mood.negative": (1, 2, 0, 2), "score.low": (1, 2, 0, 2),
        "survey.answered": (1, 2, 0, 2),
    }  # fmt: skip


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def told(api: RunningApi, path: str, **asked: Any) -> Any:
    with api.client("read-sealed") as analyst:
        answer = analyst.get(f"/v1/analytics/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_S41_the_most_loyal_customers_their_class_and_who_came_back(api: RunningApi) -> None:
    sales = [("ann", day, "300") for day in (0, 20, 40, 50)] + [("bob", 1, "20"), ("bob", 45, "20"), ("eve", 55, "5")]
    api.story.publish(*[buys(n, day * DAY, [who], amount) for n, (who, day, amount) in enumerate(sales)])
    api.project()
    then = {"happened_by": minute(60 * DAY).isoformat()}
    ann, bob = api.customer("ann@example.org"), api.customer("bob@example.org")
    best = told(api, "loyal", limit=2, **then)["customers"]
    assert [one["customer"] for one in best] == [ann, bob]
    assert best[0]["scores"] == {"recency": 5, "frequency": 3, "monetary": 5, "code": "loyal"}
    assert (best[0]["orders"], best[0]["value"]) == (4, "1200.00")
    assert told(api, f"customers/{ann}/rfm", **then) == best[0]
    classes = told(api, "rfm", **then)
    assert {one["code"]: one["customers"] for one in classes["classes"] if one["customers"]} == {
        "loyal": 1, "potential": 1, "new": 1
    }  # fmt: skip
    assert [one["customer"] for one in told(api, "rfm/customers", **{"class": "potential"}, **then)["customers"]] == [
        bob
    ]
    [march, april] = told(api, "cohorts", **{"from": "2026-03-01", "to": "2026-04-30"}, **then)["cohorts"]
    assert (march["month"], march["customers"]) == ("2026-03", 2)
    assert [(one["since"], one["customers"], one["share"]) for one in march["months"]] == [(0, 2, 1), (1, 2, 1)]
    assert march["months"][1]["revenue"] == [{"currency": "GBP", "revenue": "620.00"}]
    assert april["customers"] == 1
    bought = told(api, "customers", **{"from": "2026-04-01", "to": "2026-04-30"})
    assert (bought["total"]["customers"], bought["total"]["new"], bought["total"]["repeat_rate"]) == (3, 1, 0.6667)
    assert bought["total"]["revenue"] == [
        {"currency": "GBP", "new": "5.00", "returning": "620.00", "unknown": "0.00"}
    ]
    with api.client("read-sealed") as analyst:
        assert analyst.get("/v1/analytics/customers/nobody/rfm").status_code == 404
        refused = analyst.get("/v1/analytics/rfm/customers", params={"class": "champion"})
        assert refused.status_code in {400, 422} and "champions" in refused.text


def test_S43_why_customers_cancel_and_what_came_before(api: RunningApi) -> None:
    at = 200 * DAY
    api.story.publish(
        of("s1", at - 30 * DAY, "subscription.started", ["pam"], plan="gold"),
        of("s2", at - 30 * DAY, "subscription.started", ["sue"], plan="gold"),
        of("s3", at - DAY, "ticket.opened", ["pam"], refs=[{"kind": "ticket", "value": "T9"}]),
        cancelled("s4", at, "pam", "too-slow", "gold"),
    )  # fmt: skip
    api.project()
    asked = {"from": minute(at - DAY).isoformat(), "to": minute(at + DAY).isoformat()}
    found = told(api, "cancellations", **asked)
    assert found["reasons"] == [{"code": "too-slow", "cancellations": 1, "customers": 1}]
    [opened] = [one for one in found["before"]["signals"] if one["signal"] == "ticket.opened"]
    assert opened == {
        "signal": "ticket.opened", "left": 1, "left_share": 1, "stayed": 0, "stayed_share": 0, "lift": None
    }  # fmt: skip
    [event_told] = told(api, "cancellations/events", reason="too-slow", **asked)["events"]
    assert (event_told["plan"], event_told["customer"]) == ("gold", api.customer("pam@example.org"))
