"""What does an operator see of segments? Counters and gauges of the processes that keep them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

__all__ = ["SegmentMetrics", "changes_counter", "count_changes"]


def changes_counter(registry: CollectorRegistry) -> Counter:
    """Counts who enters and leaves in this process."""
    return Counter(
        "storyline_segment_changes", "Customers who entered or left", ["segment", "direction"], registry=registry
    )


def count_changes(counter: Counter, changes: dict[tuple[str, bool], int]) -> None:
    """Take what was counted by (segment, entered) over."""
    while changes:
        (segment, entered), number = changes.popitem()
        counter.labels(segment, "entered" if entered else "left").inc(number)


class SegmentMetrics:
    """What an operator sees of them, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = changes_counter(registry)
        self.due = Gauge(
            "storyline_segment_due", "Customers whose moment has come, not looked at yet", registry=registry
        )
        self.announced = Counter(
            "storyline_segment_announcements", "Announcements by what became of them", ["outcome"], registry=registry
        )
        self.waiting = Gauge(
            "storyline_segment_announcements_waiting", "Changes that are still to be announced", registry=registry
        )
