"""Does a real log of another system's tickets become foreign tickets, in any order, with what our rules would have
refused noted as an independent reading of the file finds it?"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any
from xml.etree.ElementTree import iterparse

import pytest

from adapters.importing import run_import
from adapters.xes_map import XesMap
from domain.configuration import builtin_configuration
from eventlog.port import Logged
from projections.work.annotating import note
from projections.work.rows import HistoryRow
from tests.support.imports import into
from tests.support.stage import Stage, stage
from tests.support.story import START

pytestmark = pytest.mark.data

_MAPPING = Path(__file__).parent.parent / "docs" / "examples" / "helpdesk.toml"
_STEPS = (
    "SELECT s.name, kind, s.type, s.happened_at, s.recorded_at, revision, actor, source, native, folds, ref, public, "
    "record, NULL FROM work.steps AS s JOIN timeline.events AS e ON e.name = s.name "
    "ORDER BY ref, revision, s.happened_at, s.name"
)


@pytest.fixture(scope="module")
def desk(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def path() -> Path:
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "helpdesk"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with helpdesk")
    return folder / "helpdesk.xes.gz"


def activities(path: Path) -> dict[str, list[str]]:
    """What happened to each ticket, in the file's order, by its name."""
    found: dict[str, list[str]] = {}
    with gzip.open(path) as stream:
        for _, node in iterparse(stream):
            if node.tag.rpartition("}")[2] == "trace":
                plain = [{one.get("key"): one.get("value") for one in event} for event in node if len(event)]
                [name] = [str(one.get("value")) for one in node if one.get("key") == "concept:name"]
                found[name] = [str(event["concept:name"]) for event in plain]
                node.clear()
    return found


def sealed(desk: Stage, path: Path) -> list[bytes]:
    """Records of all events of the file."""
    events: list[dict[str, Any]] = []
    run_import(XesMap([path], _MAPPING), into(events))
    assert len(events) == 21_348
    return [
        entry.value
        for place in range(0, len(events), 1000)
        for entry in desk.story.seal(events[place : place + 1000], START)
    ]


def delivered(desk: Stage, values: Sequence[bytes], partitions: int) -> dict[str, Any]:
    """Row hashes after these records, in this order, over some partitions."""
    desk.begin()
    logged = [Logged(place % partitions, place // partitions, b"", value) for place, value in enumerate(values)]
    desk.apply([logged[place : place + 4000] for place in range(0, len(logged), 4000)])
    return desk.hashes()["work"]  # type: ignore[no-any-return]


@pytest.mark.timeout(600)
def test_the_help_desk_log_is_4580_foreign_tickets_with_their_violations_in_any_order(
    desk: Stage, path: Path
) -> None:
    values = sealed(desk, path)
    shuffled = Random(1).sample(values, len(values))
    told = activities(path)
    expected = delivered(desk, values, 4)
    assert delivered(desk, values[::-1], 3) == expected
    assert delivered(desk, shuffled, 1) == expected
    booked = sum(every.count("Schedule intervention") for every in told.values())
    assert (expected["steps"][0], booked, expected["tickets"][0]) == (21_348 - 5, 5, 4_580)

    rows = [HistoryRow(*row) for row in desk.story.rows(_STEPS)]
    rules = builtin_configuration()
    histories = {ref.partition(":")[2]: list(steps) for ref, steps in groupby(rows, lambda row: row.ref)}
    noted = {name: note(steps, rules) for name, steps in histories.items()}
    assert noted.keys() == told.keys()
    assert with_rule(noted, "ticket-closed") == {name for name, every in told.items() if goes_on(every)}
    assert with_rule(noted, "ticket-resolved") == {name for name, every in told.items() if taken_again(every)}
    assert (len(with_rule(noted, "ticket-closed")), len(with_rule(noted, "ticket-resolved"))) == (17, 149)
    closed = desk.story.rows("SELECT count(*) FROM work.tickets WHERE closed_at IS NOT NULL")
    assert closed == [(sum(ends_closed(every) for every in told.values()),)]


def with_rule(noted: dict[str, Any], rule: str) -> set[str]:
    """Tickets with a step that a rule would have refused."""
    return {name for name, one in noted.items() if any(refused.rule == rule for of in one.broken for refused in of)}


def goes_on(every: list[str]) -> bool:
    """Does something happen after the first time that it was closed?"""
    return "Closed" in every and every.index("Closed") < len(every) - 1


def ends_closed(every: list[str]) -> bool:
    """Is the last of its activities that move a ticket to a state its closing?"""
    staying = {"Take in charge ticket", "Assign seriousness", "Schedule intervention"}
    return [one for one in every if one not in staying][-1:] == ["Closed"]


def taken_again(every: list[str]) -> bool:
    """Is it taken in charge after it was resolved?"""
    return "Resolve ticket" in every and "Take in charge ticket" in every[every.index("Resolve ticket") :]
