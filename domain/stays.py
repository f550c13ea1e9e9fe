"""How long was something where? The stays of a deal in its stages, and of a ticket in its states.

Whatever the steps tell, in whichever order their moments are, this does not fail: no stay takes less than nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

__all__ = ["MOST_STAYS", "Place", "Spent", "Stay", "move_on", "time_spent"]

MOST_STAYS: Final = 200
"""As many stays are kept one by one; `Spent` counts all."""

Place = tuple[str, str | None]
"""(stage or state, within what): a stage is one of its pipeline, a state is within nothing."""


@dataclass(frozen=True, slots=True)
class Stay:
    """A time in one place. until: None while it goes on."""

    place: str
    since: datetime
    until: datetime | None = None
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """How long it was in a place, all its stays together, in seconds; without the one that goes on."""

    place: str
    seconds: int
    within: str | None = None


def move_on(
    stays: tuple[Stay, ...], spent: tuple[Spent, ...], to: Place | None, at: datetime
) -> tuple[tuple[Stay, ...], tuple[Spent, ...]]:
    """(stays, spent) once the stay that went on has ended, and another one begun. to: None where none begins."""
    if stays and stays[-1].until is None:
        stays, spent = (*stays[:-1], replace(stays[-1], until=at)), _spend(spent, stays[-1], at)
    if to is not None:
        stays = (*stays, Stay(to[0], at, within=to[1]))
    return stays[-MOST_STAYS:], spent


def time_spent(stays: tuple[Stay, ...], spent: tuple[Spent, ...], at: datetime) -> tuple[Spent, ...]:
    """How long it was in each place by then, with the stay that goes on."""
    return _spend(spent, stays[-1], at) if stays and stays[-1].until is None else spent


def _spend(spent: tuple[Spent, ...], stay: Stay, until: datetime) -> tuple[Spent, ...]:
    seconds = max(0, int((until - stay.since).total_seconds()))
    where = (stay.place, stay.within)
    before = sum(one.seconds for one in spent if (one.place, one.within) == where)
    others = tuple(one for one in spent if (one.place, one.within) != where)
    return (*others, Spent(stay.place, before + seconds, stay.within))
