"""Does `copy_log` move a history verbatim, in order, and say truly where each record went?"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LogDamaged, Misconfigured
from eventlog.copying import Run, _runs, copy_log, places, read_map
from eventlog.port import Entry, Log, Logged, Position
from tests.support.logs import MakeLog, by_partition, noise, read_all
from tests.support.postgres import PostgresServer

MakeEmbedded = Callable[[int], str]


@pytest.fixture
def another(postgres: PostgresServer) -> MakeEmbedded:
    """`another(partitions)` is the URL of one more embedded log."""
    return lambda partitions: f"{postgres.dsn_of(postgres.create_database())}&partitions={partitions}"


def nothing(_done: int, _total: int) -> None: ...


def test_a_history_moves_verbatim_and_the_map_finds_each_record(
    any_log_url: str, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    source, target = make_log(another(3)), make_log(any_log_url)
    source.append([Entry(str(n % 17).encode(), noise(50, n)) for n in range(6000)])
    told: list[tuple[int, int]] = []
    assert copy_log(source, target, tmp_path / "map", lambda done, total: told.append((done, total))) == 6000
    assert told[0] == (0, 6000) and told[-1] == (6000, 6000)
    assert_mapped(source, target, tmp_path / "map")
    assert target.log_id in (tmp_path / "map").read_text().splitlines()[0]


@pytest.mark.kafka
def test_a_history_goes_from_kafka_to_the_embedded_log_and_back(
    kafka_log_url: str, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    source, between = make_log(kafka_log_url), make_log(another(4))
    source.append([Entry(str(n % 17).encode(), noise(50, n)) for n in range(2000)])
    copy_log(source, between, tmp_path / "there", nothing)
    back = make_log(kafka_log_url.replace("/t-", "/back-"))
    copy_log(between, back, tmp_path / "back", nothing)
    assert by_partition(read_all(back)) == by_partition(read_all(source))
    assert len(list(read_map(tmp_path / "there"))) < 20, "equal partitions make long runs"


def test_order_per_source_partition_is_kept_over_another_number_of_partitions(
    another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    source, target = make_log(another(2)), make_log(another(5))
    source.append([Entry(str(n % 7).encode(), str(n).encode()) for n in range(700)])
    copy_log(source, target, tmp_path / "map", nothing)
    per_key: dict[bytes, list[int]] = defaultdict(list)
    for record in read_all(target):
        per_key[record.key].append(int(record.value))
    assert all(values == sorted(values) and len(values) == 100 for values in per_key.values())


def test_copying_again_copies_only_what_is_new(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    source, target = make_log(another(2)), make_log(another(2))
    source.append([Entry(str(n).encode(), b"x") for n in range(100)])
    assert copy_log(source, target, tmp_path / "map", nothing) == 100
    assert copy_log(source, target, tmp_path / "map", nothing) == 0
    source.append([Entry(str(n).encode(), b"y") for n in range(10)])
    assert copy_log(source, target, tmp_path / "map", nothing) == 10
    assert_mapped(source, target, tmp_path / "map")
    assert len(read_all(target)) == 110


def test_a_copying_that_is_killed_goes_on_and_loses_nothing(
    another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    from_url, to_url, map_path = another(3), another(4), tmp_path / "map"
    source = make_log(from_url)
    for batch in range(12):
        source.append([Entry(str(n % 31).encode(), b"%d.%d" % (batch, n)) for n in range(5000)])
    target = make_log(to_url)
    for _ in range(2):
        before = map_path.stat().st_size if map_path.exists() else 0
        child = subprocess.Popen([sys.executable, "-c", COPY, from_url, to_url, str(map_path)])
        while child.poll() is None and (not map_path.exists() or map_path.stat().st_size <= before + 200):
            time.sleep(0.005)
        child.kill()
        child.wait()
    copy_log(source, target, map_path, nothing)
    assert_mapped(source, target, map_path)
    assert {r.value for r in read_all(target)} == {r.value for r in read_all(source)}


def test_a_torn_end_of_the_map_is_dropped(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    source, target, map_path = make_log(another(2)), make_log(another(2)), tmp_path / "map"
    source.append([Entry(str(n).encode(), str(n).encode()) for n in range(100)])
    copy_log(source, target, map_path, nothing)
    for torn in (map_path.read_bytes()[:-3], map_path.read_bytes() + b"\0\0\0\0", b"storyline-log-m"):
        map_path.write_bytes(torn)
        copy_log(source, target, map_path, nothing)
        assert_mapped(source, target, map_path)


def test_a_map_of_other_logs_is_refused(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    source, target = make_log(another(2)), make_log(another(2))
    copy_log(source, target, tmp_path / "map", nothing)
    with pytest.raises(Misconfigured, match="another pair"):
        copy_log(target, source, tmp_path / "map", nothing)


def test_a_log_is_not_copied_to_itself(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    log = make_log(another(2))
    with pytest.raises(Misconfigured, match="itself"):
        copy_log(log, log, tmp_path / "map", nothing)


def test_a_target_that_lost_records_is_noticed(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    source, target, map_path = make_log(another(1)), make_log(another(1)), tmp_path / "map"
    source.append([Entry(b"k", b"v")])
    copy_log(source, target, map_path, nothing)
    with map_path.open("ab") as file:
        file.write(b"0,1,0,1,1000\n")
    with pytest.raises(LogDamaged):
        copy_log(source, target, map_path, nothing)


def test_a_source_that_lost_records_is_noticed(another: MakeEmbedded, make_log: MakeLog, tmp_path: Path) -> None:
    source, target, map_path = make_log(another(1)), make_log(another(1)), tmp_path / "map"
    source.append([Entry(b"k", b"v")])
    target.append([Entry(b"k", b"v"), Entry(b"k", b"w")])
    map_path.write_text(f"storyline-log-map 1 {source.log_id} {target.log_id}\n0,0,0,0,2\n")
    with pytest.raises(LogDamaged, match="source"):
        copy_log(source, target, map_path, nothing)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(1, 4)), max_size=12),
    st.sets(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=20),
)
def test_the_map_is_asked_where_single_records_went(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int]], wanted: set[tuple[int, int]]
) -> None:
    ends, target, runs = dict.fromkeys(range(3), 0), 0, list[Run]()
    for partition, hole, records in steps:
        runs.append(Run(partition, ends[partition] + hole, 1, target, records))
        ends[partition], target = ends[partition] + hole + records, target + records + 1
    map_path = tmp_path_factory.mktemp("places") / "map"
    map_path.write_text("storyline-log-map 1 a b\n" + "".join(",".join(map(str, run)) + "\n" for run in runs))
    known = {Position(*a): Position(*b) for run in runs for a, b in unrolled(run)}
    asked = [Position(*one) for one in wanted]
    assert places(map_path, asked) == {one: known[one] for one in asked if one in known}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(0, 2)), max_size=40))
def test_runs_say_for_every_record_where_it_went(steps: list[tuple[int, int, int]]) -> None:
    sources, targets = dict.fromkeys(range(3), 0), dict.fromkeys(range(3), 0)
    records, positions = list[Logged](), list[Position]()
    for partition, step, to in steps:
        sources[partition] += step  # offsets may have holes
        targets[to] += 1
        records.append(Logged(partition, sources[partition], b"", b""))
        positions.append(Position(to, targets[to]))
    told = [where for run in _runs(records, positions) for where in unrolled(run)]
    assert sorted(told) == sorted(
        ((r.partition, r.offset), tuple(p)) for r, p in zip(records, positions, strict=True)
    )


def unrolled(run: Run) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    return [
        ((run.source_partition, run.source_offset + n), (run.target_partition, run.target_offset + n))
        for n in range(run.records)
    ]


def assert_mapped(source: Log, target: Log, map_path: Path) -> None:
    """Each source record is in the map, and stands in the target where the map says."""
    there = {(r.partition, r.offset): (r.key, r.value) for r in read_all(target)}
    where = dict(pair for run in read_map(map_path) for pair in unrolled(run))
    records = read_all(source)
    assert len(where) == len(records)
    for record in records:
        assert there[where[record.partition, record.offset]] == (record.key, record.value)


COPY = """
import sys
from pathlib import Path
from eventlog.copying import copy_log
from eventlog.opening import open_log
copy_log(open_log(sys.argv[1]), open_log(sys.argv[2]), Path(sys.argv[3]), lambda done, total: None)
"""
