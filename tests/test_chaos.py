"""Does chaos run, does it find nothing where all is well, and does it find what it looks for? Ten short rounds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from bench import chaos
from bench.chaos.command import FAULTS, plan
from bench.chaos.ledger import Ack, Ledger, Place, Sent
from bench.chaos.oracle import judge
from bench.chaos.reading import Line, Row, Rows, line_of
from bench.chaos.without import CONTROLS, remove
from eventlog.sql import load

_FIELDS = {"round", "faults", "lost", "doubled", "kills", "seconds_to_recover", "acknowledged", "equal_rebuild"}
_WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def _play(capsys: pytest.CaptureFixture[str], words: str, faults: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    only = [word for fault in faults for word in ("--only", fault)]
    arguments = [*words.split(), "--json", "--seed", "4", "--seconds", "1", "--rounds", str(len(faults)), *only]
    with pytest.raises(SystemExit) as done:
        chaos.main(arguments)
    code = int(str(done.value.code))
    told = capsys.readouterr()
    if code == 2 and not os.environ.get("CI"):
        pytest.skip(told.err)
    return code, json.loads(told.out)


def test_five_rounds_on_the_embedded_log_lose_and_double_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["projector-at-sql", "postgres-killed", "api-at-append", "frozen-mid-batch", "rewound"]
    code, rounds = _play(capsys, "--log embedded --projectors 2 --apis 1", faults)
    assert all(one.keys() >= _FIELDS for one in rounds)
    assert {one["faults"][0] for one in rounds} == set(faults)
    assert (code, [one["examples"] for one in rounds]) == (0, [{}] * 5)
    assert sum(one["kills"] for one in rounds) >= 3
    assert rounds[-1]["equal_rebuild"] is True
    assert rounds[-1]["acknowledged"] > 0


@pytest.mark.kafka
def test_five_rounds_on_kafka_lose_and_double_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["inbox-at-append", "inbox-at-move", "projector-killed", "broker-cut", "postgres-cut"]
    code, rounds = _play(capsys, "--log kafka --projectors 2 --inboxes 2 --apis 1", faults)
    assert (code, [one["examples"] for one in rounds]) == (0, [{}] * 5)
    assert sum(one["kills"] for one in rounds) >= 3
    assert rounds[-1]["equal_rebuild"] is True


def test_without_compare_and_set_chaos_goes_red(capsys: pytest.CaptureFixture[str]) -> None:
    code, rounds = _play(capsys, "--log embedded --projectors 1 --apis 1 --without cas", ["rewound", "rewound"])
    assert code == 1
    assert rounds[-1]["lost"] > 0


def test_the_same_seed_makes_the_same_plan_with_each_fault_in_turn() -> None:
    names = list(FAULTS)
    assert plan(5, 60, names) == plan(5, 60, names)
    assert plan(5, 60, names) != plan(6, 60, names)
    assert {name for name, _ in plan(5, len(names), names)} == set(names)


def test_a_control_finds_what_it_is_to_take_away() -> None:
    queries = {name: dict(load(*name)) for name in (("projections", "positions.sql"), ("projections", "leases.sql"))}
    try:
        remove(["cas", "epoch"])
        assert all(load(*name) != before for name, before in queries.items())
        with pytest.raises(ValueError, match="not there any more"):
            remove(["cas"])
    finally:
        for name, before in queries.items():
            load(*name).update(before)
    assert set(CONTROLS.values()) <= set(FAULTS)


def _line(offset: int, mark: str, *, partition: int = 0, name: str = "", digest: str = "d", ref: str = "") -> Line:
    text = json.dumps(
        {
            "name": f"chaos#{(name or mark).encode().hex():0>32}",
            "digest": digest.encode().hex().zfill(32),
            "owner": f"customer_no.0.{'a' * 32}",
            "tokens": [f"customer_no.0.{'a' * 32}"],
            "evidence": "e" * 32,
            "parties": [{"role": "cc", "evidence": "c" * 32, "tokens": [f"email.0.{'b' * 32}"]}],
            "about": [{"relation": "answers", "name": f"chaos#{'f' * 32}"}],
            "channel": "email",
            "direction": "in",
            "refs": [ref] if ref else [],
            "time": _WHEN.isoformat(),
            "recorded_at": _WHEN.replace(microsecond=offset).isoformat(),
            "public": {"mailbox": mark},
            "type": "email.received",
        }
    )
    return line_of(partition, offset, text.encode())


def _rows(lines: Sequence[Line]) -> Rows:
    events = [
        Row(
            one.name,
            one.digest,
            one.evidence,
            one.happened,
            one.recorded,
            one.type,
            True,
            one.partition,
            one.offset,
            one.value,
        )
        for one in lines
    ]
    refs = [(ref, one.happened, one.name) for one in lines for ref in one.refs]
    about = [(target, relation, one.name) for one in lines for target, relation in one.about]
    parties = [(evidence, one.happened, one.name, role) for one in lines for evidence, role, _ in one.parties]
    evidences: list[tuple[str, tuple[str, ...], datetime, str]]
    evidences = [("e" * 32, ("a" * 32,), _WHEN, "a" * 32), ("c" * 32, ("b" * 32,), _WHEN, "b" * 32)]
    nodes = [(letter * 32, _WHEN, letter * 32) for letter in "ab"]
    contacts = [("e" * 32, "email", "in", len({one.name for one in lines}), _WHEN, _WHEN)]
    return Rows(events, refs, about, parties, evidences, nodes, contacts, [])


def _judged(ledger: Ledger, lines: Sequence[Line], rows: Rows) -> list[str]:
    found: dict[Place, Line] = {(one.partition, one.offset): one for one in lines}
    return judge(ledger.sent, ledger.acks, ledger.requests, found, rows, "log", "inbox").red


def _acknowledged(*marks: str) -> Ledger:
    ledger = Ledger()
    for offset, mark in enumerate(marks):
        ledger.add(Sent(mark, "good", "P1", None))
        ledger.acknowledge([mark], [(0, offset)], float(offset), offset + 0.5)
    return ledger


LINES = [_line(0, "a"), _line(1, "b", ref="order:1")]


def test_the_oracle_finds_nothing_where_all_is_well() -> None:
    assert _judged(_acknowledged("a", "b"), LINES, _rows(LINES)) == []
    repeated = [*LINES, _line(2, "b", ref="order:1")]
    assert _judged(_acknowledged("a", "b"), repeated, _rows(LINES)) == []


def test_the_oracle_tells_what_is_lost() -> None:
    assert _judged(_acknowledged("a", "b", "c"), LINES, _rows(LINES)) == ["lost"]
    assert _judged(_acknowledged("a", "b"), LINES, _rows(LINES[1:])) == ["lost"]
    without_refs = _rows(LINES)
    without_refs.refs.clear()
    assert _judged(_acknowledged("a", "b"), LINES, without_refs) == ["lost"]


@pytest.mark.parametrize("table", ["about", "parties", "evidences", "nodes", "contacts"])
def test_the_oracle_tells_what_one_of_the_read_models_lost(table: str) -> None:
    rows = _rows(LINES)
    getattr(rows, table).pop()
    assert _judged(_acknowledged("a", "b"), LINES, rows) == ["lost"]


def test_the_oracle_tells_a_sum_and_a_time_that_are_wrong() -> None:
    rows = _rows(LINES)
    later = _WHEN.replace(hour=1)
    rows.contacts = [("e" * 32, "email", "in", 3, _WHEN, _WHEN)]
    assert _judged(_acknowledged("a", "b"), LINES, rows) == ["doubled"]
    rows.contacts = [("e" * 32, "email", "in", 2, _WHEN, later)]
    assert _judged(_acknowledged("a", "b"), LINES, rows) == ["different"]
    rows = _rows(LINES)
    rows.evidences[0] = (*rows.evidences[0][:2], later, rows.evidences[0][3])
    assert _judged(_acknowledged("a", "b"), LINES, rows) == ["lost", "uninvited"]


def test_the_oracle_tells_what_is_doubled() -> None:
    twice = [*LINES, _line(2, "b", ref="order:1")]
    assert "doubled" in _judged(_acknowledged("a", "b"), twice, _rows(twice))
    rows = _rows(LINES)
    rows.about *= 2
    assert _judged(_acknowledged("a", "b"), LINES, rows) == ["doubled"]


def test_the_oracle_tells_what_was_never_invited() -> None:
    ledger = _acknowledged("a")
    ledger.add(Sent("b", "bad", "P1", None))
    ledger.refuse(["b"])
    assert _judged(ledger, LINES, _rows(LINES)) == ["uninvited"]
    assert _judged(_acknowledged("a", "b"), LINES, _rows([*LINES, _line(2, "x")])) == ["doubled", "uninvited"]


def test_the_oracle_tells_an_append_that_overtook_an_acknowledged_one() -> None:
    ledger = _acknowledged("a", "b")
    ledger.acks = [Ack((0, 0), "a", 5.0, 6.0), Ack((0, 1), "b", 1.0, 2.0)]
    assert _judged(ledger, LINES, _rows(LINES)) == ["reordered"]
    ledger = _acknowledged("a", "b")
    ledger.requests.append([(0, 1), (0, 0)])
    assert _judged(ledger, LINES, _rows(LINES)) == ["reordered"]


def test_the_oracle_tells_a_clash_that_was_not_parked() -> None:
    ledger = _acknowledged("a", "b")
    ledger.add(Sent("bc", "clash", "P1", None))
    ledger.acknowledge(["bc"], [(0, 2)], 8.0, 9.0)
    lines = [*LINES, _line(2, "bc", name="b", digest="other")]
    rows = _rows(LINES)
    assert _judged(ledger, lines, rows) == ["lost"]
    rows.letters.append(("projector", "name-clash", "log", 0, 2))
    assert _judged(ledger, lines, rows) == []
    rows.letters *= 2
    assert _judged(ledger, lines, rows) == ["doubled"]
