"""Does a read model that is made anew out of the timeline equal the live one, whatever happened and whatever happens
meanwhile?

More examples by hand: `STORYLINE_REBUILD_EXAMPLES=300 pytest tests/test_rebuild_one.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.errors import BadInput, Misconfigured, NotFound, Refused
from eventlog.port import Logged
from projections.rebuild import POINTS, Rebuild, RebuildDiffers, chosen
from projections.rebuild_rollback import Rollback
from projections.rebuild_state import abort
from tests.support.histories import RULES, deliver, history
from tests.support.stage import Stage, stage
from tests.support.story import Story, event, story

# A connection pool's own thread asks `random` for its jitter, now and then while a strategy draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

ALONE = ("identity", "customers", "directory", "work", "figures", "segments")
EXAMPLES = int(os.environ.get("STORYLINE_REBUILD_EXAMPLES", "5"))


MADE = (
    "SELECT t.relnamespace::regnamespace::text, t.relname, t.relpersistence, pg_get_indexdef(x.indexrelid) "
    "FROM pg_class AS t LEFT JOIN pg_index AS x ON x.indrelid = t.oid "
    "WHERE t.relnamespace::regnamespace::text IN "
    "('timeline', 'identity', 'customers', 'directory', 'work', 'figures', 'segments') AND t.relkind = 'r' "
    "ORDER BY 1, 2, 3, 4"
)
"""What the live tables are: each index of each, and whether a crash empties them."""


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        yield made


@pytest.fixture(scope="module")
def acted(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def parts_of(small: Story) -> dict[str, Any]:
    return {
        "dsn": small.dsn,
        "log_url": small.log_url,
        "log": small.log,
        "reading": small.reading,
        "park": lambda connection, parked: small.parked.extend(parked),
    }


def rebuild(small: Story, *names: str, **changes: Any) -> Rebuild:
    models, source = chosen(names, "timeline")
    return Rebuild(**{**parts_of(small), "models": models, "source": source, **changes})


def rollback(small: Story, *names: str, **changes: Any) -> Rollback:
    return Rollback(**{**parts_of(small), "models": names, **changes})


def orders(numbers: Sequence[int], **changes: Any) -> list[dict[str, Any]]:
    """Purchases of seven people, two of each order by two sources, and a deal of each."""
    found = []
    for number in numbers:
        who = [{"kind": "email", "value": f"{number % 7}@example.org"}]
        refs = [{"kind": "order", "value": f"O-{number // 2}"}]
        content = {"amount": number, "currency": "GBP", "lines": [{"product": f"P-{number % 3}", "quantity": 1}]}
        data = {"who": who, "refs": refs, "content": content}
        found.append(event(number, type="purchase.made", source=f"shop/{number % 2}", data=data, **changes))
        deal = {"who": who, "refs": [{"kind": "deal", "value": f"D-{number}"}], "content": {"stage": "new"}}
        found.append(event(f"d{number}", type="deal.created", data=deal))
        claim = {"who": who, "content": {"name": f"Ann {number % 5}"}}
        found.append(event(f"p{number}", type="profile.updated", data=claim))
    return found


def retraction(number: int | str, *targets: Mapping[str, Any]) -> dict[str, Any]:
    about = [{"relation": "retracts", "source": one["source"], "id": one["id"]} for one in targets]
    return event(f"r{number}", type="event.retracted", data={"who": [], "about": about, "content": {}})


@pytest.mark.parametrize("names", [*[(name,) for name in ALONE], ("all",), ("customers", "work")], ids="+".join)
def test_read_models_of_the_timeline_equal_live(small: Story, names: tuple[str, ...]) -> None:
    published = orders(range(20))
    small.publish(*published, event(1000))
    small.project(batch=7)
    small.publish(retraction(1, published[3], published[7]), event("late", time="2020-01-01T00:00:00Z"))
    small.project()
    before, made = small.hashes(), small.rows(MADE)
    report = rebuild(small, *names, workers=2 if names == ("all",) else 1, batch=5).run()
    assert report.same is True
    assert small.hashes() == before
    assert small.rows(MADE) == made
    assert small.rows("SELECT consumer FROM storyline.positions GROUP BY 1") == [("live",)]
    assert small.rows("SELECT count(*) FROM storyline.rebuilds") == [(0,)]
    assert small.parked == []
    small.publish(*orders(range(20, 30)))
    small.project()
    assert rebuild(small, "all").run().same is True


class Delivered:
    """What was delivered to a stage, as a log that holds it."""

    def __init__(self, log_id: str) -> None:
        self.log_id, self.partitions = log_id, 4
        self.records: list[Logged] = []

    def ends(self) -> dict[int, int]:
        return {
            part: max([one.offset + 1 for one in self.records if one.partition == part], default=0)
            for part in range(4)
        }

    def read(self, cursor: Mapping[int, int], limit: int, wait: float) -> list[Logged]:
        del wait
        found = [one for one in self.records if one.offset >= cursor.get(one.partition, 1 << 60)]
        return sorted(found, key=lambda one: (one.partition, one.offset))[:limit]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    # To shrink takes minutes here, with a database in each example; the seed that is printed repeats it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(pick=st.randoms(use_true_random=False), rules=st.sampled_from(RULES))
def test_whatever_comes_before_meanwhile_and_after_is_in_what_was_rebuilt_and_in_what_was_put_back(
    acted: Stage, pick: Random, rules: dict[str, Any]
) -> None:
    published = acted.publish(history(pick, pick.randrange(4, 20)))
    acted.begin(rules)
    log = Delivered(acted.story.log.log_id)
    when = ["before", "begun", "filled", "finished", "near", "compared", "switched", "near the way back", "after"]
    delivered: dict[str, list[list[Logged]]] = {one: [] for one in when}
    for batch in deliver(pick, [one.value for one in published]):
        delivered[pick.choice(when)].append(batch)
    told: dict[int, int] = {}
    for one in when:  # the offsets of a partition go up with time
        for batch in delivered[one]:
            for place, record in enumerate(batch):
                told[record.partition] = told.get(record.partition, 0) + pick.randrange(1, 3)
                batch[place] = record._replace(offset=told[record.partition])

    def come(at: str) -> None:
        for batch in delivered[at]:
            log.records += batch
        acted.apply(delivered[at])

    come("before")
    names = pick.sample(ALONE, pick.randrange(1, len(ALONE) + 1))
    parts = {"log": log, "reached": lambda at: come(at) if at in when and at != "switched" else None}
    assert rebuild(acted.story, *names, batch=pick.choice([3, 100]), **parts).run().same is True
    acted.runner.take()
    come("switched")
    back = {"log": log, "reached": lambda at: come("near the way back") if at == "near" else None}
    rollback(acted.story, **back).run()
    acted.runner.take()
    come("after")
    assert acted.differences(published) == {}


@pytest.mark.parametrize("point", [point for point in POINTS if point != "switched"])
def test_cut_off_anywhere_it_leaves_live_untouched_and_goes_on_or_is_given_up(small: Story, point: str) -> None:
    small.publish(*orders(range(10)))
    small.project()
    before = small.hashes()

    def cut(at: str) -> None:
        if at == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(small, "customers", "work", reached=cut).run()
    assert small.hashes() == before
    with pytest.raises(Refused, match=r"storyline rebuild customers work --from timeline.* --abort"):
        rebuild(small, "directory").run()
    small.publish(*orders(range(10, 14)))
    small.project()
    if point in ("filled", "near"):
        with_abort(small)
        assert rebuild(small, "directory").run().same is True
        return
    assert rebuild(small, "customers", "work").run().same is True
    assert small.rows("SELECT count(*) FROM customers.trades") == [(14,)]


def with_abort(small: Story) -> None:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        assert abort(connection) == ("customers", "work")
    assert small.rows("SELECT count(*) FROM pg_namespace WHERE right(nspname, 5) = '_next'") == [(0,)]


def test_a_crash_of_postgres_that_empties_what_is_being_filled_is_noticed(small: Story) -> None:
    small.publish(*orders(range(10)))
    small.project()

    def cut(at: str) -> None:
        if at == "filled":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(small, "figures", reached=cut).run()
    small.rows("UPDATE storyline.rebuild_parts SET reached = total RETURNING 1")  # as if its rows were in
    small.rows("DELETE FROM storyline.rebuild_marks RETURNING 1")  # unlogged, as those are
    assert rebuild(small, "figures").run().same is True


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("customers", "UPDATE customers.contacts SET touchpoints = touchpoints + 1"),
        ("directory", "DELETE FROM directory.terms"),
        ("identity", "UPDATE identity.evidences SET customer = gen_random_uuid()"),
        ("work", "UPDATE work.deals SET stage = 'won'"),
        ("figures", "DELETE FROM figures.lines"),
    ],
)
def test_one_that_differs_is_not_switched_in(small: Story, name: str, damage: str) -> None:
    small.publish(*orders(range(6)))
    small.project()
    assert small.rows(f"{damage} RETURNING 1")
    before = small.hashes()
    with pytest.raises(RebuildDiffers):
        rebuild(small, name).run()
    assert small.hashes() == before


def test_what_was_switched_out_is_put_back_with_what_came_since(small: Story) -> None:
    published = orders(range(10))
    small.publish(*published)
    small.project()
    with pytest.raises(NotFound):
        rollback(small).run()
    rebuild(small, "customers", "figures").run()
    assert Rebuild(**parts_of(small)).run().same is True
    small.publish(*orders(range(10, 20)), retraction(1, published[0], published[3]))
    small.project()
    before = small.hashes()
    assert rollback(small).run().models == ("timeline", *ALONE)
    assert small.hashes() == before
    small.publish(*orders(range(20, 25)))
    small.project()
    assert rebuild(small, "all").run().same is True
    assert rollback(small, "work").run().models == ("work",)
    assert rebuild(small, "work").run().same is True
    small.rows("UPDATE storyline.read_models SET sql_hash = 'other' WHERE name = 'work_previous' RETURNING 1")
    with pytest.raises(Misconfigured, match="another release"):
        rollback(small, "work").run()


def test_what_cannot_be_is_refused_with_a_way_out() -> None:
    assert chosen([], None) == chosen(["timeline"], None) == (("timeline", *ALONE), "log")
    assert chosen(["work"], None) == (("work",), "timeline")
    assert chosen(["all"], "timeline") == (ALONE, "timeline")
    for names, source in [
        (["nothing"], None),
        (["work"], "log"),
        (["timeline"], "timeline"),
        ([], "x"),
    ]:
        with pytest.raises(BadInput):
            chosen(names, source)
