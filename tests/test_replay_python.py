"""Can an analyst replay history from Python and by a command, in constant memory, and only what he may see?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg_pool import ConnectionPool

from commands.access import Access
from domain.errors import BadInput, Forbidden, Misconfigured
from domain.identifiers import Identifier
from storyline.cli import main
from storyline.replay import replay
from storyline.settings import Settings
from tests.support.story import Story, story

MASTER = bytes(range(32))
ROOT = Path(__file__).parent.parent
EVENTS = int(os.environ.get("REPLAY_EVENTS", "200000"))
GROWTH = 48 * 2**20
"""Bytes that ten times as many events may add to the peak: batches on their way, and what a Parquet file keeps of
each row group until its end. All of them would be ten times that."""


def bought(number: int, **changes: Any) -> dict[str, Any]:
    data = {
        "who": [{"kind": "email", "value": "ann@example.org"}],
        "content": {"amount": f"{number}.50", "currency": "GBP", "lines": [{"description": "a candle"}]},
    }
    return {
        "specversion": "1.0",
        "source": "test/shop",
        "id": f"p-{number}",
        "type": "purchase.made",
        "time": f"2026-03-{number:02}T00:30:00+01:00",
        "data": data,
        **changes,
    }


@pytest.fixture(scope="module")
def shop(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, f"{dsn}&partitions=2", master=MASTER) as small:
        small.publish(*[bought(number) for number in range(1, 6)])
        small.project()
        yield small
    postgres.drop_database(name)


@pytest.fixture
def environment(shop: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of this shop, and a folder."""
    for name in [name for name in os.environ if name.startswith("STORYLINE_")]:
        monkeypatch.delenv(name)
    for name, value in (("DATABASE_URL", shop.dsn), ("KEYS_URL", shop.dsn), ("LOG_URL", f"{shop.dsn}&partitions=2")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("STORYLINE_MASTER_KEY", b64encode(MASTER).decode())
    monkeypatch.setenv("STORYLINE_DATA_DIR", str(tmp_path))
    return tmp_path


def key(shop: Story, *scopes: str) -> str:
    with ConnectionPool(shop.dsn, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        return Access(pool).create("analyst", scopes).secret


def command(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *words])
    return int(ended.value.code or 0)


def test_S45_a_table_is_had_with_a_few_lines(shop: Story) -> None:
    with replay(shop.dsn, types=["purchase.made"], since="2026-03-02") as run:
        table = run.arrow()
    assert table.num_rows == run.events == 3
    assert float(sum(table.column("amount").to_pylist())) == 3.5 + 4.5 + 5.5


def test_a_day_begins_in_the_time_zone_of_the_deployment(shop: Story, environment: Path) -> None:
    def first(zone: str) -> int:
        settings = Settings(time_zone=zone)
        with replay(settings, since="2026-03-03", types=["purchase.made"]) as run:
            return int(run.arrow().num_rows)

    assert first("Europe/London") == 2, "half past midnight in Paris is the day before in London"
    assert first("Europe/Paris") == 3


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "2026-03-01T10:00:00", "2026-3-1"])
def test_a_moment_that_is_none_is_refused(shop: Story, when: str) -> None:
    with pytest.raises(BadInput, match="since"), replay(shop.dsn, since=when):
        pass


def test_a_run_is_read_once(shop: Story) -> None:
    with replay(shop.dsn) as run:
        run.arrow()
        with pytest.raises(BadInput, match="read already"):
            run.arrow()


