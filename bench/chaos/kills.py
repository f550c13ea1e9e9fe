"""Faults: kill -9, at random and at named points, of everything that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from bench.chaos.members import Member
from bench.chaos.scene import Fault, Scene
from tests.support.served import run_cli

__all__ = ["KILLS"]

_KAFKA = frozenset({"kafka"})


def _members(role: str) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        while scene.going:
            scene.pause(0.0, 0.8)
            victim = scene.working(role)
            if victim is None:
                scene.note(f"no {role} came up in time")
                return
            if victim.kill():
                scene.kills += 1
                scene.well()

    return run


def _readers(scene: Scene) -> None:
    while scene.going:
        scene.pause(0.0, 0.8)
        victim = scene.working("projector")
        if victim is not None and victim.kill_reader():
            scene.kills += 1
            scene.well()


def _backends(scene: Scene) -> None:
    while scene.going:
        scene.pause(0.0, 0.8)
        if scene.kill_backend():
            scene.well()


def _postgres(scene: Scene) -> None:
    while scene.going:
        scene.pause(0.0, 0.8)
        scene.kill_postgres()
        scene.well()


def _broker(scene: Scene) -> None:
    broker = scene.stage.servers.broker
    while scene.going and broker is not None:
        scene.pause(0.0, 0.8)
        broker.kill()
        scene.kills += 1
        scene.pause(0.0, 0.5)
        broker.restart()
        scene.well()


def _one_of_three(scene: Scene) -> None:
    cluster = scene.stage.servers.cluster
    while scene.going and cluster is not None:
        node = scene.rng.randrange(3)
        cluster.kill(node)
        scene.kills += 1
        scene.well()  # with two of three
        scene.pause(0.0, 2.0)
        cluster.restart(node)
        scene.well()


class _Aside:
    """Servers that are killed and started again while others are killed; each one at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._threads: dict[str, threading.Thread] = {}

    def kill(self, name: str, kill: Callable[[], None], restart: Callable[[], None]) -> None:
        """kill -9, and begin to start it again; nothing while that is going on already."""
        if name in self._threads and self._threads[name].is_alive():
            return
        kill()
        self._scene.kills += 1
        self._threads[name] = threading.Thread(target=restart, name=f"restart {name}", daemon=True)
        self._threads[name].start()

    def wait(self) -> None:
        """Until all are up."""
        for thread in self._threads.values():
            thread.join(120)


def _storm(scene: Scene) -> None:
    """Anything, at any moment, also while the last one has not recovered."""
    servers, aside = scene.stage.servers, _Aside(scene)
    roles = ["projector"] * 6 + ["reader"] * 2 + ["api"] * 1 + ["backend"] * 2 + ["postgres"] * 1
    roles += ["inbox"] * 3 if scene.stage.kafka else []
    roles += ["broker"] if servers.broker else []
    while scene.going:
        scene.pause(0.0, 0.6)
        role = scene.rng.choice(roles)
        if role == "postgres":
            aside.kill(role, servers.postgres.kill, servers.postgres.restart)
        elif role == "broker" and servers.broker:
            aside.kill(role, servers.broker.kill, servers.broker.restart)
        elif role == "backend":
            scene.kill_backend()
        else:
            able = [one for one in scene.stage.keeper.of("projector" if role == "reader" else role) if one.alive]
            if able:
                victim = scene.rng.choice(able)
                scene.kills += victim.kill_reader() if role == "reader" else victim.kill()
    aside.wait()
    scene.well()


def _at(role: str, *points: str) -> Callable[[Scene], None]:
    """The process kills itself at a point of its own code, some passes from now."""

    def run(scene: Scene) -> None:
        while scene.going:
            scene.pause(0.0, 0.5)
            victim = scene.working(role)
            if victim is None:
                scene.note(f"no {role} came up in time")
                return
            point = scene.rng.choice(points)
            victim.doomed = True
            victim.order(point, "kill")
            if _dies(victim, point, scene):
                scene.kills += 1
                scene.well()

    return run


