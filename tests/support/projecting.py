"""How does a test project many times without starting a reader's process for each? By one runner that it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.api import RunningApi

__all__ = ["one_runner"]


@contextmanager
def one_runner(running: RunningApi) -> Iterator[None]:
    """Within this block `running.project()` goes on with one and the same runner."""
    runner = running.story.runner()

    def project() -> None:
        runner.run_to(running.story.log.ends())

    running.project = project  # type: ignore[method-assign]
    try:
        yield
    finally:
        runner.close()
