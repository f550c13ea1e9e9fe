"""Does the project set itself up from what it pins, and say what is missing where it cannot?"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PINNED = re.compile(
    r"^([a-z0-9._-]+)==(\S+)(?: ; [^\\]+)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return {canonicalize_name(name): version for name, version, _ in PINNED.findall(text)}


def wanted(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    more = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*project["dependencies"], *more]]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_everything_by_hash_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith(("#", "--hash="))]
    assert len(lines) == len(PINNED.findall(text)), "a line that is no pin with its hashes"
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["dev", "build"])]
)
def test_a_lock_holds_what_the_project_asks_for(lock: str, extras: list[str]) -> None:
    held = pins(lock)
    for requirement in wanted(*extras):
        version = held.get(canonicalize_name(requirement.name))
        assert version is not None, f"{lock} lacks {requirement.name}: make lock"
        assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}: make lock"


def test_both_locks_agree_so_that_one_environment_serves_both() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= dev.items()


def test_the_lock_holds_what_installs_the_project_itself() -> None:
    """`pip install --no-build-isolation` needs setuptools, which Python 3.12 and later do not bring."""
    assert "setuptools" in pins("requirements.lock")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile and a PATH on which there is next to nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "sed", "rm", "touch"):
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("make")
    assert tool, "make is what the tests are started with"
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder)}
    return subprocess.run([tool, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def pretend(folder: Path, script: str) -> None:
    python = folder / "bin" / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


@pytest.mark.parametrize("target", ["demo", "test", "lint", "lock"])
def test_a_machine_without_a_new_enough_python_is_told_so(bare: Path, target: str) -> None:
    pretend(bare, "exit 1")
    done = make(bare, target)
    assert done.returncode != 0
    assert "Python 3.11 or newer was not found. Install it" in done.stderr
    assert not (bare / ".venv").exists()


def test_a_python_without_its_venv_module_is_told_what_to_install(bare: Path) -> None:
    pretend(bare, f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = make(bare, "demo")
    assert done.returncode != 0
    assert "python3 has no venv module" in done.stderr
    assert "python3-venv" in done.stderr


def test_make_alone_says_what_can_be_done(bare: Path) -> None:
    done = make(bare)
    assert done.returncode == 0
    told = re.findall(r"make ([a-z]+)\t\S", done.stdout)
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets is not None
    assert sorted(told) == sorted(targets[1].split())


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line.startswith("make ")]
    assert commands == ["make lint", "make test"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert all(command in readme for command in commands)
