"""Which touchpoints do some events of the log give words to, or other words? By the timeline, once they are there.

A touchpoint that was put right is told with the record that holds its right words; one that was taken back is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from domain.errors import Poison
from eventlog.record import Head, Record, decode
from eventlog.sql import load

__all__ = ["Said", "already_there", "said", "visible"]

_SQL: Final = load("projections", "enriching.sql")


class Said(NamedTuple):
    """A touchpoint by which a customer said something. words: the record that holds what counts of it, its own or
    that of the event that put it right. cause: the event that asks for it to be looked at."""

    touchpoint: Record
    words: Record
    cause: Head


def visible(connection: psycopg.Connection, log_id: str, vector: Mapping[int, int]) -> bool:
    """Is everything before these offsets in the timeline?"""
    seen: dict[int, int] = dict(connection.execute(_SQL["positions"], {"log_id": log_id}).fetchall())
    return all(seen.get(partition, 0) >= offset for partition, offset in vector.items())


def said(
    connection: psycopg.Connection,
    touchpoints: Mapping[UUID, Head],
    corrections: Mapping[UUID, Head],
    types: Collection[str],
) -> list[Said]:
    """What customers said by these touchpoints, and by those that these corrections speak of, one for each of both;
    all by name. types: by which customers say something."""
    causes = list(touchpoints.items())
    if corrections:
        rows = connection.execute(_SQL["corrected_by"], {"names": list(corrections)}).fetchall()
        causes += [(target, corrections[cause]) for cause, target in rows]
    asked: dict[str, Any] = {"names": list({target for target, _ in causes}), "types": list(types)}
    found = {}
    for name, own, right in connection.execute(_SQL["touchpoints"], asked, binary=True).fetchall():
        try:
            record = decode(own)
            found[name] = record, record if right is None else decode(right)
        except Poison:
            continue
    return [Said(*found[target], cause) for target, cause in causes if target in found]


def already_there(connection: psycopg.Connection, names: Collection[UUID]) -> set[UUID]:
    """Which of these events the timeline has."""
    if not names:
        return set()
    return {row[0] for row in connection.execute(_SQL["there"], {"names": list(names)})}
