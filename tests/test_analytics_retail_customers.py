"""Are scores, cohorts and returning customers of a real shop those that a plain reading of its files finds?

The plain reading knows invoices, clocks and decimals, and nothing of ours; the edges of the scores stand here again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from domain.configuration import Rfm
from projections.insight.asking import Window
from projections.insight.customers import CustomersReader, When
from tests.support.insight import LAST, ask
from tests.support.retail import Retail

pytestmark = [pytest.mark.data, pytest.mark.timeout(600)]

EVER = datetime(9999, 12, 31, tzinfo=UTC)
NOW = datetime(2011, 12, 10, tzinfo=UTC)
RULES = Rfm(recency_days=[14, 45, 90, 200], frequency=[2, 3, 5, 10], monetary=[200, 500, 1000, 5000])
ZONES = ["Europe/London", "America/Sao_Paulo"]


class Invoice(NamedTuple):
    """An invoice of a customer that is no cancellation, with what its lines come to."""

    at: datetime
    number: str
    amount: Decimal


@pytest.fixture(scope="module")
def bought(retail: Retail) -> dict[str, list[Invoice]]:
    """The invoices of each customer, the first one first; an invoice is of the time of its earliest line."""
    lines = defaultdict(list)
    for line in retail.lines:
        if line.customer and not line.invoice.startswith("C"):
            lines[line.customer, line.invoice].append(line)
    found = defaultdict(list)
    for (customer, number), rows in lines.items():
        amount = sum((row.amount for row in rows), Decimal(0))
        found[customer].append(Invoice(min(row.at for row in rows).astimezone(UTC), number, amount))
    return {customer: sorted(invoices) for customer, invoices in found.items()}


def reader(retail: Retail, method: str, *asked: Any) -> Any:
    return ask(retail.story.dsn, lambda pool: getattr(CustomersReader(pool), method)(*asked))


def scores(invoices: list[Invoice]) -> tuple[int, int, int]:
    revenue = sum((one.amount for one in invoices), Decimal(0))
    ago = NOW - invoices[-1].at
    return (
        5 - sum(ago >= timedelta(days=days) for days in RULES.recency_days),
        1 + sum(len(invoices) >= edge for edge in RULES.frequency),
        1 + sum(revenue >= edge for edge in RULES.monetary),
    )


def test_scores_and_classes_of_all_customers(retail: Retail, bought: dict[str, list[Invoice]]) -> None:
    expected = Counter(scores(invoices) for invoices in bought.values())
    found = reader(retail, "loyal", When(NOW, EVER), RULES, 10_000)
    assert Counter((one.recency, one.frequency, one.monetary) for one in found) == expected
    whole = Counter((len(one), sum((each.amount for each in one), Decimal(0))) for one in bought.values())
    assert Counter((one.orders, one.revenue) for one in found) == whole
    classes = reader(retail, "classes", When(NOW, EVER), RULES)
    assert sum(one.customers for one in classes) == len(bought)
    assert len(bought) == (4_339 if len({line.at.month for line in retail.lines}) == 12 else 2_366)
    assert sum(one.revenue for one in classes) == sum(amount * count for (_, amount), count in whole.items())
    champions = sum(count for one, count in expected.items() if min(one) >= 4)
    assert {one.code: one.customers for one in classes}["champions"] == champions
    assert len(reader(retail, "members", When(NOW, EVER), RULES, "champions", LAST, 10_000)) == champions


def month_of(at: datetime, zone: str) -> tuple[int, int]:
    local = at.astimezone(ZoneInfo(zone))
    return local.year, local.month


@pytest.mark.parametrize("zone", ZONES)
def test_cohorts_by_month(retail: Retail, bought: dict[str, list[Invoice]], zone: str) -> None:
    customers: Counter[Any] = Counter()
    orders: Counter[Any] = Counter()
    revenue: dict[Any, Decimal] = defaultdict(Decimal)
    for invoices in bought.values():
        year, month = month_of(invoices[0].at, zone)
        seen = set()
        for one in invoices:
            y, m = month_of(one.at, zone)
            key = (f"{year}-{month:02}", (y - year) * 12 + m - month)
            seen.add(key)
            orders[key] += 1
            revenue[key] += one.amount
        customers.update(seen)
    window = Window(datetime(2010, 11, 1, tzinfo=UTC), datetime(2012, 1, 1, tzinfo=UTC), zone, NOW)
    found = reader(retail, "cohorts", window, EVER)
    whole = {(one.month, one.since): one for one in found if one.currency is None}
    assert {key: one.customers for key, one in whole.items()} == customers
    assert {key: one.orders for key, one in whole.items()} == orders
    assert {(one.month, one.since): one.revenue for one in found if one.currency == "GBP"} == revenue


@pytest.mark.parametrize("by", ["day", "week", "month"])
@pytest.mark.parametrize("zone", ZONES)
def test_new_and_returning_customers(retail: Retail, bought: dict[str, list[Invoice]], zone: str, by: str) -> None:
    start, end = datetime(2011, 3, 1, tzinfo=UTC), datetime(2011, 9, 1, tzinfo=UTC)
    groups: dict[Any, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    revenue: dict[Any, Decimal] = defaultdict(Decimal)
    for customer, invoices in bought.items():
        often = sum(one.at < end for one in invoices) > 1
        for one in invoices:
            if start <= one.at < end:
                key = key_of(one.at, by, zone)
                for group, new in (
                    (key, key_of(invoices[0].at, by, zone) == key), (None, invoices[0].at >= start)
                ):  # fmt: skip
                    groups[group]["customers"].add(customer)
                    groups[group]["new" if new else "returning"].add(customer)
                    groups[group]["repeat"] |= {customer} if often else set()
                    revenue[group, new] += one.amount
    counts, sums = reader(retail, "loyalty", Window(start, end, zone, NOW), EVER, by)
    told = {one.key: (one.customers, one.new, one.repeat) for one in counts}
    assert told == {
        key: (len(into["customers"]), len(into["new"]), len(into["repeat"])) for key, into in groups.items()
    }
    assert {(one.key, True): one.new for one in sums if one.new} | {
        (one.key, False): one.returning for one in sums if one.returning
    } == {key: value for key, value in revenue.items() if value}


def key_of(at: datetime, by: str, zone: str) -> str:
    local = at.astimezone(ZoneInfo(zone))
    return {"day": f"{local:%Y-%m-%d}", "week": f"{local:%G-W%V}", "month": f"{local:%Y-%m}"}[by]
