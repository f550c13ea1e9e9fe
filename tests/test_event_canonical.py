"""Is one content one sequence of bytes, however it is spelled, so that a repeat is told from a name clash?"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import BadInput
from domain.event import canonical, parse_json, read_event
from tests.support.door import CATALOGUE, SCALARS, event, through


@pytest.mark.parametrize(
    "spellings",
    [
        ("1.5", "1.50", "15e-1", "0.15E1", "150E-2"),
        ("1", "1.0", "1e0", "10e-1", "100.000E-2"),
        ("0", "-0", "0.0", "-0.0", "0e9", "0E-9", "-0.000e5"),
        ("-120", "-1.2e2", "-120.00", "-12e1"),
        ("100000000000000000000", "1e20", "100000000000000000000.0"),
        ("1e-400", "0.1e-399"),
    ],
)
def test_a_number_has_one_canonical_spelling(spellings: tuple[str, ...]) -> None:
    assert len({canonical(parse_json(text.encode())) for text in spellings}) == 1


def test_numbers_that_differ_in_the_last_of_forty_digits_differ() -> None:
    first, second = (f"1.{'1' * 39}{last}".encode() for last in "12")
    assert canonical(parse_json(first)) != canonical(parse_json(second))
    assert canonical(1) != canonical("1")
    assert canonical(parse_json(b"1.5")) != canonical("1.5")


_json = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def _spelled(value: Any, draw: st.DataObject) -> str:
    """The value as JSON, its keys in any order, its fractions with any zeros behind them, with any blanks."""
    blank = draw.draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, dict):
        keys = draw.draw(st.permutations(list(value)))
        return "{" + ",".join(f"{blank}{json.dumps(key)}:{_spelled(value[key], draw)}" for key in keys) + blank + "}"
    if isinstance(value, list):
        return "[" + ",".join(_spelled(one, draw) for one in value) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}" + "0" * draw.draw(st.integers(0, 3))
    return json.dumps(value, ensure_ascii=draw.draw(st.booleans()))


def _comparable(value: Any) -> Any:
    """True is not 1 here, and 1.0 is."""
    if isinstance(value, dict):
        return {key: _comparable(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    return (type(value) if isinstance(value, bool) else None, value)


@settings(max_examples=300, deadline=None)
@given(_json, st.data())
def test_key_order_blanks_and_zeros_do_not_change_the_canonical_bytes(value: Any, data: st.DataObject) -> None:
    try:
        json.dumps(value, default=str).encode("utf-8")
        one, other = (parse_json(_spelled(value, data).encode("utf-8", "strict")) for _ in range(2))
    except UnicodeEncodeError:
        assume(False)
    assert canonical(one) == canonical(other)
    assert _comparable(parse_json(canonical(one))) == _comparable(one)


@settings(max_examples=300, deadline=None)
@given(_json, _json)
def test_different_contents_have_different_canonical_bytes(one: Any, other: Any) -> None:
    try:
        first, second = canonical(one), canonical(other)
    except BadInput:
        return
    if first == second:
        assert _comparable(parse_json(first)) == _comparable(parse_json(second))
        assert _comparable(one) == _comparable(other)


def test_the_digest_covers_all_that_was_sent_but_for_name_clock_and_trace() -> None:
    content = through(event()).content
    for same in ({"id": "2"}, {"source": "x"}, {"senttime": "2026-03-01T09:30:00Z"}, {"traceparent": "00-1"}):
        assert through(event(**same)).content == content
    others: list[dict[str, Any]] = [
        {"time": "2026-03-01T08:30:00Z"},
        {"who": []},
        {"content": {"text": "call back"}},
        {"region": "north"},
        {"dataschema": "x"},
        {"refs": [{"kind": "order", "value": "7"}]},
    ]
    for other in others:
        assert through(event(**other)).content != content


def test_of_two_equal_keys_the_last_counts_everywhere() -> None:
    body = json.dumps(event(content={"text": "A"})).replace('"text": "A"', '"text": "A", "text": "B"').encode()
    found = read_event(parse_json(body), CATALOGUE)
    assert found.personal == {"text": "B"}
    assert b'"A"' not in found.content
