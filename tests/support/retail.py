"""Where is the Online Retail history on a system? Imported once, as the importer publishes it, for all tests that
ask about it; beside the rows of the files, read plainly."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
import pytest

from adapters.online_retail import COLUMNS, Line, event_of, line_of
from domain.configuration import Rfm
from projections.figures.buyers import Buying
from projections.figures.folding import fold_all
from tests.support.postgres import PostgresServer
from tests.support.story import Story, story

__all__ = ["Retail", "RetailLine", "imported", "retail_files", "retail_lines"]

LONDON = ZoneInfo("Europe/London")
_RECORDED = datetime(2026, 1, 1, tzinfo=UTC)
_MONTHS = () if os.environ.get("STORYLINE_RETAIL") == "all" else ("2010-12", "2011-03", "2011-10")
"""The months that are read, in which clocks change here and there; all of them by hand, with STORYLINE_RETAIL=all."""


class RetailLine(NamedTuple):
    """A row of the files: one line of an invoice. amount: quantity by price, as it stands there."""

    invoice: str
    at: datetime
    product: str
    quantity: int
    amount: Decimal
    customer: str
    country: str


class Retail(NamedTuple):
    """A system that holds the whole history, and the rows of the files."""

    story: Story
    lines: list[RetailLine]


def retail_lines() -> list[RetailLine]:
    """All rows. The time of an invoice is that of its earliest line, by the clocks of London. Skips without data."""
    return [_plain(row) for row in _rows()]


def retail_files() -> list[Path]:
    """The files of the months that are read, the earliest first. Skips without data."""
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "online-retail"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with online-retail")
    files = sorted(folder.glob("*.csv.gz"))
    return [path for path in files if not _MONTHS or path.name.partition(".")[0] in _MONTHS]


def _rows() -> list[list[str]]:
    found: list[list[str]] = []
    for path in retail_files():
        with gzip.open(path, "rt", newline="", encoding="utf-8") as stream:
            header, *lines = csv.reader(stream)
            places = [header.index(name) for name in COLUMNS]
            found += [[line[place].strip() for place in places] for line in lines]
    return found


def _plain(row: list[str]) -> RetailLine:
    invoice, time, product, _, quantity, price, customer, country = row
    at = datetime.fromisoformat(time).replace(tzinfo=LONDON)
    amount = int(quantity) * Decimal(price)
    return RetailLine(invoice, at, product, int(quantity), amount, customer.removesuffix(".0"), country)


@contextmanager
def imported(postgres: PostgresServer) -> Iterator[Retail]:
    """The history on a system of its own, projected, and its figures summed."""
    rows = _rows()
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, f"{dsn}&partitions=4") as made:
        events = _events(rows)
        for start in range(0, len(events), 500):
            made.log.append(made.seal(events[start : start + 500], _RECORDED))
        made.project()
        with psycopg.connect(dsn, autocommit=True) as connection:
            fold_all(connection, "", buying=Buying.of("Europe/London", Rfm()))
        yield Retail(made, [_plain(row) for row in rows])
    postgres.drop_database(name)


def _events(rows: list[list[str]]) -> list[dict[str, Any]]:
    """Every invoice as the event that the importer makes of it."""
    invoices: dict[str, list[Line]] = defaultdict(list)
    for invoice, *cells in rows:
        line = line_of(cells)
        if isinstance(line, Line):
            invoices[invoice.upper()].append(line)
    made = [event_of(invoice, lines) for invoice, lines in invoices.items()]
    return [one for one in made if isinstance(one, dict)]
