"""Is what `docs/operations.md` says true? Its metrics, alarms, exit codes, links; and the way up from old tables."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import psycopg
import yaml

from storyline.database import migrations, upgrade
from storyline.exits import CODES

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
ALERTS = ROOT / "docs/examples/alerts.yml"
NAME = re.compile(r"\bstoryline_[a-z_]+\b")
KINDS = {"Counter": "_total", "Gauge": "", "Histogram": "", "Summary": "", "GaugeMetricFamily": "",
         "CounterMetricFamily": "_total"}  # fmt: skip


def exported() -> set[str]:
    """The names that Prometheus sees, of every metric that the code registers."""
    found = set()
    for folder in ("api", "commands", "consumers", "eventlog", "projections", "storyline"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS and node.args:
                    name = getattr(node.args[0], "value", None)
                    if not isinstance(name, str):  # a Counter of another kind
                        continue
                    found.add(name.removesuffix("_total") + KINDS[getattr(node.func, "id", "")])
    return found


def section(title: str) -> str:
    """The text under one heading."""
    [text] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    return str(text)


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of the tables in a text."""
    lines = re.findall(r"^\| (?!---)(.+) \|$", text, re.MULTILINE)
    return [line.split(" | ") for line in lines]


def test_S92_every_metric_is_documented_and_every_documented_metric_is_there() -> None:
    documented = {name for row in rows(section("Every metric")) for name in NAME.findall(row[0])}
    assert documented == exported()
    assert set(NAME.findall(DOCUMENT)) - exported() == set(), "metrics elsewhere in the text"


def test_every_metric_says_when_to_look() -> None:
    for row in rows(section("Every metric"))[1:]:
        assert len(row) == 4 and all(row), row[0]


def test_every_example_alarm_watches_a_metric_that_is_there_and_has_its_remedy() -> None:
    [group] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    for rule in rules:
        watched = {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(rule["expr"])}
        assert watched <= exported(), rule["alert"]
        assert watched or "up{" in rule["expr"], rule["alert"]
        assert rule["annotations"]["summary"].endswith((".", ").")), rule["alert"]
    named = re.findall(r"`(Storyline\w+)`", section("Alarms"))
    assert sorted(named) == sorted(rule["alert"] for rule in rules)


def test_every_link_of_the_document_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in re.findall(r"^#+ (.+)$", DOCUMENT, re.M)
    }
    for target in re.findall(r"\]\(([^)]+)\)", DOCUMENT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (ROOT / "docs" / target.partition("#")[0]).exists(), target


def test_the_exit_codes_of_processes_are_those_that_there_are() -> None:
    told = {int(row[0]) for row in rows(section("Is it well\\?"))[1:]}
    assert told <= {0, 1, *CODES.values()}


def test_what_stood_in_the_tables_of_the_first_release_is_there_after_the_upgrade(empty_database: str) -> None:
    upgrade(empty_database, steps=migrations()[:1])
    with psycopg.connect(empty_database) as connection:
        connection.execute("INSERT INTO storyline.positions VALUES ('live', 'embedded:1', 3, 17, 2)")
        connection.execute(
            "INSERT INTO storyline.dead_letters (id, consumer, reason, detail, origin, key_id, sealed, status) "
            "VALUES (gen_random_uuid(), 'inbox', 'bad-input', 'x', 'inbox.a', gen_random_uuid(), '\\x00', 'parked'), "
            "(gen_random_uuid(), 'inbox', 'bad-input', 'x', 'inbox.a', gen_random_uuid(), '\\x00', 'redriven')"
        )
        connection.execute(
            "INSERT INTO storyline.api_keys (key_id, secret_hash, label, scopes, sources, types) "
            "VALUES ('abc', '\\x01', 'shop', '{publish}', '{shop/*}', '{*}')"
        )
    assert upgrade(empty_database) == [f"{step.number:04}_{step.name}" for step in migrations()[1:]]
    with psycopg.connect(empty_database) as connection:
        stood = connection.execute("SELECT next_offset, epoch FROM storyline.positions").fetchall()
        letters = connection.execute("SELECT status FROM storyline.dead_letters ORDER BY 1").fetchall()
        keys = connection.execute("SELECT label, revoked_at FROM storyline.api_keys").fetchall()
    assert (stood, letters, keys) == ([(17, 2)], [("parked",), ("redriven",)], [("shop", None)])
