"""Who does a piece of due work? Whoever claims it first; who dies over it loses it after a while.

A claim is a row, so that any number of schedulers share the work, and what was done stays done when all of them
start anew. It spares work that would be done twice, and is no lock: what is claimed is done by commands with an
idempotency key, so that even two who believe that it is theirs do it once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

import psycopg

from eventlog.sql import load

__all__ = ["PATIENCE", "Claim", "Claims", "Outcome", "Piece"]

_SQL = load("commands", "claims.sql")
PATIENCE: Final = timedelta(seconds=60)
"""How long a claim holds: whoever has not said by then what became of it is taken for dead."""
_KEYS_KEPT: Final = timedelta(days=30)
_CLAIMS_KEPT: Final = timedelta(days=90)

Outcome = Literal["done", "skipped", "refused", "failed"]


class Piece(NamedTuple):
    """What names a piece of due work within its job: whose it is, and the moment that it belongs to."""

    item: str
    at: datetime


class Claim(NamedTuple):
    """A piece that is ours to do, and how often it was tried, this time included."""

    piece: Piece
    tries: int


class Claims:
    """The claims of one scheduler. Methods take an autocommit connection and the present moment."""

    def __init__(self, patience: timedelta = PATIENCE) -> None:
        self._member, self._patience = uuid.uuid4(), patience

    def claim(
        self, connection: psycopg.Connection, job: str, pieces: Sequence[Piece], now: datetime
    ) -> dict[Piece, Claim]:
        """Those of the pieces that are ours now; the others are done, or somebody else's."""
        if not pieces:
            return {}
        asked = sorted(set(pieces))
        rows = connection.execute(
            _SQL["claim"],
            {
                "job": job,
                "member": self._member,
                "now": now,
                "again": now + self._patience,
                "items": [one.item for one in asked],
                "moments": [one.at for one in asked],
            },
        ).fetchall()
        return {Piece(item, at): Claim(Piece(item, at), tries) for item, at, tries in rows}

    def settle(self, connection: psycopg.Connection, job: str, piece: Piece, outcome: Outcome, now: datetime) -> None:
        """Say what became of a piece; it is never due again."""
        connection.execute(_SQL["settle"], {**self._names(job, piece), "outcome": outcome, "now": now})

    def give_back(self, connection: psycopg.Connection, job: str, piece: Piece, again: datetime) -> None:
        """Let it be tried again from `again` on, by anybody."""
        connection.execute(_SQL["give_back"], {**self._names(job, piece), "again": again})

    def _names(self, job: str, piece: Piece) -> dict[str, object]:
        return {"job": job, "item": piece.item, "at": piece.at, "member": self._member}

    @staticmethod
    def settled(connection: psycopg.Connection, job: str, piece: Piece) -> bool:
        """Is it known what became of a piece?"""
        asked = {"job": job, "item": piece.item, "at": piece.at}
        return connection.execute(_SQL["settled"], asked).fetchone() is not None

    @staticmethod
    def tidy(connection: psycopg.Connection, now: datetime) -> None:
        """Forget claims and idempotency keys that are so old that nobody asks for them."""
        connection.execute(_SQL["forget"], {"before": now - _CLAIMS_KEPT})
        connection.execute(_SQL["forget_keys"], {"before": now - _KEYS_KEPT})
