"""Does a rebuild out of the log equal live, whatever stands on the log and however its work is shared out? And is who
is erased meanwhile in none of its tables?
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from eventlog.port import Entry
from projections.rebuild import Rebuild, chosen
from tests.support.erasing import CANARY, Told, erasing_of, found_in, node_of, told
from tests.support.histories import deliver, history
from tests.support.postgres import PostgresServer
from tests.support.stage import Stage
from tests.support.story import START, Story, story
from tests.test_rebuild_one import orders, parts_of, rebuild

WHEN = [
    ("log", "begun"), ("log", "a name is in"), ("log", "finished"), ("log", "near"), ("log", "compared"),
    ("timeline", "a name is in"), ("timeline", "near"),
]  # fmt: skip


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=4") as made:
        yield made


@pytest.mark.parametrize(("seed", "workers"), [(1, 2), (2, 1)])
def test_out_of_the_log_it_equals_live_with_all_that_repeats_corrects_and_rules(
    small: Story, seed: int, workers: int
) -> None:
    pick = Random(seed)
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        acted = Stage(small, connection)
        published = acted.publish(history(pick, 60))
        acted.runner.close()
    delivered = [one for batch in deliver(pick, [one.value for one in published]) for one in batch]
    small.log.append([Entry(pick.randbytes(4), one.value) for one in delivered])
    small.project(batch=9)
    before = small.hashes()
    assert Rebuild(**parts_of(small), workers=workers, batch=5).run().same is True
    assert small.hashes() == before
    small.log.append([Entry(pick.randbytes(4), one.value) for one in pick.sample(delivered, 20)])
    small.publish(*orders(range(5)))
    small.project()
    assert rebuild(small, "all").run().same is True


def test_what_cannot_be_applied_is_parked_once_by_whoever_reads_it(small: Story) -> None:
    [known] = small.seal([orders([1])[0]], START)
    small.log.append([known, Entry(known.key, b'{"v":9}'), Entry(known.key, b"no record")])
    small.project()
    before = [one[:6] for one in small.parked]
    small.parked.clear()
    assert Rebuild(**parts_of(small), workers=1, batch=1).run().same is True
    assert sorted([one[:6] for one in small.parked]) == sorted(before)
    assert len(before) == 2


@pytest.fixture(scope="module")
def once(postgres: PostgresServer) -> Iterator[Told]:
    with told(postgres) as made:
        yield made


@pytest.mark.parametrize(("source", "point"), WHEN)
def test_S83_who_is_erased_while_tables_are_made_anew_is_in_none_of_them(
    once: Told, tmp_path: Path, source: str, point: str
) -> None:
    """Erased before the tables were filled, while they are, and when they only wait to be switched in."""
    models, origin = chosen(["all"], source)
    with once.again() as small, erasing_of(small, tmp_path / "ledger") as erasing:
        ada, done = node_of(small, "#17"), list[Any]()
        names = "SELECT count(*) FROM directory_next.identifiers"

        def erase(at: str) -> None:
            if at == point and not done:
                done.append(erasing.erase(ada, "asked for it by letter", by="cli"))

        def told_of(applied: int, total: int) -> None:
            assert applied <= total
            if small.rows(names) != [(0,)]:
                erase("a name is in")

        parts = {**parts_of(small), "models": models, "source": origin, "reached": erase, "told": told_of}
        assert CANARY in str(small.rows("SELECT value FROM directory.identifiers"))
        assert Rebuild(**parts).run().same is True
        assert [one.step for one in done] == ["certified"]
        assert found_in(small.dsn) == []
        assert small.rows("SELECT count(*) FROM directory.identifiers") != [(0,)], "Bob is found as before"
        for table in ("identifiers", "claims", "terms"):
            query = f"SELECT count(*) FROM directory.{table} AS t JOIN storyline.erased USING (evidence)"
            assert small.rows(query) == [(0,)]
