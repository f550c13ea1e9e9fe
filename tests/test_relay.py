"""Does the relay take what is saved to the log: all of it, in order, once, and only to the log that it knows?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from consumers.relay import Relaying
from domain.errors import Fenced, Misconfigured, Poison, Unavailable
from domain.identifiers import Identifier
from eventlog.opening import open_log
from eventlog.port import Entry
from eventlog.record import decode
from eventlog.relay import Relay
from eventlog.store import WorkStore
from tests.support.relaying import doubled, mended, native, order_of, relay_of, relayed, status
from tests.support.story import Story, event, story
from tests.support.waiting import eventually
from tests.support.working import new_task, store_of


@pytest.fixture
def small(database: str, any_log_url: str) -> Iterator[Story]:
    """On each of the two logs."""
    url = f"{any_log_url}&partitions=4" if any_log_url == database else any_log_url
    with story(database, url) as made:
        yield made


@pytest.fixture
def plain(database: str) -> Iterator[Story]:
    """On the embedded log, for what has nothing to do with the log."""
    with story(database, f"{database}&partitions=4") as made:
        yield made


@pytest.fixture
def store(small: Story) -> Iterator[WorkStore]:
    with store_of(small) as made:
        yield made


def person(number: int) -> tuple[Identifier, ...]:
    return (Identifier("email", f"p{number}@example.org"),)


def forget(small: Story) -> None:
    """As if the relay had died before it noted what it appended last."""
    with psycopg.connect(small.dsn) as connection:
        connection.execute("UPDATE storyline.relay SET notification = 0, ends = '{}'")
        connection.execute("DELETE FROM storyline.relayed")


def test_what_is_saved_comes_to_the_log_in_order_and_where_it_stands_is_noted(small: Story, store: WorkStore) -> None:
    tasks = [new_task(who=person(number), steps=4) for number in range(10)]
    for task in tasks:
        store.save(task)
    assert relayed(small, batch=7) == 50
    records = native(small)
    assert order_of(records) == {task.id.hex: [1, 2, 3, 4, 5] for task in tasks}
    places = small.rows("SELECT log_partition, log_offset FROM storyline.relayed ORDER BY notification")
    assert sorted(places) == sorted((one.partition, one.offset) for one in records)
    assert (status(small).lag, status(small).notification) == (0, store.last())
    assert relayed(small) == 0


def test_a_record_on_the_log_is_the_stores_but_for_when_it_was_recorded(small: Story, store: WorkStore) -> None:
    task = new_task()
    store.save(task)
    later = datetime(2030, 1, 1, tzinfo=UTC)
    relayed(small, clock=lambda: later)
    [record], [state] = native(small), store.records(task.id)
    assert decode(record.value).recorded_at == "2030-01-01T00:00:00.000000Z"
    assert record.value.replace(b"2030-01-01T00:00:00.000000Z", state[-29:-2]) == state
    assert record.key.decode() == decode(state).head.owner


def test_it_is_shown_on_the_timeline(small: Story, store: WorkStore) -> None:
    store.save(new_task(steps=1))
    relayed(small)
    small.project()
    assert small.rows("SELECT type FROM timeline.events ORDER BY type") == [("task.changed",), ("task.created",)]
    assert small.parked == []


def test_what_was_appended_and_not_noted_is_found_again_and_not_doubled(small: Story, store: WorkStore) -> None:
    small.publish(*[event(number) for number in range(20)])
    tasks = [new_task(who=person(number), steps=2) for number in range(5)]
    store.save(*tasks)
    relayed(small)
    forget(small)
    store.save(new_task(who=person(1)))
    assert relayed(small) == 16
    assert len(native(small)) == 16
    assert doubled(native(small)) == 0
    assert len(small.rows("SELECT FROM storyline.relayed")) == 16


def test_what_one_found_on_the_log_and_had_no_time_to_note_the_next_one_finds_too(
    small: Story, store: WorkStore
) -> None:
    store.save(new_task(steps=9))
    relayed(small)
    forget(small)
    with relay_of(small, batch=4) as first, relay_of(small, batch=4) as second, relay_of(small, batch=4) as third:
        for one, steps in ((first, 0), (second, 1), (third, 9)):
            eventually(one.take, 10)
            for _ in range(steps):
                one.step()
                one.beat()
            one.drop()
    assert (len(native(small)), doubled(native(small)), status(small).lag) == (10, 0, 0)


def test_an_append_of_which_nobody_knows_whether_it_came_about_is_not_done_twice(plain: Story) -> None:
    class Deaf:
        """A log whose answers get lost, once."""

        def __init__(self, url: str) -> None:
            self._log, self.heard = open_log(url), False

        def append(self, entries: Any) -> Any:
            found = self._log.append(entries)
            if not self.heard:
                self.heard = True
                raise Unavailable("no answer")
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(self._log, name)

    log: Any = Deaf(plain.log_url)
    with store_of(plain) as store:
        store.save(new_task(steps=5))
        stop = threading.Event()
        work = Relaying(plain.dsn, log, plain.hasher, CollectorRegistry())
        thread = threading.Thread(target=work.run, args=(stop,))
        thread.start()
        eventually(lambda: log.heard and status(plain).lag == 0, 20)
        stop.set()
        thread.join()
    log.close()
    assert order_of(native(plain)) == {next(iter(order_of(native(plain)))): [1, 2, 3, 4, 5, 6]}


def test_of_two_one_works_and_whoever_was_frozen_is_refused(small: Story, store: WorkStore) -> None:
    with relay_of(small, lease=0.5) as one, relay_of(small, lease=0.5) as other:
        assert one.take()
        assert not other.take()
        store.save(new_task(steps=3))
        one.step()
        store.save(new_task())
        time.sleep(0.7)
        assert other.take(), "who was not seen for a lease loses it"
        assert other.step() == 1
        store.save(new_task())
        with pytest.raises(Fenced):
            one.step()
        assert not one.take()
        assert other.step() == 1
    assert doubled(native(small)) == 0
    assert len(native(small)) == 6


def test_who_is_fenced_at_the_last_moment_notes_nothing(plain: Story) -> None:
    """It stood still between its look at the lease and the append: a repeat on the log, which counts once."""
    with store_of(plain) as store, relay_of(plain) as one, relay_of(plain) as other:
        assert one.take()
        store.save(new_task(steps=3))
        append = one._log.append

        def late(entries: Any) -> Any:
            with psycopg.connect(plain.dsn, autocommit=True) as connection:
                connection.execute("UPDATE storyline.relay SET seen_at = seen_at - interval '1 hour'")
            assert other.take()
            assert other.step() == 4
            return append(entries)

        one._log.append = late  # type: ignore[method-assign]
        with pytest.raises(Fenced):
            one.step()
    assert doubled(native(plain)) == 4
    plain.project()
    assert len(plain.rows("SELECT FROM timeline.events")) == 4


_DAWDLE = """
CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$;
CREATE TRIGGER dawdle BEFORE INSERT ON log.records FOR EACH ROW EXECUTE FUNCTION public.dawdle();
"""


def test_who_takes_over_waits_for_an_append_that_is_under_way(plain: Story) -> None:
    """As a kill -9 leaves one: the server commits it though nobody waits for it any more."""
    refused = []
    with store_of(plain) as store, relay_of(plain) as one, relay_of(plain) as other:
        store.save(new_task())
        assert one.take()

        def work() -> None:
            with pytest.raises(Fenced) as told:
                one.step()
            refused.append(told)

        with psycopg.connect(plain.dsn, autocommit=True) as connection:
            connection.execute(_DAWDLE)
            thread = threading.Thread(target=work)
            thread.start()
            under_way = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            eventually(lambda: connection.execute(under_way).fetchone() != (0,), 10)
            connection.execute("UPDATE storyline.relay SET seen_at = seen_at - interval '1 hour'")
            assert other.take()
            assert other.step() == 1
            thread.join()
    assert (len(native(plain)), doubled(native(plain)), len(refused)) == (1, 0, 1)


def test_who_is_gone_is_followed_at_once(small: Story, store: WorkStore) -> None:
    with relay_of(small, lease=600) as one, relay_of(small, lease=600) as other:
        assert one.take()
        assert not other.take()
        one.drop()  # its session ended, as by kill -9
        eventually(other.take, 5)


@contextmanager
def relaying(small: Story, **more: Any) -> Iterator[Relaying]:
    """The consumer at work in the background."""
    log, stop = open_log(small.log_url), threading.Event()
    work = Relaying(small.dsn, log, small.hasher, CollectorRegistry(), **more)
    thread = threading.Thread(target=work.run, args=(stop,))
    thread.start()
    try:
        yield work
    finally:
        stop.set()
        thread.join()
        log.close()


def test_the_consumer_goes_on_after_troubles_and_says_how_it_is(plain: Story) -> None:
    with store_of(plain) as store, relaying(plain) as work:
        eventually(lambda: work.works and work.ready, 10)
        store.save(new_task())
        eventually(lambda: status(plain).lag == 0, 10)
        with psycopg.connect(plain.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name LIKE 'storyline relay%' AND datname = current_database()"
            )
        store.save(new_task())
        eventually(lambda: status(plain).lag == 0, 10)
    assert doubled(native(plain)) == 0
    assert len(native(plain)) == 2
    assert status(plain).holder is None, "who stops gives it back"


def test_what_is_saved_is_on_the_log_within_a_moment(plain: Story) -> None:
    with store_of(plain) as store, relaying(plain) as work:
        eventually(lambda: work.works, 10)
        for _ in range(5):
            store.save(new_task())
            began = time.monotonic()
            eventually(lambda: status(plain).lag == 0, 5)
            assert time.monotonic() - began < 2


def test_another_log_is_refused_unless_the_history_moved_there(plain: Story, postgres: Any) -> None:
    with store_of(plain) as store:
        store.save(new_task())
        relayed(plain)
        name = postgres.create_database()
        other = open_log(f"{postgres.dsn_of(name)}&partitions=2")
        relay = Relay(plain.dsn, other, plain.hasher)
        with pytest.raises(Misconfigured, match="storyline log move"):
            relay.take()
        assert status(plain).holder is None
        other.append([Entry(one.key, one.value) for one in native(plain)])
        moved = Relay(plain.dsn, other, plain.hasher, followed=lambda log_id: log_id == plain.log.log_id)
        store.save(new_task())
        assert moved.take()
        assert moved.step() == 1
        assert sum(other.ends().values()) == 2, "what was there before the move is there once"
        for one in (relay, moved):
            one.drop()
        other.close()
        postgres.drop_database(name)


def test_a_record_that_only_looks_like_one_of_ours_is_passed_over(plain: Story) -> None:
    """Who may publish from `storyline/…` may publish such a thing; no store has to know it."""
    ref = {"kind": "task", "value": "0" * 32}
    about = event(1, source="storyline/task", type="task.done", data={"refs": [ref], "content": {"revision": 1}})
    plain.publish(about)
    assert relayed(plain) == 0
    assert mended(plain).looked == 0


def test_what_nobody_waits_for_any_more_is_dropped(plain: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.relay._PRUNE_EVERY", 0)
    with store_of(plain) as store:
        store.save(new_task(steps=3))
        relayed(plain)
        with psycopg.connect(plain.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO storyline.relayed VALUES (-99994, 0, 0), (-99995, 0, 0)")
        store.save(new_task())
        relayed(plain)
    assert plain.rows("SELECT min(notification) FROM storyline.relayed") == [(-99_994,)]


def test_a_state_that_was_never_a_record_stops_it(plain: Story) -> None:
    with store_of(plain) as store:
        store.save(new_task())
    with psycopg.connect(plain.dsn) as connection:
        connection.execute("UPDATE eventstore.events SET state = 'x'")
    with relay_of(plain) as relay:
        assert relay.take()
        with pytest.raises(Poison):
            relay.step()
