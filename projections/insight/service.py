"""How well are customers served? Times of response and resolution, what was promised and kept, and the backlog."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.sql import Composed
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.insight.asking import MOST_GROUPS, Figures, Query, Times, Window, keys_of

__all__ = ["Backlog", "Group", "Running", "ServiceReader", "TicketFact", "Tickets"]

_SQL: Final = load("projections.insight", "service.sql")


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
        asked = {**window._asdict(), **chosen._asdict(), "most": MOST_GROUPS}
        rows, running = await self._figures.fetch_all([_with_facts("series", by), _of_chosen("running")], asked)
        whole, *groups = [_group(row) for row in rows]
        return whole, groups, Running(*running[0])

    async def tickets(
        self, window: Window, chosen: Tickets, by: str | None, key: str | None, what: str,
        before: tuple[datetime, UUID], limit: int,
    ) -> list[TicketFact]:  # fmt: skip
        """The tickets behind a figure, the latest first. by: None for those of all groups."""
        asked = {
            **window._asdict(), **chosen._asdict(), "what": what, "keyed": by is not None, "key": key,
            "before_at": before[0], "before_name": before[1], "limit": limit,
        }  # fmt: skip
        rows = await self._figures.fetch(_with_facts("tickets", by or "day"), asked)
        return [TicketFact(*row) for row in rows]

    async def backlog(self, window: Window, chosen: Tickets) -> list[Backlog]:
        """Each day of the period."""
        asked = {**window._asdict(), **chosen._asdict(), "most": MOST_GROUPS}
        return [Backlog(*row) for row in await self._figures.fetch(_of_chosen("backlog"), asked)]


def _with_facts(query: str, by: str) -> Query:
    return sql.SQL(_SQL[query]).format(facts=_of_chosen("facts"), **keys_of(by))


def _of_chosen(query: str) -> Composed:
    return sql.SQL(_SQL[query]).format(chosen=sql.SQL(_SQL["chosen"]))


def _group(row: Any) -> Group:
    key, counts, times = row[1], row[2:10], row[10:]
    return Group(key, *counts, *[Times(*times[place : place + 4]) for place in (0, 4, 8)])
