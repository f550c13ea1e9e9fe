"""How does a test project many times without starting a reader's process for each? By one runner that it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.story import Story

__all__ = ["one_runner"]


@contextmanager
def one_runner(story: Story) -> Iterator[None]:
    """Within this block `story.project()` goes on with one and the same runner."""
    runner = story.runner()

    def project() -> None:
        runner.run_to(story.log.ends())

    story.project = project  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        runner.close()
