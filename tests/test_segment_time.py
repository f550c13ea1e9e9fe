"""Does time by itself change who is in which segment, at the computed moment, and is nobody looked at in vain?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from projections.segments.waking import Waker
from tests.support.logs import in_threads
from tests.support.segmented import DAY, Segmented, made, segmented
from tests.support.story import START

RECENT = "exists(purchase.made in last 30d)"
SILENT = "exists(purchase.made) and no(contact in last 90d)"
_TICK = timedelta(microseconds=1)


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Segmented]:
    with segmented(postgres) as found:
        yield found


@pytest.fixture
def shop(whole: Segmented) -> Segmented:
    whole.begin()
    return whole


def _wake_at(shop: Segmented) -> Any:
    [(at,)] = shop.rows("SELECT wake_at FROM segments.subjects")
    return at


def test_S31_a_window_that_ends_lets_a_customer_leave_when_it_does(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    shop.now = START + 30 * DAY - _TICK
    shop.look()
    assert shop.members("recent") == {"ann"}
    shop.now = START + 30 * DAY
    shop.look()
    assert shop.members("recent") == set()
    assert shop.changes("recent") == [("ann", True, "event"), ("ann", False, "time")]


def test_S31_silence_lets_a_customer_enter_when_it_has_lasted(shop: Segmented) -> None:
    shop.segment("silent", SILENT)
    shop.happen(made("purchase.made", "ann"))
    shop.day(90)
    shop.look()
    assert shop.members("silent") == {"ann"}
    [(at,)] = shop.rows("SELECT at FROM storyline.segment_changes")
    assert at == START + 90 * DAY


def test_the_moment_is_computed_when_the_event_comes_in(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    assert _wake_at(shop) == START + 30 * DAY


def test_a_look_before_the_moment_reads_nobody(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    shop.day(29)
    assert shop.waker.look(shop.connection) == 0


def test_a_moment_that_was_put_off_meanwhile_changes_nothing_and_is_computed_anew(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    shop.day(20)
    shop.happen(made("purchase.made", "ann", day=20))
    shop.day(30)
    shop.look()
    assert shop.members("recent") == {"ann"}
    assert _wake_at(shop) == START + 50 * DAY


def test_who_has_nothing_to_wait_for_is_not_looked_at_again(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    shop.day(31)
    shop.look()
    assert _wake_at(shop) is None


def test_a_late_event_brings_the_moment_forward(shop: Segmented) -> None:
    shop.segment("twice", "count(purchase.made in last 30d) >= 2")
    shop.day(20)
    shop.happen(made("purchase.made", "ann", day=20))
    shop.happen(made("purchase.made", "ann", day=5))
    assert shop.members("twice") == {"ann"}
    shop.day(35)
    shop.look()
    assert shop.members("twice") == set()


def test_a_standstill_leaves_everybody_where_they_belong_now(shop: Segmented) -> None:
    """Who would have entered and left meanwhile is told of nothing: it is no news any more."""
    shop.segment("window", "no(purchase.made in last 10d) and exists(purchase.made in last 20d)")
    shop.happen(made("purchase.made", "ann"))
    shop.day(25)
    shop.look()
    assert shop.members("window") == set()
    assert shop.changes("window") == []


def test_several_who_look_at_once_tell_of_each_change_once(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(*(made("purchase.made", f"u{number}") for number in range(60)))
    shop.day(31)

    def look(_: int) -> None:
        waker = Waker(shop.waker.facing, lambda: shop.now)
        with psycopg.connect(shop.stage.story.dsn, autocommit=True) as connection:
            while waker.look(connection, limit=7):
                pass

    in_threads(look, 3)
    assert shop.members("recent") == set()
    query = "SELECT count(*), count(DISTINCT customer) FROM storyline.segment_changes WHERE NOT entered"
    assert shop.rows(query) == [(60, 60)]


def test_who_looks_and_dies_leaves_all_for_the_next(shop: Segmented) -> None:
    shop.segment("recent", RECENT)
    shop.happen(made("purchase.made", "ann"))
    shop.day(31)
    dying = psycopg.connect(shop.stage.story.dsn, autocommit=True)
    with pytest.raises(psycopg.Error), dying, dying.transaction():
        assert shop.waker.look(dying) == 1
        dying.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    shop.look()
    assert shop.changes("recent")[1:] == [("ann", False, "time")]


def test_a_customer_who_is_nobody_any_more_is_in_nothing(shop: Segmented) -> None:
    """A rule of absence would hold for nobody, too."""
    shop.segment("quiet", "no(contact in last 30d)")
    shop.happen(made("email.received", "ann"))
    ghost = shop.node("bob")
    shop.connection.execute("INSERT INTO segments.subjects VALUES (%s, %s)", [ghost, START])
    shop.day(31)
    shop.look()
    assert shop.members("quiet") == {"ann"}
    assert shop.rows("SELECT count(*) FROM segments.subjects WHERE customer = %s", [ghost]) == [(0,)]
