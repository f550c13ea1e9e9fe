"""Does `docs/command-line.md` list every command, and only those that there are?"""

from __future__ import annotations

import re
from pathlib import Path

import typer

from storyline.cli import app

DOCUMENT = (Path(__file__).parent.parent / "docs/command-line.md").read_text(encoding="utf-8")


def commands() -> set[str]:
    """Every command, with the word of its group before it."""
    found = set()
    for name, command in typer.main.get_group(app()).commands.items():
        below = getattr(command, "commands", None)
        found |= {f"{name} {word}" for word in below} if below else {name}
    return found


def documented() -> set[str]:
    """The commands in the first column of the table; a group's word may stand with its first command alone."""
    found = set()
    for row in re.findall(r"^\| (`.+?) \| ", DOCUMENT, re.MULTILINE):
        group = ""
        for words in re.findall(r"`([^`]+)`", row):
            plain = re.sub(r" ?(\[.*\]|[A-Z]+)$", "", words)
            group = plain.partition(" ")[0] if " " in plain else group
            found.add(plain if " " in plain or not group else f"{group} {plain}")
    return found


def test_every_command_is_documented_and_every_documented_command_is_there() -> None:
    assert documented() == commands()
