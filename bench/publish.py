"""How fast is publishing? `storyline bench publish [--json]`: the real API in a process of its own, sealing for real.

Batches of 100 and single posts over 16 connections; beside them in the same run and on the same events the bare Kafka
client (with the same sealed bytes) and a plain FastAPI endpoint; what sealing costs; and how long after its answer an
event is visible. `docs/benchmarks.md` says what each figure means.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import psycopg

from adapters.sample.bulk import bulk_lines
from bench import report
from bench.hammer import hammer, post
from bench.peers import bare_rate
from bench.processes import Deployment, memory, run
from bench.report import median, percentile, progress
from bench.stand import ADAPTERS, Stand, stand
from commands.publishing import Rights
from domain.event import parse_json
from eventlog.opening import open_log
from eventlog.port import Entry
from eventlog.sql import load
from tests.support.process import free_ports

__all__ = ["main"]

_SQL = load("bench", "publish.sql")
_BATCH = 100
_VISIBLE_BATCH = 10
_VISIBLE_PER_S = 1000
_ONE, _MANY = "application/cloudevents+json", "application/cloudevents-batch+json"
_CUSTOMERS = 20_000
_LOOK_EVERY = 0.004
_PARTS = ("batches", "single", "cost", "visible")


class _Receipt(msgspec.Struct):
    partition: int
    offset: int


class _Answer(msgspec.Struct):
    events: list[_Receipt]


def _bodies(lines: Sequence[bytes], size: int) -> list[bytes]:
    if size == 1:
        return list(lines)
    return [b"[" + b",".join(lines[at : at + size]) + b"]" for at in range(0, len(lines), size)]


@dataclass
class _Course:
    """One log adapter with a running deployment. Each pass takes events that no pass before had."""

    servers: Stand
    adapter: str
    deployment: Deployment
    customers: int
    _seed: int = field(default=0)

    def lines(self, events: int, skew: float = 1.0) -> list[bytes]:
        """Fresh events, as JSON."""
        self._seed += 1
        return list(bulk_lines(events, self.customers, seed=self._seed, skew=skew))

    def introduction(self) -> list[bytes]:
        """Fresh events, spread evenly, after which most customers (6 in 7) have their keys."""
        return self.lines(2 * self.customers, skew=0)

    def post(self, lines: Sequence[bytes], size: int, port: int = 0) -> float:
        """Events/s of posting these events to the API, or to a peer on another port."""
        kind = _ONE if size == 1 and not port else _MANY
        bodies = [b"[%b]" % body if port and size == 1 else body for body in _bodies(lines, size)]
        requests = [post("/v1/events", body, self.deployment.key, kind) for body in bodies]
        return len(lines) / hammer(self.servers.directory, port or self.deployment.port, requests).seconds

    def seal(self, lines: Sequence[bytes]) -> list[Entry]:
        """The very bytes that the log gets for these events."""
        parts, sealed = self.deployment.parts, []
        for at in range(0, len(lines), _BATCH):
            events = parts.publisher.check([parse_json(line) for line in lines[at : at + _BATCH]], Rights())
            sealed += parts.sealer.seal(events, datetime.now(UTC))
        return sealed

    def bare(self, entries: list[Entry]) -> float:
        """Events/s of the bare Kafka client, or where there is no Kafka of the embedded log alone."""
        if self.adapter == "embedded":
            url = self.servers.log_url("embedded", self.servers.database(), "")
            return bare_rate(self.servers.directory, entries, "log", url)
        topic = self._topic("bare")
        return bare_rate(self.servers.directory, entries, "kafka", self.servers.kafka, topic)

    def _topic(self, what: str) -> str:
        topic = f"{what}-{time.monotonic_ns()}"
        open_log(self.servers.log_url("kafka", "", topic)).close()
        return topic

    @contextmanager
    def plain(self) -> Iterator[int]:
        """The port of a FastAPI endpoint that neither checks nor seals; 0 where there is no Kafka for it."""
        if not self.servers.kafka:
            yield 0
            return
        [port] = free_ports(1)
        words = ["-m", "bench.peers", "fastapi", self.servers.kafka, self._topic("plain"), str(port)]
        server = run(words, port, "/livez", self.servers.directory / f"plain-{port}.log", {})
        try:
            yield port
        finally:
            server.kill()


def _rates(course: _Course, events: int, runs: int, size: int) -> report.Entry:
    """Batches of `size`: ours, the bare client and the plain endpoint in turn, on the same events."""
    ours, bare, plain, held = [], [], [], 0.0
    with course.deployment.api() as api, course.plain() as port:
        course.post(course.introduction(), _BATCH)
        for number in range(runs):  # in turn, so that a busy moment of the machine meets all
            lines = course.lines(events)
            ours.append(course.post(lines, size))
            held = max(held, memory(api))
            bare.append(course.bare(course.seal(lines)))
            if port:
                plain.append(course.post(lines, size, port))
            progress(f"{course.adapter}, {size} a post, run {number + 1}: {ours[-1]:,.0f}/s, bare {bare[-1]:,.0f}/s")
    what = "batches" if size > 1 else "single"
    return report.Entry(
        name=f"publish-{what}-{course.adapter}",
        profile=f"{size} a post, 16 connections",
        events=events,
        events_per_s=median(ours),
        limit="bare Kafka client" if course.adapter == "kafka" else "embedded log alone",
        limit_per_s=median(bare),
        rss_mb=held,
        peers={"FastAPI to Kafka, neither checked nor sealed": median(plain)} if plain else {},
        notes={
            "runs": [round(one) for one in ours],
            "limit, runs": [round(one) for one in bare],
            "ratio, runs": [round(one / other, 3) for one, other in zip(ours, bare, strict=True)],
        },
    )


def _costs(course: _Course, events: int, runs: int) -> report.Entry:
    """What each step costs, in batches of 100 in one thread with nothing beside it."""
    parts, encode = course.deployment.parts, msgspec.json.Encoder(decimal_format="number").encode
    spent: dict[str, list[float]] = {step: [] for step in ("parse", "check", "seal", "plain encode", "append")}
    for number in range(runs + 1):
        taken = dict.fromkeys(spent, 0.0)
        for body in _bodies(course.lines(events) if number else course.introduction(), _BATCH):
            marks = [time.perf_counter()]
            raw = parse_json(body)
            marks.append(time.perf_counter())
            checked = parts.publisher.check(raw, Rights())
            marks.append(time.perf_counter())
            entries = parts.sealer.seal(checked, datetime.now(UTC))
            marks.append(time.perf_counter())
            _ = [encode(one) for one in raw]
            marks.append(time.perf_counter())
            parts.log.append(entries)
            marks.append(time.perf_counter())
            for step, began, ended in zip(taken, marks, marks[1:], strict=False):
                taken[step] += ended - began
        for step, seconds in taken.items() if number else ():
            spent[step].append(seconds * 1e6 / events)
    cost = {step: round(statistics.median(found), 1) for step, found in spent.items()}
    rest = cost["parse"] + cost["check"] + cost["append"]
    return report.Entry(
        name=f"publish-cost-{course.adapter}",
        profile="one thread, no HTTP",
        events=events,
        events_per_s=round(1e6 / (rest + cost["seal"])),
        limit="plain encode instead of seal",
        limit_per_s=round(1e6 / (rest + cost["plain encode"])),
        notes={f"{step}, µs an event": value for step, value in cost.items()},
    )


class _Watch:
    """Looks every few milliseconds how far the projector has committed, from when it is entered until it is left."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self._seen: dict[int, tuple[list[int], list[float]]] = {}

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop.wait(_LOOK_EVERY):
                rows = connection.execute(_SQL["visible"]).fetchall()
                now = time.monotonic()
                for partition, upto in rows:
                    offsets, times = self._seen.setdefault(partition, ([], []))
                    if not offsets or upto > offsets[-1]:
                        offsets.append(upto)
                        times.append(now)

    def since(self, partition: int, offset: int) -> float | None:
        """When a record was first seen to be committed; None if it was not yet."""
        offsets, times = self._seen.get(partition, ([], []))
        at = bisect_right(offsets, offset)
        return times[at] if at < len(times) else None

    def wait_for(self, receipts: Sequence[_Receipt]) -> None:
        """Return when all of them are visible."""
        last = {one.partition: one.offset for one in sorted(receipts, key=lambda one: one.offset)}
        deadline = time.monotonic() + 60
        while any(self.since(*place) is None for place in last.items()):
            if time.monotonic() > deadline:
                raise TimeoutError("the projector did not come after within a minute")
            time.sleep(0.01)


