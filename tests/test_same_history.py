"""Does the log's adapter matter? One history through the embedded log, through Kafka, and copied from the one to the
other ends in the same rows of the timeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.online_retail import OnlineRetail
from adapters.sample import Sample
from eventlog.copying import copy_log
from tests.support.retail import retail_files
from tests.support.story import ALL, Story, story

_MANY = 800
_INVOICES, _ALL_INVOICES = 6_645, 25_900
"""Of the months that are read, and of all (STORYLINE_RETAIL=all)."""
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


@pytest.mark.kafka
@pytest.mark.data
def test_online_retail_ends_in_the_same_rows_through_either_log_and_through_a_copy(
    database: str, postgres: Any, kafka: str, tmp_path: Path
) -> None:
    topics = [f"kafka://{kafka}/retail-{name}-{tmp_path.name[-4:]}?partitions=8" for name in ("copied", "published")]
    others = [postgres.dsn_of(postgres.create_database()) for _ in topics]
    with (
        story(database, database) as embedded,
        story(others[0], topics[0], hashing_from=embedded) as copied,
        story(others[1], topics[1], hashing_from=embedded) as published,
    ):
        raw = [step.event for step in OnlineRetail(retail_files()).steps() if step.event is not None]
        assert len(raw) in {_INVOICES, _ALL_INVOICES}
        for one in (embedded, published):
            _publish(one, raw)
        before = embedded.hashes(republished=True)
        assert before["timeline"]["events"][0] == len(raw)
        assert published.hashes(republished=True) == before
        assert copy_log(embedded.log, copied.log, tmp_path / "positions.map", lambda done, total: None) == len(raw)
        copied.project()
        assert copied.hashes() == embedded.hashes()
        _publish(embedded, raw)
        assert embedded.hashes(republished=True) == before
