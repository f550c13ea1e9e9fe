"""What must the embedded log do beyond the port? Late commits, a killed server, its tables."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.embedded import EmbeddedLog, fair_shares, install
from eventlog.opening import open_log
from eventlog.port import Entry
from tests.support.logs import (
    MakeLog,
    in_threads,
    key_of,
    move,
    read_all,
    start,
)
from tests.support.postgres import PostgresServer


def test_a_reader_skips_nothing_when_an_earlier_append_commits_late(log_url: str, make_log: MakeLog) -> None:
    log, slow = make_log(log_url), make_log(log_url)
    key = key_of(0, log.partitions)
    with psycopg.connect(log_url) as connection:
        connection.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.value = 'slow' THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER dawdle BEFORE INSERT ON log.records FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
    dawdler = threading.Thread(target=slow.append, args=([Entry(key, b"slow")],))
    dawdler.start()
    time.sleep(0.3)  # by now it holds its offset, and sleeps in its transaction
    later = threading.Thread(target=log.append, args=([Entry(key, b"quick")],))
    later.start()
    cursor, seen = {0: 0}, list[bytes]()
    reader = make_log(log_url)
    while len(seen) < 2:
        found = reader.read(cursor, 10, 0.05)
        seen += [r.value for r in found]
        move(cursor, found)
    assert seen == [b"slow", b"quick"]
    dawdler.join()
    later.join()


def test_installing_twice_and_at_once_makes_one_log(database: str) -> None:
    in_threads(lambda _: install(database, 3), 4)
    install(database, 5)
    log = EmbeddedLog(database)
    assert log.partitions == 3
    log.close()


def test_a_database_without_the_tables_says_what_to_do(database: str) -> None:
    with pytest.raises(Misconfigured, match="db upgrade"):
        EmbeddedLog(database)


def test_the_number_of_partitions_comes_from_the_url(database: str, make_log: MakeLog) -> None:
    assert make_log(f"{database}&partitions=5").partitions == 5


def test_deleted_records_are_noticed(log_url: str, make_log: MakeLog) -> None:
    log = make_log(log_url)
    [position, *_] = log.append([Entry(b"k", str(n).encode()) for n in range(3)])
    with psycopg.connect(log_url) as connection:
        connection.execute('DELETE FROM log.records WHERE "offset" = 1')
    with pytest.raises(LogDamaged, match="are gone"):
        log.read({position.partition: 0}, 10, 0)


def test_a_read_of_large_records_is_bounded_in_bytes(log_url: str, make_log: MakeLog) -> None:
    log = make_log(log_url)
    for _ in range(4):
        log.append([Entry(b"k", bytes(900_000)) for _ in range(20)])
    found = log.read(start(log), 1000, 0)
    assert 0 < len(found) < 80
    assert len(read_all(log)) == 80


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 50)), st.integers(1, 60), st.integers(0, 99))
def test_fair_shares_use_the_limit_up_and_starve_nobody(available: dict[int, int], limit: int, turn: int) -> None:
    shares = fair_shares(available, limit, turn)
    assert sum(shares.values()) == min(limit, sum(available.values()))
    assert all(0 < share <= available[p] for p, share in shares.items())
    busy = {p for p, many in available.items() if many}
    served = set[int]().union(*(fair_shares(available, limit, t) for t in range(len(busy))))
    assert served == busy


def test_an_acknowledged_append_outlives_a_kill_of_postgres(server_directory: Path) -> None:
    with PostgresServer.start(server_directory / "to-kill") as server:
        url = server.dsn_of(server.create_database())
        log = open_log(url)
        log.append([Entry(b"k", b"acknowledged")])
        server.kill()
        with pytest.raises(Unavailable):
            log.append([Entry(b"k", b"nobody there")])
        with pytest.raises(Unavailable):
            log.read(start(log), 10, 0)
        with pytest.raises(Unavailable):
            log.ends()
        server.restart()
        assert [r.value for r in read_all(log)] == [b"acknowledged"]
        log.append([Entry(b"k", b"and on it goes")])
        log.close()


def test_no_server_at_all_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        open_log("postgresql://nobody@127.0.0.1:1/nothing")
