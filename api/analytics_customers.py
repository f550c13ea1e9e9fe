"""How good are the customers, and do they come back? Routes for RFM, the loyal ones, cohorts, new and returning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api import shapes
from api.analytics_queries import Analyst, Limit, PlaceAsked, Span, Top, answered, bounded, place_text, told_period
from api.analytics_windows import EVER, part, window_of
from api.as_of import AsOf
from api.loyalty_shapes import (
    CohortMonth,
    Cohorts,
    CohortTold,
    CurrencyRevenue,
    CustomersBought,
    CustomersGroup,
    RevenueSplit,
    RfmClasses,
    RfmClassTold,
    RfmCustomer,
    RfmCustomers,
    RfmScores,
)
from api.problems import responses
from api.services import Services, services
from domain.configuration import Rfm
from domain.errors import BadInput, NotFound, Problem
from domain.facts import written
from domain.rfm import class_of
from projections.identity.as_of import Moment
from projections.insight.customers import Cohort, CustomersReader, Loyalty, Returned, Scored, When

__all__ = ["router"]

router = APIRouter(tags=["Analytics"], default_response_class=Response)

_ERRORS: Final = responses(429)
_NO_CLASS: Final = "none"


@router.get(
    "/v1/analytics/rfm",
    summary="Classes of customers",
    responses={200: shapes.answer("RfmClasses"), **_ERRORS},
    dependencies=[Depends(bounded)],
)
async def rfm(request: Request, _caller: Analyst, moment: AsOf) -> Response:
    """All customers who bought, by the classes that recency, frequency and monetary value make; see the section `rfm`
    of the configuration."""
    held = services(request)
    rules = held.parts.working.rules.rfm
    when = _when(held, moment)
    found = await CustomersReader(held.pool).classes(when, rules)
    whole = sum(one.customers for one in found)
    classes = [
        RfmClassTold(
            one.code,
            one.customers,
            part(one.customers, whole),
            one.orders,
            written(one.revenue),
            written(one.refunds),
            written(one.revenue - one.refunds),
        )
        for one in found
    ]
    return answered(RfmClasses(**_as_of(when, rules), customers=whole, classes=classes))


@router.get(
    "/v1/analytics/rfm/customers",
    summary="The customers of a class",
    responses={200: shapes.answer("RfmCustomers"), **_ERRORS},
    dependencies=[Depends(bounded)],
)
async def members(
    request: Request,
    _caller: Analyst,
    moment: AsOf,
    place: PlaceAsked,
    code: Annotated[str, Query(alias="class", max_length=64, description="The class; `none`: of no class")],
    limit: Limit = 100,
) -> Response:
    """The customers of a class with their scores, who bought last first."""
    held = services(request)
    rules = held.parts.working.rules.rfm
    known = [one.code for one in rules.classes]
    if code not in {*known, _NO_CLASS}:
        raise BadInput([Problem("class", "is no class.", f"There are {', '.join(known)} and {_NO_CLASS}.")])
    when = _when(held, moment)
    wanted = code if code in known else None
    found = await CustomersReader(held.pool).members(when, rules, wanted, place, limit + 1)
    after = place_text(found[limit - 1].last_at, found[limit - 1].customer) if len(found) > limit else None
    told = [_customer(one, rules) for one in found[:limit]]
    return answered(RfmCustomers(**_as_of(when, rules), customers=told, next=after))


@router.get(
    "/v1/analytics/loyal",
    summary="The most loyal customers",
    responses={200: shapes.answer("RfmCustomers"), **_ERRORS},
    dependencies=[Depends(bounded)],
)
async def loyal(request: Request, _caller: Analyst, moment: AsOf, limit: Top = 50) -> Response:
    """The customers with the best scores together, of equal ones those who bought more often, and for more."""
    held = services(request)
    rules = held.parts.working.rules.rfm
    when = _when(held, moment)
    found = await CustomersReader(held.pool).loyal(when, rules, limit)
    return answered(RfmCustomers(**_as_of(when, rules), customers=[_customer(one, rules) for one in found]))


@router.get(
    "/v1/analytics/customers/{customer}/rfm",
    summary="A customer's scores",
    responses={200: shapes.answer("RfmCustomer"), **responses(404, 429)},
    dependencies=[Depends(bounded)],
)
async def one(
    request: Request,
    _caller: Analyst,
    moment: AsOf,
    customer: Annotated[str, Path(description="The customer's id, 32 hex digits; of any of its identifiers")],
) -> Response:
    """How lately, how often and for how much one customer bought, and the class that this makes."""
    held = services(request)
    rules = held.parts.working.rules.rfm
    try:
        node = UUID(hex=customer)
    except ValueError:
        node = None
    found = None if node is None else await CustomersReader(held.pool).one(_when(held, moment), rules, node)
    if found is None:
        raise NotFound("No customer of that id has bought anything; without a purchase there are no scores.")
    return answered(_customer(found, rules))


@router.get(
    "/v1/analytics/cohorts",
    summary="Retention by the month of the first purchase",
    responses={200: shapes.answer("Cohorts"), **_ERRORS},
)
async def cohorts(request: Request, _caller: Analyst, asked: Span) -> Response:
    """The customers whose first counted purchase lies in the period, by its month; and how many of them bought again
    in each month since, until now."""
    reader = CustomersReader(services(request).pool)
    found = await reader.cohorts(window_of(request, asked), asked.recorded_by or EVER)
    told = [_cohort(month, list(rows)) for month, rows in groupby(found, key=lambda one: one.month)]
    return answered(Cohorts(**told_period(asked), cohorts=told))


@router.get(
    "/v1/analytics/customers",
    summary="New and returning customers",
    responses={200: shapes.answer("CustomersBought"), **_ERRORS},
)
async def customers(
    request: Request, _caller: Analyst, asked: Span, by: Annotated[Literal["day", "week", "month"], Query()] = "month"
) -> Response:
    """Who bought in a period: for the first time or again, how many have ordered twice or more by its end, and what
    they brought. In each group new is who bought for the first time within it."""
    reader = CustomersReader(services(request).pool)
    counts, sums = await reader.loyalty(window_of(request, asked), asked.recorded_by or EVER, by)
    whole, *series = [_group(one, sums) for one in counts] or [_group(Loyalty(None, 0, 0, 0, 0, 0, 0), ())]
    return answered(CustomersBought(**told_period(asked), by=by, total=whole, series=series))


def _when(held: Services, moment: Moment | None) -> When:
    now = held.parts.clock()
    return When(now, EVER) if moment is None else When(min(now, moment.happened_by), moment.recorded_by)


def _as_of(when: When, rules: Rfm) -> dict[str, Any]:
    told: dict[str, Any] = {"at": when.now, "currency": rules.currency}
    if when.recorded_by < EVER:
        told["recorded_by"] = when.recorded_by
    return told


def _customer(one: Scored, rules: Rfm) -> RfmCustomer:
    code = class_of(one.recency, one.frequency, one.monetary, rules)
    return RfmCustomer(
        one.customer.hex,
        RfmScores(one.recency, one.frequency, one.monetary, code),
        one.first_at,
        one.last_at,
        one.orders,
        written(one.revenue),
        written(one.refunds),
        written(one.revenue - one.refunds),
    )


def _cohort(month: str, rows: Sequence[Cohort]) -> CohortTold:
    size = next((one.customers for one in rows if one.since == 0 and one.currency is None), 0)
    return CohortTold(month, size, list(_months(rows, size)))


def _months(rows: Sequence[Cohort], size: int) -> Iterator[CohortMonth]:
    for since, told in groupby(rows, key=lambda one: one.since):
        whole, *each = told
        revenue = [CurrencyRevenue(one.currency or "", written(one.revenue)) for one in each]
        yield CohortMonth(since, whole.customers, part(whole.customers, size), whole.orders, revenue)


def _group(one: Loyalty, sums: Sequence[Returned]) -> CustomersGroup:
    revenue = [
        RevenueSplit(each.currency, *map(written, (each.new, each.returning, each.unknown)))
        for each in sums
        if each.key == one.key
    ]
    return CustomersGroup(
        one.key,
        one.customers,
        one.new,
        one.customers - one.new,
        one.repeat,
        part(one.repeat, one.customers),
        one.new_orders,
        one.returning_orders,
        one.unknown_orders,
        revenue,
    )
