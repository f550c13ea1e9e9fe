"""How is Storyline, over HTTP? Health, lag, members, dead letters, rebuilds, and what to do about each."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api import shapes
from api.problems import responses
from api.security import Guard
from api.services import services
from commands.access import Caller
from eventlog.port import Log
from projections.connecting import connected
from projections.status import Status, read_status

__all__ = ["router"]

router = APIRouter(tags=["Health"], default_response_class=Response)


@router.get(
    "/v1/status",
    summary="How is it, and what is to be done?",
    responses={200: shapes.answer("Status"), **responses()},
)
async def status(request: Request, _caller: Annotated[Caller, Depends(Guard("operate"))]) -> Response:
    """Members, lag, dead letters, rebuilds and read models; `troubles` says what is wrong and what to do about it.

    A 200 also where something is wrong: see `well`.
    """
    held = services(request)

    def look(log: Log) -> Status:
        with connected(held.parts.reader_dsn, patience=5) as connection:
            return read_status(connection, log)

    return Response(shapes.encode(await held.log.ask(look)), media_type="application/json")
