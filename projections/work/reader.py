"""Which deals, tickets, tasks and leads are there, whose are they, and what happened to one of them?

All methods are coroutines over one pool; each reads a bounded page, and goes on by an opaque cursor. Titles are
sealed: `records` gives the events that may hold them, for whoever may open them.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from domain.errors import BadInput, Problem
from eventlog.sql import load
from projections.connecting import reading
from projections.work.rows import DealRow, HistoryRow, LeadRow, NoticeRow, Row, Sealed, TaskRow, TicketRow

__all__ = ["MOST_STEPS", "Column", "DealFilter", "LeadFilter", "OfCustomer", "Page", "Stays", "TaskFilter",
           "TicketFilter", "WorkReader"]  # fmt: skip

_SQL: Final = load("projections.work", "queries.sql")
_EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_LAST: Final = UUID(int=2**128 - 1)
_FIRST: Final = UUID(int=0)
_BEGINNING: Final = "-infinity"
_END: Final = "infinity"
_MOST_GROUPS: Final = 1000
MOST_STEPS: Final = 10_000
"""As many steps of one history are read."""

Kind = Literal["deal", "ticket", "task", "lead"]
Stays = Mapping[str, datetime]
"""By stage, before which moment a deal came to it that stalls there."""
_NO_STAYS: Final[Stays] = {}
_ROWS: Final[dict[str, type[Any]]] = {"deal": DealRow, "ticket": TicketRow, "task": TaskRow, "lead": LeadRow}
T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Some of what was asked for. `after`: the cursor to go on with, None at the end."""

    rows: tuple[T, ...]
    after: str | None


class DealFilter(NamedTuple):
    """Which deals? unnamed: those that name no pipeline, too. stays: only those that stall, see `Stays`."""

    pipeline: str | None = None
    unnamed: bool = False
    stage: str | None = None
    statuses: Sequence[str] = ("open", "won", "lost")
    assignee: str | None = None
    team: str | None = None
    stays: Stays | None = None


class TicketFilter(NamedTuple):
    """Which tickets? due_by: only those of which something is due by then."""

    statuses: Sequence[str] = ("open",)
    states: Sequence[str] | None = None
    queue: str | None = None
    assignee: str | None = None
    unassigned: bool = False
    team: str | None = None
    priority: str | None = None
    category: str | None = None
    product: str | None = None
    due_by: datetime | None = None


class TaskFilter(NamedTuple):
    """Which tasks? about: the hash of the ref (`deal:ID`) that they are on."""

    statuses: Sequence[str] = ("open",)
    assignee: str | None = None
    team: str | None = None
    due_by: datetime | None = None
    about: UUID | None = None


class LeadFilter(NamedTuple):
    """Which leads?"""

    statuses: Sequence[str] = ("open",)
    assignee: str | None = None
    team: str | None = None
    origin: str | None = None
    campaign: str | None = None


class Column(NamedTuple):
    """Open deals of one stage and currency. expected: by their probability; stalled: how many stall, see `Stays`."""

    stage: str | None
    currency: str | None
    deals: int
    amount: Decimal
    expected: Decimal
    stalled: int


class OfCustomer(NamedTuple):
    """What there is of a customer."""

    deals: tuple[DealRow, ...]
    tickets: tuple[TicketRow, ...]
    tasks: tuple[TaskRow, ...]
    leads: tuple[LeadRow, ...]


