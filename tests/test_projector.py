"""Does the projector keep its word? Effectively once, in any order, with clashes ruled on and poison parked."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from domain.errors import Fenced, LogDamaged
from eventlog.port import Entry, Logged
from projections.anchors import Anchor
from projections.fetching import Fetcher, Span
from projections.runner import Runner
from storyline.database import upgrade
from tests.support.story import START, Story, event, note, story


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database + "&partitions=4" if "?" in database else database + "?partitions=4") as made:
        yield made


def test_what_is_published_stands_on_the_timeline_once(small: Story) -> None:
    small.publish(*[event(number) for number in range(20)])
    small.publish(*[event(number) for number in range(20)])
    small.project()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(20,)]
    assert small.parked == []


def test_a_repeat_changes_no_row(small: Story) -> None:
    refs = {"refs": [{"kind": "order", "value": "O-1"}]}
    small.publish(event(1, data=refs), event(2))
    small.project()
    before = small.hashes()
    small.publish(event(2), event(1, data=refs))
    small.project()
    assert small.hashes() == before


def test_of_repeats_the_one_recorded_first_is_kept_in_any_order(small: Story) -> None:
    """With `senttime` the moment depends on when it was recorded, so the rule must not depend on delivery."""
    raw = event(
        1, senttime=(START + timedelta(hours=1)).isoformat(), data={"refs": [{"kind": "order", "value": "1"}]}
    )
    late = small.seal([raw], START + timedelta(hours=5))
    early = small.seal([raw], START + timedelta(hours=2))
    for entries in (late, early, late):
        small.log.append(entries)
        small.project()
    first = START + timedelta(hours=1, minutes=1)
    assert small.rows("SELECT recorded_at, happened_at FROM timeline.events") == [(START + timedelta(hours=2), first)]
    assert small.rows("SELECT happened_at FROM timeline.refs") == [(first,)]


def test_a_name_clash_is_parked_and_the_first_one_stays(small: Story) -> None:
    small.publish(note(1, "the first"))
    small.project()
    small.publish(note(1, "another"), note(2, "goes on"))
    small.project()
    assert [one.reason for one in small.parked] == ["name-clash"]
    assert small.rows("SELECT count(*) FROM timeline.events") == [(2,)]
    assert small.rows("SELECT count(*) FROM storyline.rulings") == [(1,)]


def test_of_a_clash_that_was_published_together_the_first_one_stays(small: Story) -> None:
    numbers = range(8)
    receipts = small.publish(*[note(number, text) for number in numbers for text in ("the first", "another")])
    small.project()
    kept = small.rows("SELECT log_partition, log_offset FROM timeline.events ORDER BY 1, 2")
    assert kept == sorted(receipt.position for receipt in receipts[::2])
    assert len(small.parked) == len(numbers)


def test_a_clash_leaves_no_trace_of_its_refs_and_identifiers(small: Story) -> None:
    small.publish(note(1, "the first"))
    small.project()
    before = small.hashes()
    who = [{"kind": "email", "value": "eve@example.org"}]
    clash = event(1, data={"who": who, "refs": [{"kind": "order", "value": "7"}], "content": {"subject": "other"}})
    small.publish(clash)
    small.project()
    assert small.hashes() == before
    small.publish(event(9, data={"who": who}))
    small.project()
    assert small.rows("SELECT count(*), count(DISTINCT customer) FROM identity.nodes") == [(2, 2)]


def test_poison_is_parked_and_the_rest_goes_on(small: Story) -> None:
    good = small.seal([event(1)], START)
    for bad in (b"", b"{", b"\xff\xfe", b'{"v":9}', b"[]", good[0].value[:-1], b"{" * 100_000):
        small.log.append([Entry(b"k", bad)])
    small.log.append(good)
    small.project()
    assert [one.reason for one in small.parked] == ["poison"] * 7
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b'"email.received"', b'"email\\u0000received"'),
        (b'"email.received"', b'"' + b"e" * 5000 + b'"'),
        (b'"answers"', b'"' + b"a" * 5000 + b'"'),
        (b'"answers"', b'"\\u0000"'),
    ],
)
def test_what_postgres_would_refuse_is_parked_and_the_rest_goes_on(
    small: Story, there: bytes, instead: bytes
) -> None:
    """One row that cannot be copied would otherwise hold up its batch for ever."""
    about = [{"relation": "answers", "source": "test/mail", "id": "other"}]
    [entry] = small.seal([event(1, data={"about": about})], START)
    assert there in entry.value
    small.log.append([entry._replace(value=entry.value.replace(there, instead)), *small.seal([event(2)], START)])
    small.project()
    assert [one.reason for one in small.parked] == ["poison"]
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]


@pytest.mark.parametrize("gone", ["timeline", "identity"])
def test_where_only_the_durable_tables_came_back_the_log_is_applied_anew(small: Story, gone: str) -> None:
    """The read models are one family: one that is empty beside others that are full would be wrong."""
    small.publish(*[event(number) for number in range(20)])
    small.project(consumer="live")
    before = small.hashes()
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(gone)))
    upgrade(small.dsn)
    small.project(consumer="live")
    assert small.hashes() == before


def _all_steps(runner: Runner) -> None:
    """Apply until nothing comes for a while."""
    while runner.step(timeout=2) is not None:
        pass


def test_a_runner_whose_partitions_were_taken_is_refused(small: Story) -> None:
    """Guarantee 2: a zombie wakes up before its successor has moved anything. Only the epoch tells them apart."""
    small.publish(event(1))
    zombie, successor = small.runner(), small.runner()
    try:
        zombie.prepare()
        zombie.start()
        successor.take()
        with pytest.raises(Fenced):
            _all_steps(zombie)
    finally:
        zombie.close()
        successor.close()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(0,)]


def test_a_position_that_was_moved_by_another_hand_is_refused(small: Story) -> None:
    """Guarantee 2: without the compare-and-set on the offset, events would be skipped or applied twice."""
    small.publish(event(1))
    runner = small.runner()
    try:
        runner.prepare()
        runner.start()
        small.rows("UPDATE storyline.positions SET next_offset = next_offset + 1 RETURNING 1")
        with pytest.raises(Fenced):
            _all_steps(runner)
    finally:
        runner.close()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(0,)]


def test_two_projectors_that_bring_one_new_name_at_once_write_it_once(small: Story) -> None:
    """Guarantee 2: neither sees the other's row; only the unique name keeps the second one from writing it again."""
    values = [entry.value for minute in (1, 2) for entry in small.seal([event(1)], START + timedelta(minutes=minute))]
    second = small.runner(consumer="second")
    others = threading.Thread(
        target=lambda: second.apply(small.decoder().batch(0, second.cursor, [Logged(1, 0, b"", values[1])]))
    )

    def while_the_first_has_not_committed(connection: object, parked: object) -> None:
        others.start()
        others.join(timeout=1)

    first = small.runner(park=while_the_first_has_not_committed)
    try:
        first.take()
        second.take()
        logged = [Logged(0, 0, b"", values[0]), Logged(0, 1, b"", b"poison, so that something is parked")]
        first.apply(small.decoder().batch(0, first.cursor, logged))
        others.join()
    finally:
        first.close()
        second.close()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)]


