"""What do more projectors bring? `storyline bench scale [--projectors 1 --projectors 2 …] [--json]`.

Real `storyline projector` processes share the partitions of one log by their leases. The events, the warm tables and
the bare pipe beside them are those of `storyline bench pipeline`. A run is measured from one moment for all: they
hold their shares with nothing to do, then their positions are set back under a higher epoch and a record is appended
to each partition; so each is refused, takes its partitions again, and works until all is applied. In the meantime
Postgres' waits are sampled and everybody's CPU is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from bench.pipeline import Course, courses, run_bare, runner_of, warm_up
from bench.processes import Deployment
from bench.report import Entry, median, progress
from bench.stand import ADAPTERS, stand
from bench.watching import ROW_WAITS, Seen, watching
from eventlog.port import Entry as Record
from eventlog.port import partition_of
from eventlog.sql import load

__all__ = ["main"]

_SQL = load("bench", "scale.sql")
_PATIENCE = 120.0


@dataclass(frozen=True)
class _Setting:
    """What is varied."""

    projectors: int
    batch: int


@dataclass
class _Round:
    """One run: events a second, what was seen, and what Postgres counted from the projectors' start to their end."""

    rate: float
    seen: Seen
    full_pages: int
    deadlocks: int
    rollbacks: int


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            sys.exit(f"Gave up after {_PATIENCE:.0f} s: {what}.")
        time.sleep(0.02)


def _gun(course: Course) -> list[Record]:
    """A record for each partition: the last one that it has, again, which is a repeat and changes nothing."""
    found: dict[int, Record] = {}
    cursor = {part: end - 1 for part, end in course.ends.items()}
    while len(found) < len(cursor):
        wanted = {part: offset for part, offset in cursor.items() if part not in found}
        for one in course.log.read(wanted, 100, 1.0):
            found.setdefault(one.partition, Record(_key_of(one.partition, course.log.partitions), one.value))
    return list(found.values())


def _key_of(partition: int, partitions: int) -> bytes:
    return next(key for n in range(100_000) if partition_of(key := str(n).encode(), partitions) == partition)


def _at(positions: dict[int, int]) -> dict[str, list[int]]:
    return {"partitions": list(positions), "offsets": list(positions.values())}


def _run(course: Course, deployment: Deployment, setting: _Setting, gun: Sequence[Record]) -> _Round:
    runner = runner_of(course)
    try:
        warm_up(course, runner)
    finally:
        runner.close()
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        connection.execute(_SQL["at_ends"], _at(course.log.ends()))
        before = _counters(connection)

        def shared() -> bool:
            shares = [row[0] for row in connection.execute(_SQL["shares"]).fetchall()]
            return len(shares) == setting.projectors and sum(shares) == course.log.partitions

        def done() -> bool:
            standing: dict[int, int] = dict(connection.execute(_SQL["standing"]).fetchall())
            return all(standing[part] >= end for part, end in course.ends.items())

        with deployment.projectors(setting.projectors, setting.batch) as pids:
            _until(shared, "the projectors did not share the partitions")
            time.sleep(1.0)  # what they read and settle at their start is over
            with watching(course.dsn, pids) as seen:
                connection.execute(_SQL["back"], _at(course.warm))
                course.log.append(gun)
                _until(done, "the projectors did not apply all")
        counted = [end - start for start, end in zip(before, _counters(connection), strict=True)]
    return _Round(course.events / seen.seconds, seen, *counted)


def _counters(connection: psycopg.Connection) -> tuple[int, int, int]:
    [(pages, deadlocks, rollbacks)] = connection.execute(_SQL["counters"]).fetchall()
    return int(pages), int(deadlocks), int(rollbacks)


