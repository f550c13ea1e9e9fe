"""How fast are dashboards? `storyline bench dashboards [--events N] [--customers N] [--json]`: real API, over HTTP.

A year of events is put straight into the tables by SQL (3 in 10 are purchases; tickets, deals, scores, moods, answers
to campaigns beside), and sums are made as the scheduler makes them. Then each route is asked for the last 30 days and
for the year, over two connections that never pause. Beside it two of the figures out of the bare rows, by psycopg.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import psycopg

from bench.hammer import get, hammer
from bench.processes import Deployment, memory
from bench.report import Entry, percentile, progress, show
from bench.stand import stand
from domain.configuration import Rfm
from eventlog.sql import load
from projections.figures import folding
from projections.figures.buyers import Buying
from projections.registry import use
from projections.work import model as work

__all__ = ["main"]

_SQL = load("bench", "dashboards.sql")
_FILLING: Final = (
    "customers", "nodes", "drawn", "events", "trades", "lines", "things", "answers", "contacts", "scores", "moods",
    "mentions", "tickets", "deals", "items",
)  # fmt: skip
_ROUTES: Final = (
    "sales?by=day", "sales?by=month", "sales?by=channel", "sales?by=country", "sales?by=campaign", "sales?by=rep",
    "sales?by=weekday", "sales?by=hour", "sales/top?by=product", "sales/top?by=category", "sales/heatmap?",
    "channels?by=day", "service?", "service?by=day", "service?by=team", "service?by=hour", "backlog?",
    "feedback?by=day", "feedback?by=team", "sentiment?by=day", "sentiment?by=product", "products/complaints?",
    "products/questions?", "pipeline?", "pipeline/deals?by=month", "pipeline/stages?", "attribution?model=linear",
    "rfm?", "customers?by=month", "cohorts?", "cancellations?",
)  # fmt: skip
_PERIODS: Final = {"30 days": 30, "a year": 365}
_CHUNK: Final = 20_000


def _fill(dsn: str, events: int, customers: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in _FILLING:
            progress(f"filling: {name}")
            connection.execute(_SQL[name], {"events": events, "customers": customers})
        connection.execute(_SQL["settle"])  # a fold of many is planned badly where nothing is known of its tables
        for kind in ("ticket", "deal"):
            _fold(connection, kind)
        progress("folding sums")
        connection.execute(_SQL["settle"])
        folding.fold_all(connection, "", buying=Buying.of("Europe/London", Rfm()))
        connection.execute(_SQL["settle"])


def _fold(connection: psycopg.Connection, kind: str) -> None:
    """What the steps of deals or tickets come to, by the read model's own fold."""
    after = UUID(int=0)
    while True:
        asked = {"kind": kind, "after": after, "limit": _CHUNK}
        items = [row[0] for row in connection.execute(_SQL["unfolded"], asked)]
        if not items:
            return
        with connection.transaction():
            use(connection)
            work.fold(connection.cursor(), [(item, kind) for item in items])
        after = items[-1]


def _requests(route: str, days: int, number: int, key: str) -> list[bytes]:
    """Requests of one route, each for another period of this length."""
    today = datetime.now(UTC).date()
    return [get(f"/v1/analytics/{route}&{_period(today - timedelta(days=n % 5), days)}", key) for n in range(number)]


def _period(last: date, days: int) -> str:
    return f"from={last - timedelta(days=days - 1)}&to={last}&zone=Europe/London"


def _measure(deployment: Deployment, asked: int, connections: int) -> dict[str, list[float]]:
    """Milliseconds by route and period."""
    found: dict[str, list[float]] = {}
    for route in _ROUTES:
        for name, days in _PERIODS.items():
            hammer(deployment.directory, deployment.port, _requests(route, days, 4, deployment.key), connections=1)
            requests = _requests(route, days, asked, deployment.key)
            hits = hammer(deployment.directory, deployment.port, requests, connections=connections)
            times = found[f"{route.rstrip('?')} of {name}"] = [1000 * one for one in hits.took]
            progress(f"{route} of {name}: p99 {percentile(times, 0.99):.1f} ms")
    return found


def _bare(dsn: str) -> dict[str, float]:
    """Milliseconds of a figure out of the bare rows."""
    found = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in ("bare_sales", "bare_products"):
            times = []
            for _ in range(5):
                began = time.perf_counter()
                connection.execute(_SQL[name]).fetchall()
                times.append(1000 * (time.perf_counter() - began))
            found[name] = round(sorted(times)[2], 1)
    return found


def _entries(found: dict[str, list[float]], events: int, bare: dict[str, float], rss: float) -> list[Entry]:
    every = [one for times in found.values() for one in times]
    return [
        Entry(f"dashboard {name}", "", events, 0, p50_ms=_ms(times, 0.5), p99_ms=_ms(times, 0.99))
        for name, times in found.items()
    ] + [
        Entry("dashboards", "all routes", events, 0, rss_mb=rss, p50_ms=_ms(every, 0.5), p99_ms=_ms(every, 0.99),
              notes={"out of bare rows, ms": bare})
    ]  # fmt: skip


def _ms(times: Sequence[float], share: float) -> float:
    return round(percentile(times, share), 1)


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench dashboards", description=__doc__)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--asked", type=int, default=60, help="how often each route and period is asked")
    parser.add_argument("--connections", type=int, default=2, help="that never pause")
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    with stand(kafka=False) as servers:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url("embedded", dsn, ""), servers.directory)
        try:
            _fill(dsn, given.events, given.customers)
            with deployment.api() as server:
                found = _measure(deployment, given.asked, given.connections)
                rss = memory(server)
            entries = _entries(found, given.events, _bare(dsn), rss)
        finally:
            deployment.close()
    show(entries, given.json)
