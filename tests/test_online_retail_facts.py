"""Do orders, revenue and refunds of the real invoices add up? To the cent, for each customer, in any import order.

The plain reading below knows csv and decimals, and nothing of ours.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from adapters.online_retail import COLUMNS, Line, event_of, line_of
from domain.facts import Facts
from domain.identifiers import Identifier
from eventlog.port import Entry
from eventlog.sql import load
from projections.customers.reader import facts_of_rows
from tests.support.postgres import PostgresServer
from tests.support.story import Story, story

pytestmark = [pytest.mark.data, pytest.mark.timeout(600)]

_CUSTOMERS, _INVOICES = 4_372, 25_900
_QUERIES = load("projections.customers", "queries.sql")
_RECORDED = datetime(2026, 1, 1, tzinfo=UTC)
Row = list[str]


@dataclass
class Plain:
    """What one customer's rows come to."""

    orders: set[str] = field(default_factory=set)
    revenue: Decimal = Decimal(0)
    refunds: Decimal = Decimal(0)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The cells of all files, in the order of `COLUMNS`."""
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "online-retail"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with online-retail")
    found: list[Row] = []
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="", encoding="utf-8") as stream:
            header, *lines = csv.reader(stream)
            places = [header.index(name) for name in COLUMNS]
            found += [[line[place].strip() for place in places] for line in lines]
    return found


@pytest.fixture(scope="module")
def plain(rows: list[Row]) -> dict[str, Plain]:
    """Per customer: C is a cancellation, any other invoice an order (no customer has written-off stock)."""
    found: dict[str, Plain] = defaultdict(Plain)
    for invoice, _, _, _, quantity, price, customer, _ in rows:
        if not customer:
            continue
        mine = found[customer.removesuffix(".0")]
        amount = int(quantity) * Decimal(price)
        if invoice.startswith("C"):
            mine.refunds -= amount
        else:
            mine.orders.add(invoice)
            mine.revenue += amount
    assert len(found) == _CUSTOMERS
    return found


@pytest.fixture(scope="module")
def imported(postgres: PostgresServer, rows: list[Row]) -> Iterator[tuple[Story, list[Entry]]]:
    """Every invoice as the event that the importer makes of it, sealed once for all orders of import.

    Without their lines: those are told by tests of the importer, and no fact is made of them.
    """
    invoices: dict[str, list[Line]] = defaultdict(list)
    for invoice, *cells in rows:
        line = line_of(cells)
        assert isinstance(line, Line)
        invoices[invoice.upper()].append(line)
    events: list[dict[str, Any]] = []
    for invoice, lines in invoices.items():
        made = event_of(invoice, lines)
        assert isinstance(made, dict)
        made["data"]["content"]["lines"] = []
        events.append(made)
    assert len(events) == _INVOICES
    with _fresh(postgres) as first:
        starts = range(0, len(events), 500)
        yield first, [one for start in starts for one in first.seal(events[start : start + 500], _RECORDED)]


@contextmanager
def _fresh(postgres: PostgresServer, keys_of: Story | None = None) -> Iterator[Story]:
    """A system on a database of its own, which goes with it."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, f"{dsn}&partitions=4", hashing_from=keys_of) as made:
        yield made
    postgres.drop_database(name)


def _facts(made: Story, customers: list[str]) -> dict[str, Facts]:
    """By customer number, as an answer of the API would have them."""
    with psycopg.connect(made.dsn, autocommit=True) as connection, connection.pipeline():
        evidences = _each(connection, customers, lambda number: ("customer", {"node": _node(made, number)}))
        sums = _each(connection, customers, lambda number: ("sums", {"evidences": evidences[number][0][1]}))
    return {number: facts_of_rows([], sums[number]) for number in customers}


def _each(connection: psycopg.Connection, customers: list[str], ask: Callable[[str], Any]) -> dict[str, list[Any]]:
    asked = {}
    for number in customers:
        query, parameters = ask(number)
        asked[number] = connection.cursor(binary=True).execute(_QUERIES[query], parameters)
    return {number: cursor.fetchall() for number, cursor in asked.items()}


def _node(made: Story, number: str) -> UUID:
    token = made.hasher.token(Identifier("customer_no", number))
    assert token is not None
    return UUID(hex=token[-32:])


def _as_published(entries: list[Entry]) -> list[Entry]:
    return entries


def _reversed(entries: list[Entry]) -> list[Entry]:
    return entries[::-1]


def _at_random(entries: list[Entry]) -> list[Entry]:
    return random.Random(20_111_209).sample(entries, len(entries))


@pytest.mark.parametrize("order", [_as_published, _reversed, _at_random])
def test_orders_revenue_and_refunds_equal_a_plain_reading_for_every_customer(
    postgres: PostgresServer,
    imported: tuple[Story, list[Entry]],
    plain: dict[str, Plain],
    order: Callable[[list[Entry]], list[Entry]],
) -> None:
    first, entries = imported
    with _fresh(postgres, first) as made:
        told = order(entries)
        for start in range(0, len(told), 1000):
            made.log.append(told[start : start + 1000])
        made.project()
        assert made.parked == []
        found = _facts(made, list(plain))
    wrong = [number for number, mine in plain.items() if not _equal(found[number], mine)]
    assert wrong == []


def _equal(facts: Facts, mine: Plain) -> bool:
    if len(facts.sums) != 1 or facts.orders != len(mine.orders):
        return False
    (sums,) = facts.sums
    told = (sums.currency, sums.orders, sums.revenue, sums.refunds)
    return told == ("GBP", len(mine.orders), mine.revenue, mine.refunds)
