"""How does a test get relays, in its own process and as processes that it can kill and freeze?"""

from __future__ import annotations

import signal
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from eventlog.opening import open_log
from eventlog.port import Logged
from eventlog.relay import Relay
from eventlog.relay_repair import mend_store
from eventlog.relay_status import RelayStatus, relay_status
from tests.support.asking import get, ready
from tests.support.logs import read_all
from tests.support.process import Server, free_ports, wait_until
from tests.support.served import clean_environment
from tests.support.story import Story

__all__ = ["RelayProcess", "doubled", "mended", "native", "order_of", "relay_of", "relayed", "status"]


@contextmanager
def relay_of(story: Story, **more: Any) -> Iterator[Relay]:
    """A relay with a log of its own."""
    log = open_log(story.log_url)
    relay = Relay(story.dsn, log, story.hasher, **more)
    try:
        yield relay
    finally:
        relay.drop()
        log.close()


def relayed(story: Story, **more: Any) -> int:
    """Take everything that waits to the log; gives how much that was."""
    with relay_of(story, **more) as relay:
        assert relay.take()
        total = 0
        while number := relay.step():
            total += number
        relay.beat()
        relay.leave()
        return total


def status(story: Story) -> RelayStatus:
    """How far the relay has come."""
    with psycopg.connect(story.dsn) as connection:
        found = relay_status(connection)
    assert found is not None
    return found


def mended(story: Story, **more: Any) -> Any:
    """What `storyline relay repair` does to the store."""
    log = open_log(story.log_url)
    try:
        return mend_store(story.dsn, log, story.hasher, **more)
    finally:
        log.close()


def native(story: Story) -> list[Logged]:
    """The records on the log that came out of an event store."""
    log = open_log(story.log_url)
    try:
        return [one for one in read_all(log) if one.value.startswith(b'{"v":1,"name":"storyline/task#')]
    finally:
        log.close()


def order_of(records: list[Logged]) -> dict[str, list[int]]:
    """{id of an aggregate: its versions in the order of the log}; all of one person, so on one partition."""
    found: dict[str, list[int]] = {}
    for record in records:
        head = msgspec.json.decode(record.value)
        found.setdefault(head["refs"][0].partition(":")[2], []).append(head["public"]["revision"])
    return found


def doubled(records: list[Logged]) -> int:
    """How many records are on the log once more."""
    names = Counter(msgspec.json.decode(record.value)["name"] for record in records)
    return sum(number - 1 for number in names.values())


class RelayProcess:
    """One `storyline relay run` on a story's database and log."""

    def __init__(self, story: Story, master: bytes, directory: Path, **more: str) -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        env = clean_environment(
            directory,
            DATABASE_URL=story.dsn,
            KEYS_URL=story.dsn,
            LOG_URL=story.log_url,
            STORYLINE_MASTER_KEY=b64encode(master).decode(),
            STORYLINE_RELAY_PORT=str(port),
            STORYLINE_LOG_FORMAT="json",
            **more,
        )
        self.output = directory / f"relay-{port}.out"
        self.server = Server([sys.executable, "-m", "storyline.cli", "relay", "run"], self.output, env, None)

    def wait(self) -> RelayProcess:
        """Until it works or stands by."""
        wait_until(self.ready, self.server, 60, "storyline relay run")
        return self

    def ready(self) -> bool:
        return ready(self.url)

    def works(self) -> bool:
        """Whether it is the one that works."""
        return bool(get(f"{self.url}/readyz", 10).json()["works"])

    def kill(self) -> None:
        self.server.kill()

    def stop(self) -> None:
        self.server.stop(signal.SIGTERM, 30)

    def freeze(self) -> None:
        self.server.send(signal.SIGSTOP)

    def wake(self) -> None:
        self.server.send(signal.SIGCONT)
