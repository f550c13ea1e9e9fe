"""Do scores, sentiment, complaints and questions come to what a plain reading of the same events finds?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from projections.insight.asking import Window
from projections.insight.feedback import FeedbackReader, Moods, Opinions, Page, Scores
from projections.insight.products import ProductsReader
from tests.support.api import RunningApi, running_api
from tests.support.insight import LAST, ask
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage, stage
from tests.support.story import START, event

EVER = datetime(9999, 12, 31, tzinfo=UTC)
DAY = 24 * 60
LATER = 60 * 24 * 60
"""The minute that everything was recorded, behind all that happened."""


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


def window(start: int = 0, end: int = 30 * DAY, zone: str = "UTC") -> Window:
    return Window(minute(start), minute(end), zone, minute(end))


def said(number: int, at: int, type_: str, who: str = "ann", **content: Any) -> dict[str, Any]:
    """An event of a customer; `refs`, `about`, `channel` and `actor` are taken out of the content."""
    data: dict[str, Any] = {"who": [{"kind": "email", "value": f"{who}@example.org"}] if who else []}
    for part in ("refs", "about", "channel", "actor"):
        if part in content:
            data[part] = content.pop(part)
    return event(
        number, type=type_, source="test/all", time=minute(at).isoformat(), data={**data, "content": content}
    )


def publish(shop: Stage, *events: dict[str, Any], at: int = LATER) -> None:
    shop.feed(shop.publish([(one, at) for one in events]))


def product(code: str) -> list[dict[str, str]]:
    return [{"kind": "product", "value": code}]


def enriched(number: int, of: int, at: int, sentiment: str, method: str = "vader-1") -> dict[str, Any]:
    about = [{"source": "test/all", "id": f"e-{of}", "relation": "enriches"}]
    raw = said(number, at, "touchpoint.enriched", "", about=about, sentiment=sentiment, method=method)
    return {**raw, "source": "storyline/enrichment"}


def opinions(shop: Stage, by: str = "month", **chosen: Any) -> tuple[Opinions, dict[str | None, Opinions]]:
    wanted = Scores(chosen.pop("recorded_by", EVER), **chosen)
    total, groups = ask(shop.story.dsn, lambda pool: FeedbackReader(pool).opinions(window(), wanted, by))
    return total, {one.key: one for one in groups}


def test_satisfied_is_four_fifths_of_the_best_score_and_more(shop: Stage) -> None:
    scores = [("5", "5"), ("4", "5"), ("3", "5"), ("8", "10"), ("7", "10"), ("6", "7"), ("5", "7"), ("4", None)]
    told = [
        said(number, number, "survey.answered", measure="csat", score=score, **({"best": best} if best else {}))
        for number, (score, best) in enumerate(scores)
    ]
    publish(shop, *told)
    total, _ = opinions(shop)
    assert (total.csat, total.satisfied) == (8, 5)


def test_promoters_less_detractors_and_only_of_scores_from_0_to_10(shop: Stage) -> None:
    scores = ["10", "9", "8", "7", "6", "0", "11", "-1"]
    told = [said(n, n, "survey.answered", measure="nps", score=score) for n, score in enumerate(scores)]
    told.append(said(20, 20, "survey.answered", measure="nps", score="5", best="5"))
    publish(shop, *told)
    total, _ = opinions(shop)
    assert (total.nps, total.promoters, total.detractors) == (6, 2, 2)


def plain(told: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Counts and means, from the contents alone."""

    def of(measure: str) -> list[tuple[Decimal, Decimal | None]]:
        found = [one for one in told if one["measure"] == measure]
        return [(Decimal(one["score"]), Decimal(one["best"]) if one.get("best") else None) for one in found]

    csat = of("csat")
    satisfied = [score for score, best in csat if score >= (best or 5) * Decimal("0.8")]
    nps = [score for score, best in of("nps") if (best or 10) == 10 and 0 <= score <= 10]
    ces, reviews = of("ces"), of("review")
    return (
        len(csat), len(satisfied), len(nps), sum(one >= 9 for one in nps), sum(one <= 6 for one in nps),
        len(ces), mean([float(score) for score, _ in ces]),
        mean([float(score / best) for score, best in ces if best]),
        len(reviews), mean([float(score) for score, _ in reviews]),
        mean([float(score / best) for score, best in reviews if best]),
    )  # fmt: skip


