"""Does a rebuild equal live, and does nobody notice it?"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from consumers.projector import Projector
from eventlog.port import Entry
from projections.rebuild import Rebuild, RebuildDiffers
from tests.support.story import START, Story, event, note, story


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        yield made


def _rebuild(small: Story, **changes: object) -> Rebuild:
    parts = {
        "dsn": small.dsn,
        "log_url": small.log_url,
        "log": small.log,
        "reading": small.reading,
        "park": lambda connection, parked: small.parked.extend(parked),
    }
    return Rebuild(**{**parts, **changes})  # type: ignore[arg-type]


def test_a_rebuild_equals_live(small: Story) -> None:
    small.publish(*[event(number) for number in range(50)], event(3))
    small.project()
    before = small.hashes()
    report = _rebuild(small).run()
    assert report.same is True
    assert small.hashes() == before
    assert small.hashes("_previous") == before
    assert small.rows("SELECT consumer FROM storyline.positions GROUP BY 1") == [("live",)]


def test_a_rebuild_before_anything_was_published_or_projected_does_no_harm(small: Story) -> None:
    assert _rebuild(small).run().same is True
    small.publish(event(1))
    assert _rebuild(small).run().same is True
    small.project()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]


def test_a_rebuild_rules_on_name_clashes_as_live_did(small: Story) -> None:
    """Live met the second content first. A rebuild that reads the log from its start must keep it all the same."""
    first, second = (
        small.seal([note(1, "one")], START + timedelta(minutes=1)),
        small.seal([note(1, "two")], START + timedelta(minutes=2)),
    )
    small.log.append(second)
    small.project()
    small.log.append(first)
    small.project()
    before = small.hashes()
    small.rows(
        "UPDATE log.records SET value = v.value FROM log.records AS v WHERE v.value <> records.value RETURNING 1"
    )
    # So that nobody notices
    small.rows("UPDATE storyline.positions SET anchor = NULL, anchor_offset = NULL RETURNING 1")
    report = _rebuild(small).run()
    assert report.same is True
    assert small.hashes() == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM timeline.refs",
        "UPDATE identity.nodes SET shared = true",
        "UPDATE customers.contacts SET touchpoints = touchpoints + 1",
        "DELETE FROM directory.terms",
        "UPDATE work.deals SET stage = 'won'",
        "DELETE FROM work.steps",
    ],
)
def test_a_rebuild_that_differs_is_not_switched_in(small: Story, damage: LiteralString) -> None:
    """One read model that is wrong keeps the others from being switched, too."""
    refs = [{"kind": "order", "value": "O-1"}, {"kind": "deal", "value": "D-1"}]
    small.publish(event(1, data={"refs": refs, "content": {"stage": "new"}}, type="deal.created"), event(2))
    small.project()
    assert small.rows(f"{damage} RETURNING 1")
    before = small.hashes()
    with pytest.raises(RebuildDiffers):
        _rebuild(small).run()
    assert small.hashes() == before


def test_what_live_parked_as_poison_and_can_be_read_by_now_is_redriven_before_a_rebuild(small: Story) -> None:
    known, newer = small.seal([event(1), event(2)], START)
    small.log.append([known, Entry(known.key, b'{"v":9}')])
    small.project()
    letter = small.parked.pop()
    assert letter.reason == "poison"
    # a release that reads it: to the rebuild it is a record like others
    small.rows(
        'UPDATE log.records SET value = %s WHERE partition = %s AND "offset" = %s RETURNING 1',
        newer.value, letter.log_partition, letter.log_offset,
    )  # fmt: skip
    small.rows("UPDATE storyline.positions SET anchor_offset = NULL, anchor = NULL RETURNING 1")
    with pytest.raises(RebuildDiffers, match="Redrive them"):
        _rebuild(small).run()
    small.log.append([newer])
    small.project()
    assert _rebuild(small).run().same
    assert small.rows("SELECT count(*) FROM timeline.events") == [(2,)]


def test_a_rebuild_that_was_cut_off_goes_on(small: Story) -> None:
    small.publish(*[event(number) for number in range(30)])
    small.project()

    def cut(applied: int, total: int) -> None:
        if applied >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _rebuild(small, batch=5, told=cut).run()
    assert small.rows("SELECT count(*) FROM timeline_next.events") != [(0,)]
    told: list[int] = []
    _rebuild(small, batch=5, told=lambda applied, total: told.append(applied)).run()
    assert told[0] > 10
    assert small.rows("SELECT count(*) FROM timeline.events") == [(30,)]


def test_a_rebuild_under_load_loses_nothing_and_no_reader_sees_a_step_back(small: Story) -> None:
    registry = CollectorRegistry()
    projector = Projector(
        small.dsn, small.log_url, small.log, lambda connection, parked: None, registry, small.reading, batch=50
    )
    stop, counts, failures = threading.Event(), [], []

    def read() -> None:
        with psycopg.connect(small.dsn, autocommit=True) as connection:
            while not stop.is_set():
                try:
                    row = connection.execute("SELECT count(*) FROM timeline.events").fetchone()
                    counts.append(row[0] if row else -1)
                except psycopg.Error as error:
                    failures.append(error)

    def load() -> None:
        for number in range(100):
            small.publish(*[event(f"{number}-{one}") for one in range(10)])

    threads = [threading.Thread(target=run) for run in (read, load, lambda: projector.run(stop))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            assert _rebuild(small, batch=100).run().same is True
        threads[1].join()
        while small.rows("SELECT count(*) FROM timeline.events") != [(1000,)]:
            assert threads[2].is_alive()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert counts == sorted(counts)
    assert _rebuild(small).run().same is True
