"""Does the benchmark of search run, and does its JSON have its shape? No times are asserted."""

from __future__ import annotations

import json

import pytest

from bench import search


def test_search_and_profiles_are_held_against_the_bare_sql(capsys: pytest.CaptureFixture[str]) -> None:
    search.main("--customers 400 --searches 20 --runs 1 --json".split())
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found.keys() == {"search-exact", "search-prefix", "search-fuzzy", "search-profile"}
    for entry in found.values():
        assert entry["limit"] == "bare SQL"
        assert 0 < entry["p50_ms"] <= entry["p99_ms"]
    assert found["search-exact"]["notes"]["found"] == 1.0
    assert found["search-fuzzy"]["notes"]["found"] > 0.8
