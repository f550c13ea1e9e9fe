"""How fast are commands? `storyline bench commands [--json]`: saves into the event store, one by one and 50 events at
a time, by one and by eight writers; the relay; and how long after a save it is visible.

Beside the saves stands, in the same run and turn by turn, the bare application of the eventsourcing library on the
same PostgreSQL (goal: 0.9 of it). The relay is held against 10,000 events/s. `docs/benchmarks.md` says what the
figures mean.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import psycopg

from bench import report
from bench.commands_bare import BareTask, bare_application
from bench.processes import Deployment, run
from bench.report import median, percentile, progress
from bench.stand import ADAPTERS, Stand, stand
from domain.identifiers import Identifier
from domain.task import Task
from eventlog.opening import open_log
from eventlog.relay import Relay
from eventlog.sql import load
from tests.support.process import free_ports

__all__ = ["main"]

_SQL = load("bench", "commands.sql")
_CUSTOMERS: Final = 500
_BULK: Final = 50
_GOAL_RELAY: Final = 10_000
_AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
_CONTENT = {"title": "Call back about the order", "kind": "call", "priority": "high", "assignee": "anna"}
_PARTS = ("saves", "relay", "visible")


def _who(number: int) -> tuple[Identifier, ...]:
    customer = number % _CUSTOMERS
    return (Identifier("customer_no", f"C-{customer}"), Identifier("email", f"c{customer}@example.org"))


def _ours(deployment: Deployment, size: int) -> Callable[[int], object]:
    store = deployment.parts.store

    def save(number: int) -> None:
        who = _who(number)
        store.save(*[Task.create(uuid4(), _CONTENT, at=_AT, actor="user:anna", who=who) for _ in range(size)])

    return save


def _bare(application: Any, size: int) -> Callable[[int], object]:
    def save(number: int) -> None:
        who = [one._asdict() for one in _who(number)]
        application.save(*[BareTask.begun(uuid4(), _CONTENT, who, _AT) for _ in range(size)])

    return save


def _rate(save: Callable[[int], object], saves: int, writers: int) -> float:
    """Saves a second."""
    with ThreadPoolExecutor(writers) as threads:
        list(threads.map(save, range(writers)))
        began = time.perf_counter()
        list(threads.map(save, range(saves)))
        return saves / (time.perf_counter() - began)


def _saves(servers: Stand, deployment: Deployment, seconds: float, runs: int) -> list[report.Entry]:
    entries = []
    with closing(bare_application(servers.database(), 8)) as application:
        for number in range(_CUSTOMERS):  # everybody has a key from here on, as in a system that has run for a day
            _ours(deployment, 1)(number)
        for size in (1, _BULK):
            for writers in (1, 8):
                sides = {"ours": _ours(deployment, size), "bare": _bare(application, size)}
                saves = max(writers * 4, int(seconds * _rate(sides["bare"], writers * 8, writers)))
                rates: dict[str, list[float]] = {"ours": [], "bare": []}
                for _ in range(runs):  # turn by turn: what else the machine does meets both
                    for side, save in sides.items():
                        rates[side].append(_rate(save, saves, writers) * size)
                name = f"saves-{'bulk' if size > 1 else 'single'}-{writers}"
                progress(f"{name}: {rates}")
                entry = report.Entry(
                    name, f"{size} events a save, {writers} writers", saves * size * runs, median(rates["ours"]),
                    "bare eventsourcing", median(rates["bare"]),
                )  # fmt: skip
                entry.notes["rates"] = [round(rate) for rate in rates["ours"]]
                entry.notes["bare_rates"] = [round(rate) for rate in rates["bare"]]
                entries.append(entry)
    return entries


def _relay(servers: Stand, adapter: str, events: int) -> report.Entry:
    dsn = servers.database()
    with ExitStack() as open_:
        url = servers.log_url(adapter, dsn, f"relay-{time.monotonic_ns()}")
        deployment = Deployment(dsn, url, servers.directory)
        open_.callback(deployment.close)
        save = _ours(deployment, 200)
        for number in range(0, events, 200):
            save(number)
        log = open_.enter_context(closing(open_log(url)))
        relay = Relay(dsn, log, deployment.parts.hasher)
        open_.callback(relay.drop)
        relay.take()
        began, done = time.perf_counter(), 0
        while number := relay.step():
            done += number
        rate = done / (time.perf_counter() - began)
    return report.Entry(f"relay-{adapter}", "2,000 a batch", done, round(rate), "goal", _GOAL_RELAY)


def _visible(servers: Stand, adapter: str, saves: int) -> report.Entry:
    """Seconds from the return of a save until the projector has passed its place on the log."""
    dsn = servers.database()
    url = servers.log_url(adapter, dsn, f"visible-{time.monotonic_ns()}")
    deployment = Deployment(dsn, url, servers.directory)
    [port] = free_ports(1)
    took = []
    with ExitStack() as running:
        running.callback(deployment.close)
        running.enter_context(deployment.projector())
        env = {**deployment._env, "STORYLINE_RELAY_PORT": str(port)}
        words = ["-m", "storyline.cli", "relay", "run"]
        relay = run(words, port, "/readyz", servers.directory / f"relay-{port}.log", env)
        running.callback(relay.stop, signal.SIGTERM)
        connection = running.enter_context(psycopg.connect(dsn, autocommit=True))
        log_id, store = deployment.parts.log.log_id, deployment.parts.store
        for number in range(saves + 20):
            task = Task.create(uuid4(), _CONTENT, at=_AT, actor="user:anna", who=_who(number))
            [saved] = store.save(task)
            began = time.perf_counter()
            asked = {"notification": saved.notification, "log_id": log_id}
            while connection.execute(_SQL["visible"], asked).fetchone() != (True,):
                time.sleep(0.001)
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)
    entry = report.Entry(f"visible-{adapter}", "one save at a time", saves, 0)
    entry.p50_ms, entry.p99_ms = round(percentile(took[20:], 0.5), 1), round(percentile(took[20:], 0.99), 1)
    return entry


def main(argv: Sequence[str]) -> None:
    """Run the parts asked for and show what they found."""
    parser = argparse.ArgumentParser(prog="storyline bench commands", description=__doc__)
    parser.add_argument("--part", choices=_PARTS, action="append", help="default: all")
    parser.add_argument("--seconds", type=float, default=4, help="about so long a pass of each side")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=50_000, help="events that are relayed")
    parser.add_argument("--saves", type=int, default=300, help="saves whose latency is measured")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    parts, entries = given.part or _PARTS, []
    with stand(kafka=parts != ["saves"]) as servers:
        if "saves" in parts:
            dsn = servers.database()
            with closing(Deployment(dsn, servers.log_url("embedded", dsn, ""), servers.directory)) as deployment:
                entries += _saves(servers, deployment, given.seconds, given.runs)
        for adapter in ADAPTERS if servers.kafka else ADAPTERS[1:]:
            if "relay" in parts:
                progress(f"relay on {adapter}")
                entries.append(_relay(servers, adapter, given.events))
            if "visible" in parts:
                progress(f"visible on {adapter}")
                entries.append(_visible(servers, adapter, given.saves))
    report.show(entries, given.json)