def _dies(victim: Member, point: str, scene: Scene) -> bool:
    before = victim.pid
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if victim.pid != before or not victim.alive:
            return True
        time.sleep(0.01)
    victim.revoke(point)
    victim.doomed = False
    scene.note(f"{victim.role} did not pass {point}")
    return False


def _rebuild(scene: Scene) -> None:
    """A rebuild that is killed again and again, and then let through, while events come in."""
    env = {**os.environ, **scene.stage.env}
    argv = [sys.executable, "-m", "storyline.cli", "rebuild", "--json"]
    while scene.going:
        with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as work:
            scene.pause(1.0, 4.0)
            if work.poll() is None:
                work.kill()
                scene.kills += 1
        scene.well()
    done = run_cli(env, "rebuild", "--json", timeout=180)
    same = done.returncode == 0 and json.loads(done.stdout)["same"]
    scene.note("then it came through, equal to live" if same else f"then it ended with {done.returncode}")
    scene.well()


def _inside_commit(scene: Scene) -> None:
    """With a long commit_delay the flush of a COMMIT takes 100 ms: kill when one is seen under way."""
    with scene.stage.connect() as connection:
        connection.execute("ALTER SYSTEM SET commit_delay = 100000")
        connection.execute("ALTER SYSTEM SET commit_siblings = 0")
        connection.execute("SELECT pg_reload_conf()")
    scene.pause(0.3, 0.5)
    try:
        while scene.going:
            scene.pause(0.2, 0.8)
            if _caught(scene):
                scene.kill_postgres()
                scene.note("COMMIT under way when PostgreSQL was killed")
                scene.well()
    finally:
        with scene.stage.connect() as connection:
            connection.execute("ALTER SYSTEM RESET commit_delay")
            connection.execute("ALTER SYSTEM RESET commit_siblings")
            connection.execute("SELECT pg_reload_conf()")


def _caught(scene: Scene) -> bool:
    """Wait for a COMMIT of a projector; then a random moment within it."""
    deadline = time.monotonic() + 5
    with scene.stage.connect() as connection:
        while time.monotonic() < deadline:
            if connection.execute(_COMMITTING).fetchone() is not None:
                scene.pause(0.0, 0.09)
                return True
    return False


_COMMITTING = """
SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query ILIKE 'commit%' AND pid <> pg_backend_pid()
AND application_name LIKE 'storyline %'
"""
_SQL = ("move.before", "move.after", "move.committed")
_APPEND = ("append.before", "append.after")

KILLS = (
    Fault("projector-killed", "kill -9 of a projector that holds partitions; started again", _members("projector")),
    Fault("reader-killed", "kill -9 of the process that reads for a projector", _readers),
    Fault("inbox-killed", "kill -9 of a random inbox; started again", _members("inbox"), _KAFKA),
    Fault("api-killed", "kill -9 of the API; started again", _members("api")),
    Fault("backend-killed", "kill -9 of one PostgreSQL backend: all sessions end, crash recovery", _backends),
    Fault("postgres-killed", "kill -9 of the postmaster with all backends; started again", _postgres),
    Fault("broker-killed", "kill -9 of the only broker; started again", _broker, frozenset({"broker"})),
    Fault(
        "one-of-three", "kill -9 of one broker of three; then started again", _one_of_three, frozenset({"cluster"})
    ),
    Fault("storm", "kill -9 of any of them, up to three a second, in whatever state the last one left", _storm),
    Fault(
        "projector-at-sql",
        "a projector kills itself before the SQL, before COMMIT, or after it",
        _at("projector", *_SQL),
    ),
    Fault("inbox-at-append", "an inbox kills itself before or after the append", _at("inbox", *_APPEND), _KAFKA),
    Fault(
        "inbox-at-move", "an inbox kills itself between log and Postgres, or at COMMIT", _at("inbox", *_SQL), _KAFKA
    ),
    Fault("api-at-append", "the API kills itself between keys and log, or log and answer", _at("api", *_APPEND)),
    Fault("rebuild-killed", "kill -9 of a rebuild, again and again; then it is let through", _rebuild),
    Fault("inside-commit", "PostgreSQL is killed while a projector's COMMIT is under way", _inside_commit),
)
