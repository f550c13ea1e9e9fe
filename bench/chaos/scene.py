"""What does a fault act upon, and what does it leave behind? The stage for one round, chance, time, a tally."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from bench.chaos.members import Member
from bench.chaos.stage import Stage

__all__ = ["Fault", "Scene"]


@dataclass
class Scene:
    """One fault in one round. `rng` alone decides what it does; `recovered` are seconds from each heal or kill until
    all was well again, `stuck` counts the times that it never was."""

    stage: Stage
    rng: random.Random
    seconds: float
    kills: int = 0
    stuck: int = 0
    recovered: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds

    @property
    def going(self) -> bool:
        """Whether there is time for another one."""
        return time.monotonic() < self._until and not self.stuck

    def note(self, told: str) -> None:
        """What was seen, once each."""
        if told not in self.notes:
            self.notes.append(told)

    def pause(self, least: float, most: float) -> None:
        time.sleep(self.rng.uniform(least, most))

    def well(self) -> None:
        """From now on, how long until all is well?"""
        seconds = self.stage.well(note=self.note)
        if seconds is None:
            self.stuck += 1
            self.note("did not recover: " + self._state())
        else:
            self.recovered.append(round(seconds, 2))

    def member(self, role: str, true: Callable[[Member], bool] = lambda member: True) -> Member | None:
        """One of a role that runs and has had time to do something."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            able = [
                one
                for one in self.stage.keeper.of(role)
                if one.wanted and one.alive and not one.frozen and one.ask("/livez") and true(one)
            ]
            if able:
                return self.rng.choice(able)
            time.sleep(0.1)
        return None

    def working(self, role: str) -> Member | None:
        """One that holds a partition, where holding is known; else any."""
        names = {row[0] for row in self.stage.ask(_HOLDERS, "live" if role == "projector" else role)}
        return self.member(role, lambda one: not names or one.pid in names) or self.member(role)

    def kill_postgres(self) -> None:
        """kill -9 of the postmaster and all that it started, and start it again."""
        server = self.stage.servers.postgres
        server.kill()
        self.kills += 1
        self.pause(0.0, 0.4)
        server.restart()

    def kill_backend(self, where: str = "true") -> bool:
        """kill -9 of one backend; PostgreSQL then ends all the others and recovers by itself."""
        rows = self.stage.ask(f"{_BACKENDS} AND {where}")
        if not rows:
            return False
        try:
            os.kill(self.rng.choice(sorted(rows))[0], signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.kills += 1
        return True

    def troubles(self, kind: str) -> int:
        """How many interruptions of a kind the projectors that run now have counted."""
        total = 0.0
        for one in self.stage.keeper.of("projector"):
            for line in (one.ask("/metrics") or "").splitlines():
                if line.startswith(f'storyline_projector_troubles_total{{kind="{kind}"}}'):
                    total += float(line.split()[-1])
        return int(total)

    def _state(self) -> str:
        stage = self.stage
        alive = {one.name: one.alive for one in stage.keeper.members}
        log, inbox = stage.ledger.tops()
        free = psutil.virtual_memory().available // 2**20
        return (
            f"acknowledged {log}, {inbox}; live {stage.positions('live')}, inbox {stage.positions('inbox')}; "
            f"answers {dict(stage.ledger.answers)}; {alive}; {free} MB free"
        )


_HOLDERS = """
SELECT DISTINCT seats.process FROM storyline.positions JOIN storyline.seats ON seats.member = positions.holder
WHERE positions.consumer = %s
"""
_BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
AND datname = current_database()
"""


@dataclass(frozen=True)
class Fault:
    """One way to break things. `run` breaks, heals and waits; it gives back a system that is whole. `needs`: kafka,
    broker (one, behind a proxy), cluster (three), projectors (at least two), small-disk. `told`: what it does and
    how it heals."""

    name: str
    told: str
    run: Callable[[Scene], None]
    needs: frozenset[str] = frozenset()
