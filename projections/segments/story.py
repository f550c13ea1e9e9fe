"""What does a rule see of one customer? Her story, read in one snapshot, as it is now or as it was at a moment.

As of a moment she is who she was then; what was taken back or put right since counts as it is right. Deals, tickets,
tasks and leads are as they are now, if they were there then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from anyio import to_thread
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from domain.catalogue.registry import Catalogue
from domain.consents import Joined, Word
from domain.errors import BadInput, Problem
from domain.facts import INTERESTING, Trade, types_with_money
from domain.profile import Claim
from domain.segment_story import CustomerStory, Item, Listing, Named, Place
from domain.segments import Rule
from eventlog.sql import load
from projections.connecting import reading
from projections.customers.reader import joined_of_rows
from projections.identity.as_of import Moment, then
from projections.segments.telling import (
    Asked,
    asked_by,
    happened_of,
    industry_of,
    organisations_of,
    products_of,
)
from projections.timeline.reader import Row

__all__ = ["StoryReader"]

_SQL: Final = load("projections.segments", "story.sql")
_CUSTOMERS: Final = load("projections.customers", "queries.sql")
_MOST_EVENTS: Final = 50_000
_MOST_ROWS: Final = 5000
_MOST_LINKS: Final = 5000
_MOST_MERGES: Final = 200
_KINDS: Final = {"deals": "deal", "tickets": "ticket", "tasks": "task", "leads": "lead"}
_Connection = psycopg.AsyncConnection[Any]


class _Whose(NamedTuple):
    customer: UUID
    evidences: list[UUID]
    nodes: list[UUID]


class StoryReader:
    """Reads stories through `pool`, which its owner opens. Raises Unavailable where it does not answer, BadInput
    where too much happened to be looked at."""

    def __init__(self, pool: AsyncConnectionPool, catalogue: Catalogue) -> None:
        self._pool, self._catalogue = pool, catalogue
        self._system = [one.name for one in catalogue if one.category == "system"]
        self._telling = INTERESTING | types_with_money(catalogue)

    async def story(
        self, node: UUID, rules: Iterable[Rule], now: datetime, as_of: datetime | None = None
    ) -> CustomerStory | None:
        """The story of the customer of any of her ids, as far as these rules ask for it, until `now`; None for what
        is no id. as_of: she is who she was then. Raises NotFound for who was not there then."""
        asked = asked_by(rules, self._telling)
        async with reading(self._pool) as connection, connection.transaction():
            if as_of is None:
                await connection.execute(_SQL["snapshot"])
            whose = await self._whose(connection, node, as_of)
            return None if whose is None else await _Telling(connection, whose, now, self).told(asked)

    async def rows(self, names: Collection[UUID]) -> list[Row]:
        """Events as the timeline shows them."""
        async with reading(self._pool) as connection:
            found = await connection.cursor(binary=True).execute(_SQL["rows"], {"names": list(names)})
            return [Row(*row) for row in await found.fetchall()]

    @staticmethod
    async def _whose(connection: _Connection, node: UUID, as_of: datetime | None) -> _Whose | None:
        if as_of is not None:
            found = await then(connection, node, Moment(happened_by=as_of))
            return _Whose(found.customer, list(found.evidences), [one.node for one in found.nodes()])
        row = await (await connection.execute(_SQL["customer"], {"node": node})).fetchone()
        return None if row is None else _Whose(*row)

    @property
    def catalogue(self) -> Catalogue:
        """What the types of events are."""
        return self._catalogue

    @property
    def system(self) -> list[str]:
        """Types of events that no rule sees."""
        return self._system


class _Telling:
    """The queries of one snapshot, over a connection within its transaction."""

    def __init__(self, connection: _Connection, whose: _Whose, until: datetime, reader: StoryReader) -> None:
        self._connection, self._whose, self._reader = connection, whose, reader
        self._asked = {**whose._asdict(), "until": until, "most": _MOST_ROWS}

    async def told(self, asked: Asked) -> CustomerStory:
        sought = {"types": list(asked.types), "touches": asked.touches, "system": self._reader.system}
        rows = await self._rows("events", **sought, most=_MOST_EVENTS + 1)
        if len(rows) > _MOST_EVENTS:
            raise _too_many()
        events = await to_thread.run_sync(happened_of, rows, self._reader.catalogue)
        trades = await self._rows("trades", most=_MOST_EVENTS)
        words = [Word(*row) for row in await self._rows("words")]
        products = products_of(events) if asked.categories else []
        return CustomerStory(
            self._whose.customer,
            events=events,
            trades=[Trade(*row[:7]) for row in trades],
            places=[Place(row[0], row[1], row[7]) for row in trades if row[7]],
            words=words,
            joined=await self._joined() if len({word.evidence for word in words}) > 1 else None,
            claims=[Claim(*row) for row in await self._rows("claims")],
            identifiers=[Named(*row) for row in await self._rows("identifiers")],
            items=await self._items(),
            industries=await self._industries(),
            categories=dict(await self._rows("categories", products=products)) if products else {},
            lists=[Listing(*row) for row in await self._rows("lists")],
        )

    async def _rows(self, query: str, **parameters: Any) -> list[Any]:
        asked = {**self._asked, **parameters}
        return await (await self._connection.cursor(binary=True).execute(_SQL[query], asked)).fetchall()

    async def _joined(self) -> Joined:
        links = await self._customers("links", _MOST_LINKS)
        return joined_of_rows(links, await self._customers("merges", _MOST_MERGES))

    async def _customers(self, query: str, most: int) -> list[Any]:
        asked = {**self._asked, "most": most}
        return await (await self._connection.cursor(binary=True).execute(_CUSTOMERS[query], asked)).fetchall()

    async def _items(self) -> list[Item]:
        found: list[Item] = []
        for query, kind in _KINDS.items():
            cursor = self._connection.cursor(binary=True, row_factory=dict_row)
            rows = await (await cursor.execute(_SQL[query], self._asked)).fetchall()
            found += [Item(kind, row["item"], row) for row in rows]
        return found

    async def _industries(self) -> list[str]:
        """Of the organisations whose latest description names her."""
        named = await self._rows("described")
        organisations = organisations_of([record for _, record in named])
        if not organisations:
            return []
        hers = {name for name, _ in named}
        latest = await self._rows("latest", refs=organisations)
        told = [
            industry_of(record, better, self._reader.catalogue) for name, record, better in latest if name in hers
        ]
        return [one for one in dict.fromkeys(told) if one is not None]


def _too_many() -> BadInput:
    trouble = f"has more than {_MOST_EVENTS:,} events that the rule asks for: too many to tell reasons of."
    return BadInput([Problem("id", trouble, "Look at their timeline instead.")])
