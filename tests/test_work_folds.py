"""Is the fold in SQL that of `domain/`? And do projectors that fold one deal at the same moment lose nothing?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import groupby
from random import Random
from threading import Barrier
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.configuration import builtin_configuration
from eventlog.port import Logged
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.work.annotating import note
from projections.work.rows import DealRow, HistoryRow, LeadRow, TaskRow, TicketRow
from tests.support import work_events
from tests.support.histories import deliver, one_event
from tests.support.logs import in_threads
from tests.support.plain import Published
from tests.support.stage import Stage, stage
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


@pytest.fixture(scope="module")
def small(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


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


def at_once(shared: Story, rounds: Sequence[Sequence[Sequence[dict[str, Any]]]]) -> int:
    """Each round: one batch per projector, all begun at one moment. Gives the deadlocks."""
    runners = [shared.runner() for _ in rounds[0]]
    for partition, runner in enumerate(runners):
        runner.cursor = runner.positions.take(runner.connection, [partition])
    barrier = Barrier(len(runners))

    def run(partition: int) -> None:
        runner = runners[partition]
        for batches in rounds:
            entries = shared.seal(batches[partition], START + timedelta(days=1))
            start = runner.cursor[partition]
            logged = [Logged(partition, start + place, *entry) for place, entry in enumerate(entries)]
            plain = Decoder(Deriver(shared.catalogue))
            barrier.wait(60)
            runner.apply(plain.batch(0, dict(runner.cursor), logged))

    in_threads(run, len(runners))
    for runner in runners:
        runner.close()
    [(deadlocks,)] = shared.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(deadlocks)


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
    assert at_once(shared, rounds) == 0
    assert shared.rows("SELECT stage, assignee, count(*) FROM work.deals GROUP BY 1, 2") == [("s4", "a4", 150)]
    assert shared.rows("SELECT count(*) FROM work.steps") == [(150 * 2 * 5,)]


def test_a_projector_sees_what_another_brought_of_a_deal_while_it_waited(shared: Story) -> None:
    """The second begins before the first has ended its transaction."""
    made: Callable[..., dict[str, Any]] = lambda number, **content: {  # noqa: E731
        **event(number, type="deal.changed", source="crm/x"),
        "data": {"refs": [{"kind": "deal", "value": "A"}], "content": content},
    }
    assert at_once(shared, [[[made(1, stage="new")], [made(2, team="north")]]]) == 0
    assert shared.rows("SELECT stage, team FROM work.deals") == [("new", "north")]
    assert at_once(shared, [[[made(3, stage="offer")], [made(4, team="south")]]]) == 0
    assert shared.rows("SELECT stage, team FROM work.deals") == [("offer", "south")]
