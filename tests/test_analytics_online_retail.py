"""Are sales of the real invoices those of the files, to the cent? In all, by day, weekday, hour, month, product and
country, in London, where the shop is, and where the clocks change on other days, and by half an hour."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from psycopg_pool import AsyncConnectionPool

from domain.zones import Period
from projections.figures.sales import Figure, Filters, SalesReader
from tests.support.plain_sales import BUCKETS
from tests.support.retail import Retail, RetailLine

pytestmark = [pytest.mark.data, pytest.mark.timeout(600)]
ZONES = ["Europe/London", "America/Sao_Paulo", "Australia/Lord_Howe"]
YEAR = (datetime(2010, 12, 1, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC))


class Invoice(NamedTuple):
    """What the lines of one invoice come to."""

    number: str
    at: datetime
    country: str
    lines: list[RetailLine]


@pytest.fixture(scope="module")
def invoices(retail: Retail) -> list[Invoice]:
    """Purchases and refunds: an `A` is an entry in the books, and so is one whose quantities are all negative."""
    found = []
    for number, rows in groupby(sorted(retail.lines, key=lambda line: line.invoice), key=lambda line: line.invoice):
        lines = list(rows)
        written_off = number[0] not in "CA" and all(line.quantity < 0 for line in lines)
        if not number.startswith("A") and not written_off:
            found.append(Invoice(number, min(line.at for line in lines), lines[0].country, lines))
    return found


def _told(invoices: Iterable[Invoice], keys: Callable[[Invoice, RetailLine], Any]) -> dict[Any, tuple[Any, ...]]:
    """{key: (revenue, refunds, units, orders)} of the lines, each under the key that is asked for."""
    sums: dict[Any, list[Any]] = defaultdict(lambda: [Decimal(0), Decimal(0), Decimal(0), set()])
    for invoice in invoices:
        for line in invoice.lines:
            told = sums[keys(invoice, line)]
            if invoice.number.startswith("C"):
                told[1] -= line.amount
            else:
                told[0] += line.amount
                told[2] += line.quantity
                told[3].add(invoice.number)
    return {key: (*told[:3], len(told[3])) for key, told in sums.items()}


def _asked(retail: Retail, zone: str, unit: Any, by: Any = "", **filters: str) -> dict[Any, tuple[Any, ...]]:
    async def read() -> list[Figure]:
        async with AsyncConnectionPool(retail.story.dsn, min_size=1, kwargs={"autocommit": True}) as pool:
            return await SalesReader(pool).sales(Period(*YEAR, ZoneInfo(zone)), unit, by, Filters(**filters))

    found = asyncio.run(read())
    assert {one.currency for one in found} == {"GBP"}
    return {
        (one.bucket and BUCKETS[unit](one.bucket), one.value): (one.revenue, one.refunds, one.units, one.orders)
        for one in found
    }


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", ["all", "day", "week", "month", "weekday", "hour", "weekhour"])
def test_S40_sales_by_time_are_those_of_the_files(
    retail: Retail, invoices: list[Invoice], zone: str, unit: str
) -> None:
    there = ZoneInfo(zone)
    expected = _told(invoices, lambda invoice, _: (BUCKETS[unit](invoice.at.astimezone(there)), ""))
    assert _asked(retail, zone, unit) == expected


def test_S40_sales_by_product_are_those_of_the_files(retail: Retail, invoices: list[Invoice]) -> None:
    expected = _told(invoices, lambda _, line: (None, line.product))
    assert _asked(retail, "Europe/London", "all", "product") == expected


def test_S40_sales_by_country_are_those_of_the_files(retail: Retail, invoices: list[Invoice]) -> None:
    expected = _told(invoices, lambda invoice, _: (None, invoice.country))
    assert _asked(retail, "Europe/London", "all", "country") == expected


@pytest.mark.parametrize("filters", [{"product": "85123A"}, {"product": "85123A", "country": "EIRE"}])
def test_S40_a_product_by_day_is_that_of_the_files(
    retail: Retail, invoices: list[Invoice], filters: dict[str, str]
) -> None:
    chosen = [
        one._replace(lines=[line for line in one.lines if line.product == filters["product"]])
        for one in invoices
        if filters.get("country", one.country) == one.country
    ]
    expected = _told(chosen, lambda invoice, _: (BUCKETS["day"](invoice.at.astimezone(ZoneInfo(ZONES[1]))), ""))
    assert _asked(retail, ZONES[1], "day", **filters) == expected


def test_much_of_the_files_was_asked_about(invoices: list[Invoice]) -> None:
    assert len(invoices) > 5000 and sum(len(one.lines) for one in invoices) > 100_000
