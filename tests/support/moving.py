"""What do the tests of a move need? A projector in the background, and a move in a process that can be killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry

from consumers.projector import Projector
from eventlog.opening import open_log
from eventlog.port import Log
from projections.moving import Move, Moved
from projections.runner import Park, Parked
from tests.support.story import Story

__all__ = ["killed_at", "move", "projecting"]

_ROOT = Path(__file__).parent.parent.parent


def _no_park(_connection: psycopg.Connection, _parked: Sequence[Parked]) -> None: ...


@contextmanager
def projecting(story: Story, log: Log | None = None, url: str = "", park: Park = _no_park) -> Iterator[None]:
    """A live projector, for as long as the block lasts."""
    stop = threading.Event()
    own = open_log(url or story.log_url)
    projector = Projector(story.dsn, url or story.log_url, own, park, CollectorRegistry(), story.reading, batch=500)
    thread = threading.Thread(target=lambda: projector.run(stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        own.close()


def move(
    story: Story,
    target: Log,
    url: str,
    map_path: Path,
    reached: Callable[[str], None] = lambda point: None,
    **more: Any,
) -> Moved:
    """One run of the move, in this process."""
    parts: dict[str, Any] = {"park": _no_park, "reading": story.reading, "batch": 500, **more}
    return Move(story.dsn, story.log, target, url, map_path, reached=reached, **parts).run()


def killed_at(point: str, story: Story, url: str, map_path: Path) -> int:
    """A run of the move in a process of its own, which kills itself with -9 at a point; gives its return code."""
    argv = [sys.executable, "-c", _KILLED, story.dsn, story.log_url, url, str(map_path), point]
    reading = pickle.dumps(story.reading)
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(argv, check=False, timeout=120, env=env, input=reading).returncode


_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from eventlog.opening import open_log
from projections.moving import Move
dsn, source, target, map_path, point = sys.argv[1:]
Move(
    dsn, open_log(source), open_log(target), target, Path(map_path), lambda connection, parked: None,
    pickle.load(sys.stdin.buffer), batch=500,
    reached=lambda now: os.kill(os.getpid(), signal.SIGKILL) if now == point else None,
).run()
"""
