"""Do a repair, a move and a rebuild keep out of each other's way, and does each say which is the way out?"""

from __future__ import annotations

import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.opening import open_log
from eventlog.port import Log
from projections.checking import check_log, refuse_damaged_log
from projections.moves import lock_switches, refuse_moved
from projections.rebuild import Rebuild
from projections.repair import Repair
from projections.status import Status, read_status
from tests.support.moving import killed_at, move, projecting
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment
from tests.support.story import Story, event, story
from tests.support.truncation import cut_embedded

MakeEmbedded = Callable[[int], str]
MakeLog = Callable[[str], Log]
_MASTER = bytes(range(32))


@pytest.fixture
def another(postgres: PostgresServer) -> MakeEmbedded:
    """`another(partitions)` is the URL of one more embedded log."""
    return lambda partitions: f"{postgres.dsn_of(postgres.create_database())}&partitions={partitions}"


@pytest.fixture
def small(database: str, another: MakeEmbedded) -> Iterator[Story]:
    with story(database, another(3), master=_MASTER) as made:
        made.publish(*[person(number) for number in range(60)])
        yield made


def person(number: int) -> dict[str, Any]:
    return event(number, data={"who": [{"kind": "email", "value": f"p{number % 23}@example.org"}]})


def rebuild(small: Story, log: Log, url: str) -> Rebuild:
    return Rebuild(small.dsn, url, log, lambda _, parked: None, small.reading)


def status(small: Story, log: Log) -> Status:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        return read_status(connection, log)


def test_while_a_move_has_not_ended_neither_log_is_repaired_and_the_status_says_the_way_out(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    """To repair the new one would have filled it with all of the timeline beside the copy."""
    url = another(2)
    target = make_log(url)
    with projecting(small):
        assert killed_at("closed", small, url, tmp_path / "map") == -9
    for work in (Repair(small.dsn, small.log), Repair(small.dsn, small.log, every_record=True)):
        with pytest.raises(Misconfigured, match="log move --abort"):
            work.run()
    for refused in (
        Repair(small.dsn, target, onto_another=True).plan,
        Repair(small.dsn, target, onto_another=True).run,
        rebuild(small, target, url).run,
    ):
        with pytest.raises(Misconfigured, match="still fills"):
            refused()
    assert [trouble for trouble in status(small, small.log).troubles if "closed, and nothing can" in trouble]
    [trouble] = status(small, target).troubles
    assert "still fills" in trouble
    assert not status(small, target).damaged
    with projecting(small):
        assert move(small, target, url, tmp_path / "map").compared
    assert sum(target.ends().values()) == 60


def test_a_log_that_was_moved_away_is_not_repaired(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(2)
    target = make_log(url)
    with projecting(small):
        move(small, target, url, tmp_path / "map")
    for onto_another in (False, True):
        with pytest.raises(Misconfigured, match="was moved to"):
            Repair(small.dsn, small.log, onto_another=onto_another).run()
    [trouble] = status(small, small.log).troubles
    assert "was moved to" in trouble
    refuse_damaged_log(small.dsn, target)


def test_a_repair_onto_another_log_that_was_cut_off_has_two_ways_out(small: Story, another: MakeEmbedded) -> None:
    """It can be ended there, or the log as it is gets back what has gone over already."""
    small.project()
    other = open_log(another(2))
    try:
        work = Repair(small.dsn, other, onto_another=True)

        def stop(done: int, total: int) -> None:
            if done > total / 3:
                raise KeyboardInterrupt

        work.told = stop
        with pytest.raises(KeyboardInterrupt):
            work.run()
    finally:
        other.close()
    with pytest.raises(LogDamaged, match="--every-record"):
        refuse_damaged_log(small.dsn, small.log)
    with pytest.raises(Misconfigured, match="--every-record"):
        Repair(small.dsn, small.log).run()
    Repair(small.dsn, small.log, every_record=True).run()
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        assert check_log(connection, small.log).troubles == []
    small.project(consumer="live")
    assert rebuild(small, small.log, small.log_url).run().same


def test_a_damaged_log_is_neither_rebuilt_from_nor_moved(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    """Either would wait for ever for what the log lost."""
    small.project()
    cut_embedded(small.log_url.replace("&partitions=3", ""), dict.fromkeys(small.log.ends(), 1))
    with pytest.raises(LogDamaged, match="log repair"):
        rebuild(small, small.log, small.log_url).run()
    url = another(2)
    with pytest.raises(LogDamaged, match="log repair"):
        move(small, make_log(url), url, tmp_path / "map")


def test_a_repair_waits_for_no_move_or_rebuild_but_says_that_one_is_at_work(small: Story) -> None:
    small.project()
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        lock_switches(connection, ["timeline"])
        with pytest.raises(Unavailable, match="is at work"):
            Repair(small.dsn, small.log).run()
        refuse_moved(connection, small.log.log_id)
    Repair(small.dsn, small.log).run()


def test_a_move_that_is_asked_to_end_opens_the_old_log_again(
    small: Story, another: MakeEmbedded, server_directory: Path
) -> None:
    """A supervisor sends SIGTERM; without a projector it would wait for one while publishers are refused."""
    env = clean_environment(
        server_directory,
        DATABASE_URL=small.dsn,
        KEYS_URL=small.dsn,
        LOG_URL=small.log_url,
        STORYLINE_MASTER_KEY=b64encode(_MASTER).decode(),
    )
    argv = [sys.executable, "-m", "storyline.cli", "log", "move", "--to", another(2), "--map"]
    with projecting(small):
        work = subprocess.Popen(
            [*argv, str(server_directory / "term.map")], env=env, stderr=subprocess.PIPE, text=True
        )
        with psycopg.connect(small.dsn) as holding:
            deadline = time.monotonic() + 60
            hold = "SELECT FROM storyline.positions WHERE consumer = 'live' FOR UPDATE"
            while holding.execute(hold).rowcount == 0:  # the projector has not sat down yet
                assert time.monotonic() < deadline
                holding.rollback()
            while not small.log.successor():  # type: ignore[attr-defined]
                assert time.monotonic() < deadline
                time.sleep(0.02)
            work.terminate()
            printed = work.communicate(timeout=60)[1]
    assert work.returncode == 130, printed
    assert "go on" in printed
    assert small.log.successor() is None  # type: ignore[attr-defined]
