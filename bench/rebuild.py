"""How fast are read models made anew? `storyline bench rebuild [--events N] [--workers N] [--json]`.

In one run and on the same events: live (one projector, as it applies a log), all read models out of the log, all out
of the timeline, and each of them alone. A rebuild is timed from its beginning until its rows are in, indexes
included; live from empty tables, too. What live leaves to others, or has nothing like it, is told beside: to make the
sums of sales, to compare the rows with live, to switch.
"""

from __future__ import annotations

import argparse
import os
import time

import psycopg
from psycopg import sql

from bench.pipeline import Course, courses, runner_of
from bench.report import Entry, median, progress, show
from bench.stand import stand
from projections.deriving import Reading
from projections.rebuild import Rebuild, chosen
from projections.rebuild_tables import tables_of
from projections.registry import MODELS

__all__ = ["main"]

_LOG, _TIMELINE = 1.5, 3.0
"""How many times the live speed a rebuild is to have."""


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench rebuild", description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    with stand(kafka=False) as servers:
        course = courses(servers, given.events, given.customers, ["embedded"])["embedded"]
        entries = _measure(course, given.runs, given.workers)
        course.log.close()
    show(entries, given.json)


def _measure(course: Course, runs: int, workers: int) -> list[Entry]:
    asked = [("log", "all"), ("timeline", "all"), *[("timeline", one.name) for one in MODELS[1:]]]
    live: list[float] = []
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {one: [] for one in asked}
    for _ in range(runs):  # in turn, so that a busy moment of the machine meets all
        live.append(_live(course))
        progress(f"live: {live[-1]:,.0f} events/s")
        for source, name in asked:
            rate, sums, rest = _rebuilt(course, source, name, workers)
            found[source, name].append((rate, sums, rest))
            told = f"{rate:,.0f} events/s; {sums:.1f} s for sums, {rest:.1f} s to compare and switch"
            progress(f"{name} from the {source}: {told}")
    events = sum(course.ends.values())
    return [
        Entry("live", "all", events, median(live)),
        *[
            Entry(
                name=f"rebuild from the {source}",
                profile=name,
                events=events,
                events_per_s=median([rate for rate, _, _ in rates]),
                limit="live",
                limit_per_s=median(live),
                notes={
                    "sums, seconds": [round(sums, 1) for _, sums, _ in rates],
                    "to compare and switch, seconds": [round(rest, 1) for _, _, rest in rates],
                    "wanted, times live": _LOG if source == "log" else _TIMELINE,
                },
            )
            for (source, name), rates in found.items()
        ],
    ]


def _live(course: Course) -> float:
    """Events a second of a projector that begins with empty tables."""
    runner = runner_of(course)
    try:
        _empty(course)
        began = time.perf_counter()
        runner.run_to(course.ends)
        return sum(course.ends.values()) / (time.perf_counter() - began)
    finally:
        runner.close()


def _empty(course: Course) -> None:
    """As if nothing had been applied yet."""
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        for model in MODELS:
            for table in set(tables_of(connection, model.name)) - {*model.carried}:
                connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(model.name, table)))
        connection.execute("DELETE FROM storyline.positions")
        connection.execute("CHECKPOINT")


def _rebuilt(course: Course, source: str, name: str, workers: int) -> tuple[float, float, float]:
    """(events a second until the rows are in, seconds for sums, seconds to compare and switch)."""
    models, origin = chosen([name], source)
    reached: dict[str, float] = {}

    def note(point: str) -> None:
        reached.setdefault(point, time.perf_counter())

    began = time.perf_counter()
    report = Rebuild(
        course.dsn, course.log_url, course.log, lambda *parked: None, Reading(course.keys), models, origin,
        workers=workers, reached=note,
    ).run()  # fmt: skip
    if report.same is not True:
        raise SystemExit(f"{name} from the {source} is not what live is.")
    with psycopg.connect(course.dsn, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    rows, near = reached["rows"], reached["near"]
    return sum(course.ends.values()) / (rows - began), near - rows, reached["switched"] - near
