"""Is what customers bought the same out of sums as out of their purchases, whatever was folded already? Through late
events, retractions, amendments, merges, splits, orders that several people and sources tell of, and other rules."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import Rfm
from domain.zones import midnight
from projections.figures.buyers import Buying
from projections.figures.folding import fold, fold_all
from projections.figures.pieces import Folded
from projections.insight.asking import Window
from projections.insight.customers import CustomersReader, When
from tests.support.histories import RULES as PEOPLE
from tests.support.histories import deliver, one_event
from tests.support.insight import ask, by_rows, histories
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "6"))
"""Histories that are tried; more by hand."""
EVER = datetime(9999, 12, 31, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
RULES = Rfm(recency_days=[2, 20, 31, 80], frequency=[2, 3, 4, 5], monetary=[10, 50, 100, 200])
BUYING = Buying.of("Europe/London", RULES)
OTHERWISE = BUYING._replace(frequency=(Decimal(9), Decimal(10), Decimal(11), Decimal(12)))
_TYPES = ["purchase.made"] * 9 + ["refund.made"] * 2 + ["event.retracted", "event.amended", "email.received"]
_TYPES += ["identity.merged", "identity.split"]
_TABLES = ("buyers", "buyer_days", "buyer_repeats", "buyer_sums", "buyers_kept", "buyers_filling", "touched_buyers")
_EVERY: tuple[tuple[str, ...], ...] = (
    ("cohorts",), ("loyalty", "day"), ("loyalty", "week"), ("loyalty", "month"), ("classes",), ("loyal",)
)  # fmt: skip


def _history(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """Mostly purchases, over three months, at moments that edges of days, weeks and months fall upon."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, _TYPES)
        minutes = pick.choice([0, 30, -1, 59]) + 60 * pick.choice([0, 1, 12, 22, 23])
        minutes += 1440 * pick.choice([0, 0, 1, 2, 6, 27, 28, 31, 59, 75])
        raw["time"] = (START + timedelta(minutes=minutes)).isoformat()
        found.append((raw, 60 * 24 * 120 + pick.randrange(3)))
    return found


def _told(small: Stage, window: Window, when: When) -> list[Any]:
    """Everything that is asked of buyers."""

    async def answers(pool: Any) -> list[Any]:
        reader = CustomersReader(pool)
        return [
            await reader.cohorts(window, EVER),
            *[await reader.loyalty(window, EVER, by) for by in ("day", "week", "month")],
            await reader.classes(when, RULES),
            await reader.loyal(when, RULES, 100),
        ]

    return ask(small.story.dsn, answers)


def _asked(pick: Random) -> tuple[Window, When]:
    first = (START + timedelta(days=pick.choice([-40, -2, -1, 0, 1, 3, 28]))).date()
    last = first + timedelta(days=pick.choice([1, 3, 31, 62, 75, 120]))
    now = START + timedelta(days=pick.choice([1, 31, 60, 100, 100]), minutes=pick.choice([0, 1, 30]))
    zone = pick.choice([LONDON, LONDON, LONDON, ZoneInfo("Asia/Tokyo")])
    return Window(midnight(first, zone), midnight(last, zone), zone.key, now), When(now, EVER)


