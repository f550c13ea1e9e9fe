"""Does a relay that is killed, frozen or overtaken at any point skip nothing, double nothing, and keep the order?

The negative control is in here too: a store that saves without the lock, whose late commit a relay passes over.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from eventlog import store_recorder
from eventlog.store import WorkStore
from tests.support.relay_kills import killed
from tests.support.relaying import RelayProcess, native, relay_of
from tests.support.story import Story, story
from tests.support.waiting import eventually
from tests.support.working import new_task, store_of

KILLS = 12
MASTER = os.urandom(32)


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=4", master=MASTER) as made:
        yield made


@pytest.fixture
def on_kafka(database: str, kafka_log_url: str) -> Iterator[Story]:
    with story(database, kafka_log_url, master=MASTER) as made:
        yield made


def test_nothing_is_skipped_or_doubled_whenever_it_is_killed(small: Story) -> None:
    found = killed(small, KILLS, seed=1)
    assert found.events > 100
    assert (found.on_log, found.shown, found.repeats, found.out_of_order) == (found.events, found.events, 0, 0)


@pytest.mark.kafka
def test_nothing_is_skipped_or_doubled_on_kafka_either(on_kafka: Story) -> None:
    found = killed(on_kafka, 4, seed=2)
    assert (found.on_log, found.shown, found.out_of_order) == (found.events, found.events, 0)


def test_a_relay_that_is_frozen_loses_its_work_to_another_and_is_refused_when_it_wakes(
    small: Story, tmp_path: Path
) -> None:
    more = {"STORYLINE_LEASE_SECONDS": "1"}
    with store_of(small) as store:
        one = RelayProcess(small, MASTER, tmp_path, **more).wait()
        eventually(one.works, 20)
        other = RelayProcess(small, MASTER, tmp_path, **more).wait()
        assert not other.works()
        store.save(new_task())
        eventually(lambda: len(native(small)) == 1)
        one.freeze()
        store.save(new_task())
        eventually(other.works, 20)
        eventually(lambda: len(native(small)) == 2)
        one.wake()
        store.save(new_task())
        eventually(lambda: not one.works() and other.works(), 20)
        eventually(lambda: len(native(small)) == 3)
        for relay in (one, other):
            relay.stop()
    small.project()
    assert len(small.rows("SELECT FROM timeline.events")) == len(native(small)) == 3


_SLOW = """
CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(4965);
    RETURN NEW;
END $$;
CREATE TRIGGER dawdle AFTER INSERT ON eventstore.events FOR EACH ROW
WHEN (NEW.topic = 'task.done') EXECUTE FUNCTION public.dawdle();
"""


def late(small: Story, store: WorkStore) -> tuple[int, int]:
    """One save commits late, another one meanwhile if it can, and a relay reads all the while; gives how many events
    the relay took, and how many there are."""
    with psycopg.connect(small.dsn, autocommit=True) as gate, relay_of(small) as relay:
        gate.execute(_SLOW)
        assert relay.take()
        gate.execute("SELECT pg_advisory_lock(4965)")
        slow = new_task()
        slow.finish(at=slow.created_on, actor=None)
        threads = [threading.Thread(target=store.save, args=(slow,))]
        threads[0].start()
        waits = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4965 AND NOT granted"
        eventually(lambda: gate.execute(waits).fetchone() == (True,), 10)
        threads.append(threading.Thread(target=store.save, args=(new_task(),)))
        threads[1].start()
        time.sleep(0.5)
        taken = relay.step()  # what is committed by now
        gate.execute("SELECT pg_advisory_unlock(4965)")
        for thread in threads:
            thread.join()
        while number := relay.step():
            taken += number
        return taken, len(small.rows("SELECT FROM eventstore.events"))


def test_no_event_is_skipped_when_its_save_commits_after_a_later_one(small: Story) -> None:
    with store_of(small) as store:
        assert late(small, store) == (3, 3)


def test_without_the_lock_the_same_relay_skips_it(small: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the test above has teeth: notification ids alone are given before the commits, not in their order."""
    without: Any = {**store_recorder._SQL, "lock": "SELECT 1"}
    monkeypatch.setattr(store_recorder, "_SQL", without)
    with store_of(small) as store:
        assert late(small, store) == (1, 3)
