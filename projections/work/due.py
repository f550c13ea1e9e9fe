"""What is due by now? The rows that the scheduler's work is derived from; it holds none of its own.

Read models follow a little behind, so the deal, ticket or task is asked once more before anything is done.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load

__all__ = ["Due", "Target", "deal_stays", "reminders", "targets", "ticket_stays"]

_SQL: Final = load("projections.work", "due.sql")
Target = Literal["respond_warn", "respond_by", "resolve_warn", "resolve_by"]
"""Which moment of a ticket: its first response or its resolution comes near, or was missed."""


class Due(NamedTuple):
    """Something to do about an item, from a moment on. In `storyline.due` an item stands as 32 hex digits."""

    item: UUID
    at: datetime


def targets(connection: psycopg.Connection, job: str, target: Target, now: datetime, limit: int) -> list[Due]:
    """Open native tickets of which this moment has passed, and about which this job did nothing yet."""
    return _ask(connection, target, job=job, now=now, limit=limit)


def deal_stays(
    connection: psycopg.Connection, job: str, pipeline: str, stage: str, after: timedelta, now: datetime, limit: int
) -> list[Due]:
    """Open native deals that have been in a stage for so long."""
    stay = {"pipeline": pipeline, "stage": stage, "seconds": after.total_seconds()}
    return _ask(connection, "deal_stays", job=job, now=now, limit=limit, **stay)


def ticket_stays(
    connection: psycopg.Connection, job: str, state: str, after: timedelta, now: datetime, limit: int
) -> list[Due]:
    """Native tickets that have been in a state for so long."""
    stay = {"state": state, "seconds": after.total_seconds()}
    return _ask(connection, "ticket_stays", job=job, now=now, limit=limit, **stay)


def reminders(connection: psycopg.Connection, job: str, now: datetime, limit: int) -> list[Due]:
    """Open native tasks of which somebody is to be reminded."""
    return _ask(connection, "reminders", job=job, now=now, limit=limit)


def _ask(connection: psycopg.Connection, query: str, **parameters: Any) -> list[Due]:
    return [Due(*row) for row in connection.execute(_SQL[query], parameters).fetchall()]
