"""How does chaos say what it found? A table by fault for people, and with `--json` a list of rounds for scripts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.chaos.oracle import CHECKS
from bench.chaos.rounds import Round
from bench.report import percentile

__all__ = ["show"]


def show(rounds: Sequence[Round], seed: int, as_json: bool) -> None:
    """Print it."""
    if as_json:
        print(json.dumps([one.plain() for one in rounds], indent=1))
        return
    table = Table(title=f"chaos, seed {seed}")
    for heading in ("fault", "rounds", "kills", "recovered p50", "max", "lost", "doubled", "other"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    by_fault: dict[str, list[Round]] = defaultdict(list)
    for one in rounds:
        by_fault[one.fault].append(one)
        by_fault["all"].append(one)
    by_fault["all"] = by_fault.pop("all", [])
    for fault, played in by_fault.items():
        samples = [sample for one in played for sample in one.recovered]
        table.add_row(
            fault,
            str(len(played)),
            str(sum(one.kills for one in played)),
            f"{percentile(samples, 0.5):.1f} s" if samples else "",
            f"{max(samples):.1f} s" if samples else "",
            *[str(sum(one.counts.get(check, 0) for one in played)) for check in ("lost", "doubled")],
            str(sum(number for one in played for check, number in one.counts.items() if check in _OTHER)),
        )
    Console(width=120).print(table)
    red = sorted({check for one in rounds for check in one.red}, key=list(CHECKS).index)
    if not red:
        print(f"Nothing lost, nothing doubled; {rounds[-1].acknowledged if rounds else 0:,} events acknowledged.")
    for check in red:
        print(f"RED {check}: {CHECKS[check]}")


_OTHER = [check for check in CHECKS if check not in {"lost", "doubled"}]