def test_a_frame_needs_a_library_and_says_which(shop: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storyline.replay.find_spec", lambda name: None)
    with replay(shop.dsn) as run, pytest.raises(Misconfigured, match="pandas nor polars"):
        run.frame()


def test_names_need_a_key_that_may_see_them(shop: Story, environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Forbidden, match="STORYLINE_API_KEY"), replay(personal=True):
        pass
    monkeypatch.setenv("STORYLINE_API_KEY", key(shop, "read-sealed", "operate"))
    with pytest.raises(Forbidden, match="lacks the scope read"), replay(personal=True):
        pass
    monkeypatch.setenv("STORYLINE_API_KEY", key(shop, "read"))
    with replay(personal=True, columns=["who", "personal", "erased"]) as run:
        row = run.arrow().to_pylist()[0]
    assert json.loads(row["who"]) == [{"kind": "email", "value": "ann@example.org"}]
    assert json.loads(row["personal"]) == {"lines": [{"description": "a candle"}]}
    assert row["erased"] is False
    with pytest.raises(Misconfigured, match="opens nothing personal"), replay(shop.dsn, personal=True):
        pass


def test_what_was_erased_is_told_as_erased(database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with story(database, f"{database}&partitions=2", master=MASTER) as small:
        small.publish(bought(1))
        small.project()
        tokens = small.hasher.tokens((Identifier("email", "ann@example.org"),))
        small.keyring.destroy([small.hasher.evidence(tokens)])
        settings = Settings(
            database_url=database, keys_url=database, log_url=database, data_dir=tmp_path,
            master_key=b64encode(MASTER).decode(), api_key=key(small, "read"),
        )  # fmt: skip
        with replay(settings, personal=True, types=["purchase.made"]) as run:
            (row,) = run.arrow().to_pylist()
    assert (row["who"], row["personal"], row["erased"]) == (None, None, True)
    assert float(row["amount"]) == 1.5


def test_the_command_writes_a_file_and_says_how_much(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = environment / "march.parquet"
    assert command("--type", "purchase.made", "--from", "2026-03-02", "--out", str(out), "--columns", "amount") == 0
    assert pq.read_table(out).num_rows == 3
    assert "3 events written" in capsys.readouterr().err
    assert command("--model", "trades", "--out", str(environment / "trades.duckdb"), "--json") == 0
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["trades"] == 5


def test_the_command_streams_lines(environment: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert command("--customer", "email:ann@example.org", "--columns", "type,amount") == 0
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert lines == [{"type": "purchase.made", "amount": number + 0.5} for number in range(1, 6)]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--type", "purchase.maid"], 3, "not in the catalogue"),
        (["--out", "x.csv"], 3, "Choose of"),
        (["--model", "directory"], 3, "There are"),
        (["--personal"], 6, "STORYLINE_API_KEY"),
        (["--out", "/nowhere/x.parquet"], 7, "cannot be written"),
        (["--customer", "email:test"], 3, "blocked"),
        (["--order", "size"], 3, "Choose of"),
    ],
)
def test_the_command_refuses_in_words(
    environment: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    assert command(*words) == code
    assert told in capsys.readouterr().err


def test_ten_times_as_many_events_take_no_more_memory(shop: Story, tmp_path: Path) -> None:
    """Peak memory of a process that writes a Parquet file. By hand: REPLAY_EVENTS=4000000."""
    insert = (
        "INSERT INTO timeline.events (name, happened_at, recorded_at, future, touch, digest, log_partition, "
        "log_offset, type, record) SELECT gen_random_uuid(), happened_at + interval '1 year', recorded_at, future, "
        "touch, digest, log_partition, -number, type, record "
        "FROM (SELECT * FROM timeline.events WHERE log_offset >= 0 LIMIT 1) AS one, generate_series(1, %s) AS number"
    )
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT name FROM timeline.events")
        try:
            connection.execute(insert, [EVENTS // 10])
            few = peak(shop.dsn, tmp_path / "few.parquet")
            connection.execute(insert, [EVENTS - EVENTS // 10])
            many = peak(shop.dsn, tmp_path / "many.parquet")
        finally:
            connection.execute("DELETE FROM timeline.events WHERE name NOT IN (SELECT name FROM kept)")
            connection.execute("DROP TABLE kept")
    assert pq.ParquetFile(tmp_path / "many.parquet").metadata.num_rows == EVENTS
    assert many - few < GROWTH, f"{few / 2**20:.0f} MiB for a tenth, {many / 2**20:.0f} MiB for all"


_WRITE = """
import resource, sys
from pathlib import Path
from storyline.replay import replay
from storyline.replay_files import write_file
with replay(sys.argv[1], types=["purchase.made"], since="2027-01-01") as run:
    write_file("parquet", run.schema, run.batches(), run.columns.json_names, Path(sys.argv[2]), "events")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak(dsn: str, out: Path) -> int:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, dsn, str(out)], env=env, capture_output=True, text=True, check=True
    )
    return int(done.stdout)
