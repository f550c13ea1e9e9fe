"""Do exit codes mean what the document says, and is an error a sentence?"""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain import errors
from storyline import exits
from storyline.cli.shared import _terminated_as_interrupted
from storyline.exits import CODES, exit_code
from tests.support.served import clean_environment, run_cli

DOCUMENT = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text(encoding="utf-8")


def all_errors() -> list[type[errors.StorylineError]]:
    found = [getattr(errors, name) for name in errors.__all__]
    return [one for one in found if inspect.isclass(one) and issubclass(one, errors.StorylineError)]


@pytest.mark.parametrize("error", all_errors())
def test_each_error_has_a_code_of_its_own_or_of_its_base(error: type[errors.StorylineError]) -> None:
    made = error([]) if issubclass(error, errors.BadInput) else error("detail")
    code = exit_code(made)
    assert code == exits.UNEXPECTED if error is errors.StorylineError else code in CODES.values()


def test_the_document_lists_each_code_and_error() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert documented == {0, exits.UNEXPECTED, exits.USAGE, exits.INTERRUPTED, *CODES.values()}
    for error, code in CODES.items():
        [row] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| {code} |")]
        assert f"`{error.__name__}`" in row


def test_what_is_no_error_of_ours_is_unexpected_and_ctrl_c_is_130() -> None:
    assert exit_code(ValueError("x")) == exits.UNEXPECTED
    assert exit_code(KeyboardInterrupt()) == 130


@pytest.mark.parametrize(
    ("settings", "words", "code", "sentence"),
    [
        ({}, ["nonsense"], 2, "No such command"),
        ({"STORYLINE_PORT": "many"}, ["db", "upgrade"], 7, "STORYLINE_PORT"),
        ({"STORYLINE_MODE": "production"}, ["db", "upgrade"], 7, "LOG_URL"),
        ({"STORYLINE_MODE": "production"}, ["demo", "--once"], 7, "production"),
        ({}, ["import", "ndjson", __file__], 7, "STORYLINE_API_KEY"),
        ({}, ["log", "copy", "--from", "ftp://x", "--to", "ftp://y"], 7, "LOG_URL"),
        (
            {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "LOG_URL": "postgresql://x", "KEYS_URL": "postgresql://x"},
            ["dead-letters", "list"],
            5,
            "does not answer",
        ),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_no_traceback(
    tmp_path: Path, settings: dict[str, str], words: list[str], code: int, sentence: str
) -> None:
    done = run_cli(clean_environment(tmp_path, **settings), *words)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


_INTERRUPTED_WHILE_LOADING = """
import os, signal, sys
from storyline.start import main
def heard(event, words):
    if event == "import" and words[0] == "storyline.settings":
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(heard)
main()
"""


def test_ctrl_c_ends_a_command_that_is_still_being_loaded_without_a_traceback(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _INTERRUPTED_WHILE_LOADING, "serve"]
    done = subprocess.run(argv, check=False, env=clean_environment(tmp_path), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_output_that_nobody_reads_to_its_end_is_no_error(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "storyline.cli", "--help"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(argv, check=False, env=clean_environment(tmp_path), stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_with_debug_a_traceback_stands_before_the_sentence(tmp_path: Path) -> None:
    done = run_cli(clean_environment(tmp_path, STORYLINE_MODE="production"), "--debug", "db", "upgrade")
    assert done.returncode == 7
    assert "Traceback" in done.stderr


def test_what_a_driver_makes_of_sigterm_is_still_an_interruption() -> None:
    def interrupted_in_a_driver() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise OSError("the connection is lost") from None

    with pytest.raises(KeyboardInterrupt), _terminated_as_interrupted():
        interrupted_in_a_driver()
    with pytest.raises(OSError, match="without being asked"), _terminated_as_interrupted():
        raise OSError("without being asked")
