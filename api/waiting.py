"""How much does a process take on at once? Bodies in bytes, publishing requests by number; the rest gets 429."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

from api.parts import Limits
from domain.errors import TooMany

__all__ = ["Door", "Place", "Places"]

_T = TypeVar("_T")
_LARGE: Final = 2**20
_THREADS: Final = 16


class Door:
    """Counts what is under way. Of one event loop: needs no lock.

    Small bodies share 16 threads, so that those who wait for the log at the same time share its commit. Large ones,
    whose JSON takes ten times their size in memory, go one by one.
    """

    def __init__(self, limits: Limits) -> None:
        self._max_waiting, self._max_buffered = limits.max_waiting, limits.max_buffered
        self.waiting = 0
        self.buffered = 0
        self._small = CapacityLimiter(_THREADS)
        self._large = CapacityLimiter(1)

    def hold(self, size: int) -> None:
        """Take on `size` more bytes of a body. Raises TooMany."""
        if self.buffered + size > self._max_buffered:
            raise TooMany("Too much is being sent at once. Send it again in a moment.", 1)
        self.buffered += size

    def let_go(self, size: int) -> None:
        """The bytes of a body are gone."""
        self.buffered -= size

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self.waiting >= self._max_waiting:
            raise TooMany("Too many publishing requests wait for the log. Send it again in a moment.", 1)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def work(self, size: int, task: Callable[[], _T]) -> _T:
        """Run a task over a body of `size` bytes in a thread. Raises TooMany where too many wait."""
        with self._place():
            return await to_thread.run_sync(task, limiter=self._large if size > _LARGE else self._small)


class Places:
    """So many replays at once, of one event loop; whoever finds no place comes back later."""

    def __init__(self, number: int) -> None:
        self.free = number

    def take(self) -> Place:
        """A place, to be left once. Raises TooMany."""
        if self.free <= 0:
            raise TooMany("Too many replays are under way. Come back later, or ask for less.", 10)
        self.free -= 1
        return Place(self)


class Place:
    """A place that is taken."""

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def leave(self) -> None:
        """Give it back. Harmless when repeated."""
        if self._places is not None:
            self._places.free += 1
            self._places = None
