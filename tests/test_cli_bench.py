"""Does `storyline bench` run wherever it is called from? The benchmarks take their servers from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "name",
    [
        "pipeline",
        "publish",
        "read",
        "scale",
        "chaos",
        "xes",
        "identity",
        "commands",
        "relay_kills",
        "segments",
        "dashboards",
        "rebuild",
    ],
)
def test_each_benchmark_tells_its_options_from_any_folder(name: str, tmp_path: Path) -> None:
    env = {word: value for word, value in os.environ.items() if word != "PYTHONPATH"}
    command = Path(sys.executable).with_name("storyline")
    done = subprocess.run(
        [str(command), "bench", name, "--help"], check=False, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"storyline bench {name}" in done.stdout
