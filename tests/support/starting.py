"""How do readers of batches start in tests? Forked from one process that has loaded what they need: to load it takes
each of them a second, and hundreds of tests have some.

They get their work as one that is spawned does, in a pickle and by a pipe. Workers of rebuilds are spawned, since
they end with whoever is their parent; so is what tests start as a user does (`storyline projector`, `serve`).
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ["start_quickly"]

_LOADED = ["projections.fetching", "tests.support.relay_kills"]
_READER = "storyline-reader"


def start_quickly() -> None:
    """From here on, readers that this process would spawn are forked from a process that it starts for this."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_LOADED)
    spawned: Any = SpawnProcess._Popen

    def start(process: BaseProcess) -> Any:
        return ForkServerProcess._Popen(process) if process.name == _READER else spawned(process)

    SpawnProcess._Popen = staticmethod(start)  # type: ignore[assignment]
