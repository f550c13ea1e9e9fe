"""Does the benchmark of identity count right, and are its contacts what they promise?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.sample.dirty import CLEAN, DIRTY, contacts
from bench.identity import by_any, by_email, by_rules, main, measure, pairs
from domain.identity_rules import Blocked, Rules


def test_pairs_are_counted_as_precision_and_recall() -> None:
    assert pairs("aabb", "xxyy") == (1, 1)
    assert pairs("aabb", "xxxx") == (2 / 6, 1)
    assert pairs("aabb", "wxyz") == (1, 0)
    assert pairs("aaab", "xxyy") == (1 / 2, 1 / 3)
    assert pairs("", "") == (1, 1)


def test_the_same_seed_gives_the_same_contacts() -> None:
    assert contacts(3, 60, DIRTY) == contacts(3, 60, DIRTY)
    assert contacts(3, 60, DIRTY) != contacts(4, 60, DIRTY)
    assert {one.person for one in contacts(3, 60, DIRTY)} == set(range(60))


def test_clean_contacts_mix_nobody_up_and_dirty_ones_fewer_than_plain_joins_do() -> None:
    way = by_rules(Rules(), Blocked())
    clean = measure("clean", "storyline", contacts(1, 300, CLEAN), way)
    assert (clean.precision, clean.mixed) == (1, 0)
    assert clean.recall > 0.95
    told = contacts(1, 300, DIRTY)
    ours, email, any_ = (measure("dirty", "", told, one) for one in (way, by_email, by_any))
    assert ours.precision > 0.8 > any_.precision
    assert ours.recall > 0.8 > email.recall


def test_the_figures_are_told_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[limits]\n[blocked.words]\nemail = ["noemail@example.com"]\n')
    main(["--people", "40", "--json", "--rules", str(tmp_path / "rules.toml")])
    figures = json.loads(capsys.readouterr().out)
    assert [(one["data"], one["way"]) for one in figures] == [
        (data, way)
        for data in ("sample year", "clean", "dirty")
        for way in ("storyline", "same e-mail", "any identifier")
    ]
    assert all(0 <= one["precision"] <= 1 and 0 <= one["recall"] <= 1 for one in figures)
