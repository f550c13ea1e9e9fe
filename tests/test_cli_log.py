"""Does `storyline log` show records as they come, and does `log copy` say what it did?"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.copying import read_map
from eventlog.port import Entry
from tests.support.logs import MakeLog, read_all
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment, run_cli
from tests.support.story import Story, event, story


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=2") as made:
        yield made


def environment(small: Story, directory: Path) -> dict[str, str]:
    return clean_environment(directory, DATABASE_URL=small.dsn, KEYS_URL=small.dsn, LOG_URL=small.log_url)


def test_tail_begins_before_the_end_and_goes_on_with_what_comes(small: Story, tmp_path: Path) -> None:
    first = small.publish(event(1), event(2))
    env = environment(small, tmp_path)
    argv = [sys.executable, "-m", "storyline.cli", "log", "tail", "--last", "1", "--json"]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        try:
            shown = [json.loads(tail.stdout.readline())["name"]]
            small.publish(event(3))
            shown.append(json.loads(tail.stdout.readline())["name"])
        finally:
            tail.send_signal(signal.SIGINT)
        assert tail.wait(60) == 130
    on_log = [json.loads(one.value)["name"] for one in read_all(small.log)]
    assert shown == on_log[1:], "one person's events stand in one partition, in their order"
    assert shown[0] == first[1].name


def test_tail_shows_a_line_a_record_also_of_one_that_cannot_be_read(small: Story, tmp_path: Path) -> None:
    small.publish(event(1))
    small.log.append([Entry(b"k", b"poison")])
    argv = [sys.executable, "-m", "storyline.cli", "log", "tail", "--last", "9"]
    env = environment(small, tmp_path)
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tail:
        assert tail.stdout is not None
        try:
            lines = [tail.stdout.readline() for _ in range(2)]
        finally:
            tail.send_signal(signal.SIGINT)
        assert tail.wait(60) == 130
    assert any("email.received" in line and "test/mail#" in line for line in lines)
    [unreadable] = [line for line in lines if "email.received" not in line]
    assert re.fullmatch(r"[01]:\d  \S.*\.\n", unreadable), "its place, and a sentence"


def test_copy_says_how_much_it_copied_and_goes_on_with_the_same_map(
    small: Story, postgres: PostgresServer, make_log: MakeLog, tmp_path: Path
) -> None:
    small.publish(
        *[event(number, data={"who": [{"kind": "customer_no", "value": str(number)}]}) for number in range(40)]
    )
    name = postgres.create_database()
    to_url = f"{postgres.dsn_of(name)}&partitions=3"
    words = ["log", "copy", "--from", small.log_url, "--to", to_url, "--map", str(tmp_path / "map")]
    env = environment(small, tmp_path)
    first = run_cli(env, *words, "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["records"] == 40 and told["map"] == str(tmp_path / "map")
    second = run_cli(env, *words)
    assert second.returncode == 0 and "Copied 0 records" in second.stdout
    assert sum(run.records for run in read_map(tmp_path / "map")) == 40
    assert sorted(one.value for one in read_all(make_log(to_url))) == sorted(o.value for o in read_all(small.log))


def test_a_move_and_its_undoing_need_a_word_of_what_is_wanted(small: Story, tmp_path: Path) -> None:
    env = environment(small, tmp_path)
    neither = run_cli(env, "log", "move")
    assert neither.returncode == 3 and "--abort" in neither.stderr
    nothing = run_cli(env, "log", "move", "--abort")
    assert nothing.returncode == 4 and "not being moved" in nothing.stderr
