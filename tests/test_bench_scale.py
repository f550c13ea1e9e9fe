"""Does the benchmark of several projectors run, and does it tell what it saw? No times are asserted."""

from __future__ import annotations

import json

import pytest

from bench import scale


def test_projectors_are_measured_side_by_side_with_the_bare_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--events 3000 --customers 50 --runs 1 --projectors 2 --batch 500 --adapter embedded"
    scale.main([*words.split(), "--rows-disjoint", "--json"])
    [two] = json.loads(capsys.readouterr().out)
    notes = two["notes"]
    assert (two["name"], two["limit"]) == ("scale-embedded-x2-by-500", "bare pipe x1")
    assert two["events_per_s"] > 0
    assert two["limit_per_s"] > 0
    assert notes["wal_bytes_per_event"] > 0
    assert notes["deadlocks"] == 0
    assert notes["cpu_us_per_event"].keys() >= {"runners", "readers", "broker", "others on this machine"}
    assert notes["bytes_per_event"].keys() >= {"events", "events_pkey", "events_story", "nodes"}
