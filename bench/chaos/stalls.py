"""Faults: processes that come and go, stand still and wake up, and positions that are changed behind their backs."""

from __future__ import annotations

import contextlib
import time

import psycopg

from bench.chaos.members import Member
from bench.chaos.scene import Fault, Scene
from bench.chaos.stage import LEASE

__all__ = ["STALLS"]

_SHARED = frozenset({"projectors"})


def _rebalanced(scene: Scene) -> None:
    """From many to one and back, by SIGTERM and by kill -9."""
    projectors = scene.stage.keeper.of("projector")
    while scene.going:
        leaving = scene.rng.sample(projectors, len(projectors) - 1)
        for one in leaving:
            one.wanted = False
            if scene.rng.random() < 0.5:
                scene.kills += one.kill()
            else:
                one.stop()
        scene.well()  # one for all
        for one in leaving:
            one.wanted = True
            scene.pause(0.0, 0.5)
        everyone = scene.stage.keeper.wait(lambda: len(_holders(scene)) == min(4, len(projectors)), 20)
        if not everyone:
            scene.note(f"after 20 s {len(_holders(scene))} of {len(projectors)} held partitions")
        scene.well()


def _frozen(scene: Scene) -> None:
    """SIGSTOP at any moment, until others have taken over; then SIGCONT."""
    while scene.going:
        victim = scene.working("projector")
        if victim is None:
            return
        before = scene.troubles("fenced")
        victim.freeze(whole=scene.rng.random() < 0.5)
        _taken_over(scene, victim)
        scene.well()
        _wake(scene, victim, before)


def _frozen_mid_batch(scene: Scene) -> None:
    """SIGSTOP with a batch in its hands; the successor is stopped before it has moved; then the first one wakes."""
    while scene.going:
        victim = scene.working("projector")
        if victim is None:
            return
        victim.order("move.before", "stop")
        if not scene.stage.keeper.wait(lambda: victim.obeyed("move.before"), 15):  # noqa: B023 - run at once
            victim.revoke("move.before")
            continue
        victim.frozen = True
        others = [one for one in scene.stage.keeper.of("projector") if one is not victim and one.alive]
        before = scene.troubles("fenced")
        for one in others:
            one.order("settled", "stop")
        _taken_over(scene, victim)
        victim.thaw()
        scene.pause(1.0, 1.5)
        for one in others:
            one.revoke("settled")
            if one.obeyed("settled"):
                one.thaw()
                one.forget("settled")
        victim.forget("move.before")
        _wake(scene, victim, before)


def _taken_over(scene: Scene, victim: Member) -> None:
    """Wait until none of its partitions is the victim's any more."""
    deadline = time.monotonic() + LEASE + 12
    with contextlib.suppress(psycopg.Error), scene.stage.connect() as connection:
        while time.monotonic() < deadline:
            row = connection.execute(_HELD, (victim.pid,)).fetchone()
            if row == (0,):
                return
            time.sleep(0.05)
    scene.note("a frozen projector's partitions were not taken over")


def _wake(scene: Scene, victim: Member, before: int) -> None:
    """SIGCONT: it must be refused, and take part again by itself."""
    victim.thaw()
    back = scene.stage.keeper.wait(lambda: victim.pid in _holders(scene), 25)
    refused = scene.troubles("fenced") > before
    scene.note(
        "woken: refused (fenced)" if refused else "woken: its session had been ended, so it had nothing to move"
    )
    scene.note("rejoined by itself" if back else "held no partition 25 s after it woke")
    scene.well()


def _holders(scene: Scene) -> set[int]:
    return {
        row[0]
        for row in scene.stage.ask(
            "SELECT DISTINCT s.process FROM storyline.positions p JOIN storyline.seats s ON s.member = p.holder "
            "WHERE p.consumer = 'live'"
        )
    }


def _rewound(scene: Scene) -> None:
    """An operator takes the end of a partition out of the read models and sets its position back, while it is read.
    Nobody tells the projector; only the compare-and-set does."""
    done, patience = 0, time.monotonic() + 30
    while scene.going or (not done and time.monotonic() < patience):
        scene.pause(0.5, 1.5)
        partition = scene.rng.randrange(4)
        back = scene.rng.randrange(5, 40)
        before = scene.troubles("fenced")
        with contextlib.suppress(psycopg.Error), scene.stage.connect() as connection, connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            row = connection.execute(_HOLD, (partition,)).fetchone()
            if row is None or row[0] <= back:
                continue
            start = row[0] - back
            touched = [row[0] for row in connection.execute(_FORGET, (partition, start)).fetchall()]
            connection.execute(_FORGET_CONTACTS, (touched,))
            connection.execute(_COUNT_CONTACTS, (touched,))
            connection.execute(_REWIND, (start, partition))
            done += 1
        scene.well()
        if scene.troubles("fenced") > before:
            scene.note("the projector was refused, took the partition again, and applied its end again")


_HELD = """
SELECT count(*) FROM storyline.positions p JOIN storyline.seats s ON s.member = p.holder
WHERE p.consumer = 'live' AND s.process = %s
"""
_HOLD = """
SELECT next_offset FROM storyline.positions WHERE consumer = 'live' AND log_partition = %s FOR UPDATE
"""
_FORGET = """
WITH gone AS (DELETE FROM timeline.events WHERE log_partition = %s AND log_offset >= %s RETURNING name, evidence),
refs AS (DELETE FROM timeline.refs USING gone WHERE refs.name = gone.name),
about AS (DELETE FROM timeline.about USING gone WHERE about.name = gone.name),
parties AS (DELETE FROM timeline.parties USING gone WHERE parties.name = gone.name)
SELECT DISTINCT evidence FROM gone WHERE evidence IS NOT NULL
"""
_FORGET_CONTACTS = "DELETE FROM customers.contacts WHERE evidence = ANY (%s)"
_COUNT_CONTACTS = """
INSERT INTO customers.contacts
SELECT evidence, type, coalesce(channel, ''), coalesce(direction, ''), count(*), min(happened_at), max(happened_at)
FROM timeline.events WHERE touch AND evidence = ANY (%s) GROUP BY 1, 2, 3, 4
"""
_REWIND = """
UPDATE storyline.positions SET next_offset = %s, anchor_offset = NULL, anchor = NULL
WHERE consumer = 'live' AND log_partition = %s
"""

STALLS = (
    Fault(
        "rebalanced",
        "all projectors but one leave, by SIGTERM or kill -9, and come back: 4, 1, 4",
        _rebalanced,
        _SHARED,
    ),
    Fault("frozen", "SIGSTOP of a projector beyond its lease, take-over, SIGCONT", _frozen, _SHARED),
    Fault(
        "frozen-mid-batch",
        "the same just before it moves, and its successor is held until it wakes",
        _frozen_mid_batch,
        _SHARED,
    ),
    Fault(
        "rewound", "a partition's end is taken out of the read models and its position set back, under way", _rewound
    ),
)
