"""What is in the Online Retail files, and which event is an invoice? One CSV row is one line of an invoice.

The rules, and how many of the 25,900 invoices of the real files each one meets, are in `docs/importing.md`. Lines of
an invoice need not stand together, nor in one file: rows are sorted by invoice on disk, in bounded memory. What an
event holds depends on the set of its rows alone, so that rows and files in another order give the same events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from adapters.importing import Refusal, Step
from adapters.reading import Cells, Place, digest_of, input_files, open_text, read_cells
from adapters.sorting import sort_rows
from domain.errors import BadInput, Problem

__all__ = ["COLUMNS", "SOURCE", "Line", "OnlineRetail", "event_of", "line_of"]

SOURCE: Final = "online-retail"
CURRENCY: Final = "GBP"
COLUMNS: Final = (
    "InvoiceNo",
    "InvoiceDate",
    "StockCode",
    "Description",
    "Quantity",
    "UnitPrice",
    "CustomerID",
    "Country",
)
"""The columns that are read, in the order that lines of one invoice are put in."""

_RULES: Final = "1"
_TROUBLE: Final = -1
_LONDON: Final = ZoneInfo("Europe/London")
_INVOICE: Final = re.compile(r"([CA]?)([0-9]{1,18})")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_QUANTITY: Final = re.compile(r"-?[0-9]{1,9}")
_PRICE: Final = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")
_CUSTOMER: Final = re.compile(r"([0-9]{1,18})(\.0+)?")

_NO_INVOICE = Refusal("invoice_missing", "The row names no invoice. Fill in InvoiceNo.")
_CELLS = Refusal("cells", "The row has another number of cells than the header. See whether a quote is missing.")
_KIND = Refusal("invoice_kind", "InvoiceNo is neither a number nor C or A with a number, so its kind is not known.")
_CUSTOMERS = Refusal("customers_differ", "The invoice's lines name different customers, so nobody can be billed.")
_NEGATIVE = Refusal("amount_negative", "The invoice's lines come to an amount with the wrong sign for its kind.")
_SIBLING = Refusal("line_refused", "Another line of this invoice cannot be read; an invoice goes in whole or not.")


class Line(NamedTuple):
    """One line of an invoice, read: `time` as it stands in the file, `customer` "" where there is none."""

    time: str
    product: str
    description: str
    quantity: int
    unit_price: Decimal
    customer: str
    country: str


class OnlineRetail:
    """The importer of Online Retail files: CSV, plain or gzipped, or folders of them."""

    name = "online-retail"

    def __init__(self, paths: Iterable[Path]) -> None:
        self.files = input_files(paths, (".csv", ".csv.gz"))
        self.rows_read = 0
        self._total: int | None = None

    def digest(self) -> str:
        return f"{_RULES}-{digest_of(self.files)}"

    def total(self) -> int | None:
        return self._total

    def steps(self) -> Iterator[Step]:
        for _, group in groupby(sort_rows(self._rows()), key=lambda row: row[:2]):
            if self._total is None:
                self._total = self.rows_read  # sorting has read all by now
            yield from _steps_of(list(group))

    def _rows(self) -> Iterator[list[Any]]:
        """Rows to sort by: invoice (its number first, so that the years go by in order), then their cells."""
        self.rows_read = 0
        for path in self.files:
            with open_text(path) as stream:
                rows = read_cells(path, stream)
                columns = _columns_of(path, next(rows, None))
                width = max(columns) + 1
                for row in rows:
                    self.rows_read += 1
                    yield _sortable(row, columns, width)


def _columns_of(path: Path, header: Cells | None) -> list[int]:
    """Where each of `COLUMNS` stands. BadInput names those that are missing."""
    names = [cell.strip() for cell in header.cells] if header is not None else []
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        trouble = f"has no column {', '.join(missing)} in its first row."
        raise BadInput([Problem(path.name, trouble, "Give a file of the Online Retail data set.")])
    return [names.index(name) for name in COLUMNS]


def _sortable(row: Cells, columns: list[int], width: int) -> list[Any]:
    """[number, invoice, seven cells, file, row, line]; a row with trouble is an invoice of its own."""
    refusal = Refusal(*row.trouble) if row.trouble else _CELLS if len(row.cells) < width else None
    cells = [row.cells[column].strip() for column in columns] if refusal is None else []
    if refusal is None and not cells[0]:
        refusal = _NO_INVOICE
    if refusal is not None:
        return [_TROUBLE, f"{row.place.file}\n{row.place.row}", *refusal, "", "", "", "", "", *row.place]
    invoice = cells[0].upper()
    matched = _INVOICE.fullmatch(invoice)
    return [int(matched[2]) if matched else 0, invoice, *cells[1:], *row.place]


def _steps_of(rows: list[list[Any]]) -> Iterator[Step]:
    """The steps of one invoice: one event with all its rows, or refusals."""
    number, invoice = rows[0][:2]
    places = tuple(Place(*row[-3:]) for row in rows)
    if number == _TROUBLE:
        yield Step(places, None, Refusal(*rows[0][2:4]))
        return
    read = [line_of(row[2:-3]) for row in rows]
    if any(isinstance(line, Refusal) for line in read):
        for place, line in zip(places, read, strict=True):
            yield Step((place,), None, line if isinstance(line, Refusal) else _SIBLING)
        return
    event = event_of(invoice, [line for line in read if isinstance(line, Line)])
    yield Step(places, None, event) if isinstance(event, Refusal) else Step(places, event)


def line_of(cells: list[str]) -> Line | Refusal:
    """One line out of the cells of `COLUMNS` without the first, or why it cannot be read."""
    time, product, description, quantity, price, customer, country = cells
    if not _TIME.fullmatch(time) or not _is_time(time):
        return Refusal("time", "InvoiceDate is no time of the form 2010-12-01 08:26:00.")
    if not _QUANTITY.fullmatch(quantity):
        return Refusal("quantity", "Quantity is not a whole number of at most 9 digits.")
    if not _PRICE.fullmatch(price):
        return Refusal("price", "UnitPrice is not a decimal number such as 2.55.")
    found = _CUSTOMER.fullmatch(customer)
    if customer and not found:
        return Refusal("customer", "CustomerID is not a number such as 17850.0.")
    return Line(time, product, description, int(quantity), Decimal(price), found[1] if found else "", country)


def _is_time(text: str) -> bool:
    try:
        return 1900 <= datetime.fromisoformat(text).year <= 2199
    except ValueError:
        return False


def event_of(invoice: str, lines: list[Line]) -> dict[str, Any] | Refusal:
    """The event of one invoice, or why there is none. The order of `lines` does not matter.

    A number is a purchase; `C` and a number a refund, whose quantities and amounts change their sign; `A` and a
    number, and an invoice whose quantities are all negative, are entries in the books and no contact.
    """
    matched = _INVOICE.fullmatch(invoice)
    if matched is None:
        return _KIND
    customers = {line.customer for line in lines} - {""}
    if len(customers) > 1:
        return _CUSTOMERS
    ordered = sorted(lines)
    reason = _entry(matched[1], ordered)
    sign = -1 if matched[1] == "C" else 1
    amount = sum((sign * line.quantity * line.unit_price for line in ordered), start=Decimal(0))
    if amount < 0 and reason is None:
        return _NEGATIVE
    content: dict[str, Any] = {"amount": _plain(amount), "currency": CURRENCY}
    if len(ordered[0].country) > 1:
        content["country"] = ordered[0].country
    if reason is not None:
        content["reason"] = reason
    content["lines"] = [_content_of(line, sign) for line in ordered]
    data: dict[str, Any] = {"who": [{"kind": "customer_no", "value": value} for value in sorted(customers)]}
    data |= {"refs": [{"kind": "invoice", "value": invoice}], "content": content}
    if reason is None:
        data["channel"] = "web"
    kind = "invoice.adjusted" if reason else "refund.made" if sign < 0 else "purchase.made"
    time = datetime.fromisoformat(ordered[0].time).replace(tzinfo=_LONDON).isoformat()
    return {"specversion": "1.0", "source": SOURCE, "id": invoice, "type": kind, "time": time, "data": data}


def _entry(letter: str, lines: list[Line]) -> str | None:
    """The reason of an entry that is neither a purchase nor a refund."""
    if letter == "A":
        return "bad_debt"
    return "stock_written_off" if not letter and all(line.quantity < 0 for line in lines) else None


def _content_of(line: Line, sign: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "quantity": sign * line.quantity,
        "unit_price": _plain(line.unit_price),
        "amount": _plain(sign * line.quantity * line.unit_price),
    }
    if line.product:
        content["product"] = line.product
    if line.description:
        content["description"] = line.description
    return content


def _plain(number: Decimal) -> str:
    """A decimal without exponent, trailing zeros and a negative zero: one spelling per amount."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text
