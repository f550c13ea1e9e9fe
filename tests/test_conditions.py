"""Does a condition hold for what is known, what is not, and what is written in another way?"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conditions import Leaf, explain, holds
from domain.configuration import Condition


def condition(**plain: Any) -> Condition:
    return Condition.model_validate(plain)


def of(found: Any, is_: str, value: Any = None) -> bool:
    return holds(condition(field="deal.amount", **{"is": is_}, value=value), lambda name: found)


@pytest.mark.parametrize(
    ("found", "is_", "value"),
    [
        ("250.00", "=", 250), (250, "=", "250.0"), ("open", "=", "open"), (True, "=", True),
        ("250.00", ">", 249.99), (Decimal("0.1"), "<=", 0.1), (3, "<", "10"), ("9", "<", "10"),
        ("2026-07-06", "<", date(2026, 7, 7)), ("2026-07-06T23:30:00-04:00", "=", date(2026, 7, 6)),
        ("2026-07-06T10:00:00Z", "<", "2026-07-06T12:30:00+02:00"), ("2026-07-06", ">=", "2026-07-06"),
        ("high", "in", ["high", "urgent"]), (2, "in", ["2.0"]), ("low", "not in", ["high", "urgent"]),
        ("open", "!=", "won"), (["a", "b"], "contains", "b"), ("Please CALL me", "contains", "call"),
        (0, "known", None), (False, "known", None),
        ("", "unknown", None), ([], "unknown", None), (None, "unknown", None),
    ],
)  # fmt: skip
def test_a_comparison_holds(found: Any, is_: str, value: Any) -> None:
    assert of(found, is_, value)


@pytest.mark.parametrize(
    ("found", "is_", "value"),
    [
        ("Open", "=", "open"), (1, "=", True), (False, "=", 0), ("007", "=", "7"), ("x", ">", 3), ("x", "<", 3),
        ("2026-02-30", ">", date(2026, 1, 1)), (True, ">", 0), (["ab"], "contains", "a"), (12, "contains", 1),
        (float("nan"), ">", 1), ("2026-07-06", "=", 20260706), ({"a": 1}, "=", "a"), ("low", "in", ["high"]),
    ],
)  # fmt: skip
def test_a_comparison_does_not_hold(found: Any, is_: str, value: Any) -> None:
    assert not of(found, is_, value)


def test_what_is_not_known_equals_nothing_and_is_neither_more_nor_less() -> None:
    asked = {"=": 1, ">": 1, ">=": 1, "<": 1, "<=": 1, "in": [1], "contains": 1, "known": None}
    assert not any(of(None, is_, value) for is_, value in asked.items())
    assert of(None, "!=", 1)
    assert of(None, "not in", [1])


def test_no_condition_always_holds() -> None:
    assert holds(None, lambda name: None)
    assert explain(None, lambda name: None) == ()


def test_conditions_are_joined_and_no_more_is_asked_for_than_it_takes() -> None:
    asked = []

    def values(name: str) -> Any:
        asked.append(name)
        return {"deal.amount": 5, "deal.stage": "offer"}.get(name)

    joined = condition(
        all=[
            {"any": [{"field": "deal.amount", "is": ">", "value": 3}, {"field": "deal.team", "value": "a"}]},
            {"none": [{"field": "deal.stage", "value": "won"}]},
        ]
    )
    assert holds(joined, values)
    assert asked == ["deal.amount", "deal.stage"]


def test_an_explanation_tells_each_comparison_with_what_was_found() -> None:
    joined = condition(
        any=[{"field": "deal.amount", "is": ">", "value": 3}, {"none": [{"field": "deal.team", "value": "a"}]}]
    )
    values = {"deal.amount": "2.50", "deal.team": "a"}
    assert explain(joined, values.get) == (
        Leaf("deal.amount", ">", 3, "2.50", False),
        Leaf("deal.team", "=", "a", "a", True),
    )


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.dates(), st.decimals(),
    st.sampled_from(["2026-07-06", "2026-99-99", "2026-07-06T10:00:00Z", "-1.50", "1e5"]),
)  # fmt: skip


@given(st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(), SCALARS, max_size=2)), SCALARS)
def test_whatever_is_found_a_comparison_answers_and_its_opposite_says_the_opposite(found: Any, wanted: Any) -> None:
    if isinstance(wanted, (int, float, str, date)):
        assert of(found, "=", wanted) is not of(found, "!=", wanted)
        assert of(found, "in", [wanted]) is of(found, "=", wanted)
        assert of(found, "in", [wanted]) is not of(found, "not in", [wanted])
        of(found, "contains", wanted)
    if isinstance(wanted, (int, float, date)) and not isinstance(wanted, bool):
        assert not (of(found, "<", wanted) and of(found, ">=", wanted))
    assert of(found, "known") is not of(found, "unknown")
