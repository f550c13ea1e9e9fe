"""What is a round? A fault under load, recovery, silence, and the checks."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.chaos.oracle import CHECKS, Findings
from bench.chaos.scene import Fault, Scene
from bench.chaos.stage import Stage
from bench.report import progress

__all__ = ["Round", "play"]


@dataclass
class Round:
    """What one round did and found. Counts of the ledger are of the whole run so far."""

    number: int
    fault: str
    seed: int
    kills: int
    recovered: list[float]
    acknowledged: int
    refused: int
    unclear: int
    records: int
    counts: dict[str, int]
    examples: dict[str, list[str]]
    notes: list[str]
    seconds: float
    equal_rebuild: bool | None = None
    answers: dict[str, int] = field(default_factory=dict)

    @property
    def red(self) -> list[str]:
        """The checks that failed."""
        return [check for check in CHECKS if self.counts.get(check)]

    def plain(self) -> dict[str, object]:
        """As JSON. seconds_to_recover: the longest of the round; None where there was nothing to recover from."""
        return {
            "round": self.number,
            "faults": [self.fault],
            "seed": self.seed,
            "kills": self.kills,
            "seconds_to_recover": max(self.recovered, default=None),
            "recoveries": self.recovered,
            **{check: self.counts.get(check, 0) for check in CHECKS},
            "acknowledged": self.acknowledged,
            "refused": self.refused,
            "unclear": self.unclear,
            "records": self.records,
            "equal_rebuild": self.equal_rebuild,
            "examples": self.examples,
            "seen": self.notes,
            "answers": self.answers,
            "seconds": round(self.seconds, 1),
        }


def play(stage: Stage, steps: Sequence[tuple[Fault, int]], seconds: float, rebuild_every: int) -> Iterator[Round]:
    """Play the rounds one after the other, on one stage; ends early when it no longer recovers."""
    stage.gate.open.set()
    time.sleep(1.0)
    for number, (fault, seed) in enumerate(steps, start=1):
        last = number == len(steps)
        one = _round(stage, number, fault, seed, seconds, last or number % rebuild_every == 0, last)
        progress(_told(one))
        yield one
        if one.counts.get("stuck"):
            return


def _round(
    stage: Stage, number: int, fault: Fault, seed: int, seconds: float, rebuild: bool, last: bool
) -> Round:  # fmt: skip
    began = time.monotonic()
    stage.gate.open.set()
    scene = Scene(stage, random.Random(seed), seconds)
    fault.run(scene)
    findings, equal = _settled(stage, scene, rebuild, last)
    ledger = stage.ledger
    return Round(
        number,
        fault.name,
        seed,
        scene.kills,
        scene.recovered,
        ledger.count("acknowledged"),
        ledger.count("refused"),
        ledger.count("unclear"),
        len(stage.lines),
        dict(findings.counts),
        {check: examples for check, examples in findings.examples.items() if examples},
        scene.notes,
        time.monotonic() - began,
        equal,
        dict(ledger.answers),
    )


def _settled(stage: Stage, scene: Scene, rebuild: bool, last: bool) -> tuple[Findings, bool | None]:
    """Hold the writers, wait until all is visible, check."""
    busy = stage.quiet()
    visible = stage.well(60.0) is not None
    findings = stage.check()
    if scene.stuck or busy or not visible:
        state = f"; not at rest: {', '.join(busy)}" if busy else "" if visible else "; not all is visible"
        findings.add("stuck", f"{(scene.notes or ['-'])[-1]}{state}")
    equal = None
    if last:
        stage.check_whole_log(findings)
    if rebuild and visible and "unique-name" not in stage.without:
        stage.rebuild(findings)
        equal = not findings.counts["rebuild_differs"]
    return findings, equal


def _told(one: Round) -> str:
    slowest = f"{max(one.recovered):.1f} s" if one.recovered else "-"
    verdict = "ok" if not one.red else "RED: " + ", ".join(f"{check} {one.counts[check]}" for check in one.red)
    rebuilt = "" if one.equal_rebuild is None else ", rebuild equal" if one.equal_rebuild else ", REBUILD DIFFERS"
    lines = [
        f"round {one.number:3} {one.fault:19} kills {one.kills:3}  recovered in {slowest:>7}  "
        f"acknowledged {one.acknowledged:6,}  records {one.records:6,}  {verdict}{rebuilt} ({one.seconds:.0f} s)"
    ]
    lines += [f"    {note[:300]}" for note in one.notes]
    lines += [f"    {check}: {example[:300]}" for check in one.red for example in one.examples.get(check, [])[:3]]
    return "\n".join(lines)
