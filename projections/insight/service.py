"""How well are customers served? Times of response and resolution, what was promised and kept, and the backlog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.sql import Composed
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.insight.asking import BUCKETS, MOST_GROUPS, Figures, Query, Times, Window, keys_of

__all__ = ["Backlog", "Group", "Running", "ServiceReader", "TicketFact", "Tickets"]

_SQL: Final = load("projections.insight", "service.sql")
_COUNTED: Final = ("opened", "closed", "reopened", "response_missed", "resolution_missed")
_TIMED: Final = ("responded", "resolved")
_PROMISED: Final = {"response_met": "responded", "resolution_met": "resolved"}
"""What has to have happened for what was promised to be kept."""
_KEYS: Final = {
    "hour": ("hour", "hour"), "weekday": ("weekday", "day"), "day": ("local", "day"), "week": ("local", "week"),
    "month": ("local", "month"),
}  # fmt: skip
"""What ranges of time go by, and how long one is."""


class Tickets(NamedTuple):
    """Which tickets? By what they are now; None: any."""

    team: str | None = None
    assignee: str | None = None
    queue: str | None = None
    channel: str | None = None
    priority: str | None = None
    category: str | None = None
    product: str | None = None
    service_level: str | None = None


class Group(NamedTuple):
    """What happened to tickets within a period. key: of the group, None where it has none. business: resolution by
    the clock of the service level, of tickets that are kept here."""

    key: str | None
    opened: int
    resolved: int
    closed: int
    reopened: int
    response_met: int
    response_missed: int
    resolution_met: int
    resolution_missed: int
    response: Times
    resolution: Times
    business: Times


class Running(NamedTuple):
    """Tickets that are open now: with a first response that is due and not over, and with such a resolution."""

    open: int
    response: int
    resolution: int


class TicketFact(NamedTuple):
    """One ticket behind a figure: when it happened, and how long it took (wall clock, and business time)."""

    item: UUID
    ref: str
    native: bool
    at: datetime
    seconds: float | None
    business: float | None
    customer: UUID | None


class Backlog(NamedTuple):
    """How many were open when a day ended, how many were opened on it or taken up again, and how many ended."""

    day: date
    open: int
    opened: int
    ended: int


class ServiceReader:
    """Asks for figures of tickets through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def groups(self, window: Window, chosen: Tickets, by: str) -> tuple[Group, list[Group], Running]:
        """(all of them, by group, what runs now). by: one of BUCKETS or of the fields of `Tickets`."""
        asked = {**window._asdict(), **chosen._asdict(), **_steps_of(by), "most": MOST_GROUPS}
        rows, running = await self._figures.fetch_all([_series(by), _of_chosen("running")], asked)
        told: dict[tuple[bool, str | None], dict[str, Any]] = {}
        for what, whole, key, *figures in rows:
            told.setdefault((whole, key), {})[what] = figures
        keys = sorted((key for whole, key in told if not whole), key=lambda key: (key is None, key or ""))
        groups = [_group(key, told[False, key]) for key in keys[: MOST_GROUPS - 1]]
        return _group(None, told[True, None]), groups, Running(*running[0])

    async def tickets(
        self, window: Window, chosen: Tickets, by: str | None, key: str | None, what: str,
        before: tuple[datetime, UUID], limit: int,
    ) -> list[TicketFact]:  # fmt: skip
        """The tickets behind a figure, the latest first. by: None for those of all groups."""
        asked = {
            **window._asdict(), **chosen._asdict(), "promised": what in _PROMISED, "keyed": by is not None,
            "key": key, "before_at": before[0], "before_name": before[1], "limit": limit,
        }  # fmt: skip
        facts = sql.SQL(_SQL[_PROMISED.get(what, what)])
        query = sql.SQL(_SQL["tickets"]).format(facts=facts, chosen=sql.SQL(_SQL["chosen"]), **keys_of(by or "day"))
        return [TicketFact(*row) for row in await self._figures.fetch(query, asked)]

    async def backlog(self, window: Window, chosen: Tickets) -> list[Backlog]:
        """Each day of the period."""
        asked = {**window._asdict(), **chosen._asdict(), **_steps_of("day"), "most": MOST_GROUPS}
        query = sql.SQL(_SQL["backlog"]).format(ranges=_ranges("day"), chosen=sql.SQL(_SQL["chosen"]))
        return [Backlog(*row) for row in await self._figures.fetch(query, asked)]


def _of_chosen(query: str) -> Composed:
    return sql.SQL(_SQL[query]).format(chosen=sql.SQL(_SQL["chosen"]))


def _series(by: str) -> Query:
    measures = [_measure("counted", one, by) for one in _COUNTED] + [_measure("timed", one, by) for one in _TIMED]
    ranges = _ranges(by) if by in BUCKETS else sql.SQL("")
    every = sql.SQL(" UNION ALL ").join(measures)
    return sql.SQL(_SQL["series"]).format(ranges=ranges, measures=every, **keys_of(by))


def _measure(how: str, what: str, by: str) -> Composed:
    source = sql.SQL(_SQL["by_time" if by in BUCKETS else "by_column"]).format(
        facts=sql.SQL(_SQL[what]), chosen=sql.SQL(_SQL["chosen"]), **keys_of(by)
    )
    return sql.SQL(_SQL[how]).format(what=sql.Literal(what), source=source)


def _ranges(by: str) -> Composed:
    return sql.SQL(_SQL["ranges"]).format(key=sql.SQL(_SQL[_KEYS[by][0]]))


def _steps_of(by: str) -> dict[str, str]:
    """What ranges of time are asked with."""
    unit = _KEYS[by][1] if by in _KEYS else "day"
    return {"unit": unit, "step": f"1 {unit}"}


def _group(key: str | None, told: Mapping[str, Sequence[Any]]) -> Group:
    """told: of what happened, how often, and what `timed` tells of it."""

    def of(what: str, place: int) -> Any:
        return told[what][place] if what in told else None

    def times(what: str, place: int, measured: int) -> Times:
        return Times(of(what, measured) or 0, of(what, place), of(what, place + 1), of(what, place + 2))

    counts = {one: of(one, 0) or 0 for one in (*_COUNTED, *_TIMED)}
    return Group(
        key, counts["opened"], counts["resolved"], counts["closed"], counts["reopened"], of("responded", 1) or 0,
        counts["response_missed"], of("resolved", 1) or 0, counts["resolution_missed"], times("responded", 2, 0),
        times("resolved", 2, 0), times("resolved", 6, 5),
    )  # fmt: skip
