"""What do the routes of analytics take? A period in a time zone, filters, a moment of the past, a page of events."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from msgspec import Struct

from api import shapes
from api.as_of import AsOf, read_when
from api.security import Guard
from api.services import services
from commands.access import Caller
from domain.errors import BadInput, Problem
from domain.zones import Period, named_zone, period_of
from projections.identity.as_of import EVER, Moment

__all__ = [
    "Analyst",
    "Asked",
    "Code",
    "Currency",
    "Limit",
    "Place",
    "PlaceAsked",
    "Span",
    "Top",
    "answered",
    "bounded",
    "place_text",
    "told_period",
]

Analyst = Annotated[Caller, Depends(Guard("read", "read-sealed"))]
"""Who may see figures: they hold nothing personal."""
Code = Annotated[str | None, Query(max_length=200)]
Currency = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Z]{3}$",
        description="ISO 4217: convert into it what the configuration has a rate for; the rest stays apart",
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Most events on the page")]
Top = Annotated[int, Query(ge=1, le=1000, description="Most rows of the answer")]
_MANY: Final = frozenset({"where"})
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_EDGE: Final[dict[str, Any]] = {"examples": ["2026-01-01", "2026-01-01T00:00:00Z"]}


class Asked(NamedTuple):
    """A period, and as of when it is asked about: `happened_by` has shortened it already; `recorded_by`: None, or as
    it was known then."""

    period: Period
    moment: Moment | None

    @property
    def recorded_by(self) -> datetime | None:
        """By when it was recorded, if that is asked for."""
        return None if self.moment is None or self.moment.recorded_by == EVER.recorded_by else self.moment.recorded_by

    @property
    def happened_by(self) -> datetime | None:
        """By when it had happened, if that is asked for."""
        return None if self.moment is None or self.moment.happened_by == EVER.happened_by else self.moment.happened_by


async def span(
    request: Request,
    moment: AsOf,
    since: Annotated[
        str | None,
        Query(
            alias="from",
            max_length=64,
            description="First day, or moment; left out: 30 days before `to`",
            json_schema_extra=_EDGE,
        ),
    ] = None,
    to: Annotated[
        str | None,
        Query(
            max_length=64, description="Last day, or the moment before which; left out: now", json_schema_extra=_EDGE
        ),
    ] = None,
    zone: Annotated[
        str | None, Query(max_length=64, description="IANA time zone of days and hours; left out: the deployment's")
    ] = None,
) -> Asked:
    """What is asked about. Raises BadInput, also for what comes twice."""
    bounded(request)
    held = services(request).parts
    where = named_zone(zone, held.time_zone)
    period = period_of(_edge(since, "from"), _edge(to, "to"), where, held.clock())
    if moment is not None and moment.happened_by != EVER.happened_by:
        # As far as a microsecond goes: what happened at that moment had happened by then.
        end = min(period.end, moment.happened_by.astimezone(UTC) + datetime.resolution)
        if end <= period.start:
            raise BadInput([Problem("happened_by", "lies before the period.", "Ask for an earlier period.")])
        period = period._replace(end=end)
    return Asked(period, moment)


Span = Annotated[Asked, Depends(span)]
"""The period that a route of analytics is asked about, with the moment."""


def bounded(request: Request) -> None:
    """Raise BadInput for a parameter that comes twice, or holds what the database cannot take."""
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name in seen and name not in _MANY:
            raise BadInput([Problem(name[:100], "comes more than once.", "Send it once.")])
        if "\0" in value:
            raise BadInput([Problem(name[:100], "holds a NUL character.", "Leave the character out.")])
        seen.add(name)


def _edge(text: str | None, field: str) -> datetime | date | None:
    if not text:
        return None
    if _DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise BadInput([Problem(field, "is no day.", "Send one such as 2026-03-01.")]) from None
        if not 1900 <= day.year <= 2199:
            raise BadInput([Problem(field, "does not lie between the years 1900 and 2199.", "Send such a day.")])
        return day
    return read_when(text, field)


class Place(NamedTuple):
    """Where a page of events goes on: behind the event of this time and name, in their order, the latest first."""

    at: datetime
    name: UUID


_END: Final = Place(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


async def place(
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the answer before")] = None,
) -> Place:
    """Where the page begins; for the first one before everything. Raises BadInput."""
    if cursor is None:
        return _END
    try:
        told, _, name = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(" ")
        at = datetime.fromisoformat(told)
        if at.tzinfo is None:
            raise ValueError("a moment without an offset")
        return Place(at.astimezone(UTC), UUID(hex=name))
    except (ValueError, OverflowError, Base64Error, UnicodeError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("cursor", "is not a cursor.", way_out)]) from None


PlaceAsked = Annotated[Place, Depends(place)]


def place_text(at: datetime, name: UUID) -> str:
    """The cursor that goes on behind an event."""
    return urlsafe_b64encode(f"{at.astimezone(UTC).isoformat()} {name.hex}".encode()).decode().rstrip("=")


def told_period(asked: Asked) -> dict[str, Any]:
    """What an answer says of its period: its edges in its zone, the name of that, and the moment."""
    period = asked.period
    told: dict[str, Any] = {
        "from_": period.start.astimezone(period.zone),
        "to": period.end.astimezone(period.zone),
        "zone": period.zone.key,
    }
    if asked.happened_by is not None:
        told["happened_by"] = asked.happened_by
    if asked.recorded_by is not None:
        told["recorded_by"] = asked.recorded_by
    return told


def answered(shape: Struct) -> Response:
    """The answer as JSON."""
    return Response(shapes.encode(shape), media_type="application/json")
