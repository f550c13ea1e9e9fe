"""Is an event skipped when the transaction of an earlier one commits late? So it was with Marten (issues 1629, 3321,
4964): its readers remember the highest number seen, and a number whose transaction is still open is passed over.

The negative control is in here too: a table numbered by a sequence, and a reader that remembers the highest number,
in the same scenarios. It skips, so the scenarios have teeth.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import Unavailable
from eventlog.opening import open_log
from eventlog.port import Entry, Log, Position, partition_of
from tests.support.logs import key_of, move, start
from tests.support.story import START, Story, event, story
from tests.support.waiting import eventually

_GATE = 4964
_DAWDLE = """
CREATE OR REPLACE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE said text := convert_from(NEW.value, 'UTF8');
BEGIN
    IF said LIKE '%wait-at-the-gate%' THEN PERFORM pg_advisory_xact_lock(4964); END IF;
    IF said LIKE '%sleep=%' THEN PERFORM pg_sleep(substring(said FROM 'sleep=([0-9.]+)')::float8); END IF;
    IF said LIKE '%die%' THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); END IF;
    RETURN NEW;
END $$;
"""
_ON_THE_LOG = "CREATE TRIGGER dawdle BEFORE INSERT ON log.records FOR EACH ROW EXECUTE FUNCTION public.dawdle()"
_NAIVE = """
CREATE TABLE public.naive (seq bigserial PRIMARY KEY, value bytea NOT NULL);
CREATE TRIGGER dawdle BEFORE INSERT ON public.naive FOR EACH ROW EXECUTE FUNCTION public.dawdle();
"""
_WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4964 AND NOT granted"


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=4") as made:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(_DAWDLE)
            connection.execute(_ON_THE_LOG)
        yield made


@contextmanager
def gate_closed(dsn: str) -> Iterator[Callable[[], bool]]:
    """Writers of `wait-at-the-gate` wait inside their transaction until the block ends; gives "is one waiting?"."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_GATE,))
        yield lambda: connection.execute(_WAITING).fetchone() != (0,)


@contextmanager
def running(*works: Callable[[], object]) -> Iterator[None]:
    """Each in a thread of its own; they have ended when the block has, and an error of one is ours."""
    troubles: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as trouble:
            troubles.append(trouble)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
    if troubles:
        raise troubles[0]


@contextmanager
def projecting(small: Story) -> Iterator[None]:
    """The live runner, at work in the background in batches of at most three."""
    stop = threading.Event()

    def project() -> None:
        runner = small.runner(batch=3)
        try:
            runner.start()
            while not stop.is_set():
                runner.step(timeout=0.05)
        finally:
            runner.close()

    with running(project):
        try:
            yield
        finally:
            stop.set()


def shown(small: Story) -> set[tuple[int, int]]:
    """The positions of all events on the timeline."""
    return set(small.rows("SELECT log_partition, log_offset FROM timeline.events"))


def mails_to(small: Story, partition: int, number: int, tag: str, **changes: object) -> list[Entry]:
    """Sealed events of one customer whose log partition this is."""
    for attempt in range(1000):
        who = [{"kind": "email", "value": f"{tag}{attempt}@example.org"}]
        raw = [event(f"{tag}-{one}", data={"who": who}, **changes) for one in range(number)]
        sealed = small.seal(raw[:1], START)
        if partition_of(sealed[0].key, small.log.partitions) == partition:
            return small.seal(raw, START)
    raise AssertionError("no customer of this partition was found")


@pytest.mark.parametrize("before", [0, 8], ids=["at the very start", "behind events that are applied"])
def test_no_event_is_skipped_when_its_append_commits_after_later_ones(small: Story, before: int) -> None:
    """Marten 4964: the ninth of twelve commits last, with the live projector reading all the while."""
    early = mails_to(small, 0, before, "early") if before else []
    slow = mails_to(small, 0, 1, "slow", source="test/wait-at-the-gate")
    behind = mails_to(small, 0, 3, "behind")
    beside = [entry for partition in (1, 2, 3) for entry in mails_to(small, partition, 3, f"beside{partition}")]
    first = mails_to(small, 1, 1, "first")
    writers = [open_log(small.log_url) for _ in range(2)]
    with contextlib.ExitStack() as held, projecting(small):
        for writer in writers:
            held.callback(writer.close)
        small.log.append([*early, *first])
        done = before + len(first)
        eventually(lambda: len(shown(small)) == done)  # its start may take longer than a writer would wait
        with running_late(small, writers, slow, behind):
            small.log.append(beside)
            eventually(lambda: len(shown(small)) == done + len(beside))
            assert small.log.ends()[0] == before  # neither the slow one nor what came behind it can be seen
        everything = done + len(slow) + len(behind) + len(beside)
        eventually(lambda: len(shown(small)) == everything)
    ends = small.log.ends()
    assert shown(small) == {(partition, offset) for partition in ends for offset in range(ends[partition])}
    assert dict(small.rows("SELECT log_partition, next_offset FROM storyline.positions")) == ends
    order = small.rows('SELECT value FROM log.records WHERE partition = 0 ORDER BY "offset"')
    assert [bytes(row[0]) for row in order] == [entry.value for entry in [*early, *slow, *behind]]


@contextmanager
def running_late(small: Story, writers: Sequence[Log], slow: list[Entry], behind: list[Entry]) -> Iterator[None]:
    """One process sits in its open transaction, another comes behind it, for as long as the block takes."""
    with contextlib.ExitStack() as held:
        gate = contextlib.ExitStack()
        waiting = gate.enter_context(gate_closed(small.dsn))
        held.enter_context(running(lambda: writers[0].append(slow)))
        with gate:
            eventually(waiting)
            held.enter_context(running(lambda: writers[1].append(behind)))
            yield


