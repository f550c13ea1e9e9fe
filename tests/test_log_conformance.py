"""Does each adapter keep what the log's port promises? One suite, run against both."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import LogDamaged, Misconfigured, TooLarge, Unavailable
from eventlog.limits import MAX_ENTRY_BYTES
from eventlog.opening import open_log
from eventlog.port import Entry, Position, partition_of
from tests.support.logs import (
    MakeLog,
    by_partition,
    expected,
    in_threads,
    key_of,
    move,
    noise,
    read_all,
    start,
)


def test_bytes_come_back_verbatim_at_the_positions_that_append_gave(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    entries = [
        Entry(b"empty value", b""),
        Entry(b"", b"empty key"),
        Entry(b"\x00\x00", b"\x00" * 7),
        Entry(b"\xff\xfe", b"\xc3\x28 \xf0\x28\x8c\x28 not UTF-8"),
        Entry("größe".encode(), bytes(range(256))),
        Entry(b"large", noise(900_000)),
    ]
    positions = log.append(entries)
    assert [p.partition for p in positions] == [partition_of(e.key, log.partitions) for e in entries]
    found = {(r.partition, r.offset): Entry(r.key, r.value) for r in read_all(log)}
    assert found == {tuple(p): e for p, e in zip(positions, entries, strict=True)}


def test_order_holds_within_each_partition(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    entries = [Entry(str(n % 13).encode(), str(n).encode()) for n in range(500)]
    for first in range(0, 500, 60):
        log.append(entries[first : first + 60])
    assert by_partition(read_all(log)) == expected(entries, log.partitions)


def test_concurrent_appends_lose_and_double_nothing_and_keep_each_batch_in_order(
    any_log_url: str, make_log: MakeLog
) -> None:
    log = make_log(any_log_url)
    positions: dict[Entry, Position] = {}

    def write(writer: int) -> None:
        for batch in range(25):
            entries = [Entry(f"{n % 7}".encode(), f"{writer}.{batch}.{n}".encode()) for n in range(40)]
            positions.update(zip(entries, log.append(entries), strict=True))

    in_threads(write, 4)
    records = read_all(log)
    assert {Entry(r.key, r.value): Position(r.partition, r.offset) for r in records} == positions
    assert len(records) == len(positions) == 4 * 25 * 40
    for values in by_partition(records).values():
        for writer in range(4):
            mine = [tuple(map(int, v.split(b"."))) for v in values if v.startswith(b"%d." % writer)]
            assert mine == sorted(mine)


def test_reading_begins_at_the_cursor(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    positions = log.append([Entry(b"same", str(n).encode()) for n in range(100)])
    middle = positions[60]
    found = log.read({middle.partition: middle.offset}, 1000, 10)
    assert [r.value for r in found] == [str(n).encode() for n in range(60, 100)]
    again = log.read({middle.partition: positions[10].offset}, 5, 10)
    assert [r.value for r in again] == [str(n).encode() for n in range(10, 15)]


def test_only_the_cursors_partitions_are_read(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    log.append([Entry(str(n).encode(), b"x") for n in range(100)])
    assert {r.partition for r in log.read({2: 0}, 1000, 10)} == {2}
    assert {r.partition for r in read_all(log, {1: 0, 3: 0})} == {1, 3}


def test_the_limit_is_respected(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    log.append([Entry(str(n).encode(), b"x") for n in range(300)])
    cursor = start(log)
    for limit in (1, 2, 3, 7, 100):
        found = log.read(cursor, limit, 10)
        assert 0 < len(found) <= limit
        move(cursor, found)
    assert len(read_all(log)) == 300


def test_no_partition_starves_while_another_has_records(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    busy, quiet = key_of(0, log.partitions), key_of(1, log.partitions)
    for _ in range(4):
        log.append([Entry(busy, noise(500, seed=n)) for n in range(5000)])
    log.append([Entry(quiet, b"me too")])
    cursor, seen = start(log), 0
    while seen < 15_000:
        found = log.read(cursor, 1000, 10)
        seen += len(found)
        move(cursor, found)
        if any(r.value == b"me too" for r in found):
            return
    pytest.fail("the quiet partition was not read before the busy one was nearly done")


def test_ends_are_where_the_next_records_will_be(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    assert log.ends() == dict.fromkeys(range(log.partitions), 0)
    positions = log.append([Entry(str(n).encode(), b"x") for n in range(50)])
    ends = log.ends()
    for position in positions:
        assert position.offset < ends[position.partition]
    for position in log.append([Entry(str(n).encode(), b"x") for n in range(50)]):
        assert position.offset >= ends[position.partition]


def test_an_empty_append_and_a_read_at_the_end_give_nothing(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    assert log.append([]) == []
    assert log.read(log.ends(), 100, 0.05) == []


def test_a_waiting_read_sees_what_arrives(any_log_url: str, make_log: MakeLog) -> None:
    log, writer = make_log(any_log_url), make_log(any_log_url)
    late = threading.Timer(0.3, writer.append, [[Entry(b"k", b"late")]])
    late.start()
    assert [r.value for r in log.read(start(log), 10, 20)] == [b"late"]
    late.join()


def test_the_log_id_is_the_same_for_everyone_who_opens_it(any_log_url: str, make_log: MakeLog) -> None:
    first, second = make_log(any_log_url), make_log(any_log_url)
    assert first.log_id == second.log_id
    assert first.partitions == second.partitions


def test_a_cursor_beyond_the_end_means_that_the_log_is_damaged(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    log.append([Entry(b"k", b"v")])
    with pytest.raises(LogDamaged, match="ends at offset"):
        log.read({0: 1000}, 10, 1)
    with pytest.raises(LogDamaged, match="no partition 99"):
        log.read({99: 0}, 10, 1)
    assert [r.value for r in read_all(log)] == [b"v"], "and the log can still be read"


def test_an_entry_over_the_limit_is_refused_and_nothing_is_appended(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    with pytest.raises(TooLarge, match="Entry 1 has 1000001 bytes"):
        log.append([Entry(b"k", b"fine"), Entry(b"k", b"x" * MAX_ENTRY_BYTES)])
    assert sum(log.ends().values()) == 0
    log.append([Entry(b"k", noise(MAX_ENTRY_BYTES - 1))])


def test_closing_twice_is_harmless_and_a_closed_log_says_so(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    log.append([Entry(b"k", b"v")])
    log.close()
    log.close()
    with pytest.raises(Unavailable):
        log.append([Entry(b"k", b"v")])
    with pytest.raises(Unavailable):
        log.read({0: 0}, 1, 0)


def test_any_sequence_of_appends_and_reads_agrees_with_plain_lists(any_log_url: str, make_log: MakeLog) -> None:
    log = make_log(any_log_url)
    model: dict[int, list[Entry]] = defaultdict(list, {p: [None] * e for p, e in log.ends().items()})  # type: ignore[list-item]
    entries = st.lists(st.builds(Entry, st.binary(max_size=3), st.binary(max_size=40)), max_size=12)
    reads = st.tuples(st.floats(0, 1), st.integers(1, 30))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(entries, reads), max_size=8))
    def agrees(steps: list[list[Entry] | tuple[float, int]]) -> None:
        for step in steps:
            if isinstance(step, list):
                for position, entry in zip(log.append(step), step, strict=True):
                    assert position == (partition_of(entry.key, log.partitions), len(model[position.partition]))
                    model[position.partition].append(entry)
                continue
            cursor = {p: int(len(model[p]) * step[0]) for p in range(log.partitions)}
            expects_some = any(cursor[p] < len(model[p]) for p in cursor)
            found = log.read(cursor, step[1], 10 if expects_some else 0)
            assert bool(found) == expects_some and len(found) <= step[1]
            for record in found:
                assert record.offset == cursor[record.partition], "in order, without a gap"
                assert Entry(record.key, record.value) == model[record.partition][record.offset]
                cursor[record.partition] += 1

    agrees()
    assert log.ends() == {p: len(model[p]) for p in range(log.partitions)}


@pytest.mark.parametrize(
    "url",
    [
        "mysql://x/y",
        "nothing",
        "kafka://",
        "kafka://host:1/",
        "kafka://host:1/a/b",
        "kafka://host:port/t",
        "kafka://host:1/t?partitions=none",
        "kafka://host:1/t?security=SASL_SSL",
        "kafka://host:1/t?unknown=1",
        "postgresql://host/db?partitions=0",
    ],
)
def test_a_url_that_names_no_log_says_what_would(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"kafka://|PLAINTEXT|partitions"):
        open_log(url)
