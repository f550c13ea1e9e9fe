"""Of which events is known for sure that no rule means them? Of those whose time, or whose content, is another."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.catalogue import load_catalogue
from domain.segment_leaves import EventsLeaf
from domain.segment_text import read_rule
from eventlog.port import Logged
from eventlog.record import Head, head_of
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.segments.compiling import Facing, Program, Ruled
from projections.segments.matching import Matcher, Wanted, wanted_of
from projections.segments.needing import shown_by

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOUGHT: dict[str, Any] = {"amount": "20", "currency": "GBP", "lines": [{"product": "85048"}, {"product": "PK-1"}]}


def row_of(type: str, days_ago: float = 0, **fields: Any) -> bytes:
    """A packed row of `events`."""
    at = NOW - timedelta(days=days_ago)
    record = {
        "v": 1, "name": f"test#{1:032x}", "source": "test/a", "type": type, "version": 1, "time": at.isoformat(),
        "digest": f"{2:032x}", "owner": f"event.{3:032x}", "tokens": [f"email.0.{4:032x}"], "evidence": f"{5:032x}",
        "key": f"{5:032x}", "recorded_at": at.isoformat(), "sealed": [""], **fields,
    }  # fmt: skip
    logged = [Logged(0, 0, b"", json.dumps(record).encode())]
    batch = Decoder(Deriver(load_catalogue())).batch(1, {0: 0}, logged)
    assert not batch.poison
    [row] = batch.first.events.rows()
    return row


def wanted(text: str) -> list[Wanted]:
    [placed] = read_rule(text).leaves()
    assert isinstance(placed.leaf, EventsLeaf)
    return list(wanted_of(placed.leaf, placed.leaf.window, ()))


def told(row: bytes, *texts: str) -> list[bool]:
    """Whether an event is told of to each rule."""
    bits: dict[Wanted, int] = {}
    for text in texts:
        for one in wanted(text):
            bits.setdefault(one, 1 << len(bits))
    matcher = Matcher(bits, UTC)
    matcher.begin(NOW)
    found, _ = matcher.of(row)
    return [any(found & bits[one] for one in wanted(text)) for text in texts]


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("exists(purchase.made)", True),
        ("exists(contact)", True),
        ("exists(call.ended)", False),
        ('exists(purchase.made where product = "PK-1")', True),
        ('exists(purchase.made where product = "85048")', True),
        ('exists(purchase.made where product = "PK-2")', False),
        ('exists(purchase.made where product in ("PK-2", "PK-1"))', True),
        ('exists(purchase.made where product != "PK-1")', False),
        ('exists(purchase.made where product = "PK-1" and content.currency = "EUR")', False),
        ('exists(purchase.made where content.currency = "GBP" and content.amount > 19)', True),
        ("exists(purchase.made where content.amount > 20)", False),
        ("exists(purchase.made where content.amount = 20)", True),
        ('exists(purchase.made where content.page = "/ink")', False),
        ('exists(purchase.made where channel = "shop")', True),
        ('exists(purchase.made where campaign = "may")', True),
        ('exists(purchase.made where category = "ink")', True),
        ('exists(contact where channel = "web")', False),
    ],
)
def test_conditions_are_told_apart_by_the_event_alone(text: str, yes: bool) -> None:
    row = row_of("purchase.made", public=BOUGHT, channel="shop", refs=["campaign:may"])
    assert told(row, text) == [yes]
    others = ['exists(purchase.made where product = "PK-9")', "exists(purchase.made where content.amount > 1)"]
    assert told(row, *others, text) == [False, True, yes]


@pytest.mark.parametrize(
    ("window", "days", "yes"),
    [
        ("in last 30d", 29, True),
        ("in last 30d", 30.02, True),
        ("in last 30d", 30.1, False),
        ("in last 30d", -1, True),
        ("since 2026-05-01", 30.9, True),
        ("since 2026-05-01", 33, False),
        ("before 2026-05-01", 33, True),
        ("before 2026-05-01", 30.9, False),
        ("between 2026-05-01 and 2026-05-03", 30.1, True),
        ("between 2026-05-01 and 2026-05-03", 25, False),
    ],
)
def test_what_lies_outside_of_a_window_is_not_told_but_for_what_clocks_may_differ_by(
    window: str, days: float, yes: bool
) -> None:
    row = row_of("purchase.made", days, public=BOUGHT)
    where = 'where product = "PK-1" '
    texts = [f"exists(purchase.made {window})", f"exists(purchase.made {where}{window})", f"no(contact {window})"]
    assert told(row, *texts) == [yes, yes, yes]


@pytest.mark.parametrize(("days", "sure"), [(0, True), (29.9, True), (30.02, False), (31, True)])
def test_what_left_a_window_by_less_than_clocks_may_differ_by_is_not_told_for_sure(days: float, sure: bool) -> None:
    row = row_of("purchase.made", days, public=BOUGHT)
    for where in ("", 'where product = "PK-1" '):
        [one] = wanted(f"exists(purchase.made {where}in last 30d)")
        matcher = Matcher({one: 1}, UTC)
        matcher.begin(NOW)
        assert matcher.of(row) == (int(days < 30.1), sure)


def test_nothing_is_sure_of_an_event_that_cannot_be_read() -> None:
    [one] = wanted('exists(purchase.made where product = "PK-9")')
    matcher = Matcher({one: 1}, UTC)
    matcher.begin(NOW)
    assert matcher.of(row_of("purchase.made", public=BOUGHT)[:-1] + b"]") == (1, False)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('exists(purchase.made where product = "PK-1" and content.amount > 3)', True),
        ('exists(purchase.made where category = "ink")', False),
        ('exists(contact where content.page = "/ink")', False),
        ('exists(page.viewed where content.page = "/ink")', False),
        ('exists(page.viewed where channel = "web")', True),
    ],
)
def test_what_an_event_alone_does_not_tell_it_does_not_show(text: str, whole: bool) -> None:
    [placed] = read_rule(text).leaves()
    assert isinstance(placed.leaf, EventsLeaf)
    assert bool(shown_by(placed.leaf, {"page.viewed"})) is whole


def test_an_event_that_cannot_be_read_is_told_to_all() -> None:
    row = row_of("purchase.made", public=BOUGHT)
    broken = row[:-1] + b"]"
    texts = ['exists(purchase.made where product = "PK-9")', "exists(purchase.made where content.amount > 999)"]
    assert told(row, *texts) == [False, False]
    assert told(broken, *texts) == [True, True]


def test_texts_that_are_looked_for_in_the_bytes_of_a_record_stand_there_as_they_are() -> None:
    text = "/Aa09 ._/+-z"
    head = Head(
        v=1, name="a#1", source="a", type="page.viewed", version=1, time="", digest="", owner="", key="",
        public={"page": text}, refs=(f"product:{text}",),
    )  # fmt: skip
    assert head_of(head).count(text.encode()) == 2
    where = read_rule(f'exists(page.viewed where content.page = "{text}")')
    query = Program([Ruled("a", 1, where)], Facing()).query.as_string(None)
    assert "position(" in query
    for spelt in ("Ünï q", '5"', "12", "ab"):
        rule = read_rule(f"exists(page.viewed where content.page = {json.dumps(spelt, ensure_ascii=False)})")
        assert "position(" not in Program([Ruled("a", 1, rule)], Facing()).query.as_string(None)
