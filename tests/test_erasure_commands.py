"""Can a person be erased, and given what is held about them, by whoever runs Storyline from the command line?"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Misconfigured
from storyline.settings import Settings
from tests.support.erasing import ADA, CANARY, Told, erasing_of, node_of, told
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment, run_cli
from tests.support.story import Story


@dataclass
class Shell:
    """The command line on a story."""

    story: Story
    env: dict[str, str]
    directory: Path

    def run(self, *words: str, code: int = 0) -> str:
        done = run_cli(self.env, *words)
        assert done.returncode == code, done.stderr
        assert CANARY not in done.stdout.lower() + done.stderr.lower()
        return done.stdout + done.stderr

    def told(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").splitlines()[0])


@pytest.fixture(scope="module")
def once(postgres: PostgresServer) -> Iterator[Told]:
    with told(postgres) as made:
        yield made


@pytest.fixture
def shell(once: Told, tmp_path: Path) -> Iterator[Shell]:
    with once.again() as story:
        settings = dict.fromkeys(("DATABASE_URL", "KEYS_URL", "LOG_URL"), story.dsn)
        settings["STORYLINE_MASTER_KEY"] = b64encode(once.master).decode()
        yield Shell(story, clean_environment(tmp_path, **settings), tmp_path)


def test_S83_a_person_is_given_everything_and_then_erased(shell: Shell) -> None:
    ada, out = node_of(shell.story, ADA), shell.directory / "ada.json"
    shell.run("export", ada, "--out", str(out))
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(out.read_text())["complete"] is True
    assert CANARY in out.read_text()
    assert "4 events" in shell.run("erase", ada, "--dry-run")
    done = shell.told("erase", ada, "--why", "asked for it")
    assert (done["step"], done["by"], done["certificate"]["keys"]) == ("certified", "cli", 2)
    assert done["id"] in shell.run("erasures", "list")
    assert done["certificate"]["hash"] in shell.run("erasures", "show", done["id"])
    lacks = {"database_lacks": 0, "keys_lack": 0, "ledger_lacks": 0}
    assert shell.told("ledger", "check") == {"entries": 2, "torn": False, **lacks, "open": 0}


def test_a_damaged_ledger_stops_every_process_and_a_shorter_one_is_mended(shell: Shell) -> None:
    ledger = shell.directory / "data" / "erasures.ledger"
    with erasing_of(shell.story, ledger) as erasing:
        erasing.erase(node_of(shell.story, ADA), "asked for it", by="cli")
    whole = ledger.read_text()
    ledger.write_text(whole.replace("asked", "ask"))
    assert "Put a good copy" in shell.run("projector", code=8)
    ledger.write_text(whole.splitlines()[0] + "\n")
    assert shell.told("ledger", "apply") == {"certified": 0, "open": 0}
    assert ledger.read_text() == whole


def test_in_production_the_ledger_has_to_be_named(shell: Shell) -> None:
    shell.env["STORYLINE_MODE"] = "production"
    assert "STORYLINE_LEDGER" in shell.run("projector", code=7)
    with pytest.raises(Misconfigured, match="STORYLINE_LEDGER"):
        _ = Settings(mode="production").ledger_file
    assert Settings(data_dir=Path("here")).ledger_file == Path("here/erasures.ledger")
