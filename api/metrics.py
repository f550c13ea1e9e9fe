"""What is counted and timed? Prometheus metrics of one app, in a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

__all__ = ["Metrics"]

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of the API. Labels hold route templates, statuses and partitions, never a caller's value."""

    def __init__(self, collectors: Sequence[Collector] = ()) -> None:
        self.registry = CollectorRegistry()
        for collector in collectors:
            self.registry.register(collector)
        self.latency = Histogram(
            "storyline_http_request_seconds",
            "Time to the first byte of the answer",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.accepted = Counter(
            "storyline_events_accepted", "Events that the log has durably", registry=self.registry
        )
        self.refused = Counter(
            "storyline_publish_refused", "Publishing requests that were refused", ("error",), registry=self.registry
        )
        self.streams = Gauge("storyline_live_streams", "Open live streams", registry=self.registry)
        self.waiting = Gauge("storyline_publish_waiting", "Publishing requests under way", registry=self.registry)
        self.end = Gauge("storyline_log_end", "Where a partition ends", ("partition",), registry=self.registry)
        self.lag = Gauge(
            "storyline_projector_lag",
            "Records of a partition not visible yet",
            ("partition",),
            registry=self.registry,
        )

    def positions(self, ends: Mapping[int, int], visible: Mapping[int, int]) -> None:
        """Note where the log ends and how far the projector has come."""
        for partition, end in ends.items():
            self.end.labels(str(partition)).set(end)
            self.lag.labels(str(partition)).set(max(0, end - visible.get(partition, 0)))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format. Blocks where a collector does."""
        return generate_latest(self.registry)
