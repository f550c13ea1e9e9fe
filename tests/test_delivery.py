"""Guarantee 3: however a set of events is delivered, every read model ends with the same rows. With name clashes in
it, a rebuild rules as live did.

The runner is fed with batches that hypothesis makes, so that any order, any number of partitions and any cut into
batches comes up, which a log that behaves well would never show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventlog.port import Logged
from projections.runner import Parked, Runner
from tests.support.story import START, Story, event, story

# A connection pool's own thread asks `random` for its jitter, now and then while a strategy draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

_PEOPLE = ("ann@example.org", "bob@example.org", "guest")


@pytest.fixture(scope="module")
def arena(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


@st.composite
def _records(draw: st.DrawFn, clashes: bool) -> list[tuple[dict[str, Any], int]]:
    """(event, minute it was recorded), some of them repeats, with `clashes` some under a name that is taken."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        who = [{"kind": "email", "value": draw(st.sampled_from(_PEOPLE))}]
        if draw(st.booleans()):
            who.append({"kind": "customer_no", "value": draw(st.sampled_from(["17", "18"]))})
        data: dict[str, Any] = {"who": who, "refs": [{"kind": "order", "value": draw(st.sampled_from("AB"))}]}
        if draw(st.booleans()):
            data["about"] = [{"relation": "answers", "source": "test/mail", "id": f"other-{draw(st.integers(0, 7))}"}]
        raw = event(number, data=data)
        if draw(st.booleans()):
            raw["senttime"] = (START + timedelta(minutes=draw(st.integers(0, 90)))).isoformat()
        found += [(raw, minute) for minute in draw(st.lists(st.integers(0, 120), min_size=1, max_size=3))]
        if clashes and draw(st.booleans()):
            other = event(number, data={**data, "content": {"subject": "something else"}})
            found.append((other, draw(st.integers(0, 120))))
    return found


@st.composite
def _delivery(draw: st.DrawFn, values: Sequence[bytes]) -> list[list[Logged]]:
    """The values in some order, some of them twice, over some partitions, cut into batches."""
    order = draw(st.permutations([*values, *draw(st.lists(st.sampled_from(values), max_size=4))]))
    partitions = draw(st.integers(1, 4))
    ends = dict.fromkeys(range(partitions), 0)
    batches: list[list[Logged]] = [[]]
    for value in order:
        partition = draw(st.integers(0, partitions - 1))
        ends[partition] += draw(st.integers(1, 3))  # Kafka's offsets have holes
        batches[-1].append(Logged(partition, ends[partition], b"", value))
        if draw(st.integers(0, 3)) == 0:
            batches.append([])
    return [batch for batch in batches if batch]


@pytest.fixture(scope="module")
def runner(arena: Story) -> Iterator[Runner]:
    """One connection for all deliveries; each takes the partitions anew."""
    made = arena.runner(partitions=4)
    yield made
    made.close()


def _apply(arena: Story, runner: Runner, batches: Sequence[Sequence[Logged]]) -> None:
    arena.empty()
    runner.take()
    decoder = arena.decoder()
    for batch in batches:
        applied = runner.apply(decoder.batch(0, runner.cursor, batch))
        if applied.afresh:
            decoder = arena.decoder()


def _values(arena: Story, records: Sequence[tuple[dict[str, Any], int]]) -> list[bytes]:
    return [arena.seal([raw], START + timedelta(minutes=minute))[0].value for raw, minute in records]


_SETTINGS = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # To shrink takes minutes here, with a database in each example; the seed that is printed repeats it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target],
)


@_SETTINGS
@given(data=st.data())
def test_any_order_duplication_batching_and_partitions_give_the_same_rows(
    arena: Story, runner: Runner, data: st.DataObject
) -> None:
    values = _values(arena, data.draw(_records(clashes=False)))
    expected = None
    for _ in range(3):
        _apply(arena, runner, data.draw(_delivery(values)))
        hashes = arena.hashes()
        expected = expected or hashes
        assert _different(hashes, expected) == []
    assert arena.parked == []


@_SETTINGS
@given(data=st.data())
def test_with_name_clashes_a_rebuild_rules_as_live_did(arena: Story, runner: Runner, data: st.DataObject) -> None:
    values = _values(arena, data.draw(_records(clashes=True)))
    arena.rows("DELETE FROM storyline.rulings RETURNING 1")
    outcomes = []
    for _ in range(3):
        arena.parked.clear()
        _apply(arena, runner, data.draw(_delivery(values)))
        outcomes.append((arena.hashes(), {_content(parked) for parked in arena.parked}))
    arena.parked.clear()
    assert outcomes[1:] == outcomes[:-1]


def _different(hashes: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [table for model in hashes for table in hashes[model] if hashes[model][table] != expected[model][table]]


def _content(parked: Parked) -> tuple[str, bytes]:
    return parked.reason, parked.value
