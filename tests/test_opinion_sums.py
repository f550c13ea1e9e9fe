"""Do scores and complaints come to the same out of sums as out of events, whatever was folded already? Through late
events, retractions, amendments, orders that several sources tell of, and texts that are scored again."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.zones import midnight
from projections.figures.folding import fold, fold_all
from projections.insight.asking import Window
from projections.insight.feedback import FeedbackReader, Scores
from projections.insight.products import ProductsReader
from tests.support.histories import deliver, one_event
from tests.support.insight import LAST, ask, histories
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "6"))
"""Histories that are tried; more by hand."""
EVER = datetime(9999, 12, 31, tzinfo=UTC)
BEFORE = datetime(9999, 12, 30, tzinfo=UTC)
"""As of what was recorded by then: all of it, out of the scores."""
ZONES = [ZoneInfo(name) for name in ("Europe/London", "UTC", "Asia/Kathmandu", "Asia/Tokyo")]
_TYPES = ["survey.answered"] * 4 + ["review.posted"] * 5 + ["refund.made"] * 2 + ["purchase.made"] * 2
_TYPES += ["touchpoint.enriched"] * 6 + ["email.received"] * 3 + ["event.retracted", "event.amended"]
_TYPES += ["ticket.opened"] * 2
_BYS = ("day", "week", "month", "hour", "weekday", "product", "channel", "team", "code")
_OUTDATE = """
WITH days AS (SELECT generate_series(%s::timestamptz, %s::timestamptz, '1 day') AS at)
INSERT INTO figures.stale_sums
SELECT DISTINCT level::"char", date_trunc(CASE level WHEN 'd' THEN 'day' ELSE 'month' END, at, 'UTC')
FROM days, (VALUES ('d'), ('m')) AS l (level)
ON CONFLICT DO NOTHING RETURNING level::text, at
"""
_RENEW = 'DELETE FROM figures.stale_sums WHERE level = %s::"char" AND at = %s'


def _history(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """Mostly scores, complaints, and what was derived of texts, over two months, at moments that edges fall upon."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, _TYPES)
        minutes = pick.choice([0, 15, 45, 7]) + 60 * pick.randrange(24) + 1440 * pick.choice([0, 0, 1, 2, 31, 59])
        raw["time"] = (START + timedelta(minutes=minutes)).isoformat()
        data = raw["data"]
        if raw["type"] in ("survey.answered", "review.posted"):
            raw["channel"] = pick.choice(["email", "web"])
            data["actor"] = {"kind": pick.choice(["team", "user"]), "code": pick.choice(["anna", "red"])}
            data["content"] = {**data.get("content", {}), **_score(pick, raw["type"])}
        if raw["type"] == "email.received":
            data["refs"] = [
                {"kind": "product", "value": value} for value in pick.sample("PQ", pick.choice([1, 1, 2]))
            ]
        if raw["type"] == "ticket.opened":
            data["content"] = {**data.get("content", {}), "product": pick.choice("PQ")}
        if raw["type"] in ("purchase.made", "refund.made"):
            lines = [{"product": pick.choice("PQ"), "quantity": 2} for _ in range(pick.choice([1, 1, 2]))]
            data["content"] = {**data["content"], "lines": lines}
        found.append((raw, 60 * 24 * 90 + pick.randrange(3)))
    return found


def _score(pick: Random, type: str) -> dict[str, Any]:
    best = pick.choice([{}, {"best": "5"}, {"best": "7"}, {"best": "10"}])
    if type == "review.posted":
        return {"rating": str(pick.randrange(6)), "product": pick.choice("PQ"), **best}
    return {"measure": pick.choice(["csat", "nps", "ces", "other"]), "score": str(pick.randrange(11)), **best}


def _same(small: Stage, connection: psycopg.Connection, pick: Random) -> None:
    """Both ways tell the same of some questions."""
    zone = pick.choice(ZONES)
    first = (START + timedelta(days=pick.choice([-30, -1, 0, 1]))).date()
    start = pick.choice([midnight(first, zone), START + timedelta(minutes=pick.randrange(1440))])
    end = start + timedelta(minutes=pick.choice([pick.randrange(1, 3000), 1440 * 3, 1440 * 90]))
    window = Window(start, end, zone.key, end)
    filters: dict[str, Any] = {}
    for name, value in {"channel": "email", "product": "P", "team": "red", "code": "shop"}.items():
        if pick.random() < 0.12:
            filters[name] = value
    now, then, found, behind = ask(small.story.dsn, lambda pool: _everything(pool, window, filters))
    assert now == then, (filters, window)
    outdated = connection.execute(_OUTDATE, [start - timedelta(days=40), end + timedelta(days=1)]).fetchall()
    raw = ask(small.story.dsn, lambda pool: ProductsReader(pool).complained(window, None, 10))
    for row in outdated:
        connection.execute(_RENEW, row)
    assert found == raw, window
    assert {one.product: one.complaints for one in found} == behind, window


