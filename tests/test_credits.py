"""Does what is noted of each customer tell which campaign brought which sale, and what was asked before it, as all
purchases do, whatever was folded already? Through late events, retractions, amendments, merges, splits, and orders
that several people and sources tell of."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attribution import MODELS
from domain.configuration import Rfm
from projections.figures.buyers import Buying
from projections.figures.folding import fold, fold_all
from projections.insight.asking import Window
from projections.insight.attribution import AttributionReader, Question
from projections.insight.products import ProductsReader
from tests.support.histories import RULES as PEOPLE
from tests.support.histories import deliver, one_event
from tests.support.insight import ask, by_rows, histories
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "6"))
"""Histories that are tried; more by hand."""
EVER = datetime(9999, 12, 31, tzinfo=UTC)
BUYING = Buying.of("Europe/London", Rfm())
_TYPES = ["purchase.made"] * 6 + ["email.clicked"] * 5 + ["email.received"] * 3 + ["refund.made", "page.viewed"]
_TYPES += ["event.retracted", "event.amended", "identity.merged", "identity.split"]
_NOTED = ("credits", "credit_sums", "questions")


def _history(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """Mostly purchases, answers and questions, over two months, at moments that edges fall upon."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, _TYPES)
        minutes = pick.choice([0, 1, 30, -1]) + 60 * pick.choice([0, 0, 1, 12, 22, 23])
        minutes += 1440 * pick.choice([0, 0, 1, 2, 28, 30, 31, 59])
        raw["time"] = (START + timedelta(minutes=minutes)).isoformat()
        if raw["type"].startswith(("email.", "page.")) and pick.random() < 0.8:
            kind = "product" if raw["type"] == "email.received" else "campaign"
            value = pick.choice("PQ" if kind == "product" else "MN")
            raw["data"]["refs"] = [{"kind": kind, "value": value}]
        if raw["type"] == "purchase.made" and pick.random() < 0.8:
            raw["data"]["content"]["lines"] = [{"product": pick.choice("PQ")}]
            raw["data"]["content"]["amount"] = pick.choice(["1", "0.01", "9.999", "0", "7.07"])
        found.append((raw, 60 * 24 * 120 + pick.randrange(3)))
    return found


def _told(dsn: str, window: Window, questions: list[Question], days: int) -> list[Any]:
    """Everything that is asked of it."""

    async def answers(pool: Any) -> list[Any]:
        reader = AttributionReader(pool)
        return [
            *[await reader.credits(window, question) for question in questions],
            await ProductsReader(pool).questioned(window, None, days, 10),
            await ProductsReader(pool).questioned(window, "P", days, 10),
        ]

    return ask(dsn, answers)


