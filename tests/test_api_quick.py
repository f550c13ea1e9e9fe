"""Does the short way of a plain timeline query read what the long way would? And does it leave all else to it?"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.quick import Plain, plain_query

_pieces = st.sampled_from(
    ["limit=50", "limit=0", "limit=7", "limit=201", "before=oAb-_1", "after=nX", "q=x", "a%20b"]
)


def scope(query: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, Any]:
    return {"query_string": query.encode("latin-1"), "method": method, "headers": headers}


@given(st.lists(_pieces, max_size=3).map("&".join) | st.text("limit=0123456789&beforat-_%+ ", max_size=30))
@example("limit=50before=a")
@example("limit=50&before=a&after=b")
@example("limit=5\n")
def test_what_is_taken_the_short_way_means_the_same_the_long_way(query: str) -> None:
    plain = plain_query(scope(query))
    if plain is None:
        return
    meant = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    assert meant.keys() <= {"limit", "before", "after"}
    assert all(len(values) == 1 for values in meant.values())
    assert plain == Plain(
        int(meant.get("limit", ["50"])[0]), meant.get("before", [None])[0], meant.get("after", [None])[0]
    )
    assert 1 <= plain.limit <= 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=", "before=", "before=a&after=b", "type=note.added"]
)
def test_what_is_not_plain_or_not_right_goes_the_long_way(query: str) -> None:
    assert plain_query(scope(query)) is None


def test_another_method_and_positions_in_a_header_go_the_long_way() -> None:
    assert plain_query(scope("limit=5")) == Plain(5, None, None)
    assert plain_query(scope("limit=5", "POST")) is None
    assert plain_query(scope("limit=5", headers=((b"storyline-after", b"0:1"),))) is None
