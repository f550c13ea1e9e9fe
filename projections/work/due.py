"""What is due, by rows? Warnings, breaches, stays that became too long, reminders; of native items alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load

__all__ = ["Due", "Stay", "deals_in_stage", "due_rows", "tickets_in_state"]

_SQL = load("projections.work", "due.sql")


class Due(NamedTuple):
    """A piece of due work. item: the hex of the item's id; with `at` it names the piece within its job. since: when
    it fell due. until: when it is of no use any more (None: never). facts: what its job needs, see the query."""

    item: str
    at: datetime
    since: datetime
    until: datetime | None = None
    facts: tuple[Any, ...] = ()


class Stay(NamedTuple):
    """How long an item may be somewhere. pipeline: of a deal, None of a ticket; place: its stage or state."""

    pipeline: str | None
    place: str
    length: timedelta


def due_rows(connection: psycopg.Connection, query: str, job: str, now: datetime, limit: int) -> list[Due]:
    """What `query` of due.sql gives: `first_response_warning` and its like, `reminders`. The earliest first."""
    return _ask(connection, query, {"job": job, "now": now, "limit": limit})


def deals_in_stage(
    connection: psycopg.Connection, stays: Sequence[Stay], job: str, now: datetime, limit: int
) -> list[Due]:
    """Deals that stayed too long; facts: pipeline, stage, revision."""
    places = {
        "pipelines": [one.pipeline for one in stays],
        "stages": [one.place for one in stays],
        "lengths": [one.length for one in stays],
    }
    return _ask(connection, "deals_in_stage", {**places, "job": job, "now": now, "limit": limit})


def tickets_in_state(
    connection: psycopg.Connection, stays: Sequence[Stay], job: str, now: datetime, limit: int
) -> list[Due]:
    """Tickets that stayed too long; facts: state, revision."""
    places = {"states": [one.place for one in stays], "lengths": [one.length for one in stays]}
    return _ask(connection, "tickets_in_state", {**places, "job": job, "now": now, "limit": limit})


def _ask(connection: psycopg.Connection, query: str, parameters: Mapping[str, Any]) -> list[Due]:
    rows = connection.execute(_SQL[query], parameters).fetchall()
    return [Due(_hex(item), at, since, until, tuple(facts)) for item, at, since, until, *facts in rows]


def _hex(item: UUID) -> str:
    return item.hex