def _entry(
    adapter: str, course: Course, setting: _Setting, rounds: Sequence[_Round], bare: Sequence[float], alone: float
) -> Entry:
    ranked = sorted(rounds, key=lambda one: one.rate)
    between = ranked[len(ranked) // 2]
    middle = between.seen
    rate = median([one.rate for one in rounds])
    return Entry(
        name=f"scale-{adapter}-x{setting.projectors}" + ("" if setting.batch == 10_000 else f"-by-{setting.batch}"),
        profile="identity",
        events=course.events,
        events_per_s=rate,
        limit="bare pipe x1",
        limit_per_s=median(bare),
        rss_mb=middle.rss_mb,
        notes={
            "projectors": float(setting.projectors),
            "batch": float(setting.batch),
            "runs": [round(one.rate) for one in rounds],
            "bare pipe, runs": [round(one) for one in bare],
            "of one projector": round(rate / alone, 2) if alone else 0.0,
            "wal_bytes_per_event": round(middle.wal_bytes / course.events),
            "full_pages_per_1000": round(1000 * between.full_pages / course.events, 1),
            "deadlocks": float(sum(one.deadlocks for one in rounds)),
            "rollbacks": float(sum(one.rollbacks for one in rounds)),
            "waits": middle.waits,
            "lock_waits": {
                wait: float(sum(one.seen.lock_waits.get(wait, 0) for one in rounds))
                for wait in sorted({wait for one in rounds for wait in one.seen.lock_waits})
            },
            "cores": {group: round(seconds / middle.seconds, 2) for group, seconds in middle.cpu.items()},
            "cpu_us_per_event": {
                group: round(1e6 * statistics.median(one.seen.cpu[group] for one in rounds) / course.events, 1)
                for group in middle.cpu
            },
        },
    )


def _segments(course: Course, directory: Path) -> dict[str, float]:
    """Bytes an event of the log on the broker's disk; nothing for the embedded log."""
    files = sum(file.stat().st_size for file in directory.rglob("bench-*/*.log"))
    return {"log": round(files / sum(course.ends.values()), 1)} if files else {}


def _sizes(course: Course) -> dict[str, float]:
    """Bytes an event of each table and index, after a run."""
    events = sum(course.ends.values())
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        return {name: round(size / events, 1) for name, size in connection.execute(_SQL["sizes"]).fetchall()}


def _measure(
    adapter: str, course: Course, deployment: Deployment, settings: Sequence[_Setting], runs: int
) -> list[Entry]:
    gun = _gun(course)
    bare: list[float] = []
    rounds: dict[_Setting, list[_Round]] = {setting: [] for setting in settings}
    for number in range(runs):  # in turn, so that a busy moment of the machine meets all
        bare.append(run_bare(course))
        progress(f"run {number + 1}: bare pipe {bare[-1]:,.0f} events/s")
        for setting in settings:
            found = _run(course, deployment, setting, gun)
            rounds[setting].append(found)
            progress(f"run {number + 1}: {setting} {found.rate:,.0f} events/s, {found.seen}")
    alone = {
        setting.batch: median([one.rate for one in found])
        for setting, found in rounds.items()
        if setting.projectors == 1
    }
    return [
        _entry(adapter, course, setting, found, bare, alone.get(setting.batch, 0.0))
        for setting, found in rounds.items()
    ]


def _show(entries: Sequence[Entry], as_json: bool) -> None:
    if as_json:
        print(json.dumps([entry.plain() for entry in entries], indent=1))
        return
    table = Table(title=f"events a second of several projectors, median of the runs, {os.cpu_count()} cores")
    for heading in ("what", "events/s", "of bare", "of one", "MB", "WAL B/event", "row waits", "deadlocks"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for one in entries:
        notes = one.notes
        table.add_row(
            one.name, f"{one.events_per_s:,.0f}", f"{one.ratio:.2f}", str(notes["of one projector"]),
            f"{one.rss_mb:,.0f}", str(notes["wal_bytes_per_event"]), str(_row_waits(one)), str(notes["deadlocks"]),
        )  # fmt: skip
    table.add_row("bare pipe x1", f"{entries[0].limit_per_s:,.0f}", "1.00")
    console = Console(width=140)
    console.print(table)
    for one in entries:
        console.print(one.name)
        for heading in ("waits", "lock_waits", "cores", "cpu_us_per_event", "bytes_per_event"):
            told = one.notes.get(heading)
            if isinstance(told, dict) and told:
                console.print(
                    f"  {heading}: " + ", ".join(f"{name} {value:g}" for name, value in told.items() if value)
                )


def _row_waits(entry: Entry) -> int:
    """How often a session was seen to wait for the rows of another."""
    waits = entry.notes["lock_waits"]
    return int(sum(waits.get(kind, 0) for kind in ROW_WAITS)) if isinstance(waits, dict) else 0


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench scale", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--projectors", type=int, action="append", help="default: 1, 2 and 4")
    parser.add_argument("--partitions", type=int, default=8, help="of the log; as many as projectors at least")
    parser.add_argument("--batch", type=int, action="append", help="most events in a transaction (10,000)")
    parser.add_argument("--adapter", choices=ADAPTERS, default="kafka")
    parser.add_argument(
        "--rows-disjoint",
        action="store_true",
        help="end with exit code 1 if one projector was seen to wait for the rows of another, or at a deadlock",
    )
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    settings = [
        _Setting(number, batch) for batch in given.batch or [10_000] for number in given.projectors or [1, 2, 4]
    ]
    if any(one.projectors > given.partitions for one in settings):
        parser.error("There are more projectors than --partitions; those beyond would stand by.")
    with stand(kafka=given.adapter == "kafka") as servers:
        if given.adapter == "kafka" and not servers.kafka:
            sys.exit("There is no Kafka here; --adapter embedded measures the embedded log.")
        found = courses(servers, given.events, given.customers, [given.adapter], given.partitions)
        course = found[given.adapter]
        deployment = Deployment(course.dsn, course.log_url, servers.directory, course.keys)
        try:
            entries = _measure(given.adapter, course, deployment, settings, given.runs)
            entries[-1].notes["bytes_per_event"] = {**_segments(course, servers.directory), **_sizes(course)}
        finally:
            deployment.close()
            course.log.close()
    _show(entries, given.json)
    if given.rows_disjoint and any(_row_waits(one) or one.notes["deadlocks"] for one in entries):
        sys.exit(1)
