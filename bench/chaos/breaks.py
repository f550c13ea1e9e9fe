"""Faults: a broker and a network that stall, cut and delay; a PostgreSQL without room, time, locks or connections."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.chaos.proxy import Proxy
from bench.chaos.requests import cancelled
from bench.chaos.scene import Fault, Scene

__all__ = ["BREAKS"]

_BROKER = frozenset({"broker"})
_SLOW = 0.4


def _broker_paused(scene: Scene) -> None:
    broker = scene.stage.servers.broker
    while scene.going and broker is not None:
        broker.node.pause()
        scene.pause(1.0, 6.0)
        broker.node.resume()
        scene.well()


def _proxied(which: str, breaking: Callable[[Proxy, Scene], None]) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        held = scene.stage.servers
        proxy = held.postgres_proxy if which == "postgres" else held.broker.proxy if held.broker else None
        while scene.going and proxy is not None:
            scene.pause(0.2, 0.6)
            try:
                breaking(proxy, scene)
            finally:
                proxy.heal()
            scene.well()

    return run


def _cut(proxy: Proxy, scene: Scene) -> None:
    """All connections, several times, and for a while nobody gets in."""
    for _ in range(scene.rng.randrange(1, 5)):
        proxy.cut()
        scene.pause(0.05, 0.4)
    proxy.refusing = True
    proxy.cut()
    scene.pause(0.2, 2.0)


def _delayed(proxy: Proxy, scene: Scene) -> None:
    proxy.delay = scene.rng.uniform(0.05, _SLOW)
    scene.pause(1.5, 4.0)


def _mute(proxy: Proxy, scene: Scene) -> None:
    """Connections stay, and nothing comes through: neither side is told."""
    proxy.mute = True
    scene.pause(1.0, 5.0)


def _disk_full(scene: Scene) -> None:
    """A file takes all the room that the tables' file system has."""
    small = scene.stage.servers.small
    while scene.going and small is not None:
        ballast = small / "ballast"
        try:
            _fill(ballast)
            before = scene.troubles("unavailable")
            scene.pause(1.5, 3.5)
            _fill(ballast)
            scene.pause(0.5, 1.0)
            told = scene.troubles("unavailable") > before
            scene.note("projectors said so and waited" if told else "the tables still had room in their pages")
        finally:
            ballast.unlink(missing_ok=True)
        scene.well()


def _fill(ballast: Path) -> None:
    block = bytes(64 * 1024)
    with ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(block):
            pass


def _locks_held(scene: Scene) -> None:
    """An idle transaction holds what projectors need; it ends, or is ended by its time-out."""
    while scene.going:
        what = scene.rng.choice(list(_LOCKS))
        with contextlib.suppress(psycopg.Error), scene.stage.connect() as connection:
            connection.execute("SET lock_timeout = '5s'")
            with connection.transaction(force_rollback=True):
                connection.execute(_LOCKS[what])
                scene.pause(1.5, 5.0)
            scene.note(f"held {what}")
        scene.well()


_LOCKS = {
    "the rows of positions": "SELECT FROM storyline.positions FOR UPDATE",
    "rows of the timeline": "SELECT FROM timeline.events FOR UPDATE",
    "the table of the timeline": "LOCK TABLE timeline.events IN ACCESS EXCLUSIVE MODE",
    "the seats": "LOCK TABLE storyline.seats IN ACCESS EXCLUSIVE MODE",
}


def _timed_out(scene: Scene) -> None:
    """New sessions get tiny time-outs; statements of those that bring their own are cancelled as by a time-out."""
    database = scene.stage.ask("SELECT current_database()")[0][0]
    while scene.going:
        with scene.stage.connect() as connection:
            for name, value in (("statement_timeout", "15ms"), ("lock_timeout", "5ms")):
                connection.execute(f"ALTER DATABASE {database} SET {name} = '{value}'")
            until = time.monotonic() + scene.rng.uniform(2.0, 4.0)
            cancelled_by_us = 0
            try:
                while time.monotonic() < until:
                    [(number,)] = connection.execute(_CANCEL).fetchall()
                    cancelled_by_us += number
                    time.sleep(0.02)
            finally:
                for name in ("statement_timeout", "lock_timeout"):
                    connection.execute(f"ALTER DATABASE {database} RESET {name}")
                connection.execute(_CUT_SHORT_LIVED)
        scene.note("statements were cancelled")
        scene.well()


_CANCEL = """
SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) FROM pg_stat_activity
WHERE state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
AND datname = current_database() AND application_name <> 'chaos itself'
"""
_CUT_SHORT_LIVED = """
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name <> 'chaos itself'
"""


def _connections_taken(scene: Scene) -> None:
    """All of max_connections is taken, and who had one loses it."""
    while scene.going:
        held: list[psycopg.Connection] = []
        try:
            with scene.stage.connect() as connection:
                for _ in range(3):
                    _take_all(held, scene.stage.dsn)
                    connection.execute(_CUT_SHORT_LIVED)
                    scene.pause(0.05, 0.3)
                _take_all(held, scene.stage.dsn)
                scene.pause(1.0, 3.0)
        except psycopg.Error:
            scene.note("not even we had a connection left")
        finally:
            for one in held:
                one.close()
        scene.note(f"about {len(held) // 10 * 10} connections were taken")
        scene.well()


def _take_all(held: list[psycopg.Connection], dsn: str) -> None:
    with contextlib.suppress(psycopg.Error):
        while len(held) < 200:
            held.append(psycopg.connect(dsn, autocommit=True, connect_timeout=2, application_name="chaos itself"))


def _requests_cancelled(scene: Scene) -> None:
    """Connections that are closed in the middle of a request, or before its answer; hundreds a second."""
    while scene.going:
        api = scene.member("api")
        if api is None:
            return
        flood = [
            threading.Thread(target=cancelled, args=(scene.stage, api.port, scene.rng.random())) for _ in range(4)
        ]
        for one in flood:
            one.start()
        for one in flood:
            one.join()
        scene.well()


BREAKS = (
    Fault("broker-paused", "SIGSTOP of the broker for 1 to 6 s, SIGCONT", _broker_paused, _BROKER),
    Fault("broker-cut", "connections to the broker cut, and refused for a while", _proxied("broker", _cut), _BROKER),
    Fault(
        "broker-slow", f"the broker's answers delayed, up to {_SLOW} s each", _proxied("broker", _delayed), _BROKER
    ),
    Fault(
        "broker-mute",
        "what goes to and from the broker is swallowed for 1 to 5 s",
        _proxied("broker", _mute),
        _BROKER,
    ),
    Fault("postgres-cut", "connections to PostgreSQL cut, and refused for a while", _proxied("postgres", _cut)),
    Fault("postgres-slow", f"PostgreSQL's answers delayed, up to {_SLOW} s each", _proxied("postgres", _delayed)),
    Fault("postgres-mute", "what goes to and from PostgreSQL is swallowed for 1 to 5 s", _proxied("postgres", _mute)),
    Fault("disk-full", "no room for PostgreSQL's tables; then there is", _disk_full, frozenset({"small-disk"})),
    Fault(
        "locks-held", "an idle transaction holds rows of positions or timeline, or the table; it ends", _locks_held
    ),
    Fault(
        "timed-out",
        "statement and lock time-outs of milliseconds for new sessions, statements cancelled; reset",
        _timed_out,
    ),
    Fault("connections-taken", "all connections of PostgreSQL taken, sessions ended; given back", _connections_taken),
    Fault("requests-cancelled", "floods of requests whose sender goes away", _requests_cancelled),
)
