"""Does the relay go on where it was when the history moves to another log while deals and tickets are worked on?"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from consumers.relay import Relaying
from domain.errors import Misconfigured
from eventlog.opening import open_log
from tests.support.logs import read_all
from tests.support.moving import move, projecting
from tests.support.relaying import doubled, order_of
from tests.support.story import Story, story
from tests.support.waiting import eventually
from tests.support.working import new_task, store_of


class RelayThread:
    """A relay in a thread, on one log."""

    def __init__(self, small: Story, url: str) -> None:
        self.stop, self.ended = threading.Event(), list[Exception]()
        self._log = open_log(url)
        self._relay = Relaying(small.dsn, self._log, small.hasher, CollectorRegistry(), lease=5)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._relay.run(self.stop)
        except Misconfigured as error:
            self.ended.append(error)
        finally:
            self._log.close()


@contextmanager
def at_work(small: Story, done: dict[str, int]) -> Iterator[None]:
    """Somebody works on tasks, one after the other, while the block lasts. done: {id: events} of each."""
    over = threading.Event()

    def work() -> None:
        with store_of(small) as store:
            while not over.is_set():
                task = new_task(id=uuid.uuid4())
                for number in range(10):
                    task.change({"title": f"{number}"}, at=datetime.now(UTC), actor="user:anna")
                    store.save(task)
                done[task.id.hex] = task.version
                time.sleep(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def test_what_is_decided_while_the_log_moves_is_on_the_new_one_once_and_in_order(
    database: str, postgres: Any, tmp_path: Path
) -> None:
    url = f"{postgres.dsn_of(postgres.create_database())}&partitions=4"
    done: dict[str, int] = {}
    with story(database, f"{database}&partitions=2") as small:
        target, old = open_log(url), RelayThread(small, small.log_url)
        relays = [old]
        try:
            with at_work(small, done):
                eventually(lambda: small.rows("SELECT count(*) > 50 FROM storyline.relayed") == [(True,)], 30)
                with projecting(small):
                    move(small, target, url, tmp_path / "map")
                old.thread.join(30)
                assert [type(one) for one in old.ended] == [Misconfigured], "it goes to no log that was left"
                relays += [RelayThread(small, url) for _ in range(2)]
            query = "SELECT (SELECT max(notification_id) FROM eventstore.events) = notification FROM storyline.relay"
            eventually(lambda: small.rows(query) == [(True,)], 30)
            found = [
                record for record in read_all(target) if record.value.startswith(b'{"v":1,"name":"storyline/task#')
            ]
            assert doubled(found) == 0
            assert order_of(found) == {id: list(range(1, version + 1)) for id, version in done.items()}
        finally:
            for relay in relays:
                relay.stop.set()
                relay.thread.join(30)
            target.close()
