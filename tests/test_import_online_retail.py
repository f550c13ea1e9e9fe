"""Is each Online Retail invoice the event that it should be, in whatever order its rows come?"""

from __future__ import annotations

import csv
import gzip
import io
import os
import random
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.importing import Report, run_import
from adapters.online_retail import OnlineRetail
from domain.catalogue import load_catalogue
from domain.errors import BadInput
from domain.event import parse_json, read_event
from tests.support.imports import into

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
ROW = ["536365", "85123A", "HANGING HEART", "6", "2010-12-01 08:26:00", "2.55", "17850.0", "United Kingdom"]

Event = dict[str, Any]


def row(**changed: str) -> list[str]:
    return [changed.get(name, cell) for name, cell in zip(HEADER, ROW, strict=True)]


def write(path: Path, rows: list[list[str]]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def imported(*paths: Path) -> tuple[list[Event], Report]:
    events: list[Event] = []
    report = run_import(OnlineRetail(paths), into(events))
    return events, report


def only(tmp_path: Path, *rows: list[str]) -> Event:
    events, report = imported(write(tmp_path / "in.csv", list(rows)))
    assert len(events) == 1, report
    return events[0]


def test_an_invoice_is_one_purchase_with_its_lines_and_an_invoice_ref(tmp_path: Path) -> None:
    found = only(tmp_path, row(), row(StockCode="22752", Quantity="2", UnitPrice="7.65", Description=" BOXES "))
    assert (found["source"], found["id"], found["type"]) == ("online-retail", "536365", "purchase.made")
    assert found["time"] == "2010-12-01T08:26:00+00:00"
    assert found["data"]["who"] == [{"kind": "customer_no", "value": "17850"}]
    assert found["data"]["refs"] == [{"kind": "invoice", "value": "536365"}]
    content = found["data"]["content"]
    assert (content["amount"], content["currency"], content["country"]) == ("30.6", "GBP", "United Kingdom")
    assert content["lines"][0] == {
        "quantity": 2,
        "unit_price": "7.65",
        "amount": "15.3",
        "product": "22752",
        "description": "BOXES",
    }


def test_a_cancellation_is_a_refund_with_positive_amounts(tmp_path: Path) -> None:
    found = only(tmp_path, row(InvoiceNo="C536379", Quantity="-2", UnitPrice="27.50"))
    assert found["type"] == "refund.made"
    content = found["data"]["content"]
    assert (content["amount"], content["lines"][0]["quantity"], content["lines"][0]["amount"]) == ("55", 2, "55")


@pytest.mark.parametrize(
    ("changed", "reason", "amount"),
    [
        ({"InvoiceNo": "A563186", "Quantity": "1", "UnitPrice": "-11062.06"}, "bad_debt", "-11062.06"),
        ({"Quantity": "-10", "UnitPrice": "0.0"}, "stock_written_off", "0"),
    ],
)
def test_adjustments_and_written_off_stock_are_neither_purchase_nor_refund(
    tmp_path: Path, changed: dict[str, str], reason: str, amount: str
) -> None:
    found = only(tmp_path, row(**changed, CustomerID=""))
    assert found["type"] == "invoice.adjusted"
    assert (found["data"]["content"]["reason"], found["data"]["content"]["amount"]) == (reason, amount)
    assert found["data"]["who"] == []
    catalogue = load_catalogue()
    event = read_event(parse_json(msgspec.json.encode(found)), catalogue)
    kind = catalogue.get(event.type)
    assert kind is not None
    assert kind.category == "record"
    assert catalogue.show(event.type, event.version, event.public, event.personal)[2] is None


def test_an_invoice_without_customer_has_refs_and_nobody_in_who(tmp_path: Path) -> None:
    found = only(tmp_path, row(CustomerID=""))
    assert found["data"]["who"] == []
    assert found["data"]["refs"] == [{"kind": "invoice", "value": "536365"}]


@pytest.mark.parametrize(
    ("written", "happened"),
    [
        ("2010-12-01 08:26:00", "2010-12-01T08:26:00+00:00"),
        ("2011-03-26 12:00:00", "2011-03-26T12:00:00+00:00"),
        ("2011-03-27 12:00:00", "2011-03-27T12:00:00+01:00"),
        ("2011-10-29 12:00:00", "2011-10-29T12:00:00+01:00"),
        ("2011-10-30 12:00:00", "2011-10-30T12:00:00+00:00"),
        ("2011-10-30 01:30:00", "2011-10-30T01:30:00+01:00"),  # the clock shows it twice: the first counts
    ],
)
def test_times_are_those_of_a_clock_in_london(tmp_path: Path, written: str, happened: str) -> None:
    assert only(tmp_path, row(InvoiceDate=written))["time"] == happened


def test_an_invoice_with_two_times_takes_the_first_wherever_it_stands(tmp_path: Path) -> None:
    later = row(InvoiceDate="2010-12-01 08:27:00", StockCode="1")
    assert only(tmp_path, later, row())["time"] == "2010-12-01T08:26:00+00:00"


def test_two_rows_that_are_alike_are_two_lines(tmp_path: Path) -> None:
    content = only(tmp_path, row(), row())["data"]["content"]
    assert (len(content["lines"]), content["amount"]) == (2, "30.6")


def test_amounts_are_exact(tmp_path: Path) -> None:
    rows = [row(StockCode=str(number), Quantity="1", UnitPrice="0.1") for number in range(3)]
    assert only(tmp_path, *rows, row(Quantity="3", UnitPrice="0.001"))["data"]["content"]["amount"] == "0.303"


def test_lines_without_customer_belong_to_the_customer_of_the_others(tmp_path: Path) -> None:
    assert only(tmp_path, row(CustomerID=""), row())["data"]["who"] == [{"kind": "customer_no", "value": "17850"}]


@pytest.mark.parametrize(
    ("rows", "refused"),
    [
        ([row(), row(CustomerID="17851.0")], {"customers_differ": 2}),
        ([row(), row(Quantity="six")], {"quantity": 1, "line_refused": 1}),
        ([row(UnitPrice="2,55")], {"price": 1}),
        ([row(InvoiceDate="2010-02-30 08:26:00")], {"time": 1}),
        ([row(InvoiceDate="01/12/2010 08:26")], {"time": 1}),
        ([row(CustomerID="17850.5")], {"customer": 1}),
        ([row(InvoiceNo="")], {"invoice_missing": 1}),
        ([row(InvoiceNo="X12")], {"invoice_kind": 1}),
        ([row(), row(Quantity="-60")], {"amount_negative": 2}),
        ([row(InvoiceNo="C1", Quantity="6")], {"amount_negative": 1}),
        ([["536365", "85123A"]], {"cells": 1}),
    ],
)
def test_what_is_no_good_invoice_is_refused_with_a_reason(
    tmp_path: Path, rows: list[list[str]], refused: dict[str, int]
) -> None:
    good = row(InvoiceNo="999999")
    events, report = imported(write(tmp_path / "in.csv", [*rows, good]))
    assert [one["id"] for one in events] == ["999999"]
    assert report.refused == refused


def test_a_returned_line_within_a_purchase_lowers_its_amount(tmp_path: Path) -> None:
    found = only(tmp_path, row(Quantity="6", UnitPrice="1"), row(StockCode="D", Quantity="-1", UnitPrice="2.5"))
    assert (found["type"], found["data"]["content"]["amount"]) == ("purchase.made", "3.5")


def test_bytes_that_are_no_utf_8_refuse_their_row_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv", [row(Description="£5"), row(InvoiceNo="2")])
    path.write_bytes(path.read_bytes().replace("£".encode(), b"\xa3"))
    events, report = imported(path)
    assert [one["id"] for one in events] == ["2"]
    assert report.refused == {"encoding": 1}


def test_a_file_of_another_kind_is_refused_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"in\.csv: has no column InvoiceNo"):
        imported(tmp_path / "in.csv")