def _history(count: int) -> list[dict[str, Any]]:
    chance = random.Random(7)
    events = []
    for number in range(count):
        who = [{"kind": "email", "value": f"p{chance.randrange(5)}@example.org"}]
        if chance.random() < 0.3:
            who.append({"kind": "customer_no", "value": str(chance.randrange(3) + 1)})
        refs = [{"kind": "order", "value": str(chance.randrange(4))}] if chance.random() < 0.5 else []
        about = [{"relation": "answers", "source": "test/mail", "id": f"other-{chance.randrange(count)}"}]
        data: dict[str, Any] = {"who": who, "refs": refs}
        if chance.random() < 0.2:
            data["about"] = about
        events.append(event(number, data=data))
    return events


def test_any_batching_gives_the_same_rows(small: Story) -> None:
    small.publish(*_history(60))
    expected = None
    for batch in (1, 7, 1000):
        small.empty()
        small.project(batch=batch)
        expected = expected or small.hashes()
        assert small.hashes() == expected


def test_a_reader_that_told_its_trouble_is_followed_by_another_at_once(small: Story) -> None:
    small.publish(event(1))
    start = dict.fromkeys(range(4), 0)
    fetcher = Fetcher(small.log_url, 100, small.reading)
    try:
        for _ in range(3):
            fetcher.seek(Span(start, None, dict.fromkeys(range(4), Anchor(7, b"another record"))))
            with pytest.raises(LogDamaged):
                fetcher.next(30)
            fetcher.seek(Span(start, None))
            batch = fetcher.next(30)
            assert batch is not None
            assert batch.size == 1
    finally:
        fetcher.close()
