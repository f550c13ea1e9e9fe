"""How much waits that somebody has to see to (dead letters, failed rules, parked webhooks), and who is told? Asked
for when Prometheus scrapes, and once a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from commands.letters import REMEDIES, Parked, Waiting
from commands.parking import Parking
from commands.runs import Runs
from commands.webhooks import Webhooks
from domain.errors import StorylineError, Unavailable
from projections.connecting import connected

__all__ = ["AutomationCollector", "LetterWatch", "ParkedCollector", "watching"]

_FRESH: Final = 10.0
"""Seconds for which a count is shown again: it costs a walk along an index of all that waits."""
_EVERY: Final = 60.0
_AGAIN: Final = 3600.0
_logger = structlog.get_logger("storyline.dead_letters")


class ParkedCollector(Collector):
    """`storyline_dead_letters{consumer,reason}`, `storyline_dead_letters_overdue` likewise, and
    `storyline_dead_letters_oldest_seconds`, to raise an alarm by."""

    def __init__(self, parking: Parking, ticks: Callable[[], float] = time.monotonic) -> None:
        self._parking, self._ticks = parking, ticks
        self._lock = threading.Lock()
        self._known: tuple[float, Parked] | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            parked = self._parked()
        except Unavailable:
            return
        labels = ["consumer", "reason"]
        waiting = GaugeMetricFamily("storyline_dead_letters", "Dead letters that wait", labels=labels)
        overdue = GaugeMetricFamily(
            "storyline_dead_letters_overdue", "Those that wait longer than the alarm's time", labels=labels
        )
        for of, one in parked.waiting.items():
            waiting.add_metric(of, one.letters)
            overdue.add_metric(of, one.overdue)
        yield waiting
        yield overdue
        age = max(0.0, time.time() - parked.oldest.timestamp()) if parked.oldest else 0.0
        yield GaugeMetricFamily("storyline_dead_letters_oldest_seconds", "Age of the oldest that waits", value=age)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())

    def _parked(self) -> Parked:
        with self._lock:
            if self._known is None or self._ticks() > self._known[0]:
                self._known = (self._ticks() + _FRESH, self._parking.parked())
            return self._known[1]


class LetterWatch:
    """Looks after dead letters from time to time: warns of what is overdue, once an hour for each consumer and
    reason, and destroys the parking keys of days of which nothing waits any more."""

    def __init__(self, parking: Parking, ticks: Callable[[], float] = time.monotonic) -> None:
        self._parking, self._ticks = parking, ticks
        self._told: dict[tuple[str, str], float] = {}

    def look(self) -> None:
        """One look; what does not answer is told by others, and looked at again the next time."""
        try:
            for of, one in self._parking.parked().waiting.items():
                if one.overdue and self._ticks() >= self._told.get(of, -_AGAIN) + _AGAIN:
                    self._told[of] = self._ticks()
                    self._warn(of, one)
            self._parking.forget_days()
        except (StorylineError, psycopg.Error) as error:
            _logger.warning("dead_letters.not_looked_at", kind=type(error).__name__)

    def _warn(self, of: tuple[str, str], one: Waiting) -> None:
        age = (datetime.now(UTC) - one.oldest).total_seconds()
        _logger.warning(
            "dead_letters.overdue",
            consumer=of[0],
            reason=of[1],
            count=one.overdue,
            seconds=round(age),
            detail=REMEDIES.get(of[1], ""),
        )


@contextmanager
def watching(parking: Parking, every: float = _EVERY) -> Iterator[None]:
    """Look after dead letters in the background, every so many seconds, until the block ends."""
    stop = threading.Event()
    watch = LetterWatch(parking)

    def run() -> None:
        while not stop.wait(every):
            watch.look()

    thread = threading.Thread(target=run, name="dead-letters", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


class AutomationCollector(Collector):
    """`storyline_automation_waiting`, `storyline_automation_failed`, `storyline_webhooks{state}` and
    `storyline_webhooks_oldest_seconds{state}`, to raise an alarm by."""

    def __init__(self, dsn: str, webhooks: Webhooks) -> None:
        self._dsn, self._webhooks = dsn, webhooks

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            with connected(self._dsn) as connection:
                runs = Runs(connection).counts()
            webhooks = self._webhooks.counts()
        except (Unavailable, psycopg.Error):
            return
        waiting, failed = [runs[state][0] if state in runs else 0 for state in ("waiting", "failed")]
        yield GaugeMetricFamily("storyline_automation_waiting", "Runs of rules that are to come", value=waiting)
        yield GaugeMetricFamily("storyline_automation_failed", "Runs that failed for good", value=failed)
        numbers = GaugeMetricFamily("storyline_webhooks", "Webhooks that wait or are parked", labels=["state"])
        ages = GaugeMetricFamily("storyline_webhooks_oldest_seconds", "Age of the oldest of them", labels=["state"])
        for state in ("waiting", "parked"):
            number, oldest = webhooks.get(state, (0, None))
            numbers.add_metric([state], number)
            ages.add_metric([state], max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0)
        yield numbers
        yield ages

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())
