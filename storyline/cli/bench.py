"""`storyline bench`: how fast is it here? Forwards to the benchmarks in `bench/`."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec

import typer

from domain.errors import Misconfigured

__all__ = ["bench"]


def bench(context: typer.Context) -> None:
    """Run a benchmark: pipeline, publish, read, scale, chaos or xes; `bench --help` lists their options."""
    if find_spec("bench.__main__") is None:
        raise Misconfigured("The benchmarks are not installed here; run them from a checkout of the project.")
    sys.argv = ["storyline bench", *context.args]
    runpy.run_module("bench", run_name="__main__")
