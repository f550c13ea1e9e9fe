"""What did we know of a customer at a moment that lies behind us? The same answer as now, of what counted then.

Rows of events that nobody ever corrected are read from the tables, by their times; what was corrected is made anew
out of its record, by the effect that was known then. Folds are those of the present answer.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from anyio import to_thread
from psycopg_pool import AsyncConnectionPool

from domain.consents import Link, Standing, Word, joined_by, settle
from domain.errors import BadInput, Problem
from domain.facts import Contact, Trade, fold
from domain.profile import Claim, Touch
from eventlog.sql import load
from projections.connecting import reading
from projections.customers.reader import TOUCHES, Answer, Dispute, History, Identified, View, cursor_of, place_of
from projections.customers.remaking import Remade, Remaker, Stored
from projections.identity.as_of import Limits, Moment, Then, first_events, then
from projections.identity.loading import Event

__all__ = ["AsOfReader"]

_SQL: Final = load("projections.customers", "as_of.sql")
_MOST_TRADES: Final = 50_000
_MOST_WORDS: Final = 5000
_MOST_CLAIMS: Final = 5000
_MOST_IDENTIFIERS: Final = 1000
_MOST_DISPUTES: Final = 200
_NOTHING: Final = Remade((), (), (), ())
_Connection = psycopg.AsyncConnection[Any]


class AsOfReader:
    """Reads customers as of a moment through `pool`, which its owner opens. Raises Unavailable where it does not
    answer, NotFound for who was not there then, BadInput where too much hung together."""

    def __init__(self, pool: AsyncConnectionPool, remaker: Remaker, limits: Limits | None = None) -> None:
        self._pool, self._remaker, self._limits = pool, remaker, limits

    async def then(self, node: UUID, moment: Moment) -> Then:
        """Who it was."""
        return (await self._read(node, moment, _nothing_more))[0]

    async def view(self, node: UUID, moment: Moment) -> tuple[Then, View]:
        """All that was known of her."""
        return await self._read(node, moment, _View.read)

    async def first_events(self, found: Then, evidences: Collection[UUID]) -> dict[UUID, Event]:
        """The earliest event of each of these evidences that counted then."""
        async with reading(self._pool) as connection:
            return await first_events(connection, found, evidences)

    async def consents(self, node: UUID, moment: Moment, cursor: str | None, limit: int) -> tuple[Then, History]:
        """Her consents then, with a page of their history."""
        at, name = place_of(cursor)
        return await self._read(node, moment, partial(_View.history, at=at, name=name, limit=limit))

    async def _read(self, node: UUID, moment: Moment, ask: Any) -> tuple[Then, Any]:
        async with reading(self._pool) as connection, connection.transaction():
            found = await then(connection, node, moment, self._limits)
            return found, await ask(_View(connection, found, self._remaker))


async def _nothing_more(_view: _View) -> None:
    return None


class _Known(NamedTuple):
    """What is needed of every part: what was destroyed, and what was made anew."""

    erased: frozenset[UUID]
    remade: Remade


class _View:
    """The queries of one snapshot, over a connection within its transaction."""

    def __init__(self, connection: _Connection, found: Then, remaker: Remaker) -> None:
        self._connection, self._then, self._remaker = connection, found, remaker
        self._asked = {
            **found.moment._asdict(),
            "evidences": list(found.evidences),
            "retracted": found.retracted,
            "spoken": list(found.spoken),
        }

    async def _rows(self, query: str, **parameters: Any) -> list[Any]:
        asked = {**self._asked, **parameters}
        return await (await self._connection.cursor(binary=True).execute(_SQL[query], asked)).fetchall()

    async def read(self) -> View:
        known = await self._known()
        contacts = [Contact(*row) for row in await self._rows("contacts")]
        trades = [Trade(*row) for row in await self._rows("trades", most=_MOST_TRADES + 1)]
        if len(trades) > _MOST_TRADES:
            raise _too_many_trades()
        trades += known.remade.trades
        facts = await to_thread.run_sync(fold, contacts, trades)
        touches = [Touch(channel or "", at) for channel, at in await self._rows("touches", most=TOUCHES)]
        claims = [Claim(*row) for row in await self._rows("claims", most=_MOST_CLAIMS)] + [*known.remade.claims]
        claims.sort(key=lambda one: (one.happened_at, one.name, one.place), reverse=True)
        return View(
            self._then.customer,
            tuple(self._then.evidences),
            facts,
            tuple(touches),
            await self._answer(known.remade.answers),
            await self._standing(known.remade.words),
            tuple(claims[:_MOST_CLAIMS]),
            *await self._identified(),
            bool(known.erased),
        )

    async def history(self, at: datetime, name: UUID, limit: int) -> History:
        remade = (await self._known()).remade.words
        words = [Word(*row) for row in await self._rows("words", at=at, name=name, most=limit + 1)]
        words += [word for word in remade if (word.happened_at, word.name) < (at, name)]
        words.sort(key=lambda word: (word.happened_at, word.name), reverse=True)
        older = cursor_of(words[limit - 1]) if len(words) > limit else None
        return History(self._then.customer, await self._standing(remade), tuple(words[:limit]), older)

    async def _known(self) -> _Known:
        erased = frozenset([row[0] for row in await self._rows("erased")])
        spoken = self._then.spoken
        rows = await self._rows("records", names=list(spoken)) if spoken else []
        counting = [Stored(*row) for row in rows if not spoken[row[0]].retracted]
        if not counting:
            return _Known(erased, _NOTHING)
        names = {name for one in counting for name in spoken[one.name].amendments}
        amendments = dict(await self._rows("amendments", names=list(names))) if names else {}
        made = partial(
            self._remaker.remake,
            counting,
            {one.name: [amendments[n] for n in spoken[one.name].amendments if n in amendments] for one in counting},
            self._then.evidences.keys(),
            erased,
        )
        return _Known(erased, await to_thread.run_sync(made))

    async def _answer(self, remade: Sequence[Answer]) -> Answer | None:
        found = [Answer(*row) for row in await self._rows("answer")] + [*remade]
        return max(found, key=lambda one: (one.happened_at, one.name), default=None)

    async def _standing(self, remade: Sequence[Word]) -> tuple[Standing, ...]:
        words = [Word(*row) for row in await self._rows("last_words", most=_MOST_WORDS)] + [*remade]
        return await to_thread.run_sync(self._settled, words)

    def _settled(self, words: Sequence[Word]) -> tuple[Standing, ...]:
        """By when her evidences were known to be one customer's, as of then."""
        found, loaded = self._then, self._then.loaded
        own = {one.node for one in found.nodes()}
        hers = {one for one in own if not loaded.nodes[one].shared}
        homes: dict[UUID, list[UUID]] = {
            evidence: sorted(hers.intersection(loaded.evidences[evidence].nodes)) for evidence in found.evidences
        }
        links = [Link(homes[one], at) for one, at in found.evidences.items() if at is not None and homes[one]]
        times = [at for at in found.evidences.values() if at is not None]
        for ruling in loaded.rulings:
            named = own.intersection(node for side in ruling.sides for node in side)
            if ruling.merges and ruling.counts and named:
                times.append(ruling.at)
                links += [Link(sorted(named & hers), ruling.at)] if len(named & hers) > 1 else []
        first = {evidence: nodes[0] for evidence, nodes in homes.items() if nodes}
        return settle(words, joined_by(links, first, max(times, default=None))).standing

    async def _identified(self) -> tuple[tuple[Identified, ...], tuple[Dispute, ...]]:
        loaded = self._then.loaded
        nodes = self._then.nodes()[:_MOST_IDENTIFIERS]
        own = {one.node for one in self._then.nodes()}
        links = [(one.a, one.b, one) for one in loaded.disputes if one.a in own]
        links += [(one.b, one.a, one) for one in loaded.disputes if one.b in own]
        links.sort(key=lambda link: (link[2].first_at, link[0], link[1]))
        del links[_MOST_DISPUTES:]
        asked = {one.node for one in nodes} | {node for mine, other, _ in links for node in (mine, other)}
        values = dict(await self._rows("values", nodes=list(asked)))

        def told(node: UUID, plainly: bool) -> Identified:
            one = loaded.nodes[node]
            shared, first_at = (one.shared, one.first_at) if plainly else (False, None)
            return Identified(node, one.kind, one.namespace, values.get(node), shared, first_at)

        return tuple([told(one.node, True) for one in nodes]), tuple(
            [
                Dispute(told(mine, False), told(other, False), loaded.nodes[other].customer, one.reason, one.first_at)
                for mine, other, one in links
            ]
        )


def _too_many_trades() -> BadInput:
    trouble = (
        f"asks for a customer with more than {_MOST_TRADES:,} purchases and refunds then: too many to be summed."
    )
    return BadInput(
        [Problem("recorded_by", trouble, "Ask for an earlier moment, or without one for what holds now.")]
    )
