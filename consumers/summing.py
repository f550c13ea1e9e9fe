"""How do the sums of figures keep up with events, and take little of what events need? By a share of the time.

What is to be summed stands in tables, one at a time sums, and what one leaves the next finds; so nothing is claimed.
A quarter of an hour, and the day that it lies in, are summed again as long as events come, and that takes the longer
the more there are. Readers have what is not summed yet anyway. So whoever sums rests after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from psycopg_pool import ConnectionPool

from consumers.scheduler import Chore
from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration
from projections.figures.buyers import Buying
from projections.figures.filling import define
from projections.figures.folding import fold
from projections.figures.pieces import Folded

__all__ = ["Pace", "summing"]

_EVERY: Final = 5.0
"""Seconds between two looks."""
_SHARES: Final = {False: 0.2, True: 0.1}
"""Of the time, what is taken for quarters and hours at most, and what for days and months."""


class Pace:
    """Does something again and again, so that it takes no more than a share of the time; at once where there is more
    to do than is done at once. share: from 0 to 1."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock, self._rest_until = share, clock, float("-inf")

    def take(self, work: Callable[[], Folded]) -> Folded:
        """Do it unless it is time to rest."""
        began = self._clock()
        if began < self._rest_until:
            return Folded.NOTHING
        found = work()
        if found != Folded.FULL:
            ended = self._clock()
            self._rest_until = ended + (ended - began) * (1 / self._share - 1)
        return found


def summing(rules: Configuration, catalogue: Catalogue, buying: Buying, pool: ConnectionPool) -> Chore:
    """Sums of figures are kept up."""
    paces = {longer: Pace(share) for longer, share in _SHARES.items()}

    def sum_up() -> bool:
        with pool.connection() as connection:
            define(connection, rules.metrics)
            found = [
                pace.take(partial(fold, connection, catalogue=catalogue, buying=buying, longer=longer))
                for longer, pace in paces.items()
            ]
        return Folded.FULL in found

    return Chore("summing", _EVERY, sum_up)
