"""Is a rule refused that makes no sense, asks for too much or for what is not there, with where and a way out?"""

from __future__ import annotations

from typing import Any

import pytest

from domain.catalogue import load_catalogue
from domain.configuration.rfm import Rfm
from domain.errors import BadInput
from domain.segment_limits import MOST_COST, Known, checked, cost_of, public_fields
from domain.segment_text import read_conditions, read_rule
from domain.segments import plain_rule

KNOWN = Known(load_catalogue(), Rfm())
BOUGHT = {"types": ["purchase.made"], "is": ">=", "value": 1}


def told(caught: pytest.ExceptionInfo[BadInput]) -> str:
    return " ".join([f"{one.field}: {one.trouble} {one.way_out}" for one in caught.value.problems])


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (7, "rule: is no mapping"),
        ({}, "rule: is empty; a rule is one of all, any, none, events"),
        ({"all": []}, "rule.all: has too little in it"),
        ({"fact": {"name": "orders", "is": "=", "value": 1}, "segment": {"code": "a"}}, "several things at once"),
        ({"evnts": BOUGHT}, "rule.evnts: is not known here; did you mean events?"),
        (
            {"all": [{"events": {**BOUGHT, "wher": []}}]},
            "rule.all[0].events.wher: is not known here; did you mean where?",
        ),
        ({"events": {**BOUGHT, "types": []}}, "rule.events.types: is no list of types"),
        ({"events": {**BOUGHT, "types": ["contact", "purchase.made"]}}, "names contact, which is every touchpoint"),
        ({"events": {**BOUGHT, "types": ["purchase.made", "purchase.made"]}}, "names a type twice"),
        ({"events": {**BOUGHT, "value": 1.5}}, "rule.events.value: is no whole number"),
        ({"events": {**BOUGHT, "value": 10**20}}, "rule.events.value: is too large a number"),
        ({"events": {**BOUGHT, "is": "contains"}}, "rule.events.is: does not go with this"),
        ({"events": {**BOUGHT, "field": "content.amount"}}, "rule.events.field: has no place beside count"),
        ({"events": {**BOUGHT, "measure": "sum"}}, "rule.events.field: is missing"),
        ({"events": {**BOUGHT, "measure": "sum", "field": "content.amount"}}, "does not say which currency"),
        ({"events": {**BOUGHT, "measure": "sum", "field": "product"}}, "has no sum; name a public field"),
        ({"events": {**BOUGHT, "window": {}}}, "rule.events.window: is no window"),
        (
            {"events": {**BOUGHT, "window": {"last": "99999d"}}},
            "rule.events.window.last: is too long; at most ten years",
        ),
        ({"events": {**BOUGHT, "window": {"since": "soon"}}}, "rule.events.window.since: is no day and no moment"),
        ({"events": {**BOUGHT, "window": {"between": ["2026-02-01", "2026-01-01"]}}}, "ends before it begins"),
        ({"events": {**BOUGHT, "window": {"between": ["2026-02-01", "2026-03-01T00:00:00Z"]}}}, "a day and a moment"),
        (
            {"events": {**BOUGHT, "where": [{"field": "amount", "is": ">", "value": 1}]}},
            "did you mean content.amount?",
        ),
        (
            {"events": {**BOUGHT, "where": [{"field": "content.x", "is": ">", "value": "b"}]}},
            "is no number and no day",
        ),
        ({"events": {**BOUGHT, "where": [{"field": "content.x", "is": "known", "value": 1}]}}, "leave it out"),
        ({"events": {**BOUGHT, "where": [{"field": "content.x", "is": "in", "value": 1}]}}, "is no list"),
        (
            {"events": {**BOUGHT, "where": [{"field": "content.x", "is": "in", "value": ["a"] * 1001}]}},
            "at most 1000",
        ),
        ({"sequence": {"steps": [{"types": "contact"}]}}, "has one step; add a second one, or `absent`"),
        ({"sequence": {"steps": [{"types": "contact", "within": "1d"}] * 2}}, "rule.sequence.steps[0].within"),
        ({"fact": {"name": "revenue", "is": ">", "value": 1}}, "rule.fact.currency: is missing"),
        ({"fact": {"name": "first_at", "is": ">", "value": 1}}, "rule.fact.value: is no day and no moment"),
        ({"fact": {"name": "last_at", "is": "within last", "value": "1y"}}, "rule.fact.value: is no duration"),
        ({"profile": {"field": "further", "is": "known"}}, "name the part of it"),
        ({"profile": {"field": "name", "is": "=", "value": "\x00"}}, "has a character that is none"),
        ({"identifier": {"kind": "mail", "is": "known"}}, "rule.identifier.kind: is none of"),
        (
            {"deal": {"where": [{"field": "amnt", "is": ">", "value": 1}], "is": ">", "count": 0}},
            "did you mean amount?",
        ),
        (
            {"deal": {"where": [{"field": "status", "is": ">", "value": 1}], "is": ">", "count": 0}},
            "rule.deal.where[0].is",
        ),
        ({"rfm": {"what": "recency", "is": "=", "value": "best"}}, "rule.rfm.value: is no whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(plain: Any, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        plain_rule(plain)
    assert expected in told(caught)


def test_a_rule_that_is_nested_without_end_is_refused_before_it_is_read() -> None:
    plain: Any = {"segment": {"code": "a"}}
    for _ in range(5000):
        plain = {"none": [plain]}
    with pytest.raises(BadInput, match="nested too deeply"):
        plain_rule(plain)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "exists(purchase.mad)",
            "rule.events.types[0]: names purchase.mad, which is no type of events here; did you mean",
        ),
        ("exists(segment.entered)", "names segment.entered, which Storyline announces itself; no rule sees it"),
        ('exists(purchase.made where content.curency = "GBP")', "did you mean content.currency?"),
        ('exists(email.received where content.subject = "x")', "is no public field of email.received"),
        ("sequence(contact then purchase.mad)", "rule.sequence.steps[1].types[0]"),
        ('rfm.class = "champion"', "names a class that is not configured; did you mean champions?"),
        (
            " or ".join(["sequence(contact then contact)"] * 16),
            f"costs 320 to find out of one customer; at most {MOST_COST}",
        ),
        (" or ".join([f"({' or '.join(['in segment a'] * 26)})"] * 2), "has 52 leaves; at most 50"),
        ("not " * 11 + "in segment a", "has 12 rules within each other; at most 10"),
    ],
)
def test_what_is_too_much_or_is_not_there_is_refused_with_a_way_out(text: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(read_rule(text), KNOWN)
    assert expected in told(caught)


def test_the_cost_is_what_has_to_be_read() -> None:
    cheap, windowed = read_rule("exists(contact)"), read_rule("exists(contact in last 3d)")
    read = read_rule('exists(purchase.made where content.currency = "GBP")')
    sequence = read_rule("sequence(contact then contact)")
    assert [cost_of(one) for one in (cheap, windowed, read, sequence)] == [1, 3, 10, 20]


def test_the_same_rule_has_one_hash_however_it_is_written() -> None:
    one = read_rule("exists( contact in last 90 days )")
    other = plain_rule(
        {"events": {"value": 1, "is": ">=", "types": ["contact"], "window": {"last": "90d"}, "where": []}}
    )
    assert one == other
    assert one.hash == other.hash
    assert one.hash != read_rule("exists(contact in last 91d)").hash


def test_a_rule_tells_its_leaves_with_their_places_and_the_segments_that_it_names() -> None:
    rule = read_rule("in segment a and not (exists(contact) or in segment b)")
    assert [one.path for one in rule.leaves()] == [
        ("all", 0, "segment"), ("all", 1, "none", 0, "events"), ("all", 1, "none", 1, "segment"),
    ]  # fmt: skip
    assert rule.references() == {"a", "b"}
    assert rule.depth == 3


def test_public_fields_are_found_within_objects_but_not_within_lists() -> None:
    of = {name: public_fields(KNOWN.catalogue.get(name).schema()) for name in ("profile.updated", "purchase.made")}  # type: ignore[union-attr]
    assert "address.country" in of["profile.updated"]
    assert "name" not in of["profile.updated"]
    assert not any(one.startswith("lines") for one in of["purchase.made"])


def test_conditions_stand_by_themselves_too() -> None:
    first, second = read_conditions('content.amount > 3 and channel = "web"')
    assert (first.field, first.is_, first.value) == ("content.amount", ">", 3)
    assert (second.field, second.is_, second.value) == ("channel", "=", "web")
    with pytest.raises(BadInput, match="line 1, column 20"):
        read_conditions("content.amount > 3 or")