def mean(values: list[float]) -> float | None:
    return fmean(values) if values else None


def by_chance(pick: Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(events, what each says): scores of all kinds, of two products, channels and teams."""
    events, told = [], []
    for number in range(200):
        at = pick.randrange(30 * DAY)
        measure = pick.choice(["csat", "nps", "ces", "review", "other"])
        best, score = pick.choice(["5", "7", "10", None]), str(pick.randrange(0, 11))
        code, channel, team = pick.choice(["p1", "p2"]), pick.choice(["web", "shop"]), pick.choice(["red", "blue"])
        content = {"best": best} if best else {}
        more: dict[str, Any] = {"channel": channel, "actor": {"kind": "team", "code": team}}
        if measure == "review":
            events.append(said(number, at, "review.posted", product=code, rating=score, **content, **more))
        else:
            more["refs"] = product(code)
            events.append(said(number, at, "survey.answered", measure=measure, score=score, **content, **more))
        told.append({"measure": measure, "score": score, "best": best, "at": minute(at), "product": code,
                     "channel": channel, "team": team})  # fmt: skip
    return events, told


def key_of(told: dict[str, Any], by: str, zone: str) -> str:
    local = told["at"].astimezone(ZoneInfo(zone))
    moments = {"day": f"{local:%Y-%m-%d}", "weekday": str(local.isoweekday()), "hour": f"{local:%H}"}
    return moments.get(by) or str(told[by])


def test_scores_come_to_what_a_plain_reading_finds_in_every_grouping_and_zone(shop: Stage) -> None:
    events, every = by_chance(Random(1))
    publish(shop, *events)
    for by in ("day", "weekday", "hour", "product", "channel", "team"):
        for zone in ("Europe/London", "Australia/Lord_Howe"):
            groups = defaultdict(list)
            for one in every:
                groups[key_of(one, by, zone)].append(one)
            asked = window(zone=zone)
            total, found = ask(
                shop.story.dsn,
                lambda pool, asked=asked, by=by: FeedbackReader(pool).opinions(  # type: ignore[misc]
                    asked, Scores(EVER), by
                ),
            )
            assert {group.key for group in found} == set(groups)
            for group in [*found, total]:
                told = every if group.key is None else groups[group.key]
                numbers = [float(value) if isinstance(value, Decimal) else value for value in group[1:]]
                assert numbers == pytest.approx(list(plain(told))), (by, zone, group.key)


def test_a_score_that_was_taken_back_does_not_count_and_an_amended_one_counts_as_it_is_right(shop: Stage) -> None:
    publish(
        shop,
        said(1, 1, "survey.answered", measure="csat", score="1", best="5"),
        said(2, 2, "survey.answered", measure="csat", score="1", best="5"),
        said(3, 3, "event.retracted", "", about=[{"source": "test/all", "id": "e-1", "relation": "retracts"}]),
        said(
            4, 4, "event.amended", "", about=[{"source": "test/all", "id": "e-2", "relation": "corrects"}],
            type="survey.answered", content={"measure": "csat", "score": "5", "best": "5"},
        ),
    )  # fmt: skip
    total, _ = opinions(shop)
    assert (total.csat, total.satisfied) == (1, 1)


def test_scores_of_a_customer_and_what_was_known_then(shop: Stage) -> None:
    publish(shop, said(1, 1, "survey.answered", "ann", measure="csat", score="5"), at=10)
    publish(shop, said(2, 2, "survey.answered", "bob", measure="csat", score="1"), at=5000)
    assert opinions(shop)[0].csat == 2
    assert opinions(shop, recorded_by=minute(100))[0].csat == 1
    [(ann,)] = shop.story.rows("SELECT customer FROM identity.evidences WHERE first_at = %s", minute(1))
    assert (opinions(shop, customer=ann)[0].satisfied, opinions(shop, customer=ann)[0].csat) == (1, 1)
    assert opinions(shop, customer=UUID(int=7))[0].csat == 0
    page = Page(LAST, 10, "month", "2026-03")
    found = ask(shop.story.dsn, lambda pool: FeedbackReader(pool).scores(window(), Scores(EVER), "csat", page))
    assert [(one.score, one.event.partition("#")[0]) for one in found] == [
        (Decimal(1), "test/all"),
        (Decimal(5), "test/all"),
    ]


def test_of_each_text_what_was_derived_last_counts_and_only_what_customers_wrote(shop: Stage) -> None:
    publish(
        shop,
        said(1, 1, "email.received", refs=product("p1")),
        said(2, DAY, "chat.message_received", refs=[*product("p1"), *product("p2")]),
        said(3, 2, "email.sent", refs=product("p1")),
        said(4, 3, "email.received"),
        said(5, 4, "event.retracted", "", about=[{"source": "test/all", "id": "e-4", "relation": "retracts"}]),
        enriched(11, 1, 100, "0.9", "vader-1"),
        enriched(12, 1, 200, "-0.6", "vader-2"),
        enriched(13, 2, 100, "0.04"),
        enriched(14, 3, 100, "-1"),
        enriched(15, 4, 100, "-1"),
    )
    reader = FeedbackReader
    total, groups = ask(shop.story.dsn, lambda pool: reader(pool).sentiment(window(), Moods(EVER), "product"))
    assert total[1:] == (2, Decimal("-0.28"), 1, 0)
    assert {one.key: (one.texts, one.negative) for one in groups} == {"p1": (2, 1), "p2": (1, 0)}
    total, groups = ask(
        shop.story.dsn, lambda pool: reader(pool).sentiment(window(), Moods(EVER, method="vader-1"), "channel")
    )
    assert total[1:] == (2, Decimal("0.47"), 0, 1)
    assert {one.key: one.texts for one in groups} == {"email": 1, "chat": 1}
    found = ask(shop.story.dsn, lambda pool: reader(pool).moods(window(), Moods(EVER), "negative", Page(LAST, 9)))
    assert [(one.at, one.sentiment, one.method) for one in found] == [(minute(1), Decimal("-0.6"), "vader-2")]


def bought(number: int, at: int, code: str, who: str = "ann", quantity: str = "1", **more: Any) -> dict[str, Any]:
    lines = [{"product": code, "quantity": quantity, "amount": "10"}]
    type_ = more.pop("type_", "purchase.made")
    return said(number, at, type_, who, amount="10", currency="GBP", lines=lines, **more)


def test_complaints_are_counted_once_each_and_set_against_what_was_sold(shop: Stage) -> None:
    publish(
        shop,
        bought(1, 1, "p1", quantity="30"),
        bought(2, 2, "p1", quantity="10"),
        bought(3, 3, "p2", quantity="5"),
        bought(4, 4, "p1", type_="refund.made"),
        said(5, 5, "review.posted", product="p1", rating="2", best="5"),
        enriched(6, 5, 50, "-0.8"),  # the same review once more
        said(7, 6, "review.posted", product="p1", rating="3", best="5"),
        said(8, 7, "ticket.opened", refs=[{"kind": "ticket", "value": "T1"}], product="p1"),
        enriched(9, 8, 50, "-0.9"),  # `about` the id e-8, which nothing has
        said(10, 8, "email.received", refs=product("p2")),
        enriched(11, 10, 60, "-0.5"),
        said(12, 9, "email.received", refs=product("p2")),
        enriched(13, 12, 60, "0.5"),
    )
    found = ask(shop.story.dsn, lambda pool: ProductsReader(pool).complained(window(), None, 10))
    assert [tuple(one) for one in found] == [("p1", 3, 1, 1, 1, 1, 40), ("p2", 1, 0, 0, 0, 1, 5)]
    behind = ask(shop.story.dsn, lambda pool: ProductsReader(pool).complaints(window(), "p1", LAST, 10))
    assert [one.how for one in behind] == ["ticket", "mood", "refund"]
    assert [one.event is None for one in behind] == [True, False, False]


def test_S24_questions_are_those_before_the_first_purchase_of_the_same_customer(shop: Stage) -> None:
    publish(
        shop,
        said(1, 10, "email.received", "ann", refs=product("p1")),
        said(2, 20, "chat.message_received", "ann", refs=product("p1")),
        said(3, 25, "email.sent", "ann", refs=product("p1")),
        said(4, 26, "page.viewed", "ann", refs=product("p1")),
        bought(5, 30, "p1", "ann"),
        said(6, 40, "email.received", "ann", refs=product("p1")),  # after it
        bought(7, 50, "p1", "ann"),
        said(8, 10, "email.received", "bob", refs=product("p1")),  # never bought
        said(9, 10, "email.received", "eve", refs=product("p2")),
        bought(10, 10 + 31 * DAY, "p2", "eve"),  # too long after
        said(11, 10, "email.received", "kim", refs=product("p1")),
        bought(12, 70, "p1", "kim", refs=[{"kind": "product", "value": "p1"}]),
    )
    found = ask(shop.story.dsn, lambda pool: ProductsReader(pool).questioned(window(), None, 30, 10))
    assert [tuple(one) for one in found] == [("p1", 3, 2, 20 * 60)]
    behind = ask(shop.story.dsn, lambda pool: ProductsReader(pool).questions(window(), "p1", 30, LAST, 10))
    assert [one.how for one in behind] == ["chat.message_received", "email.received", "email.received"]
    assert ask(shop.story.dsn, lambda pool: ProductsReader(pool).questioned(window(), "p2", 60, 10))


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def test_S44_satisfaction_and_sentiment_are_shown_by_period_product_and_customer(api: RunningApi) -> None:
    score = {"measure": "csat", "best": "5"}
    api.story.publish(
        said(1, 0, "survey.answered", "ann", **score, score="5", refs=product("p1")),
        said(2, DAY, "survey.answered", "ann", **score, score="2", refs=product("p1")),
        said(3, DAY, "survey.answered", "bob", measure="nps", score="9"),
        said(4, DAY, "review.posted", "bob", rating="1", best="5", product="p1"),
        enriched(5, 4, 2 * DAY, "-0.75"),
        bought(6, 0, "p1", "bob", quantity="4"),
    )
    api.project()
    asked = {"from": "2026-03-01", "to": "2026-03-31"}
    with api.client("read-sealed") as analyst:

        def told(path: str, **more: Any) -> Any:
            answer = analyst.get(f"/v1/analytics/{path}", params={**asked, **more})
            assert answer.status_code == 200, answer.text
            return answer.json()

        feedback = told("feedback", by="day")
        assert [(one["key"], one["csat"]["share"]) for one in feedback["series"]] == [
            ("2026-03-01", 1), ("2026-03-02", 0)
        ]  # fmt: skip
        assert feedback["total"]["nps"] == {"answers": 1, "promoters": 1, "detractors": 0, "score": 100}
        ann = api.customer("ann@example.org")
        assert told("feedback", customer=ann)["total"]["csat"] == {"answers": 2, "satisfied": 1, "share": 0.5}
        scores = told("feedback/events", by="day", key="2026-03-02", measure="csat")
        assert [(one["score"], one["customer"]) for one in scores["scores"]] == [(2, ann)]
        mood = told("sentiment", by="product")
        assert mood["series"] == [
            {"key": "p1", "texts": 1, "mean": -0.75, "negative": 1, "positive": 0, "share_negative": 1}
        ]
        assert [one["sentiment"] for one in told("sentiment/events", tone="negative")["moods"]] == [-0.75]
        [complaint] = told("products/complaints")["products"]
        assert (complaint["complaints"], complaint["sold"], complaint["per_thousand"]) == (1, 4, 250)
        assert len(told("products/complaints/events", product="p1")["voices"]) == 1
        assert told("products/questions")["products"] == []
        assert told("products/questions/events", product="p1")["voices"] == []
        page = told("feedback/events", limit=2)
        assert len(page["scores"]) == 2 and len(told("feedback/events", limit=2, cursor=page["next"])["scores"]) == 2
