"""Which events count as they stand, which were taken back, and what was put right? By what others say of them.

A retraction or an amendment counts unless a later one takes it back; later is by (happened_at, name), so that two
that take each other back do not go in circles. Of the amendments that count the latest wins.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

__all__ = ["Effect", "Said", "effects"]


class Said(NamedTuple):
    """What one event says of another: `name` `retracts` or `corrects` `target`; `at`: when it happened."""

    target: UUID
    relation: str
    name: UUID
    at: datetime


class Effect(NamedTuple):
    """What became of an event. `amendments`: those that count, the latest first."""

    retracted: bool
    amendments: tuple[UUID, ...]


def effects(names: Iterable[UUID], said: Iterable[Said]) -> dict[UUID, Effect]:
    """What became of these events, by all that was said of them, of those who said it, and so on. Events that nobody
    speaks of count as they stand."""
    every = sorted(set(said), key=lambda one: (one.at, one.name), reverse=True)
    moments = {one.name: (one.at, one.name) for one in every}
    revoked: set[UUID] = set()
    taken_back: set[UUID] = set()
    amendments: dict[UUID, list[UUID]] = {}
    for one in every:  # newest first, so that whoever could take this one back was looked at before it
        if one.name in revoked:
            continue
        if one.relation == "corrects":
            amendments.setdefault(one.target, []).append(one.name)
        elif one.target not in moments:
            taken_back.add(one.target)
        elif moments[one.target] < (one.at, one.name):
            revoked.add(one.target)
            taken_back.add(one.target)
    return {name: Effect(name in taken_back, tuple(amendments.get(name, ()))) for name in names}
