"""S91: does a company that outgrew the embedded log get to Kafka while its channels publish? Rehearsed with the real
processes and commands, as docs/operations.md tells it.

`STORYLINE_MOVE_EVENTS` says how many events there are before (2,000); run with `-s` it prints for how long nothing
could be published.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.client import Client, Retries
from eventlog.opening import open_log
from eventlog.record import decode
from tests.support.logs import read_all
from tests.support.postgres import PostgresServer
from tests.support.served import Served, run_cli, served
from tests.support.story import event
from tests.support.waiting import eventually

EVENTS = int(os.environ.get("STORYLINE_MOVE_EVENTS", "2000"))


def person(number: int) -> dict[str, Any]:
    return event(
        number, time="2026-03-01T09:00:00Z", data={"who": [{"kind": "customer_no", "value": f"{number % 997}"}]}
    )


@dataclass
class Channel:
    """A channel that goes on publishing, with the stock client, until it is stopped."""

    url: str
    key: str
    accepted: list[tuple[float, str]] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    trouble: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def longest_pause(self) -> float:
        """Seconds between two events that were accepted, at most."""
        return max(after[0] - before[0] for before, after in itertools.pairwise(self.accepted))

    def _events(self) -> Iterator[dict[str, Any]]:
        for number in itertools.count(EVENTS):
            if self._stop.is_set():
                return
            time.sleep(0.005)
            yield person(number)

    def _publish(self) -> None:
        with Client(self.url, self.key, connections=2, max_events=10, retries=Retries(seconds=300)) as client:
            try:
                for receipt in client.publish(self._events()):
                    self.accepted.append((time.monotonic(), receipt.name))
            except Exception as error:
                self.trouble.append(error)


def kill_a_move_under_way(system: Served, to_url: str, map_path: Path) -> None:
    argv = [sys.executable, "-m", "storyline.cli", "log", "move", "--to", to_url, "--map", str(map_path)]
    started = subprocess.Popen(argv, env=system.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: started.poll() is not None or (map_path.exists() and map_path.stat().st_size > 200), 120)
    started.kill()
    started.wait()


def place_of_a_stream(system: Served, customer: str) -> str:
    """The `id` that a live stream begins with."""
    with system.client() as client, client.stream("GET", f"/v1/customers/{customer}/timeline/stream") as stream:
        return next(line for line in stream.iter_lines() if line.startswith("id: ")).removeprefix("id: ")


def customer_of(system: Served, number: str) -> str:
    with system.client() as client:
        answer = client.post("/v1/lookup", json={"kind": "customer_no", "value": number})
        return str(answer.json()["customers"][0]["id"])


@pytest.mark.kafka
def test_S91_a_history_moves_to_kafka_while_channels_publish(
    server_directory: Path, postgres: PostgresServer, kafka_log_url: str, tmp_path: Path
) -> None:
    directory = server_directory / "move"
    directory.mkdir(mode=0o755)
    dsn = postgres.dsn_of(postgres.create_database())
    addresses = {"DATABASE_URL": dsn, "KEYS_URL": dsn, "LOG_URL": f"{dsn}&partitions=3"}
    with served(directory, **addresses) as old:
        with Client(old.url, old.key, connections=4) as client:
            before = [receipt.name for receipt in client.publish(map(person, range(EVENTS)))]
            positions = ",".join(f"{part}:{offset}" for part, offset in client.positions.items())
        channel = Channel(old.url, old.key)
        kill_a_move_under_way(old, kafka_log_url, tmp_path / "map")
        eventually(lambda: old.run("timeline", "customer_no:1").returncode == 0, 120)
        customer = customer_of(old, "1")
        place = place_of_a_stream(old, customer)
        moved = old.run("log", "move", "--to", kafka_log_url, "--map", str(tmp_path / "map"), "--json", timeout=900)
        assert moved.returncode == 0, moved.stderr
        told = json.loads(moved.stdout)
        refused = old.publish(person(0))
        assert refused.status_code == 503 and refused.headers["retry-after"] == "2"
        assert "takes its place" in refused.json()["detail"]
        env = {name: value for name, value in old.env.items() if name.startswith("STORYLINE_")}
    still = len(channel.accepted)
    with served(directory, **{**env, **addresses, "LOG_URL": kafka_log_url}) as new:
        eventually(lambda: len(channel.accepted) > still + 200, 120)
        channel.stop()
        assert channel.trouble == []
        check_what_is_read(new, customer, place, positions)
        rebuilt = new.run("rebuild", "--json", timeout=900)
        late = run_cli(old.env, "projector")
        assert late.returncode == 7 and "was moved" in late.stderr
        assert rebuilt.returncode == 0 and json.loads(rebuilt.stdout)["same"] is True, rebuilt.stderr
    accepted = [*before, *[name for _, name in channel.accepted]]
    check_what_is_held(kafka_log_url, dsn, accepted)
    assert told["compared"] >= 1
    print(
        f"\n{told['records']:,} records moved in {told['seconds']:.1f} s; the old log was closed for "
        f"{told['refused']:.1f} s before the switch; with the restart nothing was accepted for "
        f"{channel.longest_pause:.1f} s."
    )
    postgres.drop_database(dsn.rpartition("/")[2].partition("?")[0])


def check_what_is_read(new: Served, customer: str, place: str, positions: str) -> None:
    """Clients come with positions of the log before: none waits for ever, and none misses anything."""
    path = f"/v1/customers/{customer}/timeline"
    with new.client() as client:
        page = client.get(path, params={"after_positions": positions})
        assert page.status_code == 200, page.text
        names = {item["name"] for item in page.json()["items"]}
        streamed: set[str] = set()
        with client.stream("GET", f"{path}/stream", headers={"Last-Event-ID": place}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    streamed.add(json.loads(line.removeprefix("data: "))["name"])
                    if names <= streamed:
                        break
        assert names <= streamed


def check_what_is_held(log_url: str, dsn: str, accepted: list[str]) -> None:
    """What was acknowledged is on the new log, and on the timeline once; nothing else is."""
    log = open_log(log_url)
    try:
        on_log = {decode(record.value).head.name for record in read_all(log)}
    finally:
        log.close()
    assert len(set(accepted)) == len(accepted)
    assert set(accepted) <= on_log
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*), count(DISTINCT name) FROM timeline.events").fetchone()
    # A batch whose answer was lost on the way is there, and was not acknowledged.
    assert row is not None and row[0] == row[1] == len(on_log)
    assert len(on_log) - len(accepted) <= 40
