"""Does a new rule come to serve beside the one before, and does whatever dies on the way go on?"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from eventlog.port import Logged
from projections.registry import MODELS, NEXT, build_beside, drop_beside
from projections.segments import filling
from projections.segments.backfilling import Backfiller
from tests.support.segmented import Segmented, made, segmented
from tests.support.waiting import eventually

BUYERS = "exists(purchase.made)"
CALLERS = "exists(call.ended)"


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Segmented]:
    with segmented(postgres) as found:
        yield found


@pytest.fixture
def shop(whole: Segmented) -> Segmented:
    whole.begin()
    return whole


def _people(count: int) -> list[dict[str, Any]]:
    """Of each three one buys, one calls, one does both."""
    events = []
    for number in range(count):
        events += [made("purchase.made", f"u{number}")] if number % 3 != 1 else []
        events += [made("call.ended", f"u{number}")] if number % 3 != 0 else []
    return events


def _versions(shop: Segmented) -> list[tuple[int, str]]:
    return shop.rows("SELECT version, state FROM storyline.segment_versions ORDER BY version")


def test_S31_a_new_segment_holds_all_of_the_past(shop: Segmented) -> None:
    shop.happen(*_people(30))
    shop.segment("buyers", BUYERS)
    assert len(shop.members("buyers")) == 20
    assert shop.rows("SELECT state, size FROM storyline.segment_versions") == [("serving", 20)]


def test_who_is_in_a_new_segment_from_the_start_is_told_only_where_that_is_asked_for(shop: Segmented) -> None:
    shop.happen(*_people(3))
    shop.segment("quiet", BUYERS)
    shop.segment("told", BUYERS, announce_existing=True)
    query = "SELECT segment, because, announce, count(*) FROM storyline.segment_changes GROUP BY 1, 2, 3 ORDER BY 1"
    assert shop.rows(query) == [("quiet", "rule", False, 2), ("told", "rule", True, 2)]


def test_the_rule_before_serves_until_the_new_one_is_complete(shop: Segmented) -> None:
    shop.happen(*_people(30))
    shop.segment("some", BUYERS)
    shop.define("some", CALLERS, version=2)
    steps = 0
    while shop.rows("SELECT serving FROM storyline.segments") == [(1,)]:
        assert len(shop.members("some")) == 20
        shop.backfiller.step(shop.connection)
        steps += 1
    assert steps >= 3
    shop.backfiller.run(shop.connection)
    assert _versions(shop) == [(1, "retired"), (2, "serving")]
    assert len(shop.members("some")) == 20
    assert shop.rows("SELECT DISTINCT version FROM segments.memberships") == [(2,)]
    query = (
        "SELECT version, entered, count(*) FROM storyline.segment_changes WHERE version = 2 GROUP BY 1, 2 ORDER BY 2"
    )
    assert shop.rows(query) == [(2, False, 10), (2, True, 10)]


def test_events_during_a_backfill_keep_both_rules_right(shop: Segmented) -> None:
    shop.happen(*_people(30))
    shop.segment("some", BUYERS)
    shop.define("some", CALLERS, version=2)
    pick, number = Random(7), 0
    while shop.rows("SELECT serving FROM storyline.segments") == [(1,)]:
        shop.backfiller.step(shop.connection)
        someone = f"u{pick.randrange(40)}"
        shop.happen(made(pick.choice(["call.ended", "purchase.made"]), someone))
        number += 1
    query = (
        "SELECT count(DISTINCT h.customer) FROM timeline.events AS e JOIN identity.evidences AS h USING (evidence) "
        "WHERE type = 'call.ended'"
    )
    assert shop.rows(query) == [(len(shop.members("some")),)]
    alternating = (
        "SELECT id FROM (SELECT id, entered, lag(entered) OVER (PARTITION BY customer ORDER BY id) AS was "
        "FROM storyline.segment_changes) AS one WHERE entered IS NOT DISTINCT FROM was"
    )
    assert shop.rows(alternating) == []


def test_whoever_fills_and_dies_is_followed_by_one_who_goes_on_where_it_stood(shop: Segmented) -> None:
    shop.happen(*_people(30))
    shop.define("buyers", BUYERS)
    for _ in range(4):
        shop.backfiller.step(shop.connection)
    [(reached,)] = shop.rows("SELECT filled_to FROM storyline.segment_versions")
    dying = psycopg.connect(shop.stage.story.dsn, autocommit=True)
    with pytest.raises(psycopg.Error), dying, dying.transaction():
        shop.backfiller.step(dying)
        dying.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    other = Backfiller(shop.waker.facing, lambda: shop.now, chunk=5)
    other.step(shop.connection)
    [(after,)] = shop.rows("SELECT filled_to FROM storyline.segment_versions")
    assert after > reached
    other.run(shop.connection)
    assert len(shop.members("buyers")) == 20


def test_a_batch_that_began_before_the_rule_was_known_is_waited_for(shop: Segmented) -> None:
    """It asks no rule of whom it touches; and whoever fills sees nothing of it before it is committed."""
    under_way, go = Event(), Event()

    def wait(*_: Any) -> None:
        under_way.set()
        go.wait(60)

    [bought] = shop.publish(made("purchase.made", "ann"))
    runner = shop.stage.story.runner(partitions=4, park=wait)
    runner.cursor = runner.positions.take(runner.connection, [1])
    logged = [Logged(1, place, b"", value) for place, value in enumerate([bought.value, b"poison, to be parked"])]
    batch = shop.stage.story.decoder().batch(0, dict(runner.cursor), logged)
    with psycopg.connect(shop.stage.story.dsn, autocommit=True) as other:
        threads = [Thread(target=runner.apply, args=[batch]), Thread(target=shop.backfiller.run, args=[other])]
        try:
            threads[0].start()
            assert under_way.wait(60)
            shop.define("buyers", BUYERS)
            threads[1].start()
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            eventually(lambda: shop.rows(waits) != [(0,)] or not threads[1].is_alive(), 60)
        finally:
            go.set()
            for thread in threads:
                thread.join(60)
            runner.close()
    assert shop.members("buyers") == {"ann"}


def test_two_who_fill_do_not_get_into_each_others_way(shop: Segmented) -> None:
    shop.happen(*_people(6))
    shop.define("buyers", BUYERS)
    with psycopg.connect(shop.stage.story.dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(7053081017)")
        assert not shop.backfiller.step(shop.connection)
        other.execute("SELECT pg_advisory_unlock(7053081017)")
    shop.backfiller.run(shop.connection)
    assert len(shop.members("buyers")) == 4


def test_a_rule_that_names_another_segment_follows_when_that_has_another_rule(shop: Segmented) -> None:
    shop.happen(*_people(6))
    shop.segment("some", BUYERS)
    shop.segment("others", "not in segment some")
    before = shop.members("others")
    shop.define("some", CALLERS, version=2)
    shop.backfiller.run(shop.connection)
    shop.look()
    assert len(before) == len(shop.members("others")) == 2
    assert shop.members("others") != before


def test_S32_another_build_is_filled_without_a_word_and_equals_the_one_that_serves(shop: Segmented) -> None:
    shop.segment("recent", "exists(purchase.made in last 30d)")
    shop.segment("callers", CALLERS)
    shop.happen(*_people(12))
    _fresh_build(shop)
    told = shop.rows("SELECT count(*) FROM storyline.segment_changes")
    runner = shop.stage.story.runner(partitions=4, suffix=NEXT, consumer="rebuild:test", clock=lambda: shop.now)
    try:
        runner.take()
        _feed(shop, runner, shop.publish(*_people(12)))
        assert shop.rows("SELECT count(*) FROM segments_next.memberships") == [(0,)]
        filling.fill(shop.connection, shop.waker.facing, NEXT, shop.now)
        assert shop.rows("SELECT count(*) FROM segments_next.memberships") == [(16,)]
        assert shop.rows("SELECT count(*) FROM storyline.segment_changes") == told
        _feed(shop, runner, shop.publish(made("call.ended", "u0")))
        filling.bring_to(shop.connection, shop.waker.facing, NEXT, shop.now)
        assert shop.rows("SELECT count(*) FROM segments_next.memberships") == [(17,)]
        shop.day(31)
        filling.bring_to(shop.connection, shop.waker.facing, NEXT, shop.now)
        assert shop.rows("SELECT DISTINCT segment FROM segments_next.memberships") == [("callers",)]
        assert shop.rows("SELECT count(*) FROM storyline.segment_changes") == told
    finally:
        runner.close()
        with shop.connection.transaction():
            for model in MODELS:
                drop_beside(shop.connection, model, NEXT)


def _fresh_build(shop: Segmented) -> None:
    with shop.connection.transaction():
        for model in MODELS:
            build_beside(shop.connection, model, NEXT)


def _feed(shop: Segmented, runner: Any, published: Any) -> None:
    from eventlog.port import Logged

    start = runner.cursor.get(0, 0)
    logged = [Logged(0, start + place, b"", one.value) for place, one in enumerate(published)]
    runner.apply(shop.stage.story.decoder().batch(0, runner.cursor, logged))


def test_a_live_build_that_starts_over_announces_nothing_of_what_was_announced(shop: Segmented) -> None:
    shop.segment("callers", CALLERS)
    history = shop.happen(*_people(12))
    told = shop.rows("SELECT id, customer, entered FROM storyline.segment_changes ORDER BY id")
    shop.stage.begin()  # of a backup only the durable tables were kept
    shop.stage.runner.clock = lambda: shop.now
    shop.stage.feed(history)
    assert shop.members("callers") == set()
    Backfiller(shop.waker.facing, lambda: shop.now).run(shop.connection)
    assert len(shop.members("callers")) == 8
    assert shop.rows("SELECT id, customer, entered FROM storyline.segment_changes ORDER BY id") == told
    shop.happen(made("call.ended", "u0"))
    assert shop.changes("callers")[-1][1:] == (True, "event")


def test_another_configuration_lets_everybody_be_asked_again(shop: Segmented) -> None:
    shop.segment("callers", CALLERS)
    shop.happen(*_people(12))
    shop.connection.execute("DELETE FROM segments.memberships")  # as if they had come out otherwise
    shop.connection.execute("UPDATE storyline.segment_state SET facing = 'another'")
    Backfiller(shop.waker.facing, lambda: shop.now).run(shop.connection)
    shop.look()
    assert len(shop.members("callers")) == 8
    assert {because for *_, because in shop.changes("callers")} == {"event", "configuration"}
