"""How fast is reading? `storyline bench read [--large] [--json]`: pages of busy customers over HTTP, unsealed.

Beside it in the same run the bare SQL: the same query of the same customers through psycopg, over as many
connections. One API process, then two that share the connections, as behind a balancer.
First with 400,000 events on the timeline, then with `--large` with ten times as many: a page must not cost more.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import UUID

import msgspec
import psycopg
import uvloop

from adapters.sample.bulk import bulk
from bench.hammer import Hits, get, hammer
from bench.processes import Deployment, cpu_seconds, memory
from bench.report import Entry, median, percentile, progress, show
from bench.stand import stand
from domain.event import read_event
from eventlog.sql import load
from projections.runner import Runner
from tests.support.process import Server

__all__ = ["main"]

_SQL = load("bench", "read.sql")
_PAGE_SQL = load("projections.timeline", "queries.sql")["customer_older"]
_PAGE = 50
_CONNECTIONS = 8
_CUSTOMERS = 50_000
_BUSY = 1000
_CHUNK = 5000


def _fill(deployment: Deployment, raw: Iterator[dict[str, Any]], events: int) -> None:
    """Put `events` more of the generated ones on the log and into the tables: sealed and applied for real."""
    parts = deployment.parts
    wanted = islice(raw, events)
    done = 0
    with ThreadPoolExecutor(1) as appending:  # the log is written while the next chunk is sealed
        pending = None
        while chunk := list(islice(wanted, _CHUNK)):
            entries = parts.sealer.seal([read_event(one, parts.catalogue) for one in chunk], datetime.now(UTC))
            if pending is not None:
                pending.result()
            pending = appending.submit(parts.log.append, entries)
            done += len(chunk)
            if done % 200_000 == 0:
                progress(f"{done:,} of {events:,} sealed")
        if pending is not None:
            pending.result()
    log = parts.log
    runner = Runner(
        deployment.dsn, deployment.log_url, log.log_id, log.partitions, lambda *parked: None, parts.reading
    )
    try:
        runner.run_to(log.ends())
    finally:
        runner.close()
    with psycopg.connect(deployment.dsn, autocommit=True) as connection:
        connection.execute(_SQL["settle"])
        connection.execute(_SQL["checkpoint"])


def _busy(dsn: str) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(_SQL["busy"], {"least": _PAGE, "limit": _BUSY}).fetchall()
    return [row[0].hex for row in rows]


def _check_page(deployment: Deployment, port: int, customer: str) -> None:
    """A benchmark of empty or sealed pages would be a fast one."""
    url = f"http://127.0.0.1:{port}{_path(customer)}"
    asked = Request(url, headers={"Authorization": f"Bearer {deployment.key}"})
    with urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own address
        items = msgspec.json.decode(answer.read())["items"]
    if len(items) != _PAGE or not all(item["who"] and item["line"] for item in items):
        raise ValueError(f"the page of a busy customer has {len(items)} items, or they are sealed")


def _path(customer: str) -> str:
    return f"/v1/customers/{customer}/timeline?limit={_PAGE}"


def _bare(directory: Path, dsn: str, customers: Sequence[str]) -> float:
    """Pages/s of the bare SQL in a process of its own."""
    plan = directory / f"bare-{time.monotonic_ns()}.json"
    plan.write_bytes(msgspec.json.encode((dsn, customers)))
    argv = [sys.executable, "-m", "bench.read", str(plan)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    return float(done.stdout)


async def _ask(connections: list[psycopg.AsyncConnection], customers: Sequence[str]) -> float:
    left = iter(customers)
    most: dict[str, Any] = dict.fromkeys(("types", "channels", "directions"))
    most |= {"at": datetime(9999, 12, 31, tzinfo=UTC), "name": UUID(int=2**128 - 1), "limit": _PAGE + 1}
    most |= {"since": datetime(1, 1, 1, tzinfo=UTC), "until": datetime(9999, 12, 31, tzinfo=UTC)}

    async def line(connection: psycopg.AsyncConnection) -> None:
        for customer in left:
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(_PAGE_SQL, {**most, "customer": UUID(hex=customer)})
                await cursor.fetchall()

    began = time.perf_counter()
    await asyncio.gather(*[line(connection) for connection in connections])
    return len(customers) / (time.perf_counter() - began)


async def _ask_all(dsn: str, customers: Sequence[str]) -> float:
    connections = [
        await psycopg.AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=0) for _ in range(_CONNECTIONS)
    ]
    try:
        await _ask(connections, customers[:200])
        return await _ask(connections, customers)
    finally:
        for connection in connections:
            await connection.close()


def _pages(deployment: Deployment, ports: Sequence[int], customers: Sequence[str]) -> Hits:
    requests = [get(_path(customer), deployment.key) for customer in customers]
    return hammer(deployment.directory, ports, requests, connections=_CONNECTIONS)


@dataclass
class _Found:
    """What the runs of one number of API processes brought; `cpu` is milliseconds a page, of all processes."""

    rates: list[float] = field(default_factory=list)
    halves: list[float] = field(default_factory=list)
    tails: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    held: float = 0.0


def _run(deployment: Deployment, servers: Sequence[Server], customers: Sequence[str], found: _Found) -> None:
    before = sum(map(cpu_seconds, servers))
    hits = _pages(deployment, deployment.ports[: len(servers)], customers)
    found.cpu.append((sum(map(cpu_seconds, servers)) - before) / len(customers) * 1000)
    found.rates.append(len(customers) / hits.seconds)
    found.halves.append(percentile(hits.took, 0.5) * 1000)
    found.tails.append(percentile(hits.took, 0.99) * 1000)
    found.held = max(found.held, sum(map(memory, servers)))


def _measure(deployment: Deployment, busy: Sequence[str], events: int, pages: int, runs: int) -> list[Entry]:
    """One process and two, in turn with the bare SQL, so that a busy moment of the machine meets all three."""
    chance = random.Random(1)
    found, bare = {1: _Found(), 2: _Found()}, []
    with ExitStack() as stack:
        servers = [stack.enter_context(deployment.api(port)) for port in deployment.ports]
        for port in deployment.ports:  # warm: every key is in the cache, every page in memory
            _check_page(deployment, port, busy[0])
            _pages(deployment, [port], busy)
        for number in range(runs):
            customers = chance.choices(busy, k=pages)
            for processes, one in found.items():
                _run(deployment, servers[:processes], customers, one)
            bare.append(_bare(deployment.directory, deployment.dsn, customers))
            told = ", ".join(f"{one.rates[-1]:,.0f} pages/s by {processes}" for processes, one in found.items())
            progress(f"{events:,} events, run {number + 1}: {told}, bare {bare[-1]:,.0f}/s")
    return [_entry(events, processes, one, bare, len(busy)) for processes, one in found.items()]


def _entry(events: int, processes: int, found: _Found, bare: list[float], busy: int) -> Entry:
    of = "1 API process" if processes == 1 else f"{processes} API processes"
    return Entry(
        name=f"read-{events}" if processes == 1 else f"read-{events}-by-{processes}",
        profile=f"pages of {_PAGE}, {_CONNECTIONS} connections, {of}",
        events=events,
        events_per_s=median(found.rates),
        limit="bare SQL",
        limit_per_s=median(bare),
        rss_mb=found.held,
        p50_ms=round(statistics.median(found.halves), 2),
        p99_ms=round(statistics.median(found.tails), 2),
        notes={
            "counted in": "pages, not events",
            "busy customers": busy,
            "runs": [round(one) for one in found.rates],
            "limit, runs": [round(one) for one in bare],
            "ratio, runs": [round(one / other, 3) for one, other in zip(found.rates, bare, strict=True)],
            "API's CPU, ms a page": [round(one, 2) for one in found.cpu],
        },
    )


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench read", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000, help="on the timeline")
    parser.add_argument("--large", action="store_true", help="go on to ten times as many")
    parser.add_argument("--customers", type=int, default=_CUSTOMERS)
    parser.add_argument("--pages", type=int, default=5000, help="pages a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    sizes = [given.events, *([given.events * 10] if given.large else [])]
    raw = bulk(sizes[-1], given.customers)
    entries: list[Entry] = []
    with stand(kafka=False) as servers:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url("embedded", dsn, ""), servers.directory)
        busy: list[str] = []
        before = 0
        try:
            for size in sizes:
                progress(f"Filling the timeline up to {size:,} events")
                _fill(deployment, raw, size - before)
                before = size
                busy = busy or _busy(dsn)  # the same customers at each size
                entries += _measure(deployment, busy, size, given.pages, given.runs)
        finally:
            deployment.close()
    show(entries, given.json)


def _peer(path: str) -> None:
    dsn, customers = msgspec.json.decode(Path(path).read_bytes(), type=tuple[str, list[str]])
    sys.stdout.write(str(uvloop.run(_ask_all(dsn, customers))))


if __name__ == "__main__":
    _peer(sys.argv[1])
