"""Are figures right, whatever was folded already? For random histories, and for any period, zone, dimension and
filter, they are those of a plain reading, through late events, retractions, amendments, merges and descriptions."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from domain.zones import Period, midnight
from projections.figures.folding import fold, fold_all
from projections.figures.pieces import Stale, begin_of, end_of, pieces
from projections.figures.sales import Figure, Filters, SalesReader
from tests.support.histories import RULES, deliver, one_event
from tests.support.insight import histories
from tests.support.plain import Published
from tests.support.plain_sales import BUCKETS, sales_in, told
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "6"))
"""Histories that are tried; more by hand."""
ZONES = [ZoneInfo(name) for name in ("Europe/London", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Tokyo")]
_TYPES = ["purchase.made"] * 6 + ["refund.made"] * 2 + ["product.described", "event.retracted", "event.amended"]
_TYPES += ["identity.merged", "identity.split", "email.received"]
_BYS: list[Any] = ["", "channel", "country", "campaign", "type", "product", "category"]


def _history(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """Mostly sales, over two months, at moments that edges of quarters, days and zones fall upon."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, _TYPES)
        minutes = pick.choice([0, 15, 30, 45, 7]) + 60 * pick.randrange(24) + 1440 * pick.choice([0, 0, 1, 2, 31, 59])
        raw["time"] = (START + timedelta(minutes=minutes)).isoformat()
        if raw["type"] in ("purchase.made", "refund.made"):
            raw["data"]["content"]["country"] = pick.choice(["GB", "DE"])
            raw["channel"] = pick.choice(["shop", "web"])
        found.append((raw, 60 * 24 * 90 + pick.randrange(3)))
    return found


def _ask(small: Stage, period: Period, unit: Any, by: Any, filters: Filters) -> list[Figure]:
    async def read() -> list[Figure]:
        async with AsyncConnectionPool(small.story.dsn, min_size=1, kwargs={"autocommit": True}) as pool:
            return await SalesReader(pool).sales(period, unit, by, filters)

    return asyncio.run(read())


def _asked(small: Stage, pick: Random) -> tuple[Period, str, str, dict[str, str]]:
    zone = pick.choice(ZONES)
    edge = midnight((START + timedelta(days=pick.randrange(-1, 3))).date(), zone)
    start = pick.choice([edge, START + timedelta(minutes=pick.randrange(1440)), datetime(2026, 3, 1, tzinfo=UTC)])
    end = start + pick.choice([timedelta(minutes=pick.randrange(1, 3000)), timedelta(days=3), timedelta(days=75)])
    filters = {}
    for name, values in {"channel": ["shop", "web"], "country": ["GB"], "product": ["P"], "category": ["a"]}.items():
        if pick.random() < 0.15:
            filters[name] = pick.choice(values)
    return Period(start, end, zone), pick.choice(list(BUCKETS)), pick.choice(_BYS), filters


def _same(small: Stage, published: list[Published], pick: Random) -> None:
    period, unit, by, filters = _asked(small, pick)
    expected = told(sales_in(published, small.rules), *period, unit, by, filters)
    found = {
        (_bucket(unit, one.bucket), one.value, one.currency): (
            *(one.purchases, one.returns, one.revenue, one.refunds, one.units, one.orders),
        )
        for one in _ask(small, period, unit, by, Filters(**filters))
    }
    assert found == expected, (period, unit, by, filters)


