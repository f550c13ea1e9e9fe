"""Do the benchmarks of publishing and reading run, and does their JSON have its shape? No times are asserted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import publish, read

_FIELDS = {"name", "profile", "events", "events_per_s", "limit", "limit_per_s", "ratio", "rss_mb", "peers"}


def _figures(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out)
    assert all(entry.keys() >= _FIELDS for entry in found)
    return {entry["name"]: entry for entry in found}


def test_publishing_is_held_against_the_log_alone(capsys: pytest.CaptureFixture[str]) -> None:
    small = "--events 400 --runs 1 --seconds 1 --adapter embedded --json".split()
    publish.main(small)
    found = _figures(capsys)
    assert found.keys() == {f"publish-{part}-embedded" for part in ("batches", "single", "cost", "visible")}
    batches, cost, visible = (found[f"publish-{part}-embedded"] for part in ("batches", "cost", "visible"))
    assert batches["ratio"] == round(batches["events_per_s"] / batches["limit_per_s"], 3)
    assert {f"{step}, µs an event" for step in ("parse", "check", "seal", "append")} <= cost["notes"].keys()
    assert visible["events"] == 1000
    assert 0 <= visible["p50_ms"] <= visible["p99_ms"]


@pytest.mark.kafka
def test_publishing_to_kafka_is_held_against_the_bare_client_and_a_plain_endpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish.main("--events 300 --runs 1 --adapter kafka --part batches --json".split())
    found = _figures(capsys)
    if not found:
        pytest.skip("no Kafka broker can be had here")
    [batches] = found.values()
    assert batches["limit"] == "bare Kafka client"
    assert batches["limit_per_s"] > 0
    [peer] = batches["peers"].values()
    assert peer > 0


def test_reading_is_held_against_the_bare_sql_at_two_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    read.main("--events 600 --customers 4 --pages 20 --runs 1 --large --json".split())
    found = _figures(capsys)
    assert list(found) == ["read-600", "read-600-by-2", "read-6000", "read-6000-by-2"]
    for pages in found.values():
        assert pages["limit"] == "bare SQL"
        assert 0 < pages["p50_ms"] <= pages["p99_ms"]
        assert pages["ratio"] > 0
