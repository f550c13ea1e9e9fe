"""How fast does the log become committed rows? `storyline bench pipeline [--profile NAME] [--growth] [--json]`.

Beside it, in the same run and on the same sealed events: the *bare pipe* (one thread that consumes, decodes with the
same decoder, and copies with the same COPY format into the same indexed table, just as warm, with the offsets in the
transaction), consuming alone, COPY alone, and a consumer with a row at a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

import psutil
import psycopg

from bench.load import made_keys, sealed
from bench.report import Entry, median, progress, show
from bench.rules import TYPICAL
from bench.segments import define
from bench.stand import ADAPTERS, Stand, stand
from domain.catalogue import load_catalogue
from eventlog.key_access import KeyAccess
from eventlog.opening import open_log
from eventlog.port import Log, Logged
from eventlog.record import decode
from eventlog.sql import load
from projections.decoding import Decoder
from projections.deriving import Deriver, Reading
from projections.packing import pack
from projections.runner import Runner
from projections.segments import filling
from projections.segments.compiling import Facing
from storyline.database import upgrade

__all__ = ["PROFILES", "Course", "courses", "main", "run_bare", "runner_of", "warm_up"]

_SQL = load("bench", "pipeline.sql")
_BATCH = 10_000
PROFILES = ("identity", "links", "all")
"""`identity`: all read models, tables warm, most evidences known. `links`: every event brings a new identifier.
`all`: as `identity`, with twenty segments that are kept up (`bench/rules.py`)."""


@dataclass
class Course:
    """One log with its events, and the database that they are projected into."""

    dsn: str
    log_url: str
    log: Log
    warm: dict[int, int]
    ends: dict[int, int]
    keys: KeyAccess

    @property
    def events(self) -> int:
        return sum(self.ends.values()) - sum(self.warm.values())


def _copy(connection: psycopg.Connection, stream: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(_SQL["copy_bare"]) as copy:
        copy.write(stream)


class _BareDecoder(Decoder):
    """The projector's own decoder, of which only the timeline's row is wanted."""

    def rows(self, logged: Sequence[Logged]) -> bytes:
        """What COPY reads, sorted by name as the projector's is."""
        events = [self._event(self._read(one.value), one.partition, one.offset, one.value, []) for one in logged]
        events.sort(key=itemgetter(0))
        return pack([(event[0], event[2]) for event in events]).stream()


class _Bare:
    """The bare pipe: one thread, no dedup, no compare-and-set, no refs, no lookup."""

    def __init__(self, course: Course) -> None:
        self.log = open_log(course.log_url)
        self.connection = psycopg.connect(course.dsn, autocommit=True)
        self.decoder = _BareDecoder(Deriver(load_catalogue()))
        self.cursor = dict.fromkeys(course.ends, 0)

    def run_to(self, until: dict[int, int]) -> None:
        """Consume and copy everything before `until`."""
        while any(self.cursor[part] < end for part, end in until.items()):
            wanted = {part: self.cursor[part] for part, end in until.items() if self.cursor[part] < end}
            logged = [one for one in self.log.read(wanted, _BATCH, 1.0) if one.offset < until[one.partition]]
            rows = self.decoder.rows(logged)
            cursor = {one.partition: one.offset + 1 for one in logged}
            with self.connection.transaction():
                _copy(self.connection, rows)
                parameters = {"partitions": list(cursor), "offsets": list(cursor.values())}
                self.connection.execute(_SQL["offsets"], parameters)
            self.cursor |= cursor

    def close(self) -> None:
        self.log.close()
        self.connection.close()


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _fresh(course: Course, which: str) -> None:
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        connection.execute(_SQL[which])
        connection.execute(_SQL["checkpoint"])


def run_bare(course: Course) -> float:
    """Events a second of the bare pipe, from warm tables."""
    _fresh(course, "empty_bare")
    bare = _Bare(course)
    try:
        bare.run_to(course.warm)
        return course.events / _timed(lambda: bare.run_to(course.ends))
    finally:
        bare.close()


def runner_of(course: Course) -> Runner:
    """A runner on a course; the caller closes it."""
    return Runner(
        course.dsn,
        course.log_url,
        course.log.log_id,
        course.log.partitions,
        lambda *parked: None,
        Reading(course.keys),
        batch=_BATCH,
    )


