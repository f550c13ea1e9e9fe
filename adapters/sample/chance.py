"""How is chance drawn so that every version of Python draws alike? By `random()` alone, seeded with a text."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

__all__ = ["Chance"]

T = TypeVar("T")


class Chance:
    """A seeded source of chance. What `Random.random` gives is the same for ever; its other methods may change."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random  # noqa: S311 - sample data needs no secrets

    def upto(self, limit: int) -> int:
        """0 to `limit` - 1."""
        return int(self._random() * limit)

    def between(self, low: int, high: int) -> int:
        """`low` to `high`, both included."""
        return low + self.upto(high - low + 1)

    def of(self, choices: Sequence[T]) -> T:
        return choices[self.upto(len(choices))]

    def once_in(self, times: float) -> bool:
        return self._random() * times < 1

    def fraction(self) -> float:
        return self._random()

    def moment(self, first: datetime, last: datetime) -> datetime:
        """A second between the two, in the shop's waking hours (7:00 to 21:59)."""
        day = first + timedelta(days=self.upto(max(1, (last - first).days)))
        moment = day.replace(hour=self.between(7, 21), minute=self.upto(60), second=self.upto(60), microsecond=0)
        return max(moment, first)