def _visible_once(course: _Course, seconds: float) -> list[float]:
    """Milliseconds from the answer to the commit of the rows, for each event."""
    lines = course.lines(round(_VISIBLE_PER_S * seconds))
    kind, key = _MANY, course.deployment.key
    requests = [post("/v1/events", body, key, kind) for body in _bodies(lines, _VISIBLE_BATCH)]
    rate = _VISIBLE_PER_S / _VISIBLE_BATCH
    with _Watch(course.deployment.dsn) as watch:
        hits = hammer(course.servers.directory, course.deployment.port, requests, rate=rate, keep=True)
        answers = [(at, msgspec.json.decode(body, type=_Answer).events) for at, body in hits.answered]
        watch.wait_for([one for _, receipts in answers for one in receipts])
    found = []
    for at, receipts in answers:
        for one in receipts:
            seen = watch.since(one.partition, one.offset)
            found.append(max(0.0, (seen or at) - at) * 1000)
    return found


def _visible(course: _Course, seconds: float, runs: int) -> report.Entry:
    """How long after its answer an event is visible, at 1,000 events/s, with a real projector."""
    halves, tails, held, events = [], [], 0.0, 0
    with course.deployment.api(), course.deployment.projector() as projector:
        _visible_once(course, min(seconds, 3))
        for number in range(runs):
            found = _visible_once(course, seconds)
            events = len(found)
            halves.append(percentile(found, 0.5))
            tails.append(percentile(found, 0.99))
            held = max(held, memory(projector))
            progress(f"{course.adapter}, visible, run {number + 1}: p50 {halves[-1]:.0f} ms, p99 {tails[-1]:.0f} ms")
    return report.Entry(
        name=f"publish-visible-{course.adapter}",
        profile=f"{_VISIBLE_BATCH} a post, acknowledged to visible",
        events=events,
        events_per_s=_VISIBLE_PER_S,
        rss_mb=held,
        p50_ms=round(statistics.median(halves), 1),
        p99_ms=round(statistics.median(tails), 1),
        notes={"p50, runs": [round(one, 1) for one in halves], "p99, runs": [round(one, 1) for one in tails]},
    )