def warm_up(course: Course, runner: Runner) -> None:
    """Empty the read models and apply the warm-up part."""
    _fresh(course, "empty_live")
    runner.run_to(course.warm)
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        connection.execute(_SQL["analyze"])


def _run_ours(course: Course) -> tuple[float, float, dict[str, float]]:
    """(events/s, peak resident MB of the runner and its reader, share of the time by part)."""
    runner = runner_of(course)
    peak = 0.0
    mine: list[psutil.Process] = []

    def watch(_: object) -> None:
        nonlocal peak
        if not mine:
            mine.extend([psutil.Process(), *_readers()])
        peak = max(peak, sum(one.memory_info().rss for one in mine))

    try:
        warm_up(course, runner)
        runner.family.spent.clear()
        taken = _timed(lambda: runner.run_to(course.ends, watch))
        shares = {part: round(seconds / taken, 3) for part, seconds in runner.family.spent.items()}
        shares["positions, commit, waiting for the reader"] = round(1 - sum(shares.values()), 3)
        return course.events / taken, peak / 2**20, shares
    finally:
        runner.close()


def _grow(course: Course, adapter: str) -> Entry:
    """What an event costs when a tenth of them is there, and when nearly all are."""
    runner = runner_of(course)
    applied: list[tuple[float, int]] = []
    before = sum(course.warm.values())
    try:
        warm_up(course, runner)
        began = time.perf_counter()
        runner.run_to(
            course.ends, lambda _: applied.append((time.perf_counter(), sum(runner.cursor.values()) - before))
        )
    finally:
        runner.close()
    early, late = _window(applied, 0.075, 0.125, course.events), _window(applied, 0.95, 1.0, course.events)
    return Entry(
        name=f"growth-{adapter}",
        profile="all",
        events=course.events,
        events_per_s=round(late),
        limit="at a tenth of the events",
        limit_per_s=round(early),
        notes={
            "cost of an event, times that at a tenth": round(early / late, 3),
            "over all": round(course.events / (applied[-1][0] - began)),
        },
    )


def _window(applied: Sequence[tuple[float, int]], start: float, end: float, events: int) -> float:
    """Events a second between two shares of all."""
    first = next(one for one in applied if one[1] >= start * events)
    last = next(one for one in applied if one[1] >= end * events)
    return (last[1] - first[1]) / (last[0] - first[0])


def _readers() -> list[psutil.Process]:
    """The reader's process; not the servers, which are children of ours here too."""
    return [psutil.Process(child.pid) for child in multiprocessing.active_children()]


def _consume(course: Course, decoding: bool = False) -> float:
    log, decoder = open_log(course.log_url), _BareDecoder(Deriver(load_catalogue()))
    cursor = dict(course.warm)

    def consume() -> None:
        left = course.events
        while left:
            logged = log.read(cursor, _BATCH, 1.0)
            if decoding:
                decoder.rows(logged)
            cursor.update({one.partition: one.offset + 1 for one in logged})
            left -= len(logged)

    try:
        return course.events / _timed(consume)
    finally:
        log.close()


def _copy_alone(course: Course) -> float:
    _fresh(course, "empty_bare")
    log, decoder = open_log(course.log_url), _BareDecoder(Deriver(load_catalogue()))
    cursor, streams = dict(course.warm), []
    try:
        while any(cursor[part] < end for part, end in course.ends.items()):
            logged = log.read(cursor, _BATCH, 1.0)
            cursor |= {one.partition: one.offset + 1 for one in logged}
            streams.append(decoder.rows(logged))
    finally:
        log.close()
    with psycopg.connect(course.dsn, autocommit=True) as connection:

        def copy() -> None:
            for stream in streams:
                _copy(connection, stream)

        return course.events / _timed(copy)


