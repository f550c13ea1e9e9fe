"""How well are customers served? Routes for times of response and resolution, targets, reopenings and the backlog."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Code, Limit, PlaceAsked, Span, answered, place_text, told_period
from api.analytics_windows import as_known_now, hex_of, part, times_told, window_of
from api.insight_shapes import (
    Backlog,
    BacklogDay,
    Promises,
    Running,
    Service,
    ServiceGroup,
    ServiceTicket,
    ServiceTickets,
)
from api.problems import responses
from api.services import services
from projections.insight.service import Group, ServiceReader, Tickets

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

By = Literal[
    "day", "week", "month", "hour", "weekday", "team", "assignee", "queue", "channel", "priority", "category",
    "product", "service_level",
]  # fmt: skip
What = Literal[
    "opened", "responded", "resolved", "closed", "reopened", "response_met", "response_missed", "resolution_met",
    "resolution_missed",
]  # fmt: skip
_ERRORS: Final = responses(429)


async def chosen(
    team: Code = None,
    assignee: Code = None,
    queue: Code = None,
    channel: Code = None,
    priority: Code = None,
    category: Code = None,
    product: Code = None,
    service_level: Code = None,
) -> Tickets:
    """Which tickets, by what they are now."""
    return Tickets(team, assignee, queue, channel, priority, category, product, service_level)


Chosen = Annotated[Tickets, Depends(chosen)]


@router.get(
    "/v1/analytics/service",
    summary="How well customers are served",
    responses={200: shapes.answer("Service"), **_ERRORS},
)
async def service(
    request: Request, _caller: Analyst, asked: Span, tickets: Chosen, by: Annotated[By, Query()] = "day"
) -> Response:
    """First responses, resolutions, reopenings and what was promised, of a period and in groups of it. Team, queue
    and the like are those that a ticket has now."""
    as_known_now(asked)
    reader = ServiceReader(services(request).pool)
    whole, groups, running = await reader.groups(window_of(request, asked), tickets, by)
    series = [_group(one) for one in groups]
    told: dict[str, Any] = told_period(asked)
    return answered(Service(**told, by=by, total=_group(whole), running=Running(*running), series=series))


@router.get(
    "/v1/analytics/service/tickets",
    summary="The tickets behind a figure of service",
    responses={200: shapes.answer("ServiceTickets"), **_ERRORS},
)
async def behind(
    request: Request,
    _caller: Analyst,
    asked: Span,
    tickets: Chosen,
    place: PlaceAsked,
    what: Annotated[What, Query(description="Which figure")],
    by: Annotated[By | None, Query(description="With `key`: how it was grouped")] = None,
    key: Annotated[str | None, Query(max_length=200, description="Of which group; left out: of none")] = None,
    limit: Limit = 100,
) -> Response:
    """The tickets of which that happened in the period, the latest first; with `by` and `key` those of a group."""
    as_known_now(asked)
    reader = ServiceReader(services(request).pool)
    found = await reader.tickets(window_of(request, asked), tickets, by, key, what, place, limit + 1)
    page = [
        ServiceTicket(one.item.hex, one.ref, one.at, one.seconds, one.business, hex_of(one.customer))
        for one in found[:limit]
    ]
    after = place_text(found[limit - 1].at, found[limit - 1].item) if len(found) > limit else None
    return answered(ServiceTickets(**told_period(asked), what=what, tickets=page, next=after))


@router.get(
    "/v1/analytics/backlog",
    summary="Open tickets at the end of each day",
    responses={200: shapes.answer("Backlog"), **_ERRORS},
)
async def backlog(request: Request, _caller: Analyst, asked: Span, tickets: Chosen) -> Response:
    """How many tickets were open when each day of the period ended; how many were opened on it, and ended."""
    as_known_now(asked)
    found = await ServiceReader(services(request).pool).backlog(window_of(request, asked), tickets)
    return answered(Backlog(**told_period(asked), days=[BacklogDay(*one) for one in found]))


def _group(group: Group) -> ServiceGroup:
    return ServiceGroup(
        group.key,
        group.opened,
        group.resolved,
        group.closed,
        group.reopened,
        part(group.reopened, group.resolved),
        times_told(group.response),
        times_told(group.resolution),
        times_told(group.business),
        _promises(group.response_met, group.response_missed),
        _promises(group.resolution_met, group.resolution_missed),
    )


def _promises(met: int, missed: int) -> Promises:
    return Promises(met, missed, part(met, met + missed))