def _bucket(unit: str, bucket: datetime | None) -> Any:
    return None if bucket is None else BUCKETS[unit](bucket)


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_sales_are_those_of_a_plain_reading_whatever_is_folded(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    published = small.publish(_history(pick, pick.randrange(2, 25)))
    small.begin(pick.choice(RULES))
    batches = deliver(pick, [one.value for one in published])
    applied: list[bytes] = []
    for batch in batches:
        small.apply([batch])
        applied += [one.value for one in batch]
        known = [one for one in published if one.value in applied]
        for _ in range(pick.randrange(3)):
            fold(connection, most=pick.choice([1, 3, 100]))
        _same(small, known, pick)
    while fold(connection):
        pass
    for _ in range(4):
        _same(small, published, pick)
    before = _sums(connection)
    fold_all(connection, "")
    assert _sums(connection) == before


def _sums(connection: psycopg.Connection) -> list[Any]:
    tables = ("sales_sums", "contact_sums", "stale_sums", "touched")
    rows = []
    for table in tables:
        found = connection.execute(f"SELECT * FROM figures.{table}").fetchall()
        rows.append(sorted(repr(tuple(sorted(x) if isinstance(x, list) else x for x in row)) for row in found))
    return rows


MOMENTS = st.integers(0, 4 * 24 * 120).map(
    lambda quarter: datetime(2026, 1, 20, tzinfo=UTC) + timedelta(minutes=15 * quarter)
)


@given(
    start=st.timedeltas(timedelta(), timedelta(days=120)).map(lambda after: datetime(2026, 1, 1, tzinfo=UTC) + after),
    length=st.timedeltas(timedelta(microseconds=1), timedelta(days=100)),
    stale=st.tuples(st.sets(MOMENTS, max_size=5), st.sets(MOMENTS, max_size=3), st.sets(MOMENTS, max_size=1)),
    levels=st.sampled_from([("m", "d", "h", "q"), ("h", "q"), ("q",), ("m", "d"), ()]),
    cuts=st.sets(MOMENTS.map(lambda at: begin_of("d", at)), max_size=2),
)
def test_pieces_are_the_period_each_moment_once_and_no_stale_sum_is_used(
    start: datetime, length: timedelta, stale: tuple[set[datetime], ...], levels: Any, cuts: set[datetime]
) -> None:
    quarters, days, months = stale
    known = Stale(quarters, {begin_of("d", one) for one in days}, {begin_of("m", one) for one in months})
    end = start + length
    found = pieces(start, end, known, levels, cuts)
    assert [one.start for one in found] == [start, *[one.end for one in found][:-1]]
    assert found[-1].end == end
    for one in found:
        assert one.start < one.end
        assert not any(one.start < cut < one.end for cut in cuts)
        if one.level is not None:
            assert one.level in levels
            assert (begin_of(one.level, one.start), begin_of(one.level, one.end)) == (one.start, one.end)
            assert not any(one.start <= quarter < one.end for quarter in quarters)
            outdated = {"d": known.days, "m": known.months}.get(one.level, set())
            assert not any(one.start <= at < one.end for at in outdated)


def _bought(number: int, order: str, hours: int = 0, **changes: Any) -> tuple[dict[str, Any], int]:
    lines = [{"product": "P", "amount": "4"}]
    data = {"content": {"amount": 4, "currency": "GBP", "lines": lines}, "refs": [{"kind": "order", "value": order}]}
    at = (START + timedelta(hours=hours)).isoformat()
    return event(number, type="purchase.made", data=data, time=at, **changes), 6000


def _told(small: Stage, by: Any = "") -> dict[str, tuple[Any, int]]:
    period = Period(START - timedelta(days=1), START + timedelta(days=9), ZoneInfo("Europe/London"))
    return {one.value: (one.revenue, one.orders) for one in _ask(small, period, "all", by, Filters())}


def _fold(connection: psycopg.Connection) -> None:
    while fold(connection):
        pass


def test_a_description_that_comes_later_gives_lines_of_the_past_their_category(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    small.feed(small.publish([_bought(1, "A")]))
    _fold(connection)
    assert _told(small, "category") == {"": (4, 1)}
    data = {"refs": [{"kind": "product", "value": "P"}], "content": {"category": "tea"}}
    described = event(2, type="product.described", data=data, time=(START + timedelta(hours=5)).isoformat())
    small.feed(small.publish([(described, 6000)]))
    assert _told(small, "category") == {"tea": (4, 1)}
    _fold(connection)
    assert _told(small, "category") == {"tea": (4, 1)}
    retracts = [{"relation": "retracts", "source": "test/mail", "id": "e-2"}]
    small.feed(
        small.publish([(event(3, type="event.retracted", data={"who": [], "about": retracts, "content": {}}), 6000)])
    )
    assert _told(small, "category") == {"": (4, 1)}
    _fold(connection)
    assert _told(small, "category") == {"": (4, 1)}


def test_an_order_of_which_more_becomes_known_later_is_counted_once(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    small.feed(small.publish([_bought(1, "A")]))
    _fold(connection)
    small.feed(small.publish([_bought(2, "A", hours=30)]))
    assert _told(small) == {"": (8, 1)}
    _fold(connection)
    assert _told(small) == {"": (8, 1)}
    retracts = [{"relation": "retracts", "source": "test/mail", "id": "e-1"}]
    small.feed(
        small.publish([(event(3, type="event.retracted", data={"who": [], "about": retracts, "content": {}}), 6000)])
    )
    assert _told(small) == {"": (4, 1)}
    _fold(connection)
    assert _told(small) == {"": (4, 1)}


def test_what_a_second_source_told_counts_once_the_first_is_taken_back(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    small.feed(small.publish([_bought(1, "A"), _bought(2, "A", hours=30, source="test/till")]))
    _fold(connection)
    assert _told(small) == {"": (4, 1)}
    retracts = [{"relation": "retracts", "source": "test/mail", "id": "e-1"}]
    small.feed(
        small.publish([(event(3, type="event.retracted", data={"who": [], "about": retracts, "content": {}}), 6000)])
    )
    assert _told(small) == {"": (4, 1)}
    _fold(connection)
    assert _told(small) == {"": (4, 1)}


def test_a_month_ends_where_the_next_one_begins() -> None:
    assert end_of("m", datetime(2026, 12, 1, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
