"""Do packed values say what they were packed of, however many came before them?"""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from psycopg import adapters
from psycopg.adapt import PyFormat

from domain.facts import exact_amount
from projections.columns import LENGTH, LONGEST_CODE, NULL, cut, numeric

_dump = adapters.get_dumper(Decimal, PyFormat.BINARY)(Decimal).dump
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=None)


@given(
    st.lists(AMOUNTS | st.sampled_from([Decimal("1.5"), Decimal("1.50"), Decimal(0), Decimal("0.00")]), max_size=20)
)
def test_numbers_keep_their_digits_also_where_an_equal_one_came_before(values: list[Decimal]) -> None:
    for value in values:
        raw = bytes(_dump(value) or b"")
        assert numeric(value) == LENGTH.pack(len(raw)) + raw


@given(st.integers() | st.booleans() | st.sampled_from([10**18 - 1, 10**18, -(10**18), 10**400]))
def test_whole_numbers_are_amounts_up_to_eighteen_digits(value: int) -> None:
    if isinstance(value, bool) or abs(value) >= 10**18:
        assert exact_amount(value) is None
    else:
        assert exact_amount(value) == value


@given(st.none() | st.text(max_size=700))
def test_a_code_is_cut_where_there_is_no_more_room(value: str | None) -> None:
    packed = cut(value)
    assert packed == cut(value)
    if value is None:
        assert packed == NULL
        return
    raw = packed[4:]
    assert LENGTH.unpack(packed[:4]) == (len(raw),)
    assert len(raw) <= LONGEST_CODE and raw.decode() in value.replace("\0", "").encode("utf-8", "replace").decode()
