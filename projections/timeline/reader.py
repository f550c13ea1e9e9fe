"""What can be read from the timeline? Pages of a story in both directions, what is new, and whose an identifier is.

A story is a customer's or a ref's. Places are opaque cursors: keyset, so that a page costs the same wherever it is.
All methods are coroutines over one pool; rows come with the record's bytes, still sealed.
"""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import BadInput, NotYet, Problem, Unavailable
from eventlog.sql import load

__all__ = [
    "Correction",
    "Customer",
    "CustomerThen",
    "Filters",
    "Organisation",
    "Page",
    "RefStory",
    "Row",
    "Story",
    "TimelineReader",
    "Told",
    "WithParties",
    "cursor_of",
]

_SQL = load("projections.timeline", "queries.sql") | load("projections.timeline", "gathered.sql")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER = datetime(1, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_LAST = UUID(int=2**128 - 1)
_POLL = 0.02


class Customer(NamedTuple):
    """The story of one customer, by any of its ids."""

    id: UUID


class RefStory(NamedTuple):
    """The story of one order, ticket, conversation …: `eventlog.record.ref_hash` of its clear form."""

    ref: UUID


Story = Customer | RefStory
"""What can be followed live, too."""


class CustomerThen(NamedTuple):
    """The story of a customer as of a moment: by evidences that were at home in it then. Events count that happened
    by the one time and were recorded by the other, corrections that were recorded."""

    customer: UUID
    evidences: tuple[UUID, ...]
    happened_by: datetime
    recorded_by: datetime


class WithParties(NamedTuple):
    """The story of a customer, with the events of others that name her as a party."""

    customer: UUID


class Organisation(NamedTuple):
    """The story of an organisation: its own, as that of a ref, and that of its contacts' evidences."""

    organisation: UUID
    evidences: tuple[UUID, ...]


Told = Story | CustomerThen | WithParties | Organisation
"""What has pages."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows of a story: any of each list (None: all), and `since <= happened_at < until`."""

    types: Sequence[str] | None = None
    channels: Sequence[str] | None = None
    directions: Sequence[str] | None = None
    since: datetime = _EVER
    until: datetime = _NEVER


class Correction(NamedTuple):
    """An event that corrects or retracts another: relation, its own name, its record."""

    relation: str
    name: UUID
    record: bytes


class Row(NamedTuple):
    """One event of a story. `future`: its time was claimed to lie in the future and counts as recorded_at;
    `customer`: whose it is, None where nobody is named. `roles`: as what it names her as a party, if asked."""

    name: UUID
    happened_at: datetime
    recorded_at: datetime
    future: bool
    log_partition: int
    log_offset: int
    record: bytes
    customer: UUID | None = None
    corrections: tuple[Correction, ...] = ()
    roles: tuple[str, ...] = ()


class Page(NamedTuple):
    """Rows, newest first, and the cursors that go on: `older` is None at the beginning of the story."""

    rows: list[Row]
    older: str | None
    newer: str | None


def cursor_of(row: Row, direction: str) -> str:
    """The opaque place of a row, to go on to what is `older` or `newer`."""
    micros = (row.happened_at - _EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(f"{direction[0]}{micros}.{row.name.hex}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[str, datetime, UUID]:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        micros, _, name = text[1:].partition(".")
        seconds, rest = divmod(int(micros[:20]), 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
        if text[0] not in "on":
            raise ValueError(text)
        return text[0], at, UUID(hex=name)
    except (ValueError, IndexError, OverflowError, OSError, Base64Error, UnicodeError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("cursor", "is not a cursor.", way_out)]) from None


class TimelineReader:
    """Reads the timeline through `pool` (opened by its owner). `log_id`: of the log whose positions count."""

    def __init__(self, pool: AsyncConnectionPool, log_id: str) -> None:
        self._pool, self._log_id = pool, log_id

    async def _fetch(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                await cursor.execute(_SQL[query], parameters)
                return await cursor.fetchall()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None

    async def page(self, story: Told, filters: Filters, cursor: str | None, limit: int) -> Page:
        """A page of a story: its newest rows, or what a cursor goes on to. At most `limit` rows."""
        direction, at, name = _place(cursor) if cursor else ("o", _NEVER, _LAST)
        older = direction == "o"
        kind, asked = _asked(story)
        parameters = {
            **asked,
            "at": at,
            "name": name,
            "since": filters.since,
            "until": filters.until,
            "types": _list(filters.types),
            "channels": _list(filters.channels),
            "directions": _list(filters.directions),
            "limit": limit + 1,
        }
        found = await self._fetch(f"{kind}_{'older' if older else 'newer'}", parameters)
        more = len(found) > limit
        rows = [Row(*values[:-1]) for values in found[:limit]]
        corrected = [values[0] for values in found[:limit] if values[-1]]
        if not older:
            rows.reverse()
        rows = await self._corrected(rows, corrected, asked.get("recorded_by"))
        if isinstance(story, WithParties):
            rows = await self._with_roles(rows, story.customer)
        goes_on = more if older else bool(rows)
        back = bool(cursor) if older else more
        return Page(
            rows,
            cursor_of(rows[-1], "older") if rows and goes_on else None,
            cursor_of(rows[0], "newer") if rows and (back or older) else None,
        )

    async def _corrected(
        self, rows: list[Row], names: Sequence[UUID] | None = None, recorded_by: datetime | None = None
    ) -> list[Row]:
        """The rows with what corrects or retracts them; `names`: of those that have such, where it is known;
        `recorded_by`: only what was recorded by then."""
        asked = [row.name for row in rows] if names is None else names
        if recorded_by is None:
            found = await self._fetch("corrections", {"names": asked}) if asked else []
        else:
            found = await self._fetch("corrections_then", {"names": asked, "recorded_by": recorded_by})
        if not found:
            return rows
        by_target: dict[UUID, list[Correction]] = {}
        for target, relation, name, record in found:
            by_target.setdefault(target, []).append(Correction(relation, name, record))
        return [row._replace(corrections=tuple(by_target.get(row.name, ()))) for row in rows]

    async def _with_roles(self, rows: list[Row], customer: UUID) -> list[Row]:
        """The rows with the roles in which they name a customer as a party."""
        roles = dict(await self._fetch("roles", {"names": [row.name for row in rows], "customer": customer}))
        return [row._replace(roles=tuple(roles.get(row.name, ()))) for row in rows]

    async def one(self, name: UUID) -> Row | None:
        """One event by the hash of its name."""
        found = await self._fetch("one", {"name": name})
        return (await self._corrected([Row(*found[0])]))[0] if found else None

    async def lookup(self, tokens: Sequence[str], limit: int = 100) -> list[UUID]:
        """The customers that any of these tokens (`kind.generation.HASH`) leads to."""
        hashes = [UUID(hex=token[-32:]) for token in tokens]
        return [row[0] for row in await self._fetch("customers_of_tokens", {"tokens": hashes, "limit": limit})]

    async def customers_of_ref(self, ref: UUID, limit: int = 100) -> list[UUID]:
        """The customers on a ref's timeline."""
        return [row[0] for row in await self._fetch("customers_of_ref", {"ref": ref, "limit": limit})]

    async def newer_than(self, story: Story, vector: Mapping[int, int], limit: int) -> list[Row]:
        """A story's rows whose position lies behind the vector `{partition: last offset seen}`, in log order."""
        kind = "customer" if isinstance(story, Customer) else "ref"
        parameters = {
            kind: story[0],
            "partitions": list(vector),
            "offsets": list(vector.values()),
            "limit": limit,
        }
        return await self._corrected([Row(*values) for values in await self._fetch(f"{kind}_live", parameters)])

    async def stirred(self, stories: Sequence[Story], low: Mapping[int, int], high: Mapping[int, int]) -> set[Story]:
        """Which of these stories got something at positions from `low` on, before `high`."""
        spans = [(part, low.get(part, 0), end) for part, end in high.items() if end > low.get(part, 0)]
        customers = [story.id for story in stories if isinstance(story, Customer)]
        refs = [story.ref for story in stories if isinstance(story, RefStory)]
        span = {
            "partitions": [one[0] for one in spans],
            "low": [one[1] for one in spans],
            "high": [one[2] for one in spans],
        }
        found: set[Story] = set()
        if spans and customers:
            rows = await self._fetch("stirred_customers", {**span, "customers": customers})
            found.update(Customer(row[0]) for row in rows)
        if spans and refs:
            rows = await self._fetch("stirred_refs", {**span, "refs": refs})
            found.update(RefStory(row[0]) for row in rows)
        return found

    async def positions(self) -> dict[int, int]:
        """`{partition: next offset}`: everything before is visible."""
        return {row[0]: row[1] for row in await self._fetch("positions", {"log_id": self._log_id})}

    async def took_over(self) -> bool:
        """Did this log take the place of another, whose positions may still be asked for?"""
        return bool((await self._fetch("took_over", {"log_id": self._log_id}))[0][0])

    async def wait_for(self, vector: Mapping[int, int], seconds: float) -> None:
        """Return once the records at the vector's offsets are visible; NotYet after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            seen = await self.positions()
            if all(seen.get(part, 0) > offset for part, offset in vector.items()):
                return
            if time.monotonic() >= until:
                raise NotYet("What was published is on the log, but not visible yet; ask again.")
            await asyncio.sleep(_POLL)


def _asked(story: Told) -> tuple[str, dict[str, Any]]:
    """What the queries of a story are called, and what they ask with."""
    if isinstance(story, Customer):
        return "customer", {"customer": story.id}
    if isinstance(story, RefStory):
        return "ref", {"ref": story.ref}
    if isinstance(story, WithParties):
        return "parties", {"customer": story.customer}
    kind = "then" if isinstance(story, CustomerThen) else "organisation"
    return kind, {**story._asdict(), "evidences": list(story.evidences)}


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
