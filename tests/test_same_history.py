"""Does the log's adapter matter? One history through the embedded log, through Kafka, and copied from the one to the
other ends in the same rows of the timeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.sample import Sample
from eventlog.copying import copy_log
from tests.support.story import ALL, Story, story

_MANY = 800
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _publish(small: Story, raw: list[Any]) -> None:
    for start in range(0, len(raw), 100):
        small.publisher.publish(raw[start : start + 100], ALL)
    small.project()


@pytest.fixture
def history() -> list[Any]:
    return list(Sample().events(_NOW))[:_MANY]


@pytest.fixture
def embedded(database: str, history: list[Any]) -> Iterator[Story]:
    with story(database, database) as made:
        _publish(made, history)
        yield made


@pytest.mark.kafka
def test_a_copied_history_ends_in_the_same_rows(
    embedded: Story, postgres: Any, kafka_log_url: str, tmp_path: Path
) -> None:
    other = postgres.dsn_of(postgres.create_database())
    with story(other, kafka_log_url, hashing_from=embedded) as copied:
        assert copy_log(embedded.log, copied.log, tmp_path / "positions.map", lambda done, total: None) == _MANY
        copied.project()
        assert copied.hashes() == embedded.hashes()


@pytest.mark.kafka
def test_a_history_published_to_either_log_ends_in_the_same_rows(
    embedded: Story, postgres: Any, kafka_log_url: str, history: list[Any]
) -> None:
    """Two publications differ in what each makes anew: when it was recorded, keys and blobs."""
    other = postgres.dsn_of(postgres.create_database())
    with story(other, kafka_log_url, hashing_from=embedded) as published:
        _publish(published, list(reversed(history)))
        assert published.hashes(republished=True) == embedded.hashes(republished=True)
