"""How does a benchmark say what it found? A table for people, and with `--json` a list for scripts.

An entry: `{"name", "profile", "events", "events_per_s", "limit", "limit_per_s", "ratio", "rss_mb", "peers"}`;
`limit` names what the figure is held against in the same run, `ratio` is events_per_s / limit_per_s, `peers` is
`{name: events_per_s}`. Latencies are `p50_ms` and `p99_ms`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

__all__ = ["Entry", "median", "percentile", "progress", "show"]


@dataclass
class Entry:
    """One figure with its limit and peers. Rates are events per second; 0 where there is none."""

    name: str
    profile: str
    events: int
    events_per_s: float
    limit: str = ""
    limit_per_s: float = 0
    rss_mb: float = 0
    peers: dict[str, float] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None
    notes: dict[str, float | str | list[float] | dict[str, float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Of the limit; 0 where there is no limit."""
        return round(self.events_per_s / self.limit_per_s, 3) if self.limit_per_s else 0.0

    def plain(self) -> dict[str, object]:
        """As JSON."""
        found = {key: value for key, value in asdict(self).items() if value is not None and value != {}}
        return {**found, "peers": self.peers, "ratio": self.ratio}


def median(values: Sequence[float]) -> float:
    """The median, rounded to whole events."""
    return float(round(statistics.median(values)))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, round(share * len(ranked)) - 1))]


def progress(told: str) -> None:
    """What is going on, apart from the figures: on standard error."""
    print(told, file=sys.stderr, flush=True)


def show(entries: Sequence[Entry], as_json: bool) -> None:
    """Print a list of JSON, or a table."""
    if as_json:
        print(json.dumps([entry.plain() for entry in entries], indent=1))
        return
    table = Table(title="events a second, median of the runs")
    for heading in ("what", "profile", "events", "events/s", "limit", "limit/s", "ratio", "MB", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading in {"what", "profile", "limit"} else "right")
    for one in entries:
        table.add_row(
            one.name, one.profile, f"{one.events:,}", f"{one.events_per_s:,.0f}", one.limit,
            f"{one.limit_per_s:,.0f}" if one.limit_per_s else "", f"{one.ratio:.2f}" if one.limit_per_s else "",
            f"{one.rss_mb:,.0f}" if one.rss_mb else "",
            "" if one.p50_ms is None else f"{one.p50_ms:.1f}", "" if one.p99_ms is None else f"{one.p99_ms:.1f}",
        )  # fmt: skip
        for peer, rate in one.peers.items():
            table.add_row(f"  peer: {peer}", "", "", f"{rate:,.0f}")
        for note, value in one.notes.items():
            table.add_row(f"  {note}", "", "", str(value))
    Console(width=140).print(table)
