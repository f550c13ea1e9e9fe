"""Does `storyline demo` put data on the screen with one command, and nothing twice?"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Demo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def demo(server_directory: Path) -> Demo:
    """`storyline demo --once` or another command in one folder, with the usual ports unless others are asked for."""
    folder = server_directory / "demo"
    folder.mkdir(mode=0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORYLINE_")}
    environment |= {"STORYLINE_DATA_DIR": str(folder / "data"), "NO_COLOR": "1", "COLUMNS": "120", "TZ": "UTC"}

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"{sys.prefix}/bin/storyline", *(words or ("demo", "--once"))],
            cwd=folder,
            env=environment | more,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def rows(demo: Demo) -> Any:
    """Hashes of all rows, as a rebuild finds them."""
    rebuilt = demo("rebuild", "--json")
    assert rebuilt.returncode == 0, rebuilt.stderr
    return json.loads(rebuilt.stdout)["hashes"]


def test_S90_one_command_prints_a_story_and_a_second_one_adds_nothing(demo: Demo) -> None:
    with socket.socket() as taken:  # somebody else's server on our usual port does not stop us
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # it is taken already, which is as good
        first = demo()
    assert first.returncode == 0, first.stderr
    assert "Zoë Lindqvist" in first.stdout
    lines = [
        "Tuesday, 11 February 2025",
        "Form submitted: account",
        "Purchase of 1 item, £12.50  [corrected later]",
        "Wants the workshop's calendar by post.  [retracted later]",
        "it does matter. I am on the tr",
        "Call in, 3 min 34 s, resolved: The cards of order W-14890: goes on with the chat",
        "CSAT 5 of 5: You already knew!",
        "On the timelines: 0 events before, 5,836 now; 5,836 were new.",
        "timeline customer_no:K-10000",
    ]
    place = 0
    for line in lines:
        place = first.stdout.find(line, place)
        assert place >= 0, f"{line!r} is not in its place in:\n{first.stdout}"
    before = rows(demo)

    second = demo()
    assert second.returncode == 0, second.stderr
    assert "On the timelines: 5,836 events before, 5,836 now; 0 were new." in second.stdout
    story = re.compile(r"The story of .*(?=\nPublished)", re.DOTALL)
    assert story.findall(first.stdout) == story.findall(second.stdout) != []
    for shown in (first.stdout, second.stdout):
        assert "Purchase of" in shown and "Go on with:" in shown
    assert rows(demo) == before
    assert demo("dead-letters", "list", "--json").stdout == ""


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(demo: Demo) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo(STORYLINE_PORT=str(port))
    assert done.returncode != 0
    assert f"Port {port} of 127.0.0.1 cannot be had" in done.stderr
    assert "Traceback" not in done.stderr
