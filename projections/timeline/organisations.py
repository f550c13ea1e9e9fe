"""What is known of an organisation, and who are its people? By the events that describe it, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from domain.errors import TooLarge, Unavailable
from eventlog.sql import load
from projections.timeline.reader import Organisation

__all__ = ["Described", "Home", "OrganisationReader"]

_SQL: Final = load("projections.timeline", "organisations.sql")
_MOST_DESCRIBED: Final = 200
_MOST_EVIDENCES: Final = 5000


class Described(NamedTuple):
    """One description: its event, and the record of the amendment that put it right."""

    name: UUID
    happened_at: datetime
    record: bytes
    amendment: bytes | None


class Home(NamedTuple):
    """Whose an evidence is. `erased`: what was personal of it was destroyed, and others are not to tell it either."""

    customer: UUID
    erased: bool


class OrganisationReader:
    """Reads organisations by their refs, through `pool`, which its owner opens. All methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def described(self, organisation: UUID) -> list[Described]:
        """Its latest descriptions that count, newest first."""
        rows = await self._rows("described", organisation=organisation, most=_MOST_DESCRIBED)
        return [Described(*row) for row in rows]

    async def homes(self, evidences: Iterable[UUID]) -> dict[UUID, Home]:
        """Whose these evidences are now."""
        return {row[0]: Home(*row[1:]) for row in await self._rows("homes", evidences=list(evidences))}

    async def story(self, organisation: UUID) -> Organisation:
        """What its timeline gathers. Raises TooLarge where its contacts have too many sets of identifiers."""
        rows = await self._rows(
            "gathered", organisation=organisation, most=_MOST_DESCRIBED, evidences=_MOST_EVIDENCES + 1
        )
        if len(rows) > _MOST_EVIDENCES:
            raise TooLarge(
                f"The contacts of this organisation have more than {_MOST_EVIDENCES:,} sets of identifiers; "
                "read the organisation's own timeline under /v1/refs, and those of its contacts."
            )
        return Organisation(organisation, tuple([row[0] for row in rows]))

    async def _rows(self, query: str, **parameters: Any) -> list[Any]:
        try:
            async with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
                return await (await cursor.execute(_SQL[query], parameters)).fetchall()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The read models do not answer ({type(error).__name__}).") from None
