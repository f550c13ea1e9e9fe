"""For all histories, delivered in any order: is a replay what a plain reading of them says, now and as of then?"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyline.replay import replay
from tests.support.histories import deliver, history
from tests.support.plain import Everything, Published, everything
from tests.support.stage import Stage, stage
from tests.support.story import START

EXAMPLES = int(os.environ.get("REPLAY_HISTORIES", "8"))
"""How many histories; by hand: REPLAY_HISTORIES=500."""
SIZE = 14


@pytest.fixture(scope="module")
def acted(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def spelt(content: Any) -> str:
    return json.dumps(content, sort_keys=True, default=str)


def expected(known: Everything, happened_by: datetime | None = None) -> list[tuple[Any, ...]]:
    """(name, corrected, public content) of all that counts, by when it happened."""
    found = []
    for one in sorted(known.events.values(), key=lambda one: (one.at, one.name)):
        if known.retracted(one.name) or (happened_by is not None and one.at > happened_by):
            continue
        right = known.amended(one)
        record = one.record if right is None else right.record
        public = record.get("public", {}) if right is None else record["public"].get("content", {})
        found.append(
            (one.name, None if right is None else "amended", json.dumps(public, sort_keys=True, default=str))
        )
    return found


def replayed(small: Stage, **chosen: Any) -> list[tuple[Any, ...]]:
    with replay(small.story.dsn, columns=["event", "corrected", "content"], **chosen) as run:
        rows = run.arrow().to_pylist()
    return [(row["event"][-32:], row["corrected"], spelt(json.loads(row["content"]))) for row in rows]


def by_then(published: list[Published], moment: datetime) -> list[Published]:
    return [one for one in published if one.recorded_at <= moment]


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_replay_is_what_a_plain_reading_says_now_and_as_of_then(acted: Stage, seed: int) -> None:
    pick = Random(seed)
    acted.begin()
    published = acted.publish(history(pick, SIZE))
    acted.apply(deliver(pick, [one.value for one in published]))
    assert replayed(acted) == expected(everything(published))
    recorded = START + timedelta(minutes=pick.choice([2, 3, 8, 30, 60, 61, 62]))
    known = everything(by_then(published, recorded))
    assert replayed(acted, recorded_by=recorded) == expected(known)
    happened = START + timedelta(minutes=pick.randrange(6))
    both = replayed(acted, recorded_by=recorded, happened_by=happened)
    assert both == expected(known, happened)
    assert sorted(replayed(acted, order="position")) == sorted(replayed(acted))
