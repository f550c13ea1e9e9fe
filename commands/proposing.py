"""How are likely duplicates seen to? Found by a run, listed, read, and decided by a steward: accepted or rejected.

A decision is remembered by the identifiers that both customers had, so that it holds whatever their ids become.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.proposals import (
    SQL,
    Figure,
    Merges,
    Proposal,
    Run,
    Side,
    State,
    check_why,
    proposal_id_of,
    proposal_of,
)
from commands.proposing_run import Finding
from commands.rulings import Candidate, Why, merge_sides
from domain.errors import BadInput, NotFound, Problem, TooMany, Unavailable
from domain.event import MAX_IDENTIFIERS
from domain.identifiers import Identifier
from domain.profile import Claim, ProfileRules, profile_of

__all__ = ["Proposing"]

_MOST_SHOWN: Final = 200
_MOST_FIGURES: Final = 10_000
_CURSOR: Final = re.compile(r"([01]\.\d{1,4})\.([0-9a-f]{32})")
_Act = Callable[[psycopg.Connection, Proposal], str | None]
_logger = structlog.get_logger("storyline.proposals")


class Proposing:
    """Proposals of duplicates. Thread-safe; blocks on Postgres and, to accept, what a merge needs.

    pool: autocommit connections to the durable tables and the read models. merges: publishes
    merges. profile: by which rules a side's profile is shown. before_settle: called between a merge and its being
    noted.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        merges: Callable[[], Merges],
        *,
        profile: ProfileRules | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = os.urandom,
        before_settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool, self._merges, self._profile = pool, merges, profile
        self._clock, self._random, self._before_settle = clock, random, before_settle

    def run(self, told: Callable[[str, int], None] = lambda stage, done: None) -> Run:
        """Look through all customers for likely duplicates, and measure the quality of the data.

        told: called with (`customers` or `pairs`, how many so far). Takes minutes for a million customers. Raises
        TooMany while another run is under way.
        """

        def within(connection: psycopg.Connection) -> Run:
            if connection.execute(SQL["begin"]).fetchone() != (True,):
                raise TooMany("Another run looks for duplicates just now; wait until it is done.", 60)
            try:
                return Finding(connection, self._clock(), self._random(32), told).run()
            finally:
                if not connection.broken:
                    connection.execute(SQL["end"])

        run: Run = self._run(within)
        _logger.info("proposals.run", **run._asdict())
        return run

    def list(
        self, state: State | None = "open", limit: int = 50, cursor: str | None = None
    ) -> tuple[Sequence[Proposal], str | None]:
        """(a page of the proposals of a state or all, the likeliest first; the cursor of the next page or None)."""
        score, after = (2.0, None) if cursor is None else _read_cursor(cursor)
        asked = {"state": state, "score": score, "after": after, "limit": limit + 1}
        # Planned for these very values each time: a plan for any state and any place sorts them all.
        rows = self._run(lambda connection: connection.execute(SQL["page"], asked, prepare=False).fetchall())
        found = [proposal_of(row) for row in rows[:limit]]
        return found, f"{found[-1].score:.4f}.{found[-1].id}" if len(rows) > limit else None

    def show(self, proposal_id: str) -> tuple[Proposal, tuple[Side, Side]]:
        """A proposal, and both customers as they are now, readable. Raises NotFound, also where one was erased."""

        def read(connection: psycopg.Connection) -> tuple[Proposal, tuple[Side, Side]]:
            found = self._read(connection, proposal_id)
            a, b = found.customers
            return found, (self._side(connection, a), self._side(connection, b))

        shown: tuple[Proposal, tuple[Side, Side]] = self._run(read)
        return shown

    def accept(self, proposal_id: str, why: str, by: str = "cli") -> Proposal:
        """They are one person: the customers are merged, by an event on the log.

        why: kept with it, no personal data. by: `cli` or an API key's id. Harmless to repeat after a crash: who is
        one customer already is not merged again, and a second merge of the two says the same. Raises NotFound,
        BadInput for one that is decided or of whom nothing can be named, and what publishing raises.
        """

        def merge(connection: psycopg.Connection, found: Proposal) -> str | None:
            if found.customers[0] == found.customers[1]:
                return None  # our merge came through and was not noted, or another one did the same
            sides = merge_sides([(UUID(one), _candidates(connection, one)) for one in found.customers])
            receipt = self._merges().merge(sides, Why("duplicate", why), by)
            self._before_settle()
            return receipt.name

        return self._decide(proposal_id, "accepted", why, by, merge)

    def reject(self, proposal_id: str, why: str, by: str = "cli") -> Proposal:
        """They are two people: never proposed again, whatever their ids become. Raises NotFound, BadInput."""

        def check(_connection: psycopg.Connection, found: Proposal) -> None:
            if found.customers[0] == found.customers[1]:
                raise BadInput([Problem("id", "is about one customer by now.", "Split that customer instead.")])

        return self._decide(proposal_id, "rejected", why, by, check)

    def quality(self, since: date) -> Sequence[Figure]:
        """The figures of data quality since a day, in order of days."""
        asked = {"since": since, "limit": _MOST_FIGURES}
        rows = self._run(lambda connection: connection.execute(SQL["quality"], asked).fetchall())
        return [Figure(*row) for row in rows]

    def _decide(self, proposal_id: str, state: State, why: str, by: str, act: _Act) -> Proposal:
        """Decide one proposal, held meanwhile, so that two stewards do not decide it differently."""
        check_why(why)

        def within(connection: psycopg.Connection) -> None:
            with connection.transaction():
                row = connection.execute(SQL["hold"], {"id": proposal_id_of(proposal_id)}).fetchone()
                found = self._read(connection, proposal_id)
                if row is None or row[0] != "open":
                    raise BadInput([Problem("id", f"is {found.state} already.", "Only what is open can be decided.")])
                name, (a, b) = act(connection, found), found.customers
                change = {"id": found.id, "state": state, "why": why, "by": by, "merge": name, "a": a, "b": b}
                connection.execute(SQL["settle"], {**change, "now": self._clock()})

        self._run(within)
        decided: Proposal = self._run(lambda connection: self._read(connection, proposal_id))
        return decided

    def _read(self, connection: psycopg.Connection, proposal_id: str) -> Proposal:
        row = connection.execute(SQL["one"], {"id": proposal_id_of(proposal_id)}).fetchone()
        if row is None:
            raise NotFound("There is no proposal of that id; GET /v1/proposals lists them.")
        return proposal_of(row)

    def _side(self, connection: psycopg.Connection, customer: str) -> Side:
        asked = {"customer": customer, "limit": _MOST_SHOWN}
        rows = connection.execute(SQL["identifiers"], asked).fetchall()
        named = [(Identifier(kind, value, namespace), shared) for _, kind, namespace, value, shared in rows]
        claims = [Claim(*row) for row in connection.execute(SQL["claims"], asked).fetchall()]
        return Side(
            customer,
            tuple([one for one, shared in named if not shared]),
            tuple([one for one, shared in named if shared]),
            profile_of(claims, self._profile),
        )

    def _run(self, use: Callable[[psycopg.Connection], Any]) -> Any:
        try:
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of proposals does not answer ({type(error).__name__}).") from None


def _candidates(connection: psycopg.Connection, customer: str) -> list[Candidate]:
    """The first nodes of a customer, with what they stand for as far as it can still be read."""
    rows = connection.execute(SQL["candidates"], {"customer": customer, "limit": MAX_IDENTIFIERS}).fetchall()
    return [
        Candidate(node, None if kind is None else Identifier(kind, value, namespace), shared)
        for node, kind, value, namespace, shared in rows
    ]


def _read_cursor(text: str) -> tuple[float, str]:
    parts = _CURSOR.fullmatch(text)
    if parts is None:
        raise BadInput([Problem("cursor", "is none.", "Pass on `next` of the answer before, or leave it out.")])
    return float(parts[1]), parts[2]
