"""Does one read model, made anew out of the timeline, equal the live one, whatever happened and whatever happens?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from projections.rebuild import Rebuild, chosen
from tests.support.story import Story, event, story

ALONE = ("identity", "customers", "directory", "work", "figures", "segments")


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        yield made


def rebuild(small: Story, *names: str, **changes: object) -> Rebuild:
    models, source = chosen(names, None if "timeline" in names else "timeline")
    parts = {
        "dsn": small.dsn,
        "log_url": small.log_url,
        "log": small.log,
        "reading": small.reading,
        "park": lambda connection, parked: small.parked.extend(parked),
        "models": models,
        "source": source,
    }
    return Rebuild(**{**parts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*ALONE, "all"])
def test_one_read_model_equals_live(small: Story, name: str) -> None:
    refs = [{"kind": "order", "value": "O-1"}, {"kind": "deal", "value": "D-1"}]
    small.publish(
        *[event(number, data={"who": [{"kind": "email", "value": f"{number % 7}@example.org"}]}) for number in range(60)],
        event(80, data={"refs": refs, "content": {"stage": "new"}}, type="deal.created"),
    )
    small.project()
    before = small.hashes()
    report = rebuild(small, name).run()
    assert report.same is True
    assert report.source == "timeline"
    assert small.hashes() == before
    assert small.rows("SELECT consumer FROM storyline.positions GROUP BY 1") == [("live",)]
