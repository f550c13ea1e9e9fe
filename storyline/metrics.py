"""How many dead letters wait, and for how long? Asked for when Prometheus scrapes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from commands.parking import Parking
from domain.errors import Unavailable

__all__ = ["ParkedCollector"]


class ParkedCollector(Collector):
    """`storyline_dead_letters{consumer,reason}` and `storyline_dead_letters_oldest_seconds`, to raise an alarm by."""

    def __init__(self, parking: Parking) -> None:
        self._parking = parking

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            parked = self._parking.parked()
        except Unavailable:
            return
        waiting = GaugeMetricFamily("storyline_dead_letters", "Dead letters that wait", labels=["consumer", "reason"])
        for (consumer, reason), number in parked.counts.items():
            waiting.add_metric([consumer, reason], number)
        yield waiting
        age = max(0.0, time.time() - parked.oldest.timestamp()) if parked.oldest else 0.0
        yield GaugeMetricFamily("storyline_dead_letters_oldest_seconds", "Age of the oldest that waits", value=age)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())