class WorkReader:
    """Reads the tables of `work` through `pool`, which its owner opens. Methods raise Unavailable, and BadInput for
    what is no cursor."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def deals(self, chosen: DealFilter, cursor: str | None, limit: int) -> Page[DealRow]:
        """A page of deals, the last changed first."""
        asked = {**chosen._asdict(), **_stays(chosen.stays), "stalled": chosen.stays is not None}
        return await self._page("deals", DealRow, asked, _place(cursor, _END, _LAST), limit, "changed_at")

    async def board(self, chosen: DealFilter) -> list[Column]:
        """The open deals of a pipeline, summed by stage and currency; `stays` says which of them stall."""
        asked = {**chosen._asdict(), **_stays(chosen.stays), "most": _MOST_GROUPS}
        return [Column(*row) for row in await self._fetch("board", asked)]

    async def stalls(self, since: datetime) -> list[tuple[str | None, str | None, int]]:
        """(pipeline, stage, how often a deal stalled there since), the most first."""
        return [
            (row[0], row[1], row[2]) for row in await self._fetch("stalls", {"since": since, "most": _MOST_GROUPS})
        ]

    async def tickets(self, chosen: TicketFilter, cursor: str | None, limit: int) -> Page[TicketRow]:
        """A page of tickets, the first due first."""
        place = _place(cursor, _BEGINNING, _FIRST)
        return await self._page("tickets", TicketRow, chosen._asdict(), place, limit, "due")

    async def states(self, chosen: TicketFilter) -> dict[str | None, int]:
        """How many tickets there are by state."""
        return dict(await self._fetch("states", {**chosen._asdict(), "most": _MOST_GROUPS}))

    async def tasks(self, chosen: TaskFilter, cursor: str | None, limit: int) -> Page[TaskRow]:
        """A page of tasks, the first due first."""
        place = _place(cursor, _BEGINNING, _FIRST)
        return await self._page("tasks", TaskRow, chosen._asdict(), place, limit, "due")

    async def leads(self, chosen: LeadFilter, cursor: str | None, limit: int) -> Page[LeadRow]:
        """A page of leads, the latest first."""
        place = _place(cursor, _END, _LAST)
        return await self._page("leads", LeadRow, chosen._asdict(), place, limit, "captured_at")

    async def notices(self, user: str, cursor: str | None, limit: int) -> Page[NoticeRow]:
        """What a colleague was told, the latest first."""
        place = _place(cursor, _END, _LAST)
        return await self._page("notices", NoticeRow, {"user": user}, place, limit, "happened_at")

    async def one(self, item: UUID) -> Row | None:
        """The deal, ticket, task or lead of an id; None for what is none."""
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["snapshot"])
            cursor = connection.cursor(binary=True)
            known = await (await cursor.execute(_SQL["kind"], {"item": item})).fetchone()
            if known is None or known[0] not in _ROWS:
                return None
            row = await (await cursor.execute(_SQL[f"one_{known[0]}"], {"item": item})).fetchone()
        return None if row is None else _row(_ROWS[known[0]], row)

    async def of_customer(
        self, node: UUID, limit: int, statuses: Collection[str] = ("open",)
    ) -> OfCustomer | None:  # fmt: skip
        """Up to `limit` of each kind of the customer of any of her nodes; None for what is no node."""
        async with reading(self._pool) as connection, connection.transaction():
            await connection.execute(_SQL["snapshot"])
            cursor = connection.cursor(binary=True)
            known = await (await cursor.execute(_SQL["evidences"], {"node": node})).fetchone()
            if known is None:
                return None
            asked = {"evidences": known[0], "statuses": list(statuses), "limit": limit}
            found = []
            for kind, row in _ROWS.items():
                rows = await (await cursor.execute(_SQL[f"{kind}s_of"], asked)).fetchall()
                found.append(tuple([_row(row, one) for one in rows]))
        return OfCustomer(*found)

    async def erased(self, evidence: UUID) -> bool:
        """Was whoever an evidence is of erased?"""
        return bool((await self._fetch("erased", {"evidence": evidence}))[0][0])

    async def history(
        self, item: UUID, happened_by: datetime | None = None, recorded_by: datetime | None = None,
        most: int = MOST_STEPS,
    ) -> list[HistoryRow]:  # fmt: skip
        """The steps of an item, the first ones first, by what had happened and what was recorded by then. Of events
        that were corrected it knows what counts now."""
        asked = {
            "item": item, "most": most, "happened_by": happened_by or _EVER, "recorded_by": recorded_by or _EVER,
        }  # fmt: skip
        return [_row(HistoryRow, row) for row in await self._fetch("history", asked)]

    async def records(self, names: Iterable[UUID]) -> dict[UUID, Sealed]:
        """The records of events, by name."""
        asked = {"names": list(names)}
        return {row[0]: Sealed(*row[1:]) for row in await self._fetch("records", asked)} if asked["names"] else {}

    async def _page(
        self, query: str, row: type[T], asked: Mapping[str, Any], place: Mapping[str, Any], limit: int, by: str
    ) -> Page[T]:
        found = [_row(row, one) for one in await self._fetch(query, {**asked, **place, "limit": limit + 1})]
        if len(found) <= limit:
            return Page(tuple(found), None)
        last: Any = found[limit - 1]
        return Page(tuple(found[:limit]), _cursor(getattr(last, by), last[0]))

    async def _fetch(self, query: str, asked: Mapping[str, Any]) -> list[Any]:
        asked = {name: list(value) if isinstance(value, tuple) else value for name, value in asked.items()}
        async with reading(self._pool) as connection:
            return await (await connection.cursor(binary=True).execute(_SQL[query], asked)).fetchall()


def _row(row: type[T], values: Sequence[Any]) -> T:
    """A row out of its columns; arrays become tuples."""
    return row(*[tuple(value) if isinstance(value, list) else value for value in values])


def _stays(stays: Stays | None) -> dict[str, Any]:
    return {"stages": list(stays or _NO_STAYS), "befores": list((stays or _NO_STAYS).values())}


def _cursor(at: datetime | None, item: UUID) -> str:
    """The opaque place of a row in a list."""
    told = _END if at is None else at.astimezone(UTC).isoformat()
    return urlsafe_b64encode(f"{told} {item.hex}".encode()).decode().rstrip("=")


def _place(cursor: str | None, at: str, item: UUID) -> dict[str, Any]:
    """Where a page begins: what `_cursor` gave, or `at` and `item` for None. Raises BadInput."""
    if cursor is None:
        return {"at": at, "after": item}
    try:
        told, _, value = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(" ")
        if told != _END:  # written anew: not all that Python takes for a moment is one to Postgres
            moment = datetime.fromisoformat(told)
            if moment.tzinfo is None:
                raise ValueError("a moment without an offset")
            told = moment.astimezone(UTC).isoformat()
        return {"at": told, "after": UUID(hex=value)}
    except (ValueError, OverflowError, Base64Error, UnicodeError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("cursor", "is not a cursor.", way_out)]) from None
