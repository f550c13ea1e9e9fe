"""Do several projectors share one log, whatever happens to them? S91, and guarantee 2 under faults."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from consumers.projector import Projector
from consumers.watchdog import Watchdog
from domain.errors import LogDamaged
from projections.rebuild import Rebuild
from tests.support.projectors import ProjectorProcess
from tests.support.story import Story, event, story
from tests.support.waiting import eventually

_MASTER = bytes(range(32))


@pytest.fixture
def shared(any_log_url: str, database: str) -> Iterator[Story]:
    log_url = any_log_url if any_log_url.startswith("kafka") else f"{database}&partitions=4"
    with story(database, log_url, master=_MASTER) as made:
        yield made


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=4", master=_MASTER) as made:
        yield made


@contextmanager
def _publishing(small: Story) -> Iterator[list[int]]:
    """Publish on and on, each event twice; gives how many there are."""
    stop, count = threading.Event(), [0]

    def publish() -> None:
        while not stop.is_set():
            events = [
                event(
                    f"{count[0]}-{one}",
                    data={"who": [{"kind": "email", "value": f"p{one}-{count[0] % 7}@example.org"}]},
                )
                for one in range(20)
            ]
            small.publish(*events)
            small.publish(*events)
            count[0] += 20
            stop.wait(0.1)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()


def _visible(small: Story) -> int:
    [(count,)] = small.rows("SELECT count(*)::int FROM timeline.events")
    return int(count)


def test_S91_projectors_come_go_and_die_and_each_event_stands_once(shared: Story, server_directory: Path) -> None:
    """1 to 4 to 1, two of them by kill -9, while events come; then rows equal those of a rebuild."""
    directory = server_directory
    projectors = [ProjectorProcess(shared, _MASTER, directory)]
    try:
        with _publishing(shared) as count:
            eventually(lambda: _visible(shared) > 0)
            projectors += [ProjectorProcess(shared, _MASTER, directory) for _ in range(3)]
            projectors = [one.wait() for one in projectors]
            eventually(lambda: [len(one.partitions()) for one in projectors] == [1, 1, 1, 1])
            projectors.pop(0).kill()
            projectors.pop(0).kill()
            seen = _visible(shared)
            eventually(lambda: _visible(shared) > seen)
            projectors.pop(0).stop()
            eventually(lambda: projectors[0].partitions() == [0, 1, 2, 3])
        eventually(lambda: _visible(shared) == count[0])
    finally:
        for one in projectors:
            one.kill()
    rebuild = Rebuild(shared.dsn, shared.log_url, shared.log, lambda connection, parked: None, shared.reading)
    assert rebuild.run().same is True


def test_a_frozen_projector_is_refused_when_it_wakes_up_and_rejoins_by_itself(
    small: Story, server_directory: Path
) -> None:
    lease = {"STORYLINE_LEASE_SECONDS": "1"}
    first = ProjectorProcess(small, _MASTER, server_directory, **lease)
    second = ProjectorProcess(small, _MASTER, server_directory, **lease)
    try:
        eventually(lambda: [len(one.wait().partitions()) for one in (first, second)] == [2, 2])
        with _publishing(small) as count:
            eventually(lambda: _visible(small) > 0)
            first.freeze()
            eventually(lambda: second.partitions() == [0, 1, 2, 3])
            seen = _visible(small)
            eventually(lambda: _visible(small) > seen)
            first.wake()
            eventually(lambda: sorted([*first.partitions(), *second.partitions()]) == [0, 1, 2, 3])
            eventually(lambda: len(first.partitions()) == 2)
        eventually(lambda: _visible(small) == count[0])
        assert first.metric("storyline_projector_troubles_total") > 0
    finally:
        first.kill()
        second.kill()
    assert small.rows("SELECT count(*) - count(DISTINCT name) FROM timeline.events") == [(0,)]


@contextmanager
def _projecting(projector: Projector) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=projector.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def _readers() -> list[int]:
    return [child.pid or 0 for child in multiprocessing.active_children() if child.name == "storyline-reader"]


def test_a_projector_with_lag_that_does_not_move_is_interrupted_and_rejoins(small: Story) -> None:
    """What stands still raises nothing: here the reader's process is frozen."""
    projector = Projector(
        small.dsn,
        small.log_url,
        small.log,
        lambda connection, parked: None,
        CollectorRegistry(),
        small.reading,
        stall=1,
    )
    small.publish(event(1))
    with _projecting(projector):
        eventually(lambda: _visible(small) == 1)
        [reader] = _readers()
        os.kill(reader, signal.SIGSTOP)
        small.publish(event(2))
        eventually(lambda: _visible(small) == 2)
        assert _readers() != [reader]


def _regrown(small: Story) -> None:
    """A log that lost its last records and took others in their place."""
    small.publish(*[event(number) for number in range(40)])
    small.project(consumer="live")
    small.rows('DELETE FROM log.records WHERE "offset" >= 1 RETURNING 1')
    small.rows("UPDATE log.partitions SET next_offset = 1 WHERE next_offset > 1 RETURNING 1")
    small.publish(*[event(number) for number in range(100, 200)])


def test_a_log_that_lost_its_end_and_grew_again_is_noticed_at_the_start(small: Story) -> None:
    """Each position lies within the log; only the anchor tells that it is another record."""
    _regrown(small)
    projector = Projector(small.dsn, small.log_url, small.log, lambda *_: None, CollectorRegistry(), small.reading)
    with pytest.raises(LogDamaged, match="another record stands there"):
        projector.run(threading.Event())
    assert _visible(small) == 40


def test_a_log_that_changes_under_a_running_projector_is_noticed(small: Story) -> None:
    small.publish(*[event(number) for number in range(40)])
    runner = small.runner()
    try:
        runner.run_to(small.log.ends())
        interrupted = threading.Event()
        watchdog = Watchdog(
            small.log, lambda: dict(runner.cursor), lambda: runner.anchors, interrupted.set, lambda: None,
            stall=60, look=0, every=0.1,
        )  # fmt: skip
        with watchdog:
            time.sleep(0.5)
            assert not interrupted.is_set()
            small.rows("UPDATE log.records SET value = 'another' RETURNING 1")
            assert interrupted.wait(10)
        assert watchdog.damage is not None
    finally:
        runner.close()


def test_a_projector_that_cannot_be_interrupted_is_given_up(small: Story) -> None:
    small.publish(event(1))
    given_up = threading.Event()
    cursor = dict.fromkeys(small.log.ends(), 0)
    with Watchdog(small.log, lambda: cursor, dict, lambda: None, given_up.set, stall=0.2):
        assert given_up.wait(10)


def test_a_batch_that_takes_longer_than_the_watchdog_waits_is_tried_in_smaller_ones(small: Story) -> None:
    """Cancelled and tried again as a whole, it would never come to an end."""
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END'"
        )
        connection.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON timeline.events FOR EACH ROW EXECUTE FUNCTION slow()"
        )
    given_up = threading.Event()
    projector = Projector(
        small.dsn, small.log_url, small.log, lambda *_: None, CollectorRegistry(), small.reading, stall=2,
        batch=1000, give_up=given_up.set,
    )  # fmt: skip
    small.publish(*[event(number) for number in range(500)])
    with _projecting(projector):
        eventually(lambda: _visible(small) == 500)
    assert not given_up.is_set()
