"""How good a customer is: scores and classes, and when time alone changes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import Rfm, RfmClass, read_configuration
from domain.errors import BadInput
from domain.rfm import changes_at, class_of, scores_of

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
RULES = Rfm()
DAY = timedelta(days=1)


def recency(days: timedelta) -> int:
    found = scores_of(AT, 1, Decimal(10), AT + days, RULES)
    assert found is not None
    return found.recency


def test_who_never_bought_has_no_scores() -> None:
    assert scores_of(None, 0, Decimal(0), AT, RULES) is None


@pytest.mark.parametrize(("days", "score"), [(0, 5), (30, 4), (90, 3), (180, 2), (365, 1), (5000, 1)])
def test_recency_falls_at_its_edges(days: int, score: int) -> None:
    assert recency(days * DAY) == score
    assert recency(days * DAY + timedelta(microseconds=1)) == score


def test_a_moment_before_an_edge_the_higher_score_holds() -> None:
    assert [recency(days * DAY - timedelta(microseconds=1)) for days in RULES.recency_days] == [5, 4, 3, 2]


@pytest.mark.parametrize(("orders", "score"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (10, 5), (400, 5)])
def test_frequency_rises_with_orders(orders: int, score: int) -> None:
    found = scores_of(AT, orders, Decimal(0), AT, RULES)
    assert found is not None and found.frequency == score


@pytest.mark.parametrize(("revenue", "score"), [("0", 1), ("49.99", 1), ("50", 2), ("999.99", 4), ("1000", 5)])
def test_monetary_value_rises_with_revenue(revenue: str, score: int) -> None:
    found = scores_of(AT, 1, Decimal(revenue), AT, RULES)
    assert found is not None and found.monetary == score


def test_the_built_in_classes_take_in_everybody_who_bought() -> None:
    every = range(1, 6)
    found = {class_of(r, f, m, RULES) for r, f, m in product(every, every, every)}
    assert found == {one.code for one in RULES.classes}


def test_the_first_class_that_fits_holds_and_none_may() -> None:
    rules = read_configuration(
        {
            "version": 1,
            "rfm": {"classes": [{"code": "best", "recency": [5, 5]}, {"code": "some", "frequency": [2, 5]}]},
        }
    ).rfm
    assert class_of(5, 5, 5, rules) == "best"
    assert class_of(4, 5, 5, rules) == "some"
    assert class_of(4, 1, 5, rules) is None


@given(st.timedeltas(timedelta(0), timedelta(days=800)))
def test_nothing_changes_by_time_before_the_moment_that_is_told(since: timedelta) -> None:
    now = AT + since
    at = changes_at(AT, now, RULES)
    if at is None:
        assert recency(since) == 1 == recency(timedelta(days=9000))
    else:
        assert at > now
        assert recency(at - AT - timedelta(microseconds=1)) == recency(since) == recency(at - AT) + 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"recency_days": [30, 30, 60, 90]}, "rfm.recency_days"),
        ({"frequency": [1, 2, 3]}, "rfm.frequency"),
        ({"monetary": [0, 2, 3, 4]}, "rfm.monetary[0]"),
        ({"currency": "pounds"}, "rfm.currency"),
        ({"classes": []}, "rfm.classes"),
        ({"classes": [{"code": "a", "recency": [4, 3]}]}, "rfm.classes[0].recency"),
        ({"classes": [{"code": "a", "recency": [0, 3]}]}, "rfm.classes[0].recency"),
        ({"classes": [{"code": "a"}, {"code": "a"}]}, "rfm.classes[1].code"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(wrong: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_configuration({"version": 1, "rfm": wrong})
    assert [one.field for one in caught.value.problems] == [field]


def test_classes_are_spans_of_scores() -> None:
    assert RfmClass(code="all").recency == (1, 5)
