"""Do rules of segments come back from their text as they were, and is somebody who errs told where?"""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings

from domain.errors import BadInput
from domain.segment_text import print_rule, read_rule
from domain.segments import Rule
from tests.support.rules import rules

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "150"))
"""More of them by hand: SEGMENT_EXAMPLES=5000."""


@settings(max_examples=EXAMPLES, deadline=None)
@given(rules("vip", "2024-gone", most=12))
def test_a_rule_comes_back_from_its_text(rule: Rule) -> None:
    text = print_rule(rule)
    assert read_rule(text) == rule
    assert read_rule(rule.plain()) == rule
    assert read_rule(rule.plain()).hash == rule.hash
    assert print_rule(read_rule(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        'count(purchase.made where content.currency = "GBP" and content.amount > 100 in last 90d) >= 2 '
        "and no(contact in last 30d) and consent.marketing.email granted and not in segment staff",
        "exists(purchase.made) and no(contact in last 90d)",
        'sum(content.amount, purchase.made where content.currency = "EUR" since 2026-01-01) > 99.5',
        "days since(email.opened | email.clicked) > 30",
        'first(contact) in last 7d or last(content.plan, subscription.started) = "gold"',
        "sequence(cart.abandoned then email.sent within 2h without purchase.made then no purchase.made within 7d "
        "in last 90d)",
        "exists(page.viewed between 2026-01-01 and 2026-01-31)",
        "exists(page.viewed before 2026-01-01T00:00:00+01:00)",
        'count(deals where status = "open" and amount >= 1000 and stage_since more than 14d ago) >= 1',
        "count(tickets) = 0",
        'profile.birthday anniversary in 7d and profile."further.shoe size" = "42"',
        'place.country in ("DE", "AT") and place.city starts with "Ber"',
        'identifier.email ends with "@example.org" and identifier.external/crm known',
        "fact.revenue(GBP) >= 500 and fact.last_at in last 30d and fact.orders > 2",
        'rfm.class = "champions" or rfm.recency >= 4',
        'industry = "retail"',
        "not (in segment a or in segment b) and not in segment c",
        "(in segment a or in segment b) and in segment c",
        "not ((in segment a or in segment b))",
        "all(in segment a) or any(not not in segment b)",
        'consent."an odd one".email withdrawn or consent.service unknown',
    ],
)
def test_the_text_that_is_printed_is_the_one_that_was_read(text: str) -> None:
    assert print_rule(read_rule(text)) == text


def test_what_is_written_at_length_is_printed_short() -> None:
    written = "exists(\n  contact\n  in last 90 days\n)\n  AND".replace("AND", "and") + " (fact.orders >= 1.0)"
    assert print_rule(read_rule(written)) == "exists(contact in last 90d) and fact.orders >= 1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, column 1: met the end where a leaf such as count(purchase.made) >= 1 was expected"),
        ("exists(purchase.made", "line 1, column 21: met the end where `)` was expected"),
        ("exists(purchase.made) or\n or", "line 2, column 2: met `or` where a leaf"),
        ("exist(contact)", "met `exist` where a leaf; did you mean exists?"),
        ("count(contact) => 3", "line 1, column 17: met `>` where a value"),
        ("fact.orders > 3 fact.orders", "met `fact.orders` where `and`, `or`, or the end was expected"),
        ("profile.country = DE", "met `DE` where a value (a text in quotes"),
        ("profile.country = 'DE'", "' stands for nothing. Write texts in straight quotes"),
        ('profile.country = "DE', "a text begins that does not end"),
        ('profile.country = "\\x"', "an escape that is none"),
        ("exists(contact in last 90x)", "met `90x` where a duration such as 90d or 90 days was expected"),
        ("exists(contact where channel in last 3d)", "where an operator"),
        ("(" * 1000, "nested too deeply"),
        ("not " * 1000 + "in segment a", "nested too deeply"),
        ("in segment a;", "';' stands for nothing"),
        ("x" * 20_001, "has 20,001 characters; at most 20,000"),
        ("fact.revenue > 3", "rule.fact.currency: is missing; amounts of several are not added up: say which one"),
        ("exists(contact) and\n  fact.order > 3", "rule.all[1].fact.name: is none of"),
        ("exists(contact) and\n  fact.order > 3", "(line 2, column 3)"),
        ("sum(content.amount, purchase.made) > 3", "does not say which currency"),
        ("exists(Purchase)", "rule.events.types: is no list of types; each is a text such as purchase.made"),
        ("count(deals where amuont > 3) > 1", "did you mean amount?"),
    ],
)
def test_who_errs_is_told_where_and_what_was_expected(text: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_rule(text)
    assert told in " ".join([f"{one.field}: {one.trouble} {one.way_out}" for one in caught.value.problems])
