"""How is a relay killed again and again while many write? For the test, and for the long run of the benchmarks.

The relays are forked off a process that has loaded all they need: so there are hundreds of kills in minutes, each of
a process as whole as that of `storyline relay run`.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from typing import Any, NamedTuple
from uuid import UUID

from prometheus_client import CollectorRegistry

from consumers.relay import Relaying
from domain.identifiers import Identifier
from domain.task import Task
from eventlog.opening import open_log
from eventlog.store import WorkStore
from eventlog.tokens import Hasher
from tests.support.logs import in_threads
from tests.support.relaying import doubled, native, order_of, relayed
from tests.support.story import START, Story
from tests.support.waiting import eventually
from tests.support.working import new_task, store_of

__all__ = ["Killed", "killed"]

WRITERS = 20


class Killed(NamedTuple):
    """What came of it. events: saved; on_log: distinct ones on the log, and `repeats` beside them; shown: on the
    timeline; out_of_order: aggregates whose versions do not stand in order on the log."""

    kills: int
    events: int
    on_log: int
    repeats: int
    shown: int
    out_of_order: int
    seconds: float


def killed(story: Story, kills: int, seed: int, *, relays: int = 2, pause: float = 0.3) -> Killed:
    """Kill a relay by `kill -9` at random moments while 20 writers save; then relay the rest and look at all of it.

    relays: so many run, and who works is killed; so another takes over at some moment of its work. pause: most
    seconds that one works before its end.
    """
    began, chance, stop = time.monotonic(), random.Random(seed), threading.Event()
    saved: dict[UUID, int] = {}
    with store_of(story) as store:
        writers = threading.Thread(target=in_threads, args=(_writer(store, saved, stop, seed), WRITERS))
        writers.start()
        try:
            _kill(story, kills, chance, relays, pause)
        finally:
            stop.set()
            writers.join()
    relayed(story)
    story.project()
    records = native(story)
    order = order_of(records)
    return Killed(
        kills, sum(saved.values()), len(records) - doubled(records), doubled(records),
        int(story.rows("SELECT count(*) FROM timeline.events")[0][0]),
        sum(_in_order(versions) != list(range(1, saved[UUID(id)] + 1)) for id, versions in order.items()),
        time.monotonic() - began,
    )  # fmt: skip


def _in_order(versions: list[int]) -> list[int]:
    """Without what is there once more."""
    return list(dict.fromkeys(versions))


def _writer(store: WorkStore, saved: dict[UUID, int], stop: threading.Event, seed: int) -> Callable[[int], None]:
    def write(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        who = (Identifier("email", f"w{number}@example.org"),)
        while not stop.is_set():
            task = new_task(who=who, steps=chance.randrange(4))
            store.save(task)
            saved[task.id] = task.version
            again = store.get(Task, task.id)
            again.finish(at=START, actor=None)
            store.save(again)
            saved[task.id] = again.version
            stop.wait(chance.random() * 0.8)

    return write


def _kill(story: Story, kills: int, chance: random.Random, relays: int, pause: float) -> None:
    context = multiprocessing.get_context("forkserver")
    running: dict[ForkServerProcess, Any] = {}
    try:
        for _ in range(kills):
            while len(running) < relays:
                works = context.Event()
                asked = (story.dsn, story.log_url, story.keyring.hashing_key(), works)
                process = context.Process(target=_relay, args=asked, daemon=True)
                process.start()
                running[process] = works
            eventually(lambda: any(works.is_set() for works in running.values()), 60)
            time.sleep(chance.random() * pause)
            victim = next(process for process, works in running.items() if works.is_set())
            del running[victim]
            _end(victim)
    finally:
        for process in running:
            _end(process)


def _end(process: ForkServerProcess) -> None:
    process.kill()
    process.join()
    process.close()


def _relay(dsn: str, log_url: str, hashing: bytes, works: Any) -> None:
    """In a process of its own: relay for ever, in small batches, and tell when we are the one that works."""
    work = Relaying(dsn, open_log(log_url), Hasher(hashing), CollectorRegistry(), batch=5)

    def tell() -> None:
        while not work.works:
            time.sleep(0.002)
        works.set()

    threading.Thread(target=tell, daemon=True).start()
    work.run(threading.Event())