def _same(small: Stage, connection: psycopg.Connection, pick: Random) -> None:
    window, when = _asked(pick)
    found = _told(small, window, when)
    with by_rows(connection):
        expected = _told(small, window, when)
    for name, one, other in zip(_EVERY, found, expected, strict=True):
        assert one == other, (name, window)


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_sums_of_what_was_bought_tell_what_purchases_tell_whatever_is_folded(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    published = small.publish(_history(pick, pick.randrange(4, 40)))
    small.begin(pick.choice(PEOPLE))
    for batch in deliver(pick, [one.value for one in published]):
        small.apply([batch])
        for _ in range(pick.choice([0, 0, 1, 2])):
            other = pick.random() < 0.05
            fold(connection, most=pick.choice([1, 3, 100]), buying=OTHERWISE if other else BUYING)
        if pick.random() < 0.4:
            _same(small, connection, pick)
    while fold(connection, buying=BUYING):
        pass
    assert connection.execute("SELECT count(*) FROM figures.touched_buyers").fetchone() == (0,)
    for _ in range(3):
        _same(small, connection, pick)
    before = _rows(connection)
    fold_all(connection, "", buying=BUYING)
    assert _rows(connection) == before


def _rows(connection: psycopg.Connection) -> list[Any]:
    return [sorted(map(repr, connection.execute(_AS_TEXT.format(table)).fetchall())) for table in _TABLES]


_AS_TEXT: Any = "SELECT replace(t::text, '.00', '') FROM figures.{} AS t"
"""Rows as text, since not every date is one of Python's."""


def _buys(number: int, day: int, who: str, order: str = "") -> dict[str, Any]:
    data: dict[str, Any] = {"who": [{"kind": "email", "value": f"{who}@example.org"}]}
    data["content"] = {"amount": "10", "currency": "GBP"}
    if order:
        data["refs"] = [{"kind": "order", "value": order}]
    at = (START + timedelta(days=day)).isoformat()
    return event(number, type="purchase.made", source="test/buyers", time=at, data=data)


def _about(number: int, relation: str, *who: str, target: int | None = None) -> dict[str, Any]:
    """A retraction, a merge or a split."""
    people = [{"role": "other", "who": [{"kind": "email", "value": f"{one}@example.org"}]} for one in who[1:]]
    data: dict[str, Any] = {"who": [{"kind": "email", "value": f"{one}@example.org"} for one in who[:1]]}
    data |= {"parties": people, "content": {}} if people else {"content": {}}
    if target is not None:
        data["about"] = [{"source": "test/buyers", "id": f"e-{target}", "relation": "retracts"}]
    return event(number, type=relation, source="test/buyers", time=START.isoformat(), data=data)


@pytest.mark.parametrize(
    ("change", "customers", "orders"),
    [
        (_buys(9, 2, "eve"), 3, 4),
        (_buys(9, 2, "ann"), 2, 4),
        (_buys(9, 2, "bob", "A"), 2, 3),
        (_about(9, "event.retracted", target=3), 1, 2),
        (_about(9, "identity.merged", "ann", "bob"), 1, 3),
    ],
    ids=["another customer", "another purchase", "the order of somebody else", "a retraction", "a merge"],
)
def test_what_changed_is_told_before_it_is_folded_and_after(
    small: Stage, connection: psycopg.Connection, change: dict[str, Any], customers: int, orders: int
) -> None:
    small.begin()
    small.feed(small.publish([(_buys(1, 0, "ann", "A"), 9), (_buys(2, 1, "ann"), 9), (_buys(3, 1, "bob"), 9)]))
    fold(connection, buying=BUYING)
    assert _bought(small) == (2, 3)
    small.feed(small.publish([(change, 9)]))
    assert _bought(small) == (customers, orders)
    fold(connection, buying=BUYING)
    assert connection.execute("SELECT count(*) FROM figures.touched_buyers").fetchone() == (0,)
    assert _bought(small) == (customers, orders)


def _bought(small: Stage) -> tuple[int, int]:
    """How many customers bought, and how many orders those were; over all that there is."""
    day = START.astimezone(LONDON).date()
    begin, end = [midnight(day + timedelta(days=days), LONDON) for days in (-1, 9)]
    window = Window(begin, end, "Europe/London", end)

    async def answers(pool: Any) -> tuple[int, int]:
        [whole, *_], _ = await CustomersReader(pool).loyalty(window, EVER, "month")
        return whole.customers, whole.new_orders + whole.returning_orders

    return ask(small.story.dsn, answers)


def test_a_piece_at_a_time_is_summed_up_and_told_when_all_is(small: Stage, connection: psycopg.Connection) -> None:
    small.begin()
    small.feed(small.publish([(_buys(number, number, f"p{number}"), 9) for number in range(5)]))
    bought = [fold(connection, most=2, buying=BUYING) for _ in range(2)]
    assert bought == [Folded.FULL, Folded.FULL]
    assert connection.execute("SELECT count(*) FROM figures.buyers").fetchone() == (4,)
    assert connection.execute("SELECT count(*) FROM figures.buyers_kept").fetchone() == (0,)
    assert _bought(small) == (5, 5)
    small.feed(small.publish([(_buys(number + 5, 6, f"p{number}"), 9) for number in range(5)]))
    assert _bought(small) == (5, 10)
    while fold(connection, most=2, buying=BUYING):
        pass
    assert connection.execute("SELECT count(*) FROM figures.buyers_kept").fetchone() == (1,)
    connection.execute("UPDATE figures.buyer_sums SET customers = customers + 1 WHERE kind = 'b'")
    assert _bought(small)[0] > 5  # it is out of the sums


def test_other_rules_of_identity_or_of_scores_are_never_answered_out_of_sums_of_those_before(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    small.feed(small.publish([(_buys(1, 0, "ann"), 9)]))
    fold(connection, buying=BUYING)
    lie = "UPDATE figures.buyers SET scores = 55; UPDATE figures.buyer_sums SET customers = 7"
    connection.execute(lie)
    assert _bought(small)[0] == 7
    with connection.transaction(force_rollback=True):
        connection.execute("ALTER TABLE identity.evidences RENAME TO before")
        connection.execute("CREATE TABLE identity.evidences (LIKE identity.before INCLUDING ALL)")
        kept = "SELECT people = 'identity.evidences'::regclass FROM figures.buyers_kept"
        assert connection.execute(kept).fetchone() == (False,)
    connection.execute("UPDATE figures.buyers_kept SET people = 0")
    assert _bought(small)[0] == 1
    fold(connection, buying=BUYING)
    assert _bought(small)[0] == 1
    connection.execute(lie)
    other = Rfm(recency_days=[2, 20, 31, 80], frequency=[9, 10, 11, 12], monetary=[10, 50, 100, 200])
    when = When(START + timedelta(days=1), EVER)
    classes = ask(small.story.dsn, lambda pool: CustomersReader(pool).classes(when, other))
    assert sum(one.customers for one in classes) == 1
    fold(connection, buying=Buying.of("Europe/London", other))
    classes = ask(small.story.dsn, lambda pool: CustomersReader(pool).classes(when, other))
    assert sum(one.customers for one in classes) == 1
