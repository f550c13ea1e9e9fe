"""How soon is somebody in a segment? `storyline bench segments [--customers N] [--seconds N] [--json]`.

A hundred segments, of which thirty have windows, over a million customers, while 1,000 events a second come in to a
real projector and a real scheduler. Some events are probes: each brings somebody into a segment whose window is a
minute, so that time alone takes her out again. Measured are: from the log's acknowledgement of the probe until its
membership is committed, beside it until its row on the timeline is; and from the moment that the minute is over until
the membership is gone. Looks come every few milliseconds, so figures are that much too high.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from adapters.sample.bulk import bulk
from bench.processes import Deployment, run
from bench.report import Entry, percentile, progress, show
from bench.rules import many
from bench.stand import stand
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.configuration import Rfm
from domain.event import read_event
from domain.segment_text import read_rule
from eventlog.port import Entry as LogEntry
from eventlog.sql import load
from projections.figures import folding
from projections.figures.buyers import Buying
from projections.segments import filling
from tests.support.process import free_ports

__all__ = ["define", "main"]

_SQL = load("bench", "segments.sql")
_FILLING: Final = ("evidences", "nodes", "events", "contacts", "trades", "trade_sums", "settle")
_PROBE: Final = "probe"
_WINDOW: Final = timedelta(minutes=1)
_RULE: Final = 'exists(purchase.made where product = "PROBE" in last 1m)'
_LOOK: Final = 0.005
_TICK: Final = 0.05


def define(dsn: str, rules: Sequence[str], names: Sequence[str] | None = None) -> None:
    """Make a serving segment of each rule."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for number, text in enumerate(rules):
            rule = read_rule(text)
            code = names[number] if names else f"segment-{number:03d}"
            asked = {"code": code, "rule": Jsonb(rule.plain()), "text": text, "hash": rule.hash}
            connection.execute(_SQL["define"], asked)
        connection.execute(_SQL["notice"])


@dataclass
class _Probe:
    """An event whose way is followed. Moments by the monotonic clock; `due`: when its window is over."""

    name: UUID
    customer: UUID
    acknowledged: float
    due: float
    seen: float | None = None
    entered: float | None = None
    left: float | None = None