def test_a_reader_that_remembers_the_highest_number_does_skip(small: Story) -> None:
    """The negative control: in the same scenario the naive way loses the event for ever, without a word."""
    naive = Naive(small.dsn)
    for number in range(8):
        naive.append(b"early %d" % number)
    with contextlib.ExitStack() as held, gate_closed(small.dsn) as waiting:
        held.enter_context(running(lambda: naive.append(b"wait-at-the-gate")))
        eventually(waiting)
        for number in range(3):
            naive.append(b"behind %d" % number)
        seen = naive.read()
    seen += naive.read()
    assert len(naive.all()) == 12
    assert sorted(set(naive.all()) - set(seen)) == [b"wait-at-the-gate"]


class Naive:
    """What not to do: numbers from a sequence, and a reader that goes on behind the highest it has seen."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._seen = dsn, 0
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS public.naive")
            connection.execute(_NAIVE)

    def append(self, value: bytes) -> None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._dsn) as connection:
            connection.execute("INSERT INTO public.naive (value) VALUES (%s)", (value,))

    def read(self) -> list[bytes]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT seq, value FROM public.naive WHERE seq > %s ORDER BY seq", (self._seen,)
            )
            found = rows.fetchall()
        self._seen = found[-1][0] if found else self._seen
        return [bytes(value) for _, value in found]

    def all(self) -> list[bytes]:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            return [bytes(row[0]) for row in connection.execute("SELECT value FROM public.naive")]


class Append(Protocol):
    """How a writer's value gets in; gives where it stands. Raises Unavailable where it was not taken."""

    def __call__(self, writer: int, partition: int, values: Sequence[bytes]) -> list[Position]: ...


@dataclass
class Writing:
    """What one run of several writers made: what was acknowledged, where, and what a writer died over."""

    acknowledged: dict[bytes, Position] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)


_STEP = st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from([0, 0, 0, 5, 20, 50]), st.integers(0, 7))
_PLANS = st.lists(st.lists(_STEP, min_size=1, max_size=8), min_size=2, max_size=5)
"""Per writer its appends: (partition, how many records, milliseconds to sleep inside the transaction, 0: it dies)."""


def write(plans: list[list[tuple[int, int, int, int]]], append: Append) -> Writing:
    """All writers at once, each its appends one after the other."""
    made = Writing()

    def writer(index: int) -> None:
        for number, (partition, many, millis, luck) in enumerate(plans[index]):
            fate = f"sleep={millis / 1000} {'' if luck else 'die'}"
            values = [f"{index}.{number}.{one} {fate if one == 0 else ''}".encode() for one in range(many)]
            try:
                made.acknowledged.update(zip(values, append(index, partition, values), strict=True))
            except Unavailable:
                made.refused.update(values)

    with running(*[lambda index=index: writer(index) for index in range(len(plans))]):
        pass
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(_PLANS, st.booleans(), st.integers(1, 7))
def test_whoever_writes_sleeps_or_dies_no_offset_is_skipped_and_none_is_read_twice(
    small: Story, plans: list[list[tuple[int, int, int, int]]], shared: bool, limit: int
) -> None:
    """`shared`: all writers append through one log, so that their appends share transactions, and deaths."""
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE log.records")
        connection.execute("UPDATE log.partitions SET next_offset = 0")
    logs = [open_log(small.log_url) for _ in range(1 if shared else len(plans))]
    reader, done, read = open_log(small.log_url), threading.Event(), list[tuple[int, int, bytes]]()
    keys = [key_of(partition, reader.partitions) for partition in range(3)]

    def follow() -> None:
        cursor = start(reader)
        while True:
            last = done.is_set()
            found = reader.read(cursor, limit, 0.01)
            read.extend((one.partition, one.offset, one.value) for one in found)
            move(cursor, found)
            if last and not found:
                return

    def append(writer: int, partition: int, values: Sequence[bytes]) -> list[Position]:
        return logs[writer % len(logs)].append([Entry(keys[partition], value) for value in values])

    try:
        with running(follow):
            try:
                made = write(plans, append)
            finally:
                done.set()
        ends = reader.ends()
    finally:
        for log in [*logs, reader]:
            log.close()
    assert {value: Position(partition, offset) for partition, offset, value in read} == made.acknowledged
    for partition, end in ends.items():
        assert [offset for part, offset, _ in read if part == partition] == list(range(end))
    assert not any(b"die" in value for value in made.acknowledged)


def test_the_same_plans_make_the_naive_reader_skip(small: Story) -> None:
    """The negative control of the property: of a few dozen values of random writers it loses some."""
    naive, done, seen, rng = Naive(small.dsn), threading.Event(), list[bytes](), random.Random(4964)
    plans = [[(0, 1, rng.choice([0, 0, 20, 50]), 1) for _ in range(12)] for _ in range(4)]

    def follow() -> None:
        while not done.is_set():
            seen.extend(naive.read())

    def append(writer: int, partition: int, values: Sequence[bytes]) -> list[Position]:
        for value in values:
            naive.append(value)
        return [Position(partition, 0)] * len(values)

    with running(follow):
        try:
            made = write(plans, append)
        finally:
            done.set()
    seen += naive.read()
    assert set(naive.all()) == set(made.acknowledged)
    assert set(seen) < set(made.acknowledged)
