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
from projections.insight.ranges import ranges_by, steps_of

__all__ = ["Backlog", "Group", "Running", "ServiceReader", "TicketFact", "Tickets"]

_SQL: Final = load("projections.insight", "service.sql")
_COUNTED: Final = ("opened", "closed", "reopened", "response_missed", "resolution_missed")
_TIMED: Final = ("responded", "resolved")
_TURNS: Final = ("opened", "reopened", "ended")
_TIMES: Final = sql.Identifier("work", "ticket_times")
_PROMISED: Final = {"response_met": "responded", "resolution_met": "resolved"}
"""What has to have happened for what was promised to be kept."""


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
        asked = {**window._asdict(), **chosen._asdict(), **steps_of(by), "most": MOST_GROUPS}
        series = _series(by, any(chosen), (*_COUNTED, *_TIMED))
        rows, running = await self._figures.fetch_all([series, _of_chosen("running")], asked)
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
        facts = _facts(_PROMISED.get(what, what), _TIMES)
        query = sql.SQL(_SQL["tickets"]).format(facts=facts, chosen=sql.SQL(_SQL["chosen"]), **keys_of(by or "day"))
        return [TicketFact(*row) for row in await self._figures.fetch(query, asked)]

    async def backlog(self, window: Window, chosen: Tickets) -> list[Backlog]:
        """Each day of the period."""
        asked = {**window._asdict(), **chosen._asdict(), **steps_of("day"), "most": MOST_GROUPS}
        series = _series("day", any(chosen), _TURNS)
        queries = [series, sql.SQL(_SQL["days"]), _of_chosen("standing")]
        rows, days, [(standing,)] = await self._figures.fetch_all(queries, asked)
        counts = {(what, key): happened for what, _, key, happened, *_ in rows}
        found = []
        for [day] in reversed(days):
            opened, reopened, ended = [counts.get((what, day.isoformat()), 0) for what in _TURNS]
            found.append(Backlog(day, standing, opened + reopened, ended))
            standing += ended - opened - reopened
        return found[::-1]


def _of_chosen(query: str) -> Composed:
    """The query with all of the facts that it may ask for."""
    facts = {what: _facts(what, _TIMES) for what in _TURNS}
    return sql.SQL(_SQL[query]).format(chosen=sql.SQL(_SQL["chosen"]), **facts)


def _facts(what: str, times: sql.Identifier) -> Composed:
    return sql.SQL(_SQL[what]).format(times=times)


def _series(by: str, some: bool, whats: Sequence[str]) -> Query:
    """Where all tickets are asked about, moments are found by their indexes; of `some`, and by a column, the tickets
    are found first, and of them what happened."""
    keys = keys_of(by)
    ranged = by in BUCKETS and not some
    first = ranges_by(by) if ranged else _of_chosen("of_chosen")
    measures = []
    for what in whats:
        facts = _facts(what, _TIMES if ranged else sql.Identifier("chosen"))
        found = "by_key" if not ranged else "by_hour" if by == "hour" else "by_time"
        source = sql.SQL(_SQL[found]).format(facts=facts, **keys)
        how = sql.SQL(_SQL["timed" if what in _TIMED else "counted"])
        measures.append(how.format(what=sql.Literal(what), source=source))
    return sql.SQL(_SQL["series"]).format(first=first, measures=sql.SQL(" UNION ALL ").join(measures), **keys)


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
