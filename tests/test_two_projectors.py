"""Do two projectors on different partitions get in each other's way? No queueing for other customers, no deadlock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from domain.catalogue import load_catalogue
from eventlog.port import Entry, Logged
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.runner import Applied, Runner
from tests.support.logs import in_threads
from tests.support.story import START, Story, event, note, story

POISON = Entry(b"", b"poison, so that something is parked")
NAMES = 300
ROUNDS = 6


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=2") as made:
        yield made


@pytest.fixture
def worker(small: Story) -> Iterator[Callable[..., Runner]]:
    """`worker(partition)`: a runner that holds this partition alone."""
    made: list[Runner] = []

    def make(partition: int, **changes: Any) -> Runner:
        runner = small.runner(**changes)
        made.append(runner)
        runner.cursor = runner.positions.take(runner.connection, [partition])
        return runner

    yield make
    for one in made:
        one.close()


def apply(runner: Runner, entries: Sequence[Entry]) -> Applied:
    """Apply these records as the next ones of the runner's partition."""
    [(partition, offset)] = runner.cursor.items()
    logged = [Logged(partition, offset + place, *entry) for place, entry in enumerate(entries)]
    plain = Decoder(Deriver(load_catalogue()))  # nothing is opened here
    return runner.apply(plain.batch(0, dict(runner.cursor), logged))


def hours(number: int) -> datetime:
    return START + timedelta(hours=number)


def story_of(customer: str, number: int, **more: Any) -> dict[str, Any]:
    """One event of a customer, about the same order and in answer to the same mail as everybody's."""
    data = {
        "who": [{"kind": "email", "value": f"{customer}@example.org"}, {"kind": "customer_no", "value": customer}],
        "refs": [{"kind": "order", "value": "O-1"}],
        "about": [{"relation": "answers", "source": "test/mail", "id": "newsletter"}],
        **more,
    }
    return event(f"{customer}-{number}", data=data)


def day_of(small: Story, customer: str) -> list[Entry]:
    """What a batch usually holds of one customer: new events, repeats, a clash, poison. (One with a repeat that was
    recorded before what is kept so far settles what follows from it, and goes alone.)"""
    old = [story_of(customer, number) for number in range(20)]
    clash = story_of(customer, 0, content={"subject": "another content"})
    new = [story_of(customer, number) for number in range(20, 60)]
    return [
        *small.seal(old, hours(9)),
        *small.seal([clash], hours(9)),
        *small.seal(new, hours(5)),
        POISON,
    ]


def test_S91_a_projector_does_not_wait_for_the_open_transaction_of_another(
    small: Story, worker: Callable[..., Runner]
) -> None:
    """The second one would wait for ever: the first ends its transaction only when the second is through."""
    days = {customer: day_of(small, customer) for customer in ("17", "18")}
    second = worker(1)
    second.connection.execute("SET lock_timeout = '2s'")
    through: list[Applied] = []

    def while_the_first_is_open(connection: object, parked: object) -> None:
        if not through:
            through.append(apply(second, days["18"]))

    first = worker(0, park=while_the_first_is_open)
    apply(second, small.seal([story_of(each, number) for each in days for number in range(20)], hours(5)))
    apply(first, days["17"])

    assert [(one.events, one.parked) for one in through] == [(len(days["18"]) - 1, 2)], "one of the two is no event"
    assert small.rows("SELECT count(*) FROM timeline.events") == [(120,)]
    assert small.rows("SELECT count(DISTINCT name) FROM timeline.refs") == [(120,)]
    assert small.rows("SELECT count(*) FROM storyline.rulings") == [(2,)]


def at_once(small: Story, worker: Callable[..., Runner], work: Sequence[Sequence[Sequence[Entry]]]) -> int:
    """Let each runner apply its batches, all beginning each round at one moment; gives the deadlocks."""
    runners = [worker(partition) for partition in range(len(work))]
    barrier = Barrier(len(work))

    def run(partition: int) -> None:
        for entries in work[partition]:
            barrier.wait(60)
            apply(runners[partition], entries)

    in_threads(run, len(work))
    for runner in runners:
        runner.close()  # a session tells what it counted when it ends
    [(deadlocks,)] = small.rows("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(deadlocks)


def crosswise(small: Story, round_: int) -> tuple[list[Entry], list[Entry]]:
    """The same names for two partitions, in opposite order; each has the earlier record of every other name."""
    events = [event(f"{round_}-{number}") for number in range(NAMES)]
    one = [small.seal([each], hours(1 + place % 2))[0] for place, each in enumerate(events)]
    other = [small.seal([each], hours(2 - place % 2))[0] for place, each in enumerate(events)]
    return one, other[::-1]


def test_new_names_that_two_projectors_bring_crosswise_are_written_once(
    small: Story, worker: Callable[..., Runner]
) -> None:
    rounds = [crosswise(small, number) for number in range(ROUNDS)]
    deadlocks = at_once(small, worker, [[each[side] for each in rounds] for side in (0, 1)])
    assert small.rows("SELECT count(*), max(recorded_at) FROM timeline.events") == [(NAMES * ROUNDS, hours(1))]
    assert deadlocks == 0


def test_repeats_that_two_projectors_bring_crosswise_leave_the_earliest(
    small: Story, worker: Callable[..., Runner]
) -> None:
    rounds = [crosswise(small, number) for number in range(ROUNDS)]
    before = worker(0)
    for number in range(ROUNDS):
        apply(before, small.seal([event(f"{number}-{each}") for each in range(NAMES)], hours(5)))
    before.close()
    deadlocks = at_once(small, worker, [[each[side] for each in rounds] for side in (0, 1)])
    assert small.rows("SELECT count(*), max(recorded_at) FROM timeline.events") == [(NAMES * ROUNDS, hours(1))]
    assert deadlocks == 0


def test_of_clashes_that_two_projectors_bring_crosswise_one_stays_and_one_is_parked(
    small: Story, worker: Callable[..., Runner]
) -> None:
    rounds = []
    for number in range(ROUNDS):
        one = small.seal([note(f"{number}-{each}", "one") for each in range(NAMES)], hours(1))
        other = small.seal([note(f"{number}-{each}", "other") for each in range(NAMES)], hours(1))
        rounds.append((one, other[::-1]))
    deadlocks = at_once(small, worker, [[each[side] for each in rounds] for side in (0, 1)])
    assert small.rows("SELECT count(*) FROM timeline.events") == [(NAMES * ROUNDS,)]
    assert small.rows("SELECT count(*) FROM storyline.rulings") == [(NAMES * ROUNDS,)]
    assert sorted({one.reason for one in small.parked}) == ["name-clash"]
    assert len(small.parked) == NAMES * ROUNDS
    assert deadlocks == 0
