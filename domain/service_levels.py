"""What was promised for a ticket, and when is it due? The first service level that fits, in its business hours.

The first response is due so long after the ticket was opened, whatever its state. The resolution has a clock, which
stands still in the kinds of state that the level names. The moments become facts of the ticket's events: they are
reckoned when something happens to it, with the calendar of that time, and never again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

from domain.configuration import Configuration, ServiceLevel, StateKind, Targets
from domain.hours import WorkingHours, working_hours

__all__ = ["Clock", "TicketFacts", "clock_of", "clock_runs", "level_of"]

_Due = tuple[datetime | None, datetime | None]


class TicketFacts(NamedTuple):
    """What decides which service level a ticket has; codes, None where nothing was said."""

    queue: str | None = None
    category: str | None = None
    product: str | None = None
    channel: str | None = None
    priority: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Those of a content, or of anything with these names."""
        return cls(*(values.get(name) for name in cls._fields))


class Clock(NamedTuple):
    """What is due when, as it goes into an event. A moment is None where nothing is due.

    clock_s: business seconds that the clock of the resolution has run by then. Without a service level it is what was
    given, and has counted nothing since `running_since`.
    """

    service_level: str | None
    respond_by: datetime | None
    respond_warn: datetime | None
    resolve_by: datetime | None
    resolve_warn: datetime | None
    clock_s: int


def level_of(rules: Configuration, facts: TicketFacts) -> tuple[str, ServiceLevel] | None:
    """The first service level that fits and promises something for the priority, with its code."""
    for code, level in rules.service_levels.items():
        asked = (
            (level.queues, facts.queue), (level.categories, facts.category),
            (level.products, facts.product), (level.channels, facts.channel),
        )  # fmt: skip
        if all(not wanted or value in wanted for wanted, value in asked) and _targets(rules, level, facts):
            return code, level
    return None


def _targets(rules: Configuration, level: ServiceLevel, facts: TicketFacts) -> Targets | None:
    return level.targets.get(facts.priority or rules.tickets.priority, level.targets.get("any"))


def clock_runs(rules: Configuration, facts: TicketFacts, kind: StateKind) -> bool:
    """Whether the clock of the resolution runs in states of a kind."""
    if kind in {"resolved", "closed"}:
        return False
    found = level_of(rules, facts)
    return found is None or kind not in found[1].pauses


def clock_of(
    rules: Configuration,
    zone: ZoneInfo,
    facts: TicketFacts,
    *,
    opened_at: datetime,
    responded_at: datetime | None,
    clock_s: int,
    running_since: datetime | None,
    at: datetime,
    runs: bool,
    ended: bool = False,
    counted_by: str | None = None,
    due: tuple[datetime | None, datetime | None] = (None, None),
) -> Clock:
    """What is due after a step at `at`, with the facts as they are after it.

    clock_s: business seconds that the clock had run at `running_since`; running_since: since when it runs, None while
    it stands still; runs: whether it runs after the step; ended: the ticket is resolved or closed after it, so that
    nothing is due; counted_by: the service level before the step, whose hours count up to it; None: the one after it;
    due: resolve_by and resolve_warn before the step. What is over by then stays due when it was.
    """
    found = level_of(rules, facts)
    before = rules.service_levels.get(counted_by) if counted_by is not None else None
    counting = before or (found[1] if found else None)
    ran = timedelta(seconds=clock_s)
    if counting is not None and running_since is not None:
        ran += _hours(rules, counting, zone).between(running_since, at)
    total = round(ran.total_seconds())
    if found is None:
        return Clock(None, None, None, None, None, total)
    code, level = found
    targets, hours = _targets(rules, level, facts) or Targets(), _hours(rules, level, zone)
    respond: _Due = (None, None)
    resolve: _Due = (None, None)
    if not ended and responded_at is None and targets.first_response is not None:
        limit, warn = _limits(level, targets.first_response)
        respond = hours.add(opened_at, limit), hours.add(opened_at, warn)
    if not ended and targets.resolution is not None:
        same = counting is not None and counting.calendar == level.calendar
        stay = _Stay(hours, timedelta(seconds=clock_s), running_since if same else None, ran, at, runs)
        limit, warn = _limits(level, targets.resolution)
        resolve = stay.due(limit, due[0]), stay.due(warn, due[1])
    return Clock(code, *respond, *resolve, total)


class _Stay(NamedTuple):
    """The clock of the resolution: it had run for `before` at `since`, and for `ran` at `at`; since is None where it
    stood still, or other hours counted."""

    hours: WorkingHours
    before: timedelta
    since: datetime | None
    ran: timedelta
    at: datetime
    runs: bool

    def due(self, limit: timedelta, known: datetime | None) -> datetime | None:
        """When the clock shows `limit`; of what it shows already: when it did, `known` if that was known."""
        if self.ran < limit:
            return self.hours.add(self.at, limit - self.ran) if self.runs else None
        if known is not None and known <= self.at:
            return known
        return self.at if self.since is None else self.hours.add(self.since, limit - self.before)


def _limits(level: ServiceLevel, target: timedelta) -> tuple[timedelta, timedelta]:
    """When a target is missed, and when to warn of it, in business time."""
    return target, target * level.warn_at


def _hours(rules: Configuration, level: ServiceLevel, zone: ZoneInfo) -> WorkingHours:
    return working_hours(rules.calendars[level.calendar], zone)
