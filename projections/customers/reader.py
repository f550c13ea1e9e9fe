"""What is known of one customer? Everything that an answer about her is made of, read in one snapshot.

Facts are summed in SQL by the same rules as in `domain/facts.py`; consents, profile and preferences are rows, to be
folded by `domain/consents.py` and `domain/profile.py`. All methods are coroutines over one pool.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from anyio import to_thread
from psycopg_pool import AsyncConnectionPool

from domain.consents import Joined, Link, Standing, Word, joined_by, settle
from domain.errors import BadInput, Problem
from domain.facts import Contact, Facts, Sum, average
from domain.profile import Claim, Touch
from eventlog.sql import load
from projections.connecting import reading

__all__ = [
    "TOUCHES",
    "Answer",
    "CustomerReader",
    "Dispute",
    "History",
    "Identified",
    "View",
    "cursor_of",
    "joined_of_rows",
    "place_of",
]

_SQL = load("projections.customers", "queries.sql")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_LAST: Final = UUID(int=2**128 - 1)
TOUCHES: Final = 200
"""From how many of the latest inbound touchpoints the preferred channel and hour are found."""
_MOST_KINDS: Final = 1000
_MOST_WORDS: Final = 5000
_MANY_WORDS: Final = 300
"""From so many on they are settled in a thread, since that would hold up the event loop."""
_MOST_LINKS: Final = 5000
_MOST_MERGES: Final = 200
_MOST_CLAIMS: Final = 5000
_MOST_IDENTIFIERS: Final = 1000
_MOST_DISPUTES: Final = 200


class Answer(NamedTuple):
    """The campaign that was answered last, in clear (`campaign[/namespace]:value`), and by which event."""

    campaign: str
    happened_at: datetime
    name: UUID


class Identified(NamedTuple):
    """An identifier. `value`: normalised, None where it is not readable. `shared`: too many have it to link by."""

    node: UUID
    kind: str
    namespace: str
    value: str | None
    shared: bool
    first_at: datetime | None


class Dispute(NamedTuple):
    """A link that was not followed, from one of her identifiers to another, which is of `customer`."""

    mine: Identified
    other: Identified
    customer: UUID
    reason: str
    first_at: datetime


class View(NamedTuple):
    """All of one customer. `touches`: the latest inbound ones; `standing`: the consents that hold. `claims` and the
    values of identifiers are personal: not for every caller's eyes."""

    customer: UUID
    evidences: tuple[UUID, ...]
    facts: Facts
    touches: tuple[Touch, ...]
    answer: Answer | None
    standing: tuple[Standing, ...]
    claims: tuple[Claim, ...]
    identifiers: tuple[Identified, ...]
    disputes: tuple[Dispute, ...]
    erased: bool


class History(NamedTuple):
    """What holds now, and a page of what was said, newest first. `older`: the cursor to go on with, or None."""

    customer: UUID
    standing: tuple[Standing, ...]
    words: tuple[Word, ...]
    older: str | None