def _same(small: Stage, connection: psycopg.Connection, pick: Random) -> None:
    start = START + timedelta(days=pick.choice([-31, -1, 0, 0, 1, 28]), minutes=pick.choice([0, 0, 1, 30, 60 * 23]))
    end = start + timedelta(days=pick.choice([1, 2, 30, 62, 120]), minutes=pick.choice([0, 0, 7, 60]))
    window = Window(start, end, pick.choice(["UTC", "Europe/London"]), end)
    questions = [Question(model, 30, by, EVER) for model in MODELS for by in ("campaign", "channel")]
    days = pick.choice([1, 30, 60])
    found = _told(small.story.dsn, window, questions, days)
    with by_rows(connection):
        expected = _told(small.story.dsn, window, questions, days)
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert one == other, (place, window)


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_what_is_noted_of_customers_tells_what_purchases_and_answers_tell_whatever_is_folded(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    published = small.publish(_history(pick, pick.randrange(4, 40)))
    small.begin(pick.choice(PEOPLE))
    for batch in deliver(pick, [one.value for one in published]):
        small.apply([batch])
        for _ in range(pick.choice([0, 0, 1, 2])):
            fold(connection, most=pick.choice([1, 3, 100]), buying=BUYING)
        if pick.random() < 0.4:
            _same(small, connection, pick)
    while fold(connection, buying=BUYING):
        pass
    for _ in range(3):
        _same(small, connection, pick)
    before = _rows(connection)
    fold_all(connection, "", buying=BUYING)
    assert _rows(connection) == before


def _rows(connection: psycopg.Connection) -> list[Any]:
    return [sorted(map(repr, connection.execute(_ALL.format(table)).fetchall())) for table in _NOTED]


_ALL: Any = r"SELECT regexp_replace(t::text, '\.0+(?=[,)])', '', 'g') FROM figures.{} AS t"


def _does(number: int, day: int, of: str, who: str, *refs: tuple[str, str], **content: Any) -> dict[str, Any]:
    data = {
        "who": [{"kind": "email", "value": f"{who}@example.org"}] if who else [],
        "refs": [{"kind": kind, "value": value} for kind, value in refs],
        "content": content,
    }
    at = (START + timedelta(days=day)).isoformat()
    return event(number, type=of, source="test/credits", time=at, data=data)


def _buys(number: int, day: int, who: str, order: str = "A") -> dict[str, Any]:
    lines = [{"product": "P", "amount": "10"}]
    refs = [("order", order)] if order else []
    return _does(number, day, "purchase.made", who, *refs, amount="10", currency="GBP", lines=lines)


def _about(number: int, relation: str, target: int, **content: Any) -> dict[str, Any]:
    kind = "event.retracted" if relation == "retracts" else "event.amended"
    one = _does(number, 9, kind, "", **content)
    one["data"]["about"] = [{"source": "test/credits", "id": f"e-{target}", "relation": relation}]
    return one


def _merges(number: int) -> dict[str, Any]:
    one = _does(number, 9, "identity.merged", "ann")
    one["data"]["parties"] = [{"role": "other", "who": [{"kind": "email", "value": "bob@example.org"}]}]
    return one


_AMENDED = {"amount": "30", "currency": "GBP", "lines": [{"product": "P"}]}
_ASKED = _does(9, 1, "email.received", "ann", ("product", "P"))


@pytest.mark.parametrize(
    ("change", "credited", "asked"),
    [
        (_does(9, 2, "email.clicked", "ann", ("campaign", "N")), {"M": 5, "N": 5}, 2),
        (_ASKED, {"M": 10}, 3),
        (_buys(9, 2, "ann", ""), {"M": 20}, 2),
        (_buys(9, 0, "ann", "B"), {"M": 10}, 1),
        (_about(9, "retracts", 1), {}, 2),
        (_about(9, "retracts", 2), {"M": 10}, 1),
        (_about(9, "retracts", 3), {}, 1),
        (_about(9, "corrects", 3, type="purchase.made", content=_AMENDED), {"M": 30}, 2),
        (_merges(9), {"M": 20}, 1),
    ],
    ids=[
        "an answer", "a question", "a purchase", "a purchase before", "no answer", "no question", "no purchase",
        "an amount", "a merge",
    ],
)  # fmt: skip
def test_what_changed_is_told_before_it_is_folded_and_after(
    small: Stage, connection: psycopg.Connection, change: dict[str, Any], credited: dict[str, int], asked: int
) -> None:
    small.begin()
    first = [
        _does(1, 0, "email.clicked", "ann", ("campaign", "M")) | {"time": (START + timedelta(hours=1)).isoformat()},
        _does(2, 1, "email.received", "ann", ("product", "P")),
        _buys(3, 3, "ann"),
        _buys(4, 4, "bob", "C"),
        _does(5, 3, "email.received", "bob", ("product", "P")),
    ]
    small.feed(small.publish([(one, 60 * 24 * 20) for one in first]))
    while fold(connection, buying=BUYING):
        pass
    assert _noted(small) == ({"M": 10}, 2)
    small.feed(small.publish([(change, 60 * 24 * 20)]))
    assert _noted(small) == (credited, asked)
    assert connection.execute("SELECT count(*) FROM figures.touched_buyers").fetchone() != (0,)
    while fold(connection, buying=BUYING):
        pass
    assert connection.execute("SELECT count(*) FROM figures.touched_buyers").fetchone() == (0,)
    assert _noted(small) == (credited, asked)


def _noted(small: Stage) -> tuple[dict[str | None, int], int]:
    """What falls to each campaign, and how many questions there were; over all that there is."""
    window = Window(START - timedelta(days=1), START + timedelta(days=20), "UTC", START + timedelta(days=20))
    *_, (_, credits), questions, _ = _told(small.story.dsn, window, [Question("linear", 30, "campaign", EVER)], 30)
    return {one.key: int(one.amount) for one in credits}, sum(one.questions for one in questions)


def test_it_is_told_out_of_what_is_noted_and_another_window_is_not(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    small.feed(small.publish([(_does(1, 0, "email.clicked", "ann", ("campaign", "M")), 9), (_buys(2, 1, "ann"), 9)]))
    while fold(connection, buying=BUYING):
        pass
    connection.execute("UPDATE figures.credit_sums SET amount = 7; UPDATE figures.credits SET linear = 7")
    assert _noted(small)[0] == {"M": 7}
    window = Window(START - timedelta(days=1), START + timedelta(days=20), "UTC", START + timedelta(days=20))
    for question in (
        Question("linear", 29, "campaign", EVER),
        Question("linear", 30, "campaign", EVER.replace(day=30)),
    ):
        [(_, [credit]), *_] = _told(small.story.dsn, window, [question], 30)
        assert credit.amount == 10
