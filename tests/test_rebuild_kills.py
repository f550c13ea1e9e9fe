"""Does a rebuild that is killed again and again, under load, end equal to live, while readers notice nothing?

The full round by hand: `STORYLINE_REBUILD_KILLS=50 pytest tests/test_rebuild_kills.py`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import psutil
import psycopg
import pytest

from projections.rebuild import Rebuild
from projections.rebuild_state import known
from tests.support.story import Story, story
from tests.test_rebuild_notice import Watched
from tests.test_rebuild_one import orders, parts_of

KILLS = int(os.environ.get("STORYLINE_REBUILD_KILLS", "6"))
MASTER = bytes(range(32))
PROCESS = """
import sys
from eventlog.key_access import KeyAccess
from eventlog.masterkey import MasterKeys
from eventlog.opening import open_log
from projections.deriving import Reading
from projections.rebuild import Rebuild, chosen

def main():
    dsn, url, master, source, names = sys.argv[1:]
    models, source = chosen(names.split(), source)
    reading = Reading(KeyAccess(dsn, MasterKeys(bytes.fromhex(master))))
    log = open_log(url)
    work = Rebuild(
        dsn, url, log, lambda *parked: None, reading, models, source, workers=2, batch=300,
        reached=lambda point: print(point, flush=True),
    )
    assert work.run().same is True
    log.close()

if __name__ == "__main__":
    main()
"""
ACTIVITY = """SELECT pid, application_name, state, wait_event_type, wait_event, now() - query_start,
    pg_blocking_pids(pid), left(query, 200)
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""
WORDS = [("timeline", "all"), ("log", "all"), ("timeline", "customers work"), ("timeline", "identity directory")]


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database, master=MASTER) as made:
        yield made


def start(small: Story, words: tuple[str, str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", PROCESS, small.dsn, small.log_url, MASTER.hex(), *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_somebody(process: subprocess.Popen[str], pick: Random) -> bool:
    """kill -9 of the rebuild or of a process that it started; gives whether it was the rebuild itself."""
    children = psutil.Process(process.pid).children() if process.poll() is None else []
    if children and pick.random() < 0.3:
        pick.choice(children).kill()
        return False
    process.send_signal(signal.SIGKILL)
    return True


def ended(process: subprocess.Popen[str], small: Story, seconds: float) -> str:
    """What it wrote on stderr. Where it does not end in time it is told what Postgres does meanwhile."""
    try:
        return process.communicate(timeout=seconds)[1]
    except subprocess.TimeoutExpired as late:
        with psycopg.connect(small.dsn) as connection:
            busy = connection.execute(ACTIVITY).fetchall()
        process.kill()
        raise AssertionError(f"it does not end: {late.stdout!r}, while {busy}") from None


@pytest.mark.timeout(120 + 60 * KILLS)
def test_killed_again_and_again_under_load_it_ends_equal_to_live(small: Story) -> None:
    pick, killed, done = Random(7), 0, 0
    small.publish(*orders(range(-200, 0)))
    small.project()
    with Watched(small) as watched:
        words = WORDS[0]
        while killed < KILLS:
            process = start(small, words)
            assert process.stdout is not None
            process.stdout.readline()  # from here on it is at work
            time.sleep(pick.choice([0.0, 0.3, 1.0, 3.0, 6.0]))
            if process.poll() is None:
                killed += kill_somebody(process, pick)
            trouble = ended(process, small, 200)
            assert process.returncode in (0, 1, -9)
            assert "Traceback" not in trouble or "Unavailable" in trouble, trouble
            if process.returncode == 0:
                done += 1
                words = WORDS[done % len(WORDS)]
        process = start(small, words)
        assert ended(process, small, 240) == ""
        assert process.returncode == 0
    watched.published += 200
    watched.check()
    with psycopg.connect(small.dsn) as connection:
        assert known(connection) is None
    report: Any = Rebuild(**parts_of(small)).run()
    assert report.same is True
    assert small.parked == []
