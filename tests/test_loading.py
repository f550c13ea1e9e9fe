"""Does a process load only what it needs? Each start costs seconds of processor time, most of it for modules."""

from __future__ import annotations

import gc
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storyline.loading import loading
from tests.support.served import clean_environment

_ARROW = frozenset({"pyarrow", "numpy", "duckdb", "pandas"})
_SERVER = frozenset({"fastapi", "starlette", "uvicorn"})
_SELDOM = frozenset({"holidays", "jsonschema", "psutil", "kafka", "aiokafka", "httpx", "vaderSentiment"}) | _ARROW
_ALONE = {"storyline.parts", "projections", "commands", "pydantic", "psycopg", "structlog"}
_SHOWN = "\nimport json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded(code: str, directory: Path) -> set[str]:
    """The modules that a process of this code has loaded, in a deployment whose settings stop it at once."""
    env = clean_environment(directory, STORYLINE_MODE="production")
    done = subprocess.run(
        [sys.executable, "-c", code + _SHOWN], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)


@pytest.mark.parametrize(
    ("words", "never"),
    [
        (["projector"], _SELDOM | _SERVER | {"apscheduler", "projections.rebuild"}),
        (["scheduler"], _SELDOM | _SERVER),
        (["api"], _SELDOM | {"apscheduler", "projections.rebuild"}),
        (["dead-letters", "list"], _SELDOM | _SERVER | {"apscheduler", "projections.rebuild"}),
    ],
    ids=["projector", "scheduler", "api", "dead-letters"],
)
def test_a_process_loads_nothing_that_only_others_need(
    words: list[str], never: frozenset[str], tmp_path: Path
) -> None:
    code = (
        f"from storyline.cli import main\ntry: main({words})\nexcept SystemExit as done: assert done.code == 7, done"
    )
    found = loaded(code, tmp_path)
    assert "storyline.parts" in found
    assert not found & never


def test_the_command_line_alone_loads_none_of_the_parts(tmp_path: Path) -> None:
    """It is loaded by whoever reads batches for a projector, too: a process of its own."""
    assert not loaded("import storyline.cli.__main__", tmp_path) & (_ALONE | _SELDOM | _SERVER)


def test_while_modules_are_loaded_no_garbage_is_looked_for_and_ctrl_c_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), loading():
        assert not gc.isenabled()
        with loading():
            pass
        assert not gc.isenabled()
        assert signal.getsignal(signal.SIGINT) is not before
        raise ZeroDivisionError
    assert gc.isenabled()
    assert signal.getsignal(signal.SIGINT) is before
