"""Does a rebuild that is cut off between two of its parts go on with what is left, and does none of them wait for
what it does not need?
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from projections.rebuild import Rebuild
from projections.rebuild_state import abort
from tests.support.story import Story, event, story
from tests.test_rebuild_one import orders, parts_of, rebuild

SCRATCH = ("placed", "grouped", "said_evidences", "said_members", "said_nodes")
THERE = "SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'identity%%' AND relname = ANY (%s)"
LOGGED = (
    "SELECT relpersistence = 'p', to_regclass('timeline_next.events_position') IS NOT NULL "
    "FROM pg_class WHERE oid = to_regclass('timeline_next.events')"
)
PARTS = (
    "SELECT coalesce(min(reached::float8 / total), 1) FROM storyline.rebuild_parts "
    "WHERE split_part(part, ':', 1) = %s"
)


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        made.publish(*orders(range(30)), *[event(100 + number) for number in range(30)])
        made.project()
        yield made


def share_of(small: Story, kind: str) -> float:
    return float(small.rows(PARTS, kind)[0][0])


def test_a_large_table_is_read_by_its_index_before_it_is_written_to_the_log_of_postgres(small: Story) -> None:
    seen: set[Any] = set()
    work = Rebuild(**parts_of(small), workers=1, batch=7)
    work.told = lambda done, total: seen.update((share_of(small, "events") > 0, *one) for one in small.rows(LOGGED))
    assert work.run().same is True
    assert (True, False, True) in seen
    assert {one for one in seen if one[0] and not one[2]} == set()
    assert (True, True, True) in seen


@pytest.mark.parametrize(("done", "then"), [("people", "place"), ("place", "homes"), ("homes", "placed")])
@pytest.mark.parametrize("source", ["log", "timeline"])
def test_cut_off_while_it_finds_out_who_is_who_it_goes_on_or_is_given_up(
    small: Story, source: str, done: str, then: str
) -> None:
    before = small.hashes()

    def cut(_done: int, _total: int) -> None:
        if share_of(small, done) == 1 and share_of(small, then) == 0:
            raise KeyboardInterrupt

    for ending in (False, True):
        work = Rebuild(**parts_of(small), workers=1) if source == "log" else rebuild(small, "identity", workers=1)
        work.told = cut
        with pytest.raises(KeyboardInterrupt):
            work.run()
        assert small.rows(THERE, list(SCRATCH))
        if not ending:
            with psycopg.connect(small.dsn, autocommit=True) as connection:
                abort(connection)
            assert small.rows("SELECT count(*) FROM pg_namespace WHERE right(nspname, 5) = '_next'") == [(0,)]
    small.publish(*orders(range(30, 40)))
    small.project()
    again = Rebuild(**parts_of(small), workers=2) if source == "log" else rebuild(small, "identity", workers=2)
    assert again.run().same is True
    assert small.rows(THERE, list(SCRATCH)) == []
    assert small.hashes() != before


def test_workers_start_while_the_empty_tables_are_made_and_end_with_the_rebuild(small: Story) -> None:
    found: dict[str, int] = {}

    def count(point: str) -> None:
        workers = [one for one in multiprocessing.active_children() if one.name == "storyline-worker"]
        found[point] = len(workers)

    assert rebuild(small, "all", workers=3, reached=count).run().same is True
    assert found["begun"] == 2
    count("over")
    assert found["over"] == 0


def test_a_worker_that_is_killed_before_it_is_told_anything_is_missed_by_nobody(small: Story) -> None:
    def kill(point: str) -> None:
        if point == "begun":
            for one in multiprocessing.active_children():
                if one.name == "storyline-worker":
                    one.kill()
                    one.join()

    assert rebuild(small, "all", workers=2, reached=kill).run().same is True