def _part(part: str, course: _Course, given: argparse.Namespace) -> report.Entry:
    if part == "batches":
        return _rates(course, given.events, given.runs, _BATCH)
    if part == "single":
        return _rates(course, max(1, given.events // 10), given.runs, 1)
    if part == "cost":
        return _costs(course, max(1, given.events // 5), given.runs)
    return _visible(course, given.seconds, given.runs)


def _measure(servers: Stand, adapter: str, given: argparse.Namespace) -> Iterator[report.Entry]:
    """Each part on a database and a log of its own."""
    for part in given.part:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url(adapter, dsn, f"bench-{part}"), servers.directory)
        try:
            customers = min(_CUSTOMERS, max(_BATCH, given.events // 5))
            yield _part(part, _Course(servers, adapter, deployment, customers), given)
        finally:
            deployment.close()


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench publish", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="in batches; a tenth of them in single posts")
    parser.add_argument("--seconds", type=float, default=15, help="how long a run of 1,000 events/s lasts")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--adapter", choices=ADAPTERS, action="append", help="default: both")
    parser.add_argument("--part", choices=_PARTS, action="append", help="default: all")
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    given.part = given.part or _PARTS
    entries: list[report.Entry] = []
    with stand(kafka=given.adapter != ["embedded"]) as servers:
        for adapter in given.adapter or ADAPTERS:
            if adapter == "kafka" and not servers.kafka:
                continue
            entries += _measure(servers, adapter, given)
    report.show(entries, given.json)