class CustomerReader:
    """Reads customers through `pool`, which its owner opens."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def view(self, node: UUID, identifiers: int = _MOST_IDENTIFIERS) -> View | None:
        """The customer of any of her nodes, None for what is no node. identifiers: most that are read of her. Raises
        Unavailable."""
        async with reading(self._pool) as connection, connection.transaction():
            return await _View(connection).read(node, identifiers)

    async def consents(self, node: UUID, cursor: str | None, limit: int) -> History | None:
        """Her consents with a page of their history. Raises Unavailable, and BadInput for what is no cursor."""
        at, name = place_of(cursor)
        async with reading(self._pool) as connection, connection.transaction():
            return await _View(connection).history(node, at, name, limit)


class _View:
    """The queries of one snapshot, over a connection within its transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._asked: dict[str, Any] = {}

    async def _send(self, query: str, **parameters: Any) -> psycopg.AsyncCursor[Any]:
        return await self._connection.cursor(binary=True).execute(_SQL[query], {**self._asked, **parameters})

    async def _known(self, node: UUID) -> bool:
        await self._connection.execute(_SQL["snapshot"])
        found = await (await self._send("customer", node=node)).fetchone()
        if found is None:
            return False
        self._asked = {"customer": found[0], "evidences": found[1]}
        return True

    async def read(self, node: UUID, most: int) -> View | None:
        if not await self._known(node):
            return None
        async with self._connection.pipeline():  # one round trip for all
            contacts = await self._send("contacts", most=_MOST_KINDS)
            sums = await self._send("sums")
            touches = await self._send("touches", most=TOUCHES)
            answer = await self._send("answer")
            words = await self._send("last_words", most=_MOST_WORDS)
            claims = await self._send("claims", most=_MOST_CLAIMS)
            identifiers = await self._send("identifiers", most=most)
            disputes = await self._send("disputes", most=_MOST_DISPUTES)
            erased = await self._send("erased")
        answered = await answer.fetchone()
        return View(
            self._asked["customer"],
            tuple(self._asked["evidences"]),
            facts_of_rows(await contacts.fetchall(), await sums.fetchall()),
            tuple([Touch(channel or "", at) for channel, at in await touches.fetchall()]),
            Answer(*answered) if answered else None,
            await self._standing([Word(*row) for row in await words.fetchall()]),
            tuple([Claim(*row) for row in await claims.fetchall()]),
            tuple([Identified(*row) for row in await identifiers.fetchall()]),
            tuple([_dispute(row) for row in await disputes.fetchall()]),
            bool((await erased.fetchone() or (False,))[0]),
        )

    async def history(self, node: UUID, at: datetime, name: UUID, limit: int) -> History | None:
        if not await self._known(node):
            return None
        async with self._connection.pipeline():
            last = await self._send("last_words", most=_MOST_WORDS)
            page = await self._send("words", at=at, name=name, most=limit + 1)
        words = [Word(*row) for row in await page.fetchall()]
        standing = await self._standing([Word(*row) for row in await last.fetchall()])
        older = cursor_of(words[limit - 1]) if len(words) > limit else None
        return History(self._asked["customer"], standing, tuple(words[:limit]), older)

    async def _standing(self, words: Sequence[Word]) -> tuple[Standing, ...]:
        """What holds. When evidences were joined is asked only where it matters: where one granted what another
        took back."""
        if len({word.evidence for word in words}) < 2 or len({word.granted for word in words}) < 2:
            return settle(words).standing
        joined = await self._joined()
        if len(words) < _MANY_WORDS:
            return settle(words, joined).standing
        return (await to_thread.run_sync(settle, words, joined)).standing

    async def _joined(self) -> Joined:
        links = await (await self._send("links", most=_MOST_LINKS)).fetchall()
        merges = await (await self._send("merges", most=_MOST_MERGES)).fetchall()
        return joined_of_rows(links, merges)


def joined_of_rows(links: Sequence[Any], merges: Sequence[Any]) -> Joined:
    """When evidences came together, out of the rows of `links` and `merges`."""
    found = [Link(nodes, at) for _, nodes, at, _ in links if at is not None and nodes]
    found += [Link(nodes, at) for at, nodes in merges if len(nodes) > 1]
    times = [*[at for _, _, _, at in links[:1] if at is not None], *[at for at, _ in merges]]
    homes = {evidence: nodes[0] for evidence, nodes, _, _ in links if nodes}
    return joined_by(found, homes, max(times, default=None))


def facts_of_rows(contacts: Sequence[Any], sums: Sequence[Any]) -> Facts:
    """Facts out of the rows of `contacts` and `sums`, whose last row is that of all currencies."""
    total, first_at, last_at = contacts[0][5:] if contacts else (0, None, None)
    by_currency = [
        Sum(currency, orders, revenue, refunds, average(revenue, orders))
        for currency, orders, revenue, refunds in sums
        if currency is not None
    ]
    orders = next((row[1] for row in sums if row[0] is None), 0)
    return Facts(tuple([Contact(*row[:5]) for row in contacts]), total, first_at, last_at, orders, tuple(by_currency))


def _dispute(row: Sequence[Any]) -> Dispute:
    mine, other = [
        Identified(node, kind, namespace, value, False, None) for node, kind, namespace, value in (row[:4], row[4:8])
    ]
    return Dispute(mine, other, *row[8:])


def cursor_of(word: Word) -> str:
    """The opaque place of a word in a history."""
    micros = (word.happened_at - _EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(f"{micros}.{word.name.hex}".encode()).decode().rstrip("=")


def place_of(cursor: str | None) -> tuple[datetime, UUID]:
    """What `cursor_of` gave, and the newest place for None. Raises BadInput."""
    if cursor is None:
        return _NEVER, _LAST
    try:
        micros, _, name = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(".")
        return _EPOCH + timedelta(microseconds=int(micros[:20])), UUID(hex=name)
    except (ValueError, OverflowError, Base64Error, UnicodeError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("before", "is not a cursor.", way_out)]) from None
