"""Does the demo show a story from an empty folder, and add nothing when it runs again?"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.served import clean_environment, run_cli


def test_the_demo_ends_by_itself_and_run_twice_adds_nothing_twice(server_directory: Path) -> None:
    directory = server_directory / "cli-demo"
    directory.mkdir(mode=0o755)
    env = clean_environment(directory)
    hashes = []
    for _ in range(2):
        done = run_cli(env, "demo", "--once", timeout=240)
        assert done.returncode == 0, done.stderr
        assert "Purchase of" in done.stdout
        assert "Go on with:" in done.stdout
        rebuilt = run_cli(env, "rebuild", "--json")
        assert rebuilt.returncode == 0, rebuilt.stderr
        hashes.append(json.loads(rebuilt.stdout)["hashes"])
    assert hashes[0] == hashes[1]
    assert run_cli(env, "dead-letters", "list", "--json").stdout == ""
