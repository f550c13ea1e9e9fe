"""Is the fold in SQL that of `domain/`? And do projectors that fold one deal at the same moment lose nothing?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from itertools import groupby
from random import Random
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.configuration import builtin_configuration
from eventlog.port import Entry, Logged
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.work.annotating import note
from projections.work.rows import DealRow, HistoryRow, LeadRow, TaskRow, TicketRow
from tests.support import work_events
from tests.support.histories import deliver, one_event
from tests.support.logs import in_threads
from tests.support.plain import Published
from tests.support.stage import Stage
from tests.support.story import START, Story, event, story

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
ROWS: dict[str, Any] = {"deals": DealRow, "tickets": TicketRow, "tasks": TaskRow, "leads": LeadRow}
OTHERWISE = {"captured_at": "created_at"}
"""Columns that are called otherwise in the state."""
STEPS = (
    "SELECT s.name, kind, s.type, s.happened_at, s.recorded_at, revision, actor, source, native, folds, ref, public, "
    "record, NULL, item FROM work.steps AS s JOIN timeline.events AS e ON e.name = s.name "
    "WHERE folds ORDER BY item, revision, s.happened_at, s.name"
)


def states(small: Stage) -> dict[Any, dict[str, Any]]:
    """What Python folds out of the steps that are there, by item."""
    rules, found = builtin_configuration(), {}
    for item, rows in groupby(small.story.rows(STEPS), lambda row: row[-1]):
        found[item] = asdict(note([HistoryRow(*row[:-1]) for row in rows], rules).state)
    return found


def differences(small: Stage) -> list[Any]:
    """(item, column, in SQL, in Python) where the two folds do not agree."""
    folded, found = states(small), []
    count = 0
    for table, row in ROWS.items():
        for values in small.story.rows(f"SELECT *, NULL FROM work.{table}"):
            told = row(*values)._asdict()
            state = folded[told["item"]]
            count += 1
            for column, value in told.items():
                name = OTHERWISE.get(column, column)
                plain = tuple(value) if isinstance(value, list) else value
                if name in state and plain != state[name]:
                    found.append((told["item"], column, plain, state[name]))
    assert count == len([item for item, state in folded.items() if "teams" not in state])
    return found


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(pick=st.randoms(use_true_random=False), family=st.sampled_from(["deal", "ticket", "task", "lead"]))
def test_the_fold_in_sql_is_that_of_the_domain(small: Stage, pick: Random, family: str) -> None:
    types = [*work_events.TYPES[family] * 4, "event.retracted", "event.retracted"]
    size = pick.randrange(5, 40)
    raws = [(one_event(pick, number, size, types), pick.choice([3, 60, 61])) for number in range(size)]
    published = small.publish(raws)
    hashes = []
    for _ in range(2):
        small.begin()
        small.apply(deliver(pick, [one.value for one in published]))
        assert differences(small) == []
        hashes.append(small.hashes()["work"])
    assert hashes[0] == hashes[1]


def test_what_makes_no_sense_in_a_record_counts_as_left_out(small: Stage) -> None:
    """A record that no door of ours let in, such as one of an older release, stops no batch."""
    raw = event(1, type="deal.created", data={"refs": [{"kind": "deal", "value": "A"}], "content": {"stage": "new"}})
    [good] = small.publish([(raw, 60)])
    wrong = (
        b'"public":{"stage":"new","amount":"1e999999","currency":"\\u0000","probability":{},"products":[1,"a",null],'
        b'"expected_close":"soon","pipeline":"","assignee":"' + b"x" * 600 + b'","team":[],"origin":""}'
    )
    assert b'"public":{"stage":"new"}' in good.value
    small.begin()
    small.feed([Published(raw, good.value.replace(b'"public":{"stage":"new"}', wrong))])
    assert small.story.rows("SELECT stage, products FROM work.deals") == [("new", ["a"])]
    emptied = "amount, currency, probability, expected_close, pipeline, assignee"
    assert small.story.rows(f"SELECT {emptied} FROM work.deals") == [(None,) * 6]


# Several projectors


@pytest.fixture
def shared(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=2") as made:
        yield made


@contextmanager
def projector(shared: Story, partition: int, **more: Any) -> Iterator[Callable[..., None]]:
    """`apply(*raw)`: a projector of one partition applies these events as the next ones of its partition."""
    runner = shared.runner(**more)
    runner.cursor = runner.positions.take(runner.connection, [partition])

    def apply(*raw: dict[str, Any], poison: bool = False) -> None:
        entries = [*shared.seal(raw, START + timedelta(days=1)), *[Entry(b"", b"poison")] * poison]
        start = runner.cursor[partition]
        logged = [Logged(partition, start + place, *entry) for place, entry in enumerate(entries)]
        runner.apply(Decoder(Deriver(shared.catalogue)).batch(0, dict(runner.cursor), logged))

    yield apply
    runner.close()


def troubles(shared: Story) -> tuple[int, int]:
    """Deadlocks, and transactions that had to be tried again."""
    [found] = shared.rows("SELECT deadlocks, xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    return found[0], found[1]


def test_projectors_that_fold_the_same_deals_at_the_same_moment_lose_no_step_and_do_not_deadlock(
    shared: Story,
) -> None:
    """Crosswise: the same deals in opposite order, each projector with other fields of them."""

    def step(round_: int, number: int, side: int) -> dict[str, Any]:
        content = {"stage": f"s{round_}"} if side else {"assignee": f"a{round_}"}
        raw = event(f"{round_}-{number}-{side}", type="deal.changed", source="crm/x")
        time = START.replace(minute=round_).isoformat()
        return {**raw, "time": time, "data": {"refs": [{"kind": "deal", "value": str(number)}], "content": content}}

    rounds = [
        [[step(round_, number, side) for number in range(150)][:: -1 if side else 1] for side in (0, 1)]
        for round_ in range(5)
    ]
    before = troubles(shared)
    barrier = Barrier(2)

    def run(partition: int) -> None:
        with projector(shared, partition) as apply:
            for batches in rounds:
                barrier.wait(60)
                apply(*batches[partition])

    in_threads(run, 2)
    assert shared.rows("SELECT stage, assignee, count(*) FROM work.deals GROUP BY 1, 2") == [("s4", "a4", 150)]
    assert shared.rows("SELECT count(*) FROM work.steps") == [(150 * 2 * 5,)]
    assert troubles(shared) == before


def test_a_projector_waits_for_another_that_folds_the_same_deal_and_then_folds_what_both_brought(
    shared: Story,
) -> None:
    """The second begins while the transaction of the first is open; it need not begin anew."""

    def changed(number: int, **content: Any) -> dict[str, Any]:
        data = {"refs": [{"kind": "deal", "value": "A"}], "content": content}
        return {**event(number, type="deal.changed", source="crm/x"), "data": data}

    threads: list[Thread] = []

    def while_the_first_is_open(connection: object, parked: object) -> None:
        threads[-1].start()
        until = time.monotonic() + 20
        while not shared.rows("SELECT 1 FROM pg_locks WHERE NOT granted") and time.monotonic() < until:
            time.sleep(0.01)

    before = troubles(shared)
    with (
        projector(shared, 0, park=while_the_first_is_open) as first,
        projector(shared, 1) as second,
    ):
        for number in (0, 2):  # a deal that is new, and one that is there
            threads.append(Thread(target=second, args=[changed(number + 1, team=f"t{number}")]))
            first(changed(number, stage=f"s{number}"), poison=True)
            threads[-1].join(60)
            assert shared.rows("SELECT stage, team FROM work.deals") == [(f"s{number}", f"t{number}")]
    assert troubles(shared) == before
