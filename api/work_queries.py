"""What do the routes that read deals, tickets, tasks and leads take? Pages, positions to wait for, a moment."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query, Request

from api.as_of import read_when
from api.commanding import item_id
from api.services import Services, services
from api.vectors import read_vector
from api.work_reading import Asked, Shown, show
from commands.access import Caller
from domain.errors import BadInput, Problem

__all__ = ["Code", "Cursor", "DueBy", "Limit", "Steps", "Visible", "shown", "stated", "timed"]

_MANY: Final = frozenset({"state"})
_TIME: Final[dict[str, Any]] = {"format": "date-time"}
Limit = Annotated[int, Query(ge=1, le=200, description="Most items on the page")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the answer before")]
Code = Annotated[str | None, Query(max_length=100)]


async def visible(
    request: Request,
    after_positions: Annotated[
        str | None, Query(max_length=20_000, description="Wait until these positions are visible")
    ] = None,
    storyline_after: Annotated[
        str | None, Header(max_length=20_000, description="Like after_positions, as a header")
    ] = None,
) -> None:
    """Wait for what the caller wants to see. Raises BadInput, also for what comes twice and is meant once; NotYet."""
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in names if names.count(name) > 1 and name not in _MANY), None)
    if twice is not None:
        raise BadInput([Problem(twice, "comes more than once.", "Send it once.")])
    positions = after_positions or storyline_after
    if positions:
        await services(request).wait_for(read_vector(positions, "after_positions"))


Visible = Depends(visible)
"""A route with this dependency waits for `after_positions` before it reads."""


DueBy = Annotated[
    str | None, Query(max_length=64, description="What is due by then", json_schema_extra={"format": "date-time"})
]


class _Steps:
    """Which steps of a history, and as of when."""

    def __init__(self, before: int | None, limit: int, happened_by: datetime | None) -> None:
        self.before, self.limit, self.happened_by = before, limit, happened_by


async def steps(
    before: Annotated[int | None, Query(ge=1, le=10**12, description="Only steps before this revision")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Most steps of the history")] = 50,
    happened_by: Annotated[
        str | None, Query(max_length=64, description="As of what had happened by then", json_schema_extra=_TIME)
    ] = None,
) -> _Steps:
    """The query of one item. Raises BadInput."""
    return _Steps(before, limit, read_when(happened_by, "happened_by") if happened_by else None)


Steps = Annotated[_Steps, Depends(steps)]


async def shown(request: Request, caller: Caller, kind: str, id: str, query: _Steps) -> Shown:
    """One item for a caller. Raises NotFound."""
    held = services(request)
    item = item_id(id, kind)
    roles = await _roles(held, caller)
    timelines = not caller.scopes.isdisjoint({"read", "read-sealed"})
    asked = Asked("read" in caller.scopes, roles, query.before, query.limit, query.happened_by, timelines)
    return await show(held, kind, item, asked)


async def _roles(held: Services, caller: Caller) -> frozenset[str]:
    if caller.user is None:
        return frozenset()
    return await held.unseal(lambda: held.parts.working.actor_of(caller.key_id, caller.user).roles)


def timed(text: str | None, field: str) -> datetime | None:
    """A moment of a query. Raises BadInput."""
    return read_when(text, field) if text else None


def stated(**codes: str | None) -> None:
    """Raise BadInput for a code that the database cannot take."""
    for name, code in codes.items():
        if code is not None and "\0" in code:
            raise BadInput([Problem(name, "holds a NUL character.", "Leave the character out.")])
