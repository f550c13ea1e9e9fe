"""`storyline bench`: how fast is it here? Forwards to the benchmarks in `bench/`."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import typer

from domain.errors import Misconfigured

__all__ = ["bench"]


def bench(context: typer.Context) -> None:
    """Run a benchmark: pipeline, publish, read, scale, chaos, commands, identity …; `bench --help` lists all."""
    found = find_spec("bench")
    root = Path(found.origin).parent.parent if found is not None and found.origin else None
    if root is None or not (root / "tests").is_dir():
        raise Misconfigured("The benchmarks are not installed here; run them from a checkout of the project.")
    sys.path.insert(0, str(root))  # they take their servers from `tests/support`, which is never installed
    sys.argv = ["storyline bench", *context.args]
    runpy.run_module("bench", run_name="__main__")
