"""How does a test wait for what other threads and processes do?"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["eventually"]


def eventually(true: Callable[[], bool], seconds: float = 60) -> None:
    """Return once it is so; an AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come about in {seconds} s"
        time.sleep(0.05)