def _row_at_a_time(course: Course, most: int = 20_000) -> float:
    """A consumer that inserts a row at a time and commits every 500."""
    _fresh(course, "empty_bare")
    log = open_log(course.log_url)
    cursor, left = dict(course.warm), min(most, course.events)
    events = left
    with psycopg.connect(course.dsn) as connection:

        def consume() -> None:
            nonlocal left
            while left > 0:
                logged = log.read(cursor, 500, 1.0)
                for one in logged:
                    record = decode(one.value)
                    head = record.head
                    evidence = head.evidence if head.tokens else None
                    values = (
                        head.name[-32:], evidence, head.time, record.recorded_at, False, head.digest, one.partition,
                        one.offset, head.type, head.channel, head.direction, one.value,
                    )  # fmt: skip
                    connection.execute(_SQL["row"], values)
                    cursor[one.partition] = one.offset + 1
                connection.commit()
                left -= len(logged)

        try:
            return events / _timed(consume)
        finally:
            log.close()


def courses(
    servers: Stand,
    events: int,
    customers: int,
    adapters: Sequence[str],
    partitions: int = 8,
    linking: bool = False,
) -> dict[str, Course]:
    """One course per adapter, all with the same sealed events; an eighth more comes before, to warm up."""
    warm = max(1, events // 8) + customers
    keys = made_keys(servers.database())
    made = {}
    for adapter in adapters:
        dsn = servers.database()
        upgrade(dsn)
        log_url = servers.log_url(adapter, dsn, "bench", partitions)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(_SQL["bare_tables"])
        made[adapter] = Course(dsn, log_url, open_log(log_url), {}, {}, keys)
    count = size = 0
    for chunk in sealed(keys, events + warm - customers, customers, linking=linking):
        for start, end in _halves(len(chunk), warm - count):
            for course in made.values():
                if count + start == warm:
                    course.warm = course.log.ends()
                course.log.append(chunk[start:end])
        count += len(chunk)
        size += sum(len(entry.value) for entry in chunk)
    for course in made.values():
        course.ends = course.log.ends()
    progress(
        f"{events:,} events of {size / count:.0f} bytes on the log, {customers:,} customers, {warm:,} to warm up"
    )
    return made


def _halves(size: int, cut: int) -> list[tuple[int, int]]:
    """A chunk in one piece, or in two where the warm-up ends within it."""
    return [(0, cut), (cut, size)] if 0 < cut < size else [(0, size)]


def _measure(adapter: str, course: Course, profile: str, runs: int) -> Entry:
    bare, ours, memory = [], [], []
    shares: dict[str, float] = {}
    for _ in range(runs):  # in turn, so that a busy moment of the machine meets both
        bare.append(run_bare(course))
        rate, rss, shares = _run_ours(course)
        ours.append(rate)
        memory.append(rss)
    return Entry(
        name=f"pipeline-{adapter}",
        profile=profile,
        events=course.events,
        events_per_s=median(ours),
        limit="bare pipe",
        limit_per_s=median(bare),
        rss_mb=max(memory),
        peers={
            "consume alone": round(_consume(course)),
            "consume and decode": round(_consume(course, decoding=True)),
            "COPY alone": round(_copy_alone(course)),
            "a row at a time": round(_row_at_a_time(course)),
        },
        notes={
            "share of the time, last run": shares,
            "runs": [round(one) for one in ours],
            "bare pipe, runs": [round(one) for one in bare],
        },
    )


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench pipeline", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="identity", help="what the events are like")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--adapter", choices=ADAPTERS, action="append", help="default: both")
    parser.add_argument(
        "--growth", action="store_true", help="one run: what an event costs at a tenth of --events, and at the end"
    )
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    adapters = given.adapter or list(ADAPTERS)
    with stand(kafka="kafka" in adapters) as servers:
        adapters = [adapter for adapter in adapters if adapter != "kafka" or servers.kafka]
        made = courses(servers, given.events, given.customers, adapters, linking=given.profile == "links")
        if given.profile == "all":
            for course in made.values():
                define(course.dsn, TYPICAL)
                with psycopg.connect(course.dsn, autocommit=True) as connection:
                    filling.fill(connection, Facing(), "", datetime.now(UTC))
        entries = [
            _grow(course, adapter) if given.growth else _measure(adapter, course, given.profile, given.runs)
            for adapter, course in made.items()
        ]
        for course in made.values():
            course.log.close()
    show(entries, given.json)
