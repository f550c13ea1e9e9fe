"""What do Postgres, the broker and the projectors spend a run on? Waits are sampled, CPU is counted by group."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import psycopg

from eventlog.sql import load

__all__ = ["ROW_WAITS", "Seen", "watching"]

_SQL = load("bench", "scale.sql")
_EVERY = 0.05
_BETWEEN = "between transactions: waits for its reader"
_WITHIN = "within one: waits for its runner"
ROW_WAITS = ("Lock:transactionid", "Lock:tuple")
"""A session that waits for the rows of another."""


@dataclass
class Seen:
    """What a run did. waits: shares of the working sessions' time. lock_waits: how often each was seen. cpu: seconds,
    by group."""

    seconds: float = 0.0
    waits: dict[str, float] = field(default_factory=dict)
    lock_waits: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    wal_bytes: int = 0
    rss_mb: float = 0.0


@contextmanager
def watching(dsn: str, projectors: Sequence[int]) -> Iterator[Seen]:
    """Watch a run of these projectors (process ids); what is seen is whole when the block has ended."""
    seen = Seen()
    with psycopg.connect(dsn, autocommit=True) as connection:
        groups = _groups(connection, projectors)
        sampler = _Sampler(dsn)
        before, busy, written = _cpu(groups), _busy(), _written(connection)
        sampler.start()
        began = time.perf_counter()
        yield seen
        seen.seconds = time.perf_counter() - began
        sampler.stop()
        seen.rss_mb = _memory(groups)
        after = _cpu(groups)
        used = {group: after[group] - before[group] for group in groups}
        used["others on this machine"] = max(0.0, _busy() - busy - sum(used.values()))
        seen.cpu = {group: round(seconds, 2) for group, seconds in used.items()}
        seen.wal_bytes = _written(connection) - written
        seen.waits, seen.lock_waits = sampler.result()


class _Sampler:
    """Looks at the projectors' sessions every 50 ms, in a thread and a session of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self._found: dict[int, Counter[str]] = defaultdict(Counter)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(10)

    def result(self) -> tuple[dict[str, float], dict[str, int]]:
        """(share of each wait, how often each lock wait was seen), of the sessions that did work."""
        total: Counter[str] = Counter()
        for found in self._found.values():
            if found[_BETWEEN] < 0.95 * found.total():  # a heartbeat does next to nothing
                total += found
        shares = {wait: round(number / total.total(), 3) for wait, number in total.most_common()}
        return shares, {wait: number for wait, number in total.items() if wait.startswith("Lock:")}

    def _run(self) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._end.wait(_EVERY):
                for pid, state, kind, event in connection.execute(_SQL["activity"], {}).fetchall():
                    self._found[pid][_wait(state, kind, event)] += 1


def _wait(state: str, kind: str | None, event: str | None) -> str:
    if state == "idle":
        return _BETWEEN
    if state == "idle in transaction" or event == "ClientRead":
        return _WITHIN
    return f"{kind}:{event}" if kind else "no wait: computes"


def _groups(connection: psycopg.Connection, projectors: Sequence[int]) -> dict[str, list[psutil.Process]]:
    """Processes by what they are for. Sessions of the projectors are made before this is called."""
    [(own,)] = connection.execute(_SQL["server"]).fetchall()
    server = psutil.Process(own).parent()
    sessions = {row[0] for row in connection.execute(_SQL["activity"], {}).fetchall()}
    children = server.children() if server is not None else []
    runners = [psutil.Process(pid) for pid in projectors]
    return {
        "Postgres, projectors' sessions": [one for one in children if one.pid in sessions],
        "Postgres, the rest": [one for one in children if one.pid not in sessions],
        "broker": [one for one in psutil.Process().children(recursive=True) if one.name() == "java"],
        "runners": runners,
        "readers": [child for one in runners for child in one.children(recursive=True)],
        "this benchmark": [psutil.Process()],
    }


def _cpu(groups: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    used = dict.fromkeys(groups, 0.0)
    for group, members in groups.items():
        for one in members:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                used[group] += times.user + times.system
    return used


def _busy() -> float:
    """Seconds that all cores of this machine worked so far, for whomever."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _memory(groups: Mapping[str, Sequence[psutil.Process]]) -> float:
    total = 0
    for one in [*groups["runners"], *groups["readers"]]:
        with contextlib.suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return round(total / 2**20, 1)


def _written(connection: psycopg.Connection) -> int:
    [(written,)] = connection.execute(_SQL["written"]).fetchall()
    return int(written)
