"""Which customers does a search find? At once what is typed exactly or begins so, and only behind it what is alike.

What matched is pooled per customer, so that merged ones come once, and ranked: an identifier, a name, a number, a
beginning, a likeness; then who was met last. Every step reads a bounded number of rows. All methods are coroutines
over one pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import Unavailable
from domain.identifiers import KINDS
from eventlog.sql import load
from projections.directory.asking import Asked
from projections.directory.likening import Span, misspelt, spans

__all__ = ["Customer", "DirectoryReader", "Found", "Match", "settled_name"]

_SQL = load("projections.directory", "queries.sql")
_BOUNDS: Final = {"terms": 40, "spread": 10, "each": 200, "likely": 100, "close": 500}
"""Most terms with one beginning, most evidences of one of them, most evidences at all; most words that are compared
with a typed one, most addresses."""
_TOLERANCE: Final = {"words": "0.2", "addresses": "0.6", "patience": "1000ms"}
_SHOWING: Final = {"evidences": 200, "claims": 20, "identifiers": 5}
"""Most evidences of a customer that are looked at to show her, most claims, most identifiers that are shown."""
_CANDIDATES: Final = 3
"""How many times the limit are ranked by who was met last."""
_REASONS: Final = 5
_SHOWN: Final = ("contacts", "names", "identifiers")
"""What is read of each customer that is shown."""
_EXACT: Final = 3
"""The last rank of what was typed in full."""
_ENOUGH: Final = 5
"""Customers whose name or number begins with what was typed, from which on nobody looks for what is alike."""
_NEVER: Final = (datetime(1, 1, 1, tzinfo=UTC), 0)

_Cursor = psycopg.AsyncCursor[Any]
_Connection = psycopg.AsyncConnection[Any]
_Row = tuple[Any, ...]
_Met = dict[UUID, tuple[datetime, int]]


class Match(NamedTuple):
    """Why a customer was found. rank: 1 identifier, 2 name, 3 number, 4 beginning, 5 likeness. kind: of the
    identifier or number, or `name`. found: what it matches (None where only its hash is kept). likeness: 0 to 1."""

    rank: int
    kind: str
    found: str | None
    likeness: float


class Customer(NamedTuple):
    """A customer that was found. identifiers: (kind, value, namespace). last_at: of the last touchpoint."""

    id: UUID
    matches: tuple[Match, ...]
    name: str | None
    identifiers: tuple[tuple[str, str, str], ...]
    touchpoints: int
    last_at: datetime | None


class Found(NamedTuple):
    """Customers, best first. more: further ones match. cut: looking for what is alike took too long and was ended."""

    customers: list[Customer]
    more: bool
    cut: bool


_Candidates = dict[UUID, set[Match]]
"""What matched, per customer."""


class DirectoryReader:
    """Reads the directory through `pool` (opened by its owner)."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def search(self, asked: Asked, limit: int) -> Found:
        """At most `limit` customers. Raises Unavailable."""
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                candidates = _pooled(await _at_once(cursor, asked))
                cut = False
                if len(candidates) < min(limit, _ENOUGH) and not _has_exact(candidates):
                    cut = not await _add_alike(connection, cursor, asked, limit, candidates)
                return await _dressed(connection, candidates, limit, cut)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise _silent(error) from None

    async def of_nodes(self, nodes: Sequence[UUID], limit: int) -> Found:
        """The customers of identifiers by their hashes, for kinds that no term holds. Raises Unavailable."""
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                await cursor.execute(_SQL["by_node"], {"nodes": list(nodes)})
                return await _dressed(connection, _pooled(await cursor.fetchall()), limit, False)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise _silent(error) from None


def settled_name(claims: Iterable[Sequence[str | None]]) -> str | None:
    """The name to show, of (name, given name, family name) as JSON texts, newest claim first, None where a claim does
    not speak of it: the whole name, else its parts; the latest word on each counts, and may have cleared it."""
    latest: list[str | None] = [None, None, None]
    for claim in claims:
        latest = [known if known is not None else said for known, said in zip(latest, claim, strict=True)]
    name, *parts = [msgspec.json.decode(said) if said is not None else None for said in latest]
    return name or " ".join([part for part in parts if part]) or None


async def _at_once(cursor: _Cursor, asked: Asked) -> list[_Row]:
    parameters = {
        **_BOUNDS,
        "kinds": [kind for kind, _ in asked.exact],
        "exact": [term for _, term in asked.exact],
        "prefixes": asked.prefixes,
        "code": asked.code,
    }
    await cursor.execute(_SQL["at_once"], parameters)
    return await cursor.fetchall()


