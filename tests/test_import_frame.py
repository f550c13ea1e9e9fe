"""Does an import account for every row, wherever it is stopped and whatever is refused?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.client import Refused
from adapters.importing import Refusal, Step, run_import, state_path
from adapters.reading import Place
from domain.errors import BadInput, Problem, StorylineError, TooLarge, Unavailable

Event = dict[str, Any]


class Numbers:
    """An importer of made-up rows: 3 rows an event; every row of `bad` is refused by itself."""

    name = "numbers"

    def __init__(self, steps: int, bad: frozenset[int] = frozenset(), digest: str = "1", lost: int = 0) -> None:
        self._steps, self._bad, self._digest, self._lost = steps, bad, digest, lost
        self.rows_read = 0

    def digest(self) -> str:
        return self._digest

    def total(self) -> int | None:
        return None

    def steps(self) -> Iterator[Step]:
        self.rows_read = self._lost
        for number in range(self._steps):
            rows = 1 if number in self._bad else 3
            first = self.rows_read + 1
            self.rows_read += rows
            places = tuple(Place("made-up", row, row + 1) for row in range(first, first + rows))
            if number in self._bad:
                yield Step(places, None, Refusal("odd", "The row is odd."))
            else:
                yield Step(places, event(number))


def event(number: int) -> Event:
    return {"source": "test", "id": str(number), "type": "note.added", "data": {}}


class Door:
    """What stands for the server: keeps what it is sent, refuses `bad` ids, breaks down after `breaks` batches."""

    def __init__(self, bad: frozenset[int] = frozenset(), named: bool = True, breaks: int | None = None) -> None:
        self.accepted: list[str] = []
        self._bad, self._named, self._breaks = bad, named, breaks

    def publish(self, events: list[Event]) -> list[Event]:
        if self._breaks is not None and self._breaks == 0:
            raise KeyboardInterrupt
        if self._breaks is not None:
            self._breaks -= 1
        wrong = [item for item, one in enumerate(events) if int(one["id"]) in self._bad]
        if wrong:
            alone = len(events) == 1 or not self._named
            raise BadInput([Problem("data", "is odd.", "Mend it.", None if alone else item) for item in wrong])
        self.accepted += [one["id"] for one in events]
        return events


def test_every_row_is_in_an_event_or_refused() -> None:
    door = Door()
    report = run_import(Numbers(10, frozenset({2, 5})), door.publish)
    assert report.finished
    assert (report.rows, report.rows_read) == (26, 26)
    assert report.events == {"note.added": 8}
    assert report.event_rows == {"note.added": 24}
    assert report.refused == {"odd": 2}
    assert door.accepted == ["0", "1", "3", "4", "6", "7", "8", "9"]


def test_a_row_that_vanishes_is_an_error_and_no_report() -> None:
    with pytest.raises(StorylineError, match="does not add up: 31 rows were read, 30 passed on"):
        run_import(Numbers(10, lost=1), Door().publish)


@settings(deadline=None)
@given(
    st.frozensets(st.integers(0, 39), max_size=12),
    st.frozensets(st.integers(0, 39), max_size=12),
    st.integers(1, 50),
    st.booleans(),
)
def test_an_event_that_the_server_refuses_is_isolated_and_all_others_go_in(
    odd: frozenset[int], bad: frozenset[int], batch: int, named: bool
) -> None:
    door = Door(bad, named)
    report = run_import(Numbers(40, odd), door.publish, batch_events=batch)
    refused = bad - odd
    assert sorted(map(int, door.accepted)) == [number for number in range(40) if number not in odd | bad]
    assert report.refused.get("server_refused", 0) == 3 * len(refused)
    assert report.refused.get("odd", 0) == len(odd)


def test_the_servers_words_and_the_row_stand_in_the_file_of_refused_rows(tmp_path: Path) -> None:
    refused = tmp_path / "refused.ndjson"
    run_import(Numbers(4, frozenset({1})), Door(frozenset({3})).publish, refused_file=refused)
    lines = [msgspec.json.decode(line) for line in refused.read_bytes().splitlines()]
    assert [line["row"] for line in lines] == [4, 8, 9, 10]
    assert lines[0] == {"file": "made-up", "row": 4, "line": 5, "refused": "odd", "reason": "The row is odd."}
    assert lines[1]["refused"] == "server_refused"
    assert lines[1]["reason"] == "data: is odd. Mend it."
    assert lines[1]["event"] == {"source": "test", "id": "3"}


def test_a_batch_that_is_not_acknowledged_whole_is_an_error_and_will_be_sent_again(tmp_path: Path) -> None:
    with pytest.raises(StorylineError, match="acknowledged 4 of 5 events"):
        run_import(Numbers(20), lambda events: events[1:], state=tmp_path / "state", batch_events=5)
    assert not (tmp_path / "state").exists()


def test_where_the_client_cut_the_batch_its_items_are_counted_in_the_part() -> None:
    accepted: list[str] = []

    def publish(events: list[Event]) -> list[Event]:
        for start in range(0, len(events), 7):
            part = events[start : start + 7]
            wrong = [item for item, one in enumerate(part) if one["id"] in {"3", "17"}]
            if wrong:
                problems = [Problem("data", "is odd.", "Mend it.", item) for item in wrong]
                raise Refused(problems, "refused", tuple(part))
            accepted.extend(one["id"] for one in part)
        return events

    report = run_import(Numbers(20), publish)
    assert set(accepted) == {str(number) for number in range(20)} - {"3", "17"}
    assert report.refused == {"server_refused": 6}


def test_an_event_that_is_too_large_is_refused_alone() -> None:
    accepted: list[str] = []

    def publish(events: list[Event]) -> list[Event]:
        if any(one["id"] == "4" for one in events):
            raise TooLarge("The body is too large.")
        accepted.extend(one["id"] for one in events)
        return events

    report = run_import(Numbers(6), publish)
    assert accepted == ["0", "1", "2", "3", "5"]
    assert report.refused == {"too_large": 3}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_import_that_is_stopped_again_and_again_ends_like_one_that_is_not(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("import")
    odd = data.draw(st.frozensets(st.integers(0, 29), max_size=8))
    bad = data.draw(st.frozensets(st.integers(0, 29), max_size=8))
    whole = run_import(
        Numbers(30, odd), Door(bad).publish, refused_file=folder / "r1", row_map=folder / "m1", batch_events=4
    )
    accepted: set[str] = set()
    for _ in range(40):
        door = Door(bad, breaks=data.draw(st.integers(0, 6)))
        report = run_import(
            Numbers(30, odd),
            door.publish,
            state=folder / "state",
            refused_file=folder / "r2",
            row_map=folder / "m2",
            batch_events=data.draw(st.integers(1, 7)),
        )
        accepted |= set(door.accepted)
        if report.finished:
            break
    else:
        report = run_import(
            Numbers(30, odd),
            (last := Door(bad)).publish,
            state=folder / "state",
            refused_file=folder / "r2",
            row_map=folder / "m2",
        )
        accepted |= set(last.accepted)
    assert (report.rows, report.events, report.refused) == (whole.rows, whole.events, whole.refused)
    assert accepted == {str(number) for number in range(30) if number not in odd | bad}
    assert (folder / "r1").read_bytes() == (folder / "r2").read_bytes()
    assert (folder / "m1").read_bytes() == (folder / "m2").read_bytes()
    assert not (folder / "state").exists()


def test_an_import_goes_on_after_the_last_batch_that_was_acknowledged(tmp_path: Path) -> None:
    state = tmp_path / "imports" / "state"
    stopped = run_import(Numbers(20), Door(breaks=3).publish, state=state, batch_events=5)
    assert not stopped.finished
    assert stopped.rows == 45
    door = Door()
    report = run_import(Numbers(20), door.publish, state=state, batch_events=5)
    assert door.accepted == [str(number) for number in range(15, 20)]
    assert (report.resumed_at, report.rows, report.events) == (45, 60, {"note.added": 20})


def test_when_the_server_is_away_what_was_acknowledged_is_kept(tmp_path: Path) -> None:
    state = tmp_path / "state"

    def away(events: list[Event]) -> list[Event]:
        if int(events[0]["id"]) >= 10:
            raise Unavailable("The log does not answer.")
        return events

    with pytest.raises(Unavailable):
        run_import(Numbers(20), away, state=state, batch_events=5)
    assert run_import(Numbers(20), Door().publish, state=state).resumed_at == 30


@pytest.mark.parametrize("changed", ["input", "target", "files", "damaged"])
def test_a_changed_import_begins_anew(tmp_path: Path, changed: str) -> None:
    state = tmp_path / "state"
    run_import(Numbers(20), Door(breaks=2).publish, state=state, target="one", batch_events=5)
    if changed == "damaged":
        state.write_bytes(state.read_bytes()[:-9])
    report = run_import(
        Numbers(20, digest="2" if changed == "input" else "1"),
        (door := Door()).publish,
        state=state,
        target="two" if changed == "target" else "one",
        row_map=tmp_path / "map" if changed == "files" else None,
    )
    assert report.resumed_at == 0
    assert len(door.accepted) == 20


def test_an_import_that_is_done_is_forgotten_so_that_the_next_one_repeats_it(tmp_path: Path) -> None:
    for _ in range(2):
        door = Door()
        run_import(Numbers(5), door.publish, state=tmp_path / "state")
        assert len(door.accepted) == 5


def test_progress_tells_rows_events_and_rate() -> None:
    told: list[tuple[int, int, float]] = []
    ticks = iter(range(100))
    run_import(
        Numbers(10),
        Door().publish,
        batch_events=5,
        progress=lambda done: told.append((done.rows, done.events, done.rows_per_s)),
        clock=lambda: float(next(ticks)),
    )
    assert told == [(15, 5, 15.0), (30, 10, 15.0)]


def test_two_imports_of_other_files_keep_their_states_apart(tmp_path: Path) -> None:
    paths = {state_path(tmp_path, "csv", [Path("a.csv")]), state_path(tmp_path, "csv", [Path("b.csv")])}
    assert len(paths | {state_path(tmp_path, "ndjson", [Path("a.csv")])}) == 3
