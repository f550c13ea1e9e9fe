"""What do figures of tickets, opinions, deals and customers need of a question? A window, and whether they can tell
what was known then."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Request

from api.analytics_queries import Asked
from api.insight_shapes import TimesTold
from api.services import services
from domain.errors import BadInput, Problem
from projections.insight.asking import Times, Window

__all__ = ["EVER", "CustomerAsked", "as_known_now", "decimal_told", "hex_of", "part", "times_told", "window_of"]

EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""As of what is known now."""
CustomerAsked = Annotated[
    str | None, Query(pattern=r"^[0-9a-f]{32}$", description="Only of this customer, by any of their ids")
]


def window_of(request: Request, asked: Asked) -> Window:
    """The period in its zone, and the moment of what goes on: now, or `happened_by` if that lies before."""
    now = services(request).parts.clock()
    if asked.happened_by is not None:
        now = min(now, asked.happened_by)
    return Window(asked.period.start, asked.period.end, asked.period.zone.key, now)


def as_known_now(asked: Asked) -> None:
    """Raise BadInput where somebody asks for what was known then: these figures are made of states, of which only the
    present knowledge is kept."""
    if asked.recorded_by is not None:
        told = "cannot be asked of this figure, which is made of states as we know them now."
        raise BadInput([Problem("recorded_by", told, "Leave it out, or ask for what had happened by `happened_by`.")])


def times_told(times: Times) -> TimesTold:
    """How long something took, as an answer tells it: to the millisecond."""
    return TimesTold(times.measured, *[None if one is None else round(one, 3) for one in times[1:]])


def part(some: int, whole: int) -> float | None:
    """The share of some in the whole; None where there is nothing."""
    return round(some / whole, 4) if whole else None


def decimal_told(number: Decimal | None) -> float | None:
    """A mean or a score, to four decimals; money is never told so."""
    return None if number is None else round(float(number), 4)


def hex_of(customer: UUID | None) -> str | None:
    """A customer's id, as answers have it."""
    return None if customer is None else customer.hex
