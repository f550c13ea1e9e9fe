"""How are the runs of rules carried out? One after the other, each in a transaction of its own that says what became
of it; whoever dies over one leaves it to the next.

A run waits until the read models have seen its event, so that conditions and consents are looked at as they are after
it. What does not work is tried again, later and later; what can never work has failed, and is counted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from commands.acting import Acting, Outcome
from commands.runs import Run, Runs
from domain.automation import needs_customer
from domain.configuration import Rule
from domain.errors import StorylineError
from domain.profile import ProfileRules
from projections.connecting import claiming
from projections.occasions import Occasions, customers_of

__all__ = ["Carrier"]

_IDLE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_MOST_TRIES: Final = 20
_UNKNOWN_TRIES: Final = 5
_UNKNOWN_PAUSE: Final = timedelta(seconds=60)
_UNSEEN_FOR: Final = timedelta(days=7)
_logger = structlog.get_logger("storyline.automation")


@dataclass
class Carrier:
    """Carries out runs until `stop` is set. For one thread; any number of them, in whatever process, share the runs.

    state_kinds: see `Occasions`. before_settling: called when a run was carried out, before that is noted; for tests.
    """

    dsn: str
    rules: Sequence[Rule]
    acting: Acting
    registry: CollectorRegistry
    clock: Callable[[], datetime]
    profile_rules: ProfileRules = field(default_factory=ProfileRules)
    state_kinds: Mapping[str, str] = field(default_factory=dict)
    chance: Random = field(default_factory=Random)
    before_settling: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._rules = {rule.code: rule for rule in self.rules if rule.enabled}
        self._ended = Counter(
            "storyline_automation_runs", "Runs by what became of them", ["rule", "state"], registry=self.registry
        )
        self._retries = Counter(
            "storyline_automation_retries", "Runs that did not work this time", ["rule"], registry=self.registry
        )
        self._waiting = Gauge(
            "storyline_automation_late_seconds",
            "How long the run that was taken last had waited",
            registry=self.registry,
        )

    def run(self, stop: threading.Event) -> None:
        """Carry out what is due until `stop` is set, whatever Postgres does."""
        pause = 0.1
        while not stop.is_set():
            try:
                with claiming(self.dsn, "storyline automation") as connection, customers_of(self.dsn) as view:
                    occasions = Occasions(view, self.profile_rules, self.state_kinds)
                    while not stop.is_set():
                        if not self.step(connection, occasions):
                            stop.wait(_IDLE)
                        pause = 0.1
            except psycopg.Error as error:
                _logger.warning("automation.trouble", kind=type(error).__name__)
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def exhaust(self) -> int:
        """Carry out all that is due now; gives how many. For tests."""
        with claiming(self.dsn, "storyline automation") as connection, customers_of(self.dsn) as view:
            occasions, number = Occasions(view, self.profile_rules, self.state_kinds), 0
            while self.step(connection, occasions):
                number += 1
            return number

    def step(self, connection: psycopg.Connection, occasions: Occasions) -> bool:
        """Carry out one run; False if none is due."""
        now = self.clock()
        with connection.transaction():
            runs = Runs(connection)
            run = runs.next(now)
            if run is None:
                return False
            self._waiting.set(max(0.0, (now - run.at).total_seconds()))
            outcome = self._outcome(connection, runs, occasions, run, now)
            self.before_settling()
            if outcome is not None:
                runs.settle(run, outcome.state, outcome.why, now)
        if outcome is not None:
            self._ended.labels(run.rule, outcome.state).inc()
            if outcome.state == "failed":
                _logger.error("automation.failed", rule=run.rule, detail=outcome.why or "")
        return True

    def _outcome(
        self, connection: psycopg.Connection, runs: Runs, occasions: Occasions, run: Run, now: datetime
    ) -> Outcome | None:
        """What became of a run; None where it is to be tried again."""
        rule = self._rules.get(run.rule)
        if rule is None:
            return self._unknown(runs, run, now)
        seen = occasions.seen(connection, run.event)
        if seen is None:
            if now - run.at > _UNSEEN_FOR:
                return Outcome("failed", "never-visible")
            waited = (now - run.at).total_seconds()
            runs.again(run, now + timedelta(seconds=min(max(waited / 4, 0.1), _LONGEST_PAUSE)), "not-visible", False)
            return None
        if seen.retracted:
            return Outcome("unmet", "retracted")
        try:
            with connection.transaction():  # what is begun of it goes with it, and the run stays ours
                occasion = occasions.occasion(connection, seen, needs_customer(rule))
                return self.acting.carry_out(connection, run, rule, occasion, seen.record)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except Exception as error:  # of whatever kind: the other runs go on
            return self._troubled(runs, run, now, error)

    def _unknown(self, runs: Runs, run: Run, now: datetime) -> Outcome | None:
        """No rule of ours: one that is gone, or that another process has already, with a newer configuration."""
        if run.tries >= _UNKNOWN_TRIES:
            return Outcome("unmet", "rule-gone")
        runs.again(run, now + _UNKNOWN_PAUSE, "rule-gone")
        return None

    def _troubled(self, runs: Runs, run: Run, now: datetime, error: Exception) -> Outcome | None:
        kind = type(error).__name__
        detail = error.detail if isinstance(error, StorylineError) else kind
        self._retries.labels(run.rule).inc()
        _logger.warning("automation.not_yet", rule=run.rule, kind=kind, detail=detail)
        if run.tries + 1 >= _MOST_TRIES:
            return Outcome("failed", kind)
        pause = min(2.0**run.tries, 3600.0) * (0.8 + 0.4 * self.chance.random())
        runs.again(run, now + timedelta(seconds=pause), kind)
        return None
