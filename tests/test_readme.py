"""Does the README tell the truth? Its commands are run in order, against the system that its first one starts.

A block ```sh is run as it stands; its info string may say `until Ctrl-C`: then it is started, and ended after a
while. A block ```text that follows shows what comes out, with `…` for what differs from run to run. `make test` and
what sets the environment up are left to `.ci/run`: here `make demo` means this environment's `storyline demo`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.process import Server, free_ports

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
UNTIL = "until Ctrl-C"


class Block(NamedTuple):
    """A fenced block of the README."""

    language: str
    info: str
    text: str


BLOCKS = [Block(language, info.strip(), text) for language, info, text in FENCE.findall(README)]


def commands_of(block: Block) -> list[str]:
    return [line.partition(" #")[0].strip() for line in block.text.splitlines() if line.strip()]


def tour() -> list[Block]:
    """The blocks after the one that starts the system; the first shows what that prints."""
    start = next(number for number, block in enumerate(BLOCKS) if block.info == UNTIL)
    assert commands_of(BLOCKS[start]) == ["make demo"]
    ending = next(number for number, block in enumerate(BLOCKS) if block.info == "in production")
    return BLOCKS[start + 1 : ending]


class Demo(NamedTuple):
    """The running demo: its folder, its port, what it has printed, and the environment of the tour."""

    folder: Path
    port: str
    told: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def demo(server_directory: Path) -> Iterator[Demo]:
    """`make demo` in a folder that looks like a clone, on ports of its own."""
    if shutil.which("curl") is None:
        pytest.skip("the README's tour needs curl, which is not installed")
    folder = server_directory / "readme"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry)
    (folder / ".venv").symlink_to(sys.prefix)
    ports = dict(zip(("PORT", "PROJECTOR_PORT", "INBOX_PORT"), map(str, free_ports(3)), strict=True))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORYLINE_")}
    environment |= {f"STORYLINE_{name}": port for name, port in ports.items()} | {
        "NO_COLOR": "1",
        "COLUMNS": "150",
        "TZ": "UTC",
    }
    server = Server([f"{sys.prefix}/bin/storyline", "demo"], folder / "demo.out", environment, None)
    try:
        deadline = time.monotonic() + 100
        while "Ctrl-C" not in server.tail():
            assert server.alive, server.tail()
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.2)
        yield Demo(folder, ports["PORT"], (folder / "demo.out").read_text(encoding="utf-8"), environment)
    finally:
        server.kill()


def script_of(blocks: list[Block]) -> str:
    """One script for all, so that a variable of one block holds in the next."""
    lines = ["set -eu"]
    for number, block in enumerate(blocks):
        if block.language == "sh":
            lines.append(f"printf '\\n@@{number}\\n'")
            if block.info == UNTIL:
                lines += [f"({block.text.strip()}) & watched=$!", "sleep 3", "kill $watched", "wait $watched || true"]
            else:
                lines.append(block.text)
    return "\n".join(lines)


def shows(output: str, expected: str) -> bool:
    """Whether the lines of `expected` stand in `output`, in order; `…` stands for anything, and a blank for many."""
    output, place = " ".join(output.split()), 0
    for line in expected.split("\n"):
        for piece in filter(None, (" ".join(part.split()) for part in line.split("…"))):
            found = output.find(piece, place)
            if found < 0:
                return False
            place = found + len(piece)
    return True


def test_S90_the_tour_of_the_readme_works_as_it_is_written(demo: Demo) -> None:
    blocks = tour()
    script = script_of(blocks).replace("127.0.0.1:8080", f"127.0.0.1:{demo.port}")
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=demo.folder,
        env=demo.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    outputs = {int(part.partition("\n")[0]): part.partition("\n")[2] for part in done.stdout.split("\n@@")[1:]}
    for number, block in enumerate(blocks):
        if block.language == "text" and number:
            assert shows(outputs[number - 1], block.text), f"expected:\n{block.text}\nfound:\n{outputs[number - 1]}"


def test_S90_the_demo_prints_a_story_as_the_readme_shows_it(demo: Demo) -> None:
    assert shows(demo.told, tour()[0].text), demo.told


def test_the_readme_names_the_two_commands_first() -> None:
    first = [command for block in BLOCKS[:2] if block.language == "sh" for command in commands_of(block)]
    assert first[:2] == ["make demo", "make test"]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    assert {block.language for block in BLOCKS} <= {"sh", "text"}


def test_every_file_that_the_documents_name_is_there() -> None:
    missing = []
    for path in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text):
            if not (path.parent / target).exists():
                missing.append(f"{path.relative_to(ROOT)}: {target}")
    assert not missing, "\n".join(missing)
