"""Does the ledger of erasures keep what it was told, notice what was done to it, and heal what is no damage?"""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from commands.ledger import FIRST, Entry, Ledger
from domain.errors import LogDamaged, Unavailable

AT = datetime(2026, 3, 1, tzinfo=UTC)


def append(ledger: Ledger, times: int = 1) -> None:
    for _ in range(times):
        ledger.append(
            lambda number, previous: Entry(
                number=number,
                kind="erasure",
                erasure=uuid4(),
                at=AT,
                by="cli",
                why="asked for it",
                customer=UUID(int=7),
                evidences=(UUID(int=8), UUID(int=9)),
                nodes=(UUID(int=7),),
                raised={"0" * 31 + "7": 1},
                previous=previous,
            )
        )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "apart" / "erasures.ledger")
    append(made, 3)
    return made


def test_a_ledger_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "none").read() == []
    assert not Ledger(tmp_path / "none").torn()


def test_entries_are_chained_and_read_as_they_were_written(ledger: Ledger) -> None:
    first, second, third = ledger.read()
    assert [one.entry.number for one in (first, second, third)] == [1, 2, 3]
    assert (first.entry.previous, second.entry.previous, third.entry.previous) == (FIRST, first.hash, second.hash)
    assert first.entry.evidences == (UUID(int=8), UUID(int=9))
    assert ledger.path.stat().st_mode & 0o077 == 0, "nobody else reads it"


def test_an_append_that_was_broken_off_is_noticed_and_its_place_taken(ledger: Ledger) -> None:
    whole = ledger.path.read_bytes()
    for left in (b"{", whole.splitlines()[0], b"\0" * 512):
        ledger.path.write_bytes(whole + left)
        assert ledger.torn()
        assert len(ledger.read()) == 3
    append(ledger)
    assert not ledger.torn()
    assert [one.entry.number for one in ledger.read()] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("change", ["altered", "taken out", "doubled", "broken"])
def test_what_was_done_to_an_entry_is_damage_with_a_way_out(ledger: Ledger, line: int, change: str) -> None:
    lines = ledger.path.read_text().splitlines()
    if change == "altered":
        lines[line] = lines[line].replace("asked for it", "asked for one")
    elif change == "broken":
        lines[line] = lines[line][:-9]
    elif change == "doubled":
        lines.insert(line, lines[line])
    else:
        del lines[line]
    ledger.path.write_text("\n".join([*lines, ""]))
    if change == "taken out" and line == 2:
        assert len(ledger.read()) == 2, "a lost end is told by the database, which has more"
        return
    with pytest.raises(LogDamaged, match=r"line \d: .* Put a good copy"):
        ledger.read()
    with pytest.raises(LogDamaged):
        append(ledger)


def test_a_lost_end_is_taken_from_who_still_has_it(ledger: Ledger) -> None:
    lines = ledger.path.read_text().splitlines()
    for kept in (0, 1, 3):
        ledger.path.write_text("".join(f"{line}\n" for line in lines[:kept]))
        ledger.adopt(lines)
        assert ledger.path.read_text().splitlines() == lines
    ledger.path.write_text("")
    append(ledger)
    with pytest.raises(LogDamaged, match="does not follow"):
        ledger.adopt(lines)


def test_two_who_append_at_once_both_get_their_place(ledger: Ledger) -> None:
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=append, args=(ledger, 20)) for _ in range(2)]
    for one in others:
        one.start()
    for one in others:
        one.join()
    assert [one.entry.number for one in ledger.read()] == list(range(1, 44))


def test_a_ledger_that_cannot_be_written_is_unavailable_and_says_which_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="STORYLINE_LEDGER"):
        append(Ledger(tmp_path / "file" / "ledger"))