async def _add_alike(
    connection: _Connection, cursor: _Cursor, asked: Asked, limit: int, candidates: _Candidates
) -> bool:
    """Add what is alike; False when it takes too long."""
    try:
        async with connection.transaction():
            await cursor.execute(_SQL["be_tolerant"], _TOLERANCE)
            if asked.words:
                await cursor.execute(_SQL["likely_words"], {**_BOUNDS, "typed": misspelt(asked.words)})
                low, high, likeness = _columns(spans(asked.words, await cursor.fetchall()))
                await cursor.execute(_SQL["named"], {**_BOUNDS, "low": low, "high": high, "likeness": likeness})
                _pooled(await cursor.fetchall(), candidates)
            if asked.address and len(candidates) < limit:
                await cursor.execute(_SQL["addressed"], {**_BOUNDS, "address": asked.address})
                _pooled(await cursor.fetchall(), candidates)
    except psycopg.errors.QueryCanceled:
        return False
    return True


def _columns(found: Sequence[Span]) -> tuple[list[str], list[str], list[float]]:
    return [one.low for one in found], [one.high for one in found], [one.likeness for one in found]


def _has_exact(candidates: _Candidates) -> bool:
    return any(match.rank <= _EXACT for matches in candidates.values() for match in matches)


def _pooled(rows: Iterable[_Row], candidates: _Candidates | None = None) -> _Candidates:
    """What matched, per customer, beside what is known already."""
    found: _Candidates = {} if candidates is None else candidates
    for customer, rank, kind, text, likeness in rows:
        match = Match(rank, "name" if kind == "turned" else kind, text, round(likeness, 2))
        found.setdefault(customer, set()).add(match)
    return found


async def _dressed(connection: _Connection, candidates: _Candidates, limit: int, cut: bool) -> Found:
    """The best customers with what a list shows of each; of equals those who were met last."""
    chosen = sorted(candidates, key=lambda one: (_best(candidates[one]), one))[: _CANDIDATES * limit]
    if not chosen:
        return Found([], False, cut)
    few = len(chosen) <= limit
    contacts, *further = await _read(connection, _SHOWN if few else _SHOWN[:1], chosen)
    met: _Met = {customer: (last, count) for customer, last, count in contacts}
    chosen.sort(key=lambda one: met.get(one, _NEVER), reverse=True)
    chosen = sorted(chosen, key=lambda one: _best(candidates[one]))[:limit]
    names, identifiers = further if few else await _read(connection, _SHOWN[1:], chosen)
    named, identified = _by_customer(names), _by_customer(identifiers)
    customers = [
        Customer(
            one,
            _told(candidates[one]),
            settled_name(named.get(one, ())),
            tuple(identified.get(one, ())),
            met.get(one, _NEVER)[1],
            met[one][0] if one in met else None,
        )
        for one in chosen
    ]
    return Found(customers, len(candidates) > limit, cut)


async def _read(connection: _Connection, queries: Sequence[str], customers: Sequence[UUID]) -> list[list[_Row]]:
    """The rows of each of these queries, in one round trip."""
    parameters = {**_SHOWING, "customers": customers, "order": list(KINDS)}
    async with connection.pipeline():
        cursors = [
            await connection.cursor(binary=True).execute(_SQL[query], parameters, prepare=True) for query in queries
        ]
        return [await cursor.fetchall() for cursor in cursors]


def _by_customer(rows: Iterable[_Row]) -> dict[UUID, list[Any]]:
    """Rows without their first column, the customer, under it."""
    found: dict[UUID, list[Any]] = {}
    for customer, *rest in rows:
        found.setdefault(customer, []).append(tuple(rest))
    return found


def _best(matches: Iterable[Match]) -> tuple[int, float]:
    return min((match.rank, -match.likeness) for match in matches)


def _told(matches: Iterable[Match]) -> tuple[Match, ...]:
    """The best match of each kind."""
    best: dict[str, Match] = {}
    for match in sorted(matches, key=lambda one: (one.rank, -one.likeness, one.kind, one.found or "")):
        best.setdefault(match.kind, match)
    return tuple(best.values())[:_REASONS]


def _silent(error: Exception) -> Unavailable:
    return Unavailable(f"The read models do not answer ({type(error).__name__}).")