async def _everything(pool: Any, window: Window, filters: dict[str, Any]) -> Any:
    """(opinions out of sums, and out of scores, complaints out of sums, and how many there are by product)."""
    opinions, products = FeedbackReader(pool), ProductsReader(pool)
    told = [
        [await opinions.opinions(window, Scores(known, **filters), by) for by in _BYS] for known in (EVER, BEFORE)
    ]  # fmt: skip
    behind = {code: len(await products.complaints(window, code, LAST, 1000)) for code in "PQR"}
    return (
        *told,
        await products.complained(window, None, 10),
        {code: count for code, count in behind.items() if count},
    )


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_sums_of_opinions_tell_what_events_tell_whatever_is_folded(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    connection.execute("DELETE FROM storyline.people")
    connection.execute(
        "INSERT INTO storyline.people (code, person, teams) VALUES ('anna', gen_random_uuid(), '{red}')"
    )
    published = small.publish(_history(pick, pick.randrange(4, 40)))
    small.begin()
    for batch in deliver(pick, [one.value for one in published]):
        small.apply([batch])
        if pick.random() < 0.5:
            fold(connection, most=pick.choice([1, 3, 100]))
        if pick.random() < 0.3:
            _same(small, connection, pick)
    while fold(connection):
        pass
    for _ in range(3):
        _same(small, connection, pick)
    before = _rows(connection)
    fold_all(connection, "")
    assert _rows(connection) == before


def _rows(connection: psycopg.Connection) -> list[Any]:
    found = [connection.execute(query).fetchall() for query in _ALL]
    return [sorted(map(repr, rows)) for rows in found]


_ALL: Any = ("SELECT * FROM figures.score_sums", "SELECT * FROM figures.complaint_sums")


def _does(
    number: int, day: int, of: str, *refs: tuple[str, str], source: str = "test/opinions", **content: Any
) -> Any:
    data: dict[str, Any] = {
        "who": [{"kind": "email", "value": "ann@example.org"}],
        "refs": [{"kind": kind, "value": value} for kind, value in refs],
        "content": content,
    }
    return event(number, type=of, source=source, time=(START + timedelta(days=day)).isoformat(), data=data)


def _trades(number: int, day: int, of: str, product: str = "P", source: str = "test/opinions") -> Any:
    lines = [{"product": product, "amount": "10"}]
    return _does(number, day, of, ("order", "A"), source=source, amount="10", currency="GBP", lines=lines)


def _about(number: int, target: int, of: str, relation: str, **content: Any) -> Any:
    one = _does(number, number, of, **content)
    one["data"]["who"] = []
    one["data"]["about"] = [{"source": "test/opinions", "id": f"e-{target}", "relation": relation}]
    return one


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_does(9, 1, "review.posted", product="P", rating="1"), (4, 0, 2, 1, 1)),
        (_does(9, 1, "ticket.opened", ("ticket", "T"), product="P"), (4, 1, 1, 1, 1)),
        (_about(9, 1, "event.retracted", "retracts"), (2, 0, 0, 1, 1)),
        (_about(9, 2, "event.retracted", "retracts"), (2, 0, 1, 1, 0)),
        (_about(9, 3, "touchpoint.enriched", "enriches", sentiment="0.5"), (3, 0, 1, 1, 1)),
        (_about(9, 2, "touchpoint.enriched", "enriches", sentiment="0.5"), (2, 0, 1, 1, 0)),
        (_about(9, 3, "event.retracted", "retracts"), (2, 0, 1, 1, 0)),
        (_trades(9, 0, "refund.made", "Q", "test/other"), (2, 0, 1, 0, 1)),
        (_about(9, 5, "event.retracted", "retracts"), (2, 0, 1, 0, 1)),
    ],
    ids=[
        "a review", "a ticket", "no review", "no text", "the mood of a mood", "a better mood", "no mood",
        "an order that another source told of before", "no refund",
    ],
)  # fmt: skip
def test_what_changed_is_told_before_it_is_folded_and_after(
    small: Stage, connection: psycopg.Connection, change: dict[str, Any], told: tuple[int, ...]
) -> None:
    small.begin()
    first = [
        _does(1, 0, "review.posted", product="P", rating="2"),
        _does(2, 0, "email.received", ("product", "P")),
        _about(3, 2, "touchpoint.enriched", "enriches", sentiment="-0.8"),
        _trades(4, 1, "purchase.made"),
        _trades(5, 2, "refund.made"),
    ]
    small.feed(small.publish([(one, 60 * 24 * 20) for one in first]))
    assert _told(small) == (3, 0, 1, 1, 1)
    while fold(connection):
        pass
    assert _told(small) == (3, 0, 1, 1, 1)
    small.feed(small.publish([(change, 60 * 24 * 20)]))
    assert _told(small) == told
    while fold(connection):
        pass
    assert _told(small) == told


def _told(small: Stage) -> tuple[int, ...]:
    """What is complained of P, by kind; and as many scores as reviews."""
    window = Window(START - timedelta(days=1), START + timedelta(days=20), "UTC", START + timedelta(days=20))

    async def answers(pool: Any) -> tuple[int, ...]:
        [one] = await ProductsReader(pool).complained(window, "P", 10)
        whole, _ = await FeedbackReader(pool).opinions(window, Scores(EVER), "code")
        assert whole.reviews == one.reviews
        return one[1:-1]

    return ask(small.story.dsn, answers)


def test_opinions_are_told_out_of_sums(small: Stage, connection: psycopg.Connection) -> None:
    small.begin()
    small.feed(small.publish([(_does(1, 1, "review.posted", product="P", rating="2"), 60 * 24 * 20)]))
    while fold(connection):
        pass
    connection.execute("UPDATE figures.score_sums SET reviews = 7; UPDATE figures.complaint_sums SET reviews = 7")
    assert _told(small) == (1, 0, 7, 0, 0)
