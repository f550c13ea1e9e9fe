"""Is a metric that is defined today right for all of the past? For random histories, conditions and dimensions it is
what a plain reading of the events gives, however far it was summed, through late events, retractions, amendments."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from domain.catalogue import load_catalogue
from domain.conditions import holds
from domain.configuration import Metric, read_configuration
from domain.errors import BadInput, NotFound, Refused
from domain.metrics import version_of
from domain.zones import Period
from projections.figures.filling import define
from projections.figures.folding import fold, fold_all
from projections.figures.metrics import MetricReader
from tests.support.histories import RULES, deliver, one_event
from tests.support.insight import histories
from tests.support.plain import Published, everything, people_in
from tests.support.plain_sales import BUCKETS
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "4"))
"""Histories that are tried; more by hand."""
PERIOD = Period(START - timedelta(days=1), START + timedelta(days=4), ZoneInfo("Europe/London"))
_TYPES = ["purchase.made"] * 3 + ["survey.answered", "page.viewed"] * 2
_TYPES += ["event.retracted", "event.amended", "identity.merged", "email.received"]
_CONDITIONS: list[Any] = [
    None,
    {"field": "event.content.amount", "is": ">", "value": 3},
    {"field": "event.content.amount", "is": "=", "value": "4"},
    {"field": "event.content.score", "is": "known"},
    {"any": [{"field": "event.channel", "is": "in", "value": ["shop"]}, {"field": "event.type", "value": "x"}]},
    {"none": [{"field": "event.content.currency", "is": "!=", "value": "GBP"}]},
    {"all": [{"field": "event.content.product", "is": "contains", "value": "p"},
             {"field": "event.source", "is": "known"}]},
]  # fmt: skip


def _metric(**told: Any) -> Metric:
    return Metric.model_validate({"title": "A metric", **told})


def _some(pick: Random) -> Metric:
    measure = pick.choice(["count", "sum", "avg", "min", "max", "customers"])
    field = {"field": "content.amount"} if measure in {"sum", "avg", "min", "max"} else {}
    dimensions = pick.sample(["type", "channel", "content.currency", "content.product", "source"], pick.randrange(3))
    types = pick.choice([["purchase.made"], ["purchase.made", "survey.answered", "page.viewed"]])
    return _metric(types=types, measure=measure, dimensions=dimensions, where=pick.choice(_CONDITIONS), **field)


def _read(small: Stage, metric: Metric, unit: Any, by: str) -> dict[Any, Any]:
    async def read() -> Any:
        async with AsyncConnectionPool(small.story.dsn, min_size=1, kwargs={"autocommit": True}) as pool:
            reader = MetricReader(pool, load_catalogue(), {"m": metric})
            found = (await reader.values("m", PERIOD, unit, by, {}))[1]
            behind = await reader.events("m", PERIOD, {}, (PERIOD.end, PERIOD_LAST), 1000)
            return found, behind

    found, behind = asyncio.run(read())
    assert sum(one.events for one in found) == len(behind)
    return {(one.bucket and BUCKETS[unit](one.bucket), one.group): (one.value, one.events) for one in found}


PERIOD_LAST = UUID(int=2**128 - 1)


def _value_of(one: Published, content: Any, name: str) -> Any:
    if name.startswith("content."):
        return content.get(name.removeprefix("content."))
    plain = {"type": one.type, "source": one.raw["source"], "channel": one.record.get("channel")}
    return plain.get(name)


def _told(small: Stage, published: list[Published], metric: Metric, unit: str, by: str) -> dict[Any, Any]:
    story = everything(published)
    home = people_in(story, small.rules).home
    groups: dict[Any, list[tuple[Any, str | None]]] = defaultdict(list)
    for one in story.events.values():
        content = story.content(one)
        if one.type not in metric.types or story.retracted(one.name):
            continue
        if not holds(metric.where, lambda name: _value_of(one, content, name.removeprefix("event."))):  # noqa: B023
            continue
        evidence = one.people()[0][0]
        group = _value_of(one, content, by) if by else ""
        value = content.get("amount") if metric.field else None
        bucket = BUCKETS[unit](one.at.astimezone(PERIOD.zone))
        groups[bucket, str(group or "")].append((value, home(evidence) if evidence else None))
    return {key: (_measured(metric.measure, found), len(found)) for key, found in groups.items()}


def _measured(measure: str, found: list[tuple[Any, str | None]]) -> Decimal | None:
    values = [Decimal(value) for value, _ in found if value is not None]
    match measure:
        case "count":
            return Decimal(len(found))
        case "customers":
            return Decimal(len({customer for _, customer in found if customer is not None}))
        case "sum":
            return sum(values, Decimal(0)) if values else None
        case "avg":
            return sum(values, Decimal(0)) / len(values) if values else None
    return (min if measure == "min" else max)(values, default=None)


def _same(small: Stage, published: list[Published], metric: Metric, pick: Random) -> None:
    unit, by = pick.choice(["all", "day", "hour", "weekday"]), pick.choice(["", *metric.dimensions])
    found, expected = _read(small, metric, unit, by), _told(small, published, metric, unit, by)
    assert {key: (_rounded(value), events) for key, (value, events) in found.items()} == {
        key: (_rounded(value), events) for key, (value, events) in expected.items()
    }, (metric, unit, by)


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else round(value, 12)


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_S46_a_metric_is_right_for_all_of_the_past_and_stays_so(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    size = pick.randrange(2, 20)
    history = [(one_event(pick, number, size, _TYPES), 6000) for number in range(size)]
    for raw, _ in history:
        raw["time"] = (START + timedelta(minutes=pick.choice([0, 15, 7, 61, 1440]))).isoformat()
    published = small.publish(history)
    small.begin(pick.choice(RULES))
    batches = deliver(pick, [one.value for one in published])
    half = len(batches) // 2
    small.apply(batches[:half])
    metric = _some(pick)
    define(connection, {"m": metric})
    for batch in batches[half:]:
        fold(connection, most=pick.choice([1, 100]))
        small.apply([batch])
    while fold(connection, most=2):
        pass
    for _ in range(3):
        _same(small, published, metric, pick)
    late = small.publish([(_late(number, pick), 6001) for number in range(2)])
    small.feed(late)
    _same(small, [*published, *late], metric, pick)
    fold_all(connection, "")
    _same(small, [*published, *late], metric, pick)


def _late(number: int, pick: Random) -> dict[str, Any]:
    content = {"amount": pick.randrange(1, 9), "currency": "GBP"}
    return event(1000 + number, type="purchase.made", data={"content": content}, time=START.isoformat())


def _bought(number: int, amount: int) -> dict[str, Any]:
    at = (START + timedelta(minutes=20 * number)).isoformat()
    return event(number, type="purchase.made", time=at, data={"content": {"amount": amount, "currency": "GBP"}})


def test_a_piece_of_a_text_is_found_whether_its_letters_are_small_or_capital(
    small: Stage, connection: psycopg.Connection
) -> None:
    seen = event(1, type="page.viewed", data={"content": {"product": "P-1"}}, time=START.isoformat())
    small.begin()
    small.feed(small.publish([(seen, 6000)]))
    metric = _metric(types=["page.viewed"], where={"field": "event.content.product", "is": "contains", "value": "p-"})
    define(connection, {"m": metric})
    assert fold(connection, most=10)
    assert [events for _, events in _read(small, metric, "all", "").values()] == [1]


def test_a_changed_definition_is_counted_beside_the_one_before(small: Stage, connection: psycopg.Connection) -> None:
    small.begin()
    small.feed(small.publish([(_bought(number, number), 6000) for number in range(5)]))
    first, second = (
        _metric(types=["purchase.made"]),
        _metric(types=["purchase.made"], measure="sum", field="content.amount"),
    )
    define(connection, {"m": first})
    with pytest.raises(Refused, match="being backfilled, 0 %"):
        _read(small, first, "all", "")
    while fold(connection):
        pass
    assert _read(small, first, "all", "") == {(None, ""): (Decimal(5), 5)}
    define(connection, {"m": second})
    assert _read(small, second, "all", "") == {(None, ""): (Decimal(5), 5)}  # the one before serves
    while fold(connection):
        pass
    assert _read(small, second, "all", "") == {(None, ""): (Decimal(10), 5)}
    assert connection.execute("SELECT count(*) FROM storyline.metrics").fetchone() == (1,)
    assert {row[0] for row in connection.execute("SELECT version FROM figures.metric_sums")} == {version_of(second)}
    define(connection, {})
    fold(connection)
    with pytest.raises(NotFound):
        asyncio.run(_nothing(small))


def test_what_is_taken_back_or_put_right_changes_a_metric_of_the_past(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    metric = _metric(types=["purchase.made"], measure="sum", field="content.amount")
    small.feed(small.publish([(_bought(number, number), 6000) for number in range(5)]))
    define(connection, {"m": metric})
    while fold(connection):
        pass
    assert _read(small, metric, "all", "") == {(None, ""): (Decimal(10), 5)}
    retracts = [{"relation": "retracts", "source": "test/mail", "id": "e-4"}]
    corrects = [{"relation": "corrects", "source": "test/mail", "id": "e-3"}]
    right = {"type": "purchase.made", "content": {"amount": 30, "currency": "GBP"}}
    corrections = [
        event(8, type="event.retracted", data={"who": [], "about": retracts, "content": {}}),
        event(9, type="event.amended", data={"who": [], "about": corrects, "content": right}),
    ]
    small.feed(small.publish([(_merged(raw), 6001) for raw in corrections]))
    assert _read(small, metric, "all", "") == {(None, ""): (Decimal(33), 4)}
    while fold(connection):
        pass
    assert _read(small, metric, "all", "") == {(None, ""): (Decimal(33), 4)}


def _merged(raw: dict[str, Any]) -> dict[str, Any]:
    """Without the subject that every event of the tests has."""
    raw["data"]["content"].pop("subject", None)
    return raw


async def _nothing(small: Stage) -> None:
    async with AsyncConnectionPool(small.story.dsn, min_size=1, kwargs={"autocommit": True}) as pool:
        await MetricReader(pool, load_catalogue(), {}).values("m", PERIOD, "all", "", {})


def test_a_new_title_makes_no_other_metric() -> None:
    one, other = _metric(types=["a"]), Metric(title="Another", types=["a"], unit="s")
    assert version_of(one) == version_of(other) != version_of(_metric(types=["b"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"measure": "sum"},
        {"field": "content.amount"},
        {"measure": "sum", "field": "amount"},
        {"dimensions": ["content"]},
        {"dimensions": ["channel", "channel"]},
        {"where": {"field": "deal.stage", "value": "new"}},
        {"types": []},
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    told = {"title": "A metric", "types": ["purchase.made"], **wrong}
    with pytest.raises(BadInput):
        read_configuration({"version": 1, "metrics": {"m": told}})
