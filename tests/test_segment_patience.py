"""What if rules of segments take too long? The log goes on without them, and those concerned are looked at later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from eventlog.sql import load
from tests.support.segmented import Segmented, made, segmented
from tests.support.story import START

BUYERS = "exists(purchase.made)"


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Segmented]:
    with segmented(postgres) as found:
        yield found


@pytest.fixture
def shop(whole: Segmented, monkeypatch: pytest.MonkeyPatch) -> Segmented:
    """A segment that serves, with a patience of a fifth of a second instead of 15 s."""
    queries = load("projections.segments", "evaluating.sql")
    assert "'15s'" in queries["patience"]
    monkeypatch.setitem(queries, "patience", queries["patience"].replace("'15s'", "'200ms'"))
    whole.begin()
    whole.segment("buyers", BUYERS)
    return whole


@contextmanager
def slow(shop: Segmented) -> Iterator[None]:
    """No rule is answered meanwhile: what it is compared with is held by somebody else."""
    with psycopg.connect(shop.stage.story.dsn) as other:
        other.execute("LOCK TABLE segments.memberships IN ACCESS EXCLUSIVE MODE")
        yield


def seen(shop: Segmented) -> int:
    [(number,)] = shop.rows("SELECT count(*) FROM timeline.events")
    return int(number)


def test_a_batch_whose_rules_take_too_long_is_seen_and_its_customers_are_asked_by_themselves(
    shop: Segmented,
) -> None:
    with slow(shop):
        shop.happen(made("purchase.made", "ann"), made("email.received", "bob"))
        assert seen(shop) == 2
    assert shop.members("buyers") == set() and shop.changes("buyers") == []
    assert shop.waker.waiting(shop.connection) == 2
    shop.happen(made("purchase.made", "cleo"))
    assert shop.members("buyers") == {"cleo"}
    shop.look()
    assert shop.members("buyers") == {"ann", "cleo"}
    assert shop.changes("buyers") == [("cleo", True, "event"), ("ann", True, "event")]


def test_one_who_takes_too_long_by_themselves_is_looked_at_again_in_an_hour(shop: Segmented) -> None:
    with slow(shop):
        shop.happen(made("purchase.made", "ann"))
        for _ in range(4):  # a thousand at once, then a hundred, ten, one
            assert shop.waker.look(shop.connection) == 1
        assert shop.waker.look(shop.connection) == 0
    shop.look()
    assert shop.members("buyers") == set()
    shop.now = START + timedelta(hours=1)
    shop.look()
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [("ann", True, "event")]