@dataclass
class _Watch:
    """Looks who came into the probes' segment, and which probes stand on the timeline."""

    dsn: str
    probes: dict[UUID, _Probe] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until `stop` is set."""
        after = 0
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.stop.wait(_LOOK):
                asked = {"segment": _PROBE, "after": after}
                rows = connection.execute(_SQL["changes"], asked).fetchall()
                now = time.monotonic()
                for change, customer, entered in rows:
                    after = change
                    probe = self.probes.get(customer)
                    if probe is not None and entered:
                        probe.entered = probe.entered or now
                    elif probe is not None:
                        probe.left = probe.left or now
                self._look(connection)

    def _look(self, connection: psycopg.Connection) -> None:
        waiting = {one.name: one for one in list(self.probes.values()) if one.seen is None}
        if waiting:
            rows = connection.execute(_SQL["seen"], {"names": list(waiting)}).fetchall()
            now = time.monotonic()
            for (name,) in rows:
                waiting[name].seen = now


class _Load:
    """1,000 events a second, sealed and appended in small batches; some of them probes."""

    def __init__(self, deployment: Deployment, customers: int, watch: _Watch) -> None:
        self._parts, self._watch = deployment.parts, watch
        self._catalogue = Catalogue(builtin())
        self._ordinary = self._events(customers)
        self._numbers = count()

    def _events(self, customers: int) -> Iterator[dict[str, Any]]:
        for number in count():
            yield from bulk(100_000, customers, seed=1000 + number)

    def run(self, seconds: float, rate: int, probes: int) -> tuple[int, float]:
        """(events, seconds that it took)."""
        began, ticks, sent = time.monotonic(), round(seconds / _TICK), 0
        for tick in range(ticks):
            at = datetime.now(UTC)
            raw = [{**one, "time": at.isoformat()} for one in islice(self._ordinary, round(rate * _TICK))]
            made = probes and not tick % max(1, round(1 / _TICK / probes))
            entries = self._sealed([*raw, self._probe(at)] if made else raw, at)
            self._parts.log.append(entries)
            sent += len(entries)
            if made:
                self._follow(entries[-1], at)
            time.sleep(max(0.0, began + (tick + 1) * _TICK - time.monotonic()))
        return sent, time.monotonic() - began

    def _sealed(self, raw: Sequence[dict[str, Any]], at: datetime) -> list[LogEntry]:
        return self._parts.sealer.seal([read_event(one, self._catalogue) for one in raw], at)

    def _probe(self, at: datetime) -> dict[str, Any]:
        number = next(self._numbers)
        content = {"amount": "1.00", "currency": "GBP", "lines": [{"product": "PROBE", "quantity": 1}]}
        who = [{"kind": "customer_no", "value": f"PROBE-{number}"}]
        return {
            "specversion": "1.0", "source": "bench/probe", "id": f"probe-{number}", "type": "purchase.made",
            "time": at.isoformat(), "data": {"who": who, "content": content},
        }  # fmt: skip

    def _follow(self, entry: LogEntry, at: datetime) -> None:
        now = time.monotonic()
        record = json.loads(entry.value)
        over = now + (at + _WINDOW - datetime.now(UTC)).total_seconds()
        customer = UUID(hex=record["tokens"][0][-32:])
        self._watch.probes[customer] = _Probe(UUID(hex=record["name"][-32:]), customer, now, over)


@contextmanager
def _served(deployment: Deployment) -> Iterator[None]:
    """A projector and a scheduler, live."""
    with ExitStack() as running:
        running.enter_context(deployment.projector())
        [port] = free_ports(1)
        env = {**deployment._env, "STORYLINE_SCHEDULER_PORT": str(port)}
        words = ["-m", "storyline.cli", "scheduler"]
        server = run(words, port, "/readyz", deployment.directory / "scheduler.log", env)
        running.callback(server.stop, signal.SIGTERM)
        yield


def _fill(deployment: Deployment, customers: int) -> float:
    """Seconds that it took to find out who of so many quiet customers is in which segment."""
    with psycopg.connect(deployment.dsn, autocommit=True) as connection:
        for name in _FILLING:
            progress(f"filling: {name}")
            connection.execute(_SQL[name], {"customers": customers} if name != "settle" else None)
        began = time.perf_counter()
        filling.fill(connection, deployment.parts.reading.facing, "", datetime.now(UTC))
        taken = time.perf_counter() - began
        progress("folding sums")
        folding.fold_all(connection, "", buying=Buying.of("Europe/London", Rfm()))
        connection.execute(_SQL["settle"])
        progress(f"memberships and segments with members: {connection.execute(_SQL['sizes']).fetchone()}")
    return taken


def _ms(times: Sequence[float], share: float) -> float:
    return round(percentile([1000 * one for one in times], share), 1) if times else 0.0


def _told(probes: Sequence[_Probe], sent: int, took: float, filled: float, customers: int) -> list[Entry]:
    ours = [one.entered - one.acknowledged for one in probes if one.entered is not None]
    seen = [max(0.0, one.seen - one.acknowledged) for one in probes if one.seen is not None]
    due = [one.left - one.due for one in probes if one.left is not None]
    missing = float(len(probes) - len(ours))
    notes: dict[str, Any] = {
        "probes": float(len(probes)), "without a membership": missing, "customers": float(customers),
        "timeline alone, p50 and p99 ms": [_ms(seen, 0.5), _ms(seen, 0.99)],
        "filling of all segments, s": round(filled, 1),
    }  # fmt: skip
    rate = round(sent / took)
    return [
        Entry("segments-event", "100 segments", sent, rate, "asked for", 1000, p50_ms=_ms(ours, 0.5),
              p99_ms=_ms(ours, 0.99), notes=notes),
        Entry("segments-due", "30 with windows", len(due), 0, p50_ms=_ms(due, 0.5), p99_ms=_ms(due, 0.99),
              notes={"left": float(len(due))}),
    ]  # fmt: skip


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench segments", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--busy", type=int, default=20_000, help="customers that the events are about")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=int, default=1000, help="events a second")
    parser.add_argument("--probes", type=int, default=5, help="of them a second")
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    with stand(kafka=False) as servers, ExitStack() as closing:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url("embedded", dsn, "bench"), servers.directory)
        closing.callback(deployment.close)
        rules = many()
        define(dsn, [*rules[:-1], _RULE], [*[f"segment-{number:03d}" for number in range(len(rules) - 1)], _PROBE])
        filled = _fill(deployment, given.customers)
        watch = _Watch(dsn)
        with _served(deployment):
            thread = threading.Thread(target=watch.run, name="watch")
            thread.start()
            try:
                load_ = _Load(deployment, given.busy, watch)
                load_.run(10, given.rate, 0)  # caches are warm, statements prepared
                sent, took = load_.run(given.seconds, given.rate, given.probes)
                time.sleep(_WINDOW.total_seconds() + 15)
            finally:
                watch.stop.set()
                thread.join()
    show(_told(list(watch.probes.values()), sent, took, filled, given.customers), given.json)
