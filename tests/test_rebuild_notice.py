"""Does nobody notice a rebuild, neither a reader who looks all the time nor a projector of another release?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from consumers.projector import Projector
from domain.errors import Misconfigured, Unavailable
from projections.rebuild import Rebuild
from projections.rebuild_rollback import Rollback
from projections.rebuild_state import lock
from projections.registry import changed, refuse_changed
from storyline.database import upgrade
from tests.support.story import Story, event, story
from tests.test_rebuild_one import orders, parts_of, rebuild

TOTALS = (
    "SELECT (SELECT count(*) FROM timeline.events WHERE type = 'purchase.made'), "
    "(SELECT count(*) FROM customers.trades), (SELECT count(*) FROM figures.lines), "
    "(SELECT sum(touchpoints) FROM customers.contacts WHERE type = 'purchase.made'), "
    "(SELECT count(*) FROM work.deals), (SELECT count(*) FROM timeline.events WHERE type = 'deal.created')"
)
"""Of purchases what each read model holds, then of deals."""


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        yield made


class Watched:
    """A story under load, with a projector, and a reader who looks every 10 ms."""

    def __init__(self, small: Story) -> None:
        self.small, self.stop, self.published = small, threading.Event(), 0
        self.seen: list[tuple[int, ...]] = []
        self.failures: list[Exception] = []
        self.projector = Projector(
            small.dsn, small.log_url, small.log, lambda *_: None, CollectorRegistry(), small.reading, batch=200
        )
        self.threads = [
            threading.Thread(target=self._guarded, args=(run,))
            for run in (self._load, self._read, self._read_at_a_moment, lambda: self.projector.run(self.stop))
        ]

    def __enter__(self) -> Watched:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def _guarded(self, run: Any) -> None:
        try:
            run()
        except Exception as error:  # told by the test
            self.failures.append(error)

    def _load(self) -> None:
        while not self.stop.is_set():
            self.small.publish(*orders(range(self.published, self.published + 5)))
            self.published += 5
            time.sleep(0.2)

    def _read(self) -> None:
        with psycopg.connect(self.small.dsn, autocommit=True) as connection:
            while not self.stop.is_set():
                self.seen.append(self._look(connection))
                time.sleep(0.01)

    def _read_at_a_moment(self) -> None:
        """As readers do that ask several times within one snapshot."""
        with psycopg.connect(self.small.dsn, autocommit=True) as connection:
            while not self.stop.is_set():
                with connection.transaction():
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    first = self._look(connection)
                    time.sleep(0.005)
                    assert self._look(connection) == first
                time.sleep(0.01)

    @staticmethod
    def _look(connection: psycopg.Connection) -> tuple[int, ...]:
        row: Any = connection.execute(TOTALS).fetchone()
        *purchases, deals, told = [int(one or 0) for one in row]
        assert len(set(purchases)) == 1, purchases
        assert deals == told
        return purchases[0], deals

    def check(self) -> None:
        """Nothing odd was seen, and nothing is lost."""
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert self.failures == []
        assert len(self.seen) > 10
        assert self.seen == sorted(self.seen)
        self.small.project()
        assert self.small.rows("SELECT count(*) FROM customers.trades") == [(self.published,)]


def test_under_load_readers_see_neither_a_step_back_nor_a_mix(small: Story) -> None:
    small.publish(*orders(range(-200, 0)))
    small.project()
    small.rows("DELETE FROM storyline.seats RETURNING 1")
    watched = Watched(small)
    watched.published = 0
    with watched:
        for names in (("customers",), ("all",), ("figures", "work")):
            assert rebuild(small, *names).run().same is True
        assert Rebuild(**parts_of(small)).run().same is True
        Rollback(**parts_of(small)).run()
    watched.published += 200
    watched.check()
    assert Rebuild(**parts_of(small)).run().same is True


def test_two_that_would_collide_are_refused(small: Story) -> None:
    small.publish(event(1))
    small.project()
    with psycopg.connect(small.dsn, autocommit=True) as other:
        lock(other)
        for work in (rebuild(small, "work"), Rebuild(**parts_of(small)), Rollback(**parts_of(small))):
            with pytest.raises(Unavailable, match="two would collide"):
                work.run()

    def second(point: str) -> None:
        if point == "near":
            with pytest.raises(Unavailable, match=r"A rebuild \(work\) is at work, .* % are done"):
                rebuild(small, "directory").run()

    assert rebuild(small, "work", reached=second).run().same is True


def test_other_sql_is_noticed_and_named_with_what_to_run(small: Story) -> None:
    small.publish(event(1))
    small.project()
    small.rows("UPDATE storyline.read_models SET sql_hash = 'older' WHERE name = 'customers' RETURNING 1")
    with psycopg.connect(small.dsn) as connection:
        connection.execute("DROP SCHEMA work CASCADE")
    projector = Projector(small.dsn, small.log_url, small.log, lambda *_: None, CollectorRegistry(), small.reading)
    with pytest.raises(Misconfigured, match="`storyline rebuild customers work figures segments`"):
        projector.run(threading.Event())
    upgrade(small.dsn)  # drops nothing, and makes nothing that would be empty
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]
    with pytest.raises(Misconfigured, match="storyline rebuild customers work figures segments"):
        rebuild(small, "customers").run()
    assert rebuild(small, "customers", "work", "figures", "segments").run().same is None
    with psycopg.connect(small.dsn) as connection:
        refuse_changed(connection)
        assert changed(connection) == ()
    assert rebuild(small, "all").run().same is True


def test_a_projector_of_another_release_stops_when_other_tables_are_switched_in(small: Story) -> None:
    small.publish(event(1))
    small.project()
    ended: list[Misconfigured] = []
    projector = Projector(small.dsn, small.log_url, small.log, lambda *_: None, CollectorRegistry(), small.reading)

    def run() -> None:
        try:
            projector.run(threading.Event())
        except Misconfigured as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not projector.held:
        time.sleep(0.05)

    work = rebuild(small, "work")
    assert work.run().same is True
    small.rows("UPDATE storyline.read_models SET sql_hash = 'newer' WHERE name = 'work' RETURNING 1")
    small.publish(event(2))
    thread.join(60)
    assert not thread.is_alive()
    assert "start the release that made them" in ended[0].detail
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]
