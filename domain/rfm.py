"""How good a customer is this? Scores of recency, frequency and monetary value, and the class that they make.

The three are those of A. M. Hughes, Strategic Database Marketing (1994): how lately somebody bought, how often, and
for how much, each from 1 to 5, of which 5 is best. The edges between the scores are the deployment's, see
`domain/configuration/rfm.py`. Pure: what counts as a purchase is decided by `domain/facts.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from domain.configuration.rfm import Rfm

__all__ = ["Scores", "changes_at", "class_of", "scores_of"]


class Scores(NamedTuple):
    """Scores from 1 to 5 (best). `code`: of the class; None where the deployment's classes leave these scores out."""

    recency: int
    frequency: int
    monetary: int
    code: str | None


def scores_of(last_at: datetime | None, orders: int, revenue: Decimal, now: datetime, rules: Rfm) -> Scores | None:
    """The scores at a moment; None for who has not bought yet.

    last_at: of the last counted purchase until `now`, in any currency; orders: distinct ones with a counted purchase,
    in any currency; revenue: of counted purchases in `rules.currency`, before refunds, in major units.

    Recency is 5 while `now - last_at` is less than `recency_days[0]` days of 24 hours, and so on down to 1; frequency
    and monetary are 1, and one more for each edge that is reached.
    """
    if last_at is None:
        return None
    recency = 5 - bisect_right([timedelta(days=days) for days in rules.recency_days], now - last_at)
    frequency = 1 + bisect_right(rules.frequency, orders)
    monetary = 1 + bisect_right([Decimal(edge) for edge in rules.monetary], revenue)
    return Scores(recency, frequency, monetary, class_of(recency, frequency, monetary, rules))


def class_of(recency: int, frequency: int, monetary: int, rules: Rfm) -> str | None:
    """The code of the first class that takes these scores in."""
    for one in rules.classes:
        spans = ((one.recency, recency), (one.frequency, frequency), (one.monetary, monetary))
        if all(span.low <= score <= span.high for span, score in spans):
            return one.code
    return None


def changes_at(last_at: datetime, now: datetime, rules: Rfm) -> datetime | None:
    """The next moment after `now` at which time alone lowers the score of recency; None where it is 1 already."""
    edges = (last_at + timedelta(days=days) for days in rules.recency_days)
    return next((edge for edge in edges if edge > now), None)