def test_a_gzip_file_that_is_cut_off_is_an_error_before_anything_is_published(tmp_path: Path) -> None:
    path = write(tmp_path / "in.csv.gz", [row(InvoiceNo=str(number)) for number in range(2_000)])
    path.write_bytes(path.read_bytes()[:-400])
    events: list[Event] = []
    with pytest.raises(BadInput, match="cut off or damaged"):
        run_import(OnlineRetail([path]), into(events))
    assert events == []


def test_the_same_file_under_two_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the same bytes"):
        imported(write(tmp_path / "a.csv", [row()]), write(tmp_path / "b.csv", [row()]))


def test_a_folder_is_its_csv_files(tmp_path: Path) -> None:
    write(tmp_path / "2.csv.gz", [row(InvoiceNo="2")])
    write(tmp_path / "1.csv", [row(InvoiceNo="1")])
    (tmp_path / "README.md").write_text("no rows")
    assert [one["id"] for one in imported(tmp_path)[0]] == ["1", "2"]


_rows = st.lists(
    st.builds(
        lambda number, code, quantity, minute, price, customer: row(
            InvoiceNo=number,
            StockCode=code,
            Quantity=quantity,
            InvoiceDate=f"2011-06-01 08:{minute:02d}:00",
            UnitPrice=price,
            CustomerID=customer,
        ),
        st.sampled_from(["1", "2", "3", "C4", "A5", "", "X"]),
        st.sampled_from(["A", "B", "C"]),
        st.sampled_from(["1", "-2", "30", "x"]),
        st.integers(0, 3),
        st.sampled_from(["1.25", "0", "0.001"]),
        st.sampled_from(["", "", "1.0", "1.0", "2.0"]),
    ),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(rows=_rows, data=st.data())
def test_rows_in_any_order_and_in_any_files_give_the_same_events(
    rows: list[list[str]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("retail")
    events, report = imported(write(folder / "whole.csv", rows))
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = [write(folder / "a.csv", shuffled[:cut]), write(folder / "b.csv.gz", [*shuffled[cut:]])]
    again, other = imported(*data.draw(st.permutations(parts)))
    assert again == events
    assert (other.refused, other.event_rows) == (report.refused, report.event_rows)
    assert report.rows_read == len(rows)


def _folder() -> Path:
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "online-retail"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with online-retail")
    return folder


def _plain_rows(folder: Path) -> list[dict[str, str]]:
    rows = []
    for path in sorted(folder.glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="", encoding="utf-8") as stream:
            rows += list(csv.DictReader(stream))
    return rows


@pytest.mark.data
def test_each_row_of_the_real_files_is_accounted_for(tmp_path: Path) -> None:
    rows = _plain_rows(_folder())
    lines: Counter[str] = Counter(one["InvoiceNo"] for one in rows)
    money: dict[str, Decimal] = defaultdict(Decimal)
    for line in rows:
        money[line["InvoiceNo"]] += Decimal(line["UnitPrice"]) * int(line["Quantity"])
    events, report = imported(_folder())
    assert (report.rows_read, report.refused) == (541_909, {})
    assert report.events == {"invoice.adjusted": 1_339, "purchase.made": 20_725, "refund.made": 3_836}
    assert report.event_rows == {"invoice.adjusted": 1_339, "purchase.made": 531_282, "refund.made": 9_288}
    assert {one["id"]: len(one["data"]["content"]["lines"]) for one in events} == lines
    for one in events:
        sign = -1 if one["type"] == "refund.made" else 1
        assert sign * Decimal(one["data"]["content"]["amount"]) == money[one["id"]]
    who = {tuple(found.values()) for one in events for found in one["data"]["who"]}
    assert len(who) == 4_372
    assert sum(not one["data"]["who"] for one in events) == 3_710


@pytest.mark.data
def test_the_real_files_hold_nothing_that_the_door_refuses() -> None:
    catalogue = load_catalogue()
    for step in OnlineRetail([_folder() / "2011-08.csv.gz", _folder() / "2010-12.csv.gz"]).steps():
        assert read_event(parse_json(msgspec.json.encode(step.event)), catalogue).source == "online-retail"


@pytest.mark.data
def test_a_real_month_shuffled_gives_the_same_events(tmp_path: Path) -> None:
    events, _ = imported(_folder() / "2011-02.csv.gz")
    with gzip.open(_folder() / "2011-02.csv.gz", "rt", newline="", encoding="utf-8") as stream:
        _, *rows = list(csv.reader(stream))
    random.Random(7).shuffle(rows)
    assert imported(write(tmp_path / "shuffled.csv", rows))[0] == events
