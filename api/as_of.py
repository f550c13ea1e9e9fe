"""As of which moment is something asked, and how do answers say so? `happened_by` and `recorded_by`, on all that is
told of one customer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypedDict

from fastapi import Depends, Query

from api.services import Services
from domain.errors import BadInput, Problem
from domain.event import read_time
from projections.customers.as_of import AsOfReader
from projections.customers.remaking import Remaker
from projections.identity.as_of import EVER, Moment, Then

__all__ = ["AsOf", "Echo", "echo", "read_when", "reader_of"]

_TIME: Final[dict[str, Any]] = {"format": "date-time"}
_HAPPENED: Final = "As of what had happened by then; RFC 3339"
_RECORDED: Final = "As of what we knew by then; RFC 3339"


def read_when(text: str, field: str) -> datetime:
    """A time of a query, in UTC. Raises BadInput."""
    try:
        # A `+` that was not quoted arrives as a blank.
        return read_time(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        way_out = "Send a time such as 2026-03-01T09:30:00Z."
        raise BadInput([Problem(field, f"is not right: {error}.", way_out)]) from None


async def moment(
    happened_by: Annotated[str | None, Query(max_length=64, description=_HAPPENED, json_schema_extra=_TIME)] = None,
    recorded_by: Annotated[str | None, Query(max_length=64, description=_RECORDED, json_schema_extra=_TIME)] = None,
) -> Moment | None:
    """The moment that is asked for; None: now. Raises BadInput."""
    if not happened_by and not recorded_by:
        return None
    return Moment(
        read_when(happened_by, "happened_by") if happened_by else EVER.happened_by,
        read_when(recorded_by, "recorded_by") if recorded_by else EVER.recorded_by,
    )


AsOf = Annotated[Moment | None, Depends(moment)]


class Echo(TypedDict, total=False):
    """What an answer says of the moment: the bounds that were asked for, and whose the id is now."""

    happened_by: datetime
    recorded_by: datetime
    now: str


def echo(found: Then) -> Echo:
    """Fields of an answer as of then."""
    told: Echo = {"now": found.now.hex}
    if found.moment.happened_by != EVER.happened_by:
        told["happened_by"] = found.moment.happened_by
    if found.moment.recorded_by != EVER.recorded_by:
        told["recorded_by"] = found.moment.recorded_by
    return told


def reader_of(held: Services) -> AsOfReader:
    """Reads customers as of a moment."""
    return AsOfReader(held.pool, Remaker(held.parts.keyring, held.parts.catalogue))
