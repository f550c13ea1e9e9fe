"""How does a live stream hear of news? One poller per process asks which stories stirred, and wakes their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import structlog

from api.parts import Limits
from domain.errors import StorylineError, TooMany
from projections.timeline.reader import Row, Story, TimelineReader

__all__ = ["Listener", "News", "Streams"]

_POLL: Final = 0.1
_PAUSE: Final = 1.0
_STEP: Final = 100
_log = structlog.get_logger("storyline.api")

News = tuple[Row | None, dict[int, int]]
"""A row, or None for a sign of life, and the vector of what was seen up to it."""


class Listener:
    """One open stream. It holds no queue: woken, it asks for what lies behind its own vector."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.woken = asyncio.Event()


class Streams:
    """All open streams of one process, and their poller, which runs only while someone listens."""

    def __init__(self, reader: TimelineReader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits
        self._listeners: set[Listener] = set()
        self._poller: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, story: Story) -> Listener:
        """Begin to listen. Raises TooMany. Whoever joins leaves."""
        if self._closed or len(self._listeners) >= self._limits.max_streams:
            raise TooMany("Too many live streams are open. Come back later, or ask for pages.", 5)
        listener = Listener(story)
        self._listeners.add(listener)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.get_running_loop().create_task(self._poll())
        return listener

    def leave(self, listener: Listener) -> None:
        """Listen no more."""
        self._listeners.discard(listener)

    def stop(self) -> None:
        """End all streams, after what they are sending; for a server that is about to stop."""
        self._closed = True
        for listener in self._listeners:
            listener.woken.set()

    async def close(self) -> None:
        """End all streams and the poller."""
        self.stop()
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller

    async def news(self, listener: Listener, vector: dict[int, int]) -> AsyncIterator[News]:
        """The story's rows behind `vector` (of every partition), in log order, as they become visible."""
        while not self._closed:
            listener.woken.clear()
            # Before the rows: what is visible by then will be among them, or is not of this story.
            visible = await self._reader.positions()
            rows = await self._reader.newer_than(listener.story, vector, _STEP)
            while rows:
                for row in rows:
                    vector[row.log_partition] = row.log_offset
                    yield row, vector
                full = len(rows) == _STEP
                rows = await self._reader.newer_than(listener.story, vector, _STEP) if full else []
            for partition, end in visible.items():
                vector[partition] = max(vector.get(partition, -1), end - 1)
            try:
                await asyncio.wait_for(listener.woken.wait(), self._limits.heartbeat)
            except TimeoutError:
                yield None, vector

    async def _poll(self) -> None:
        seen: dict[int, int] | None = None
        while self._listeners and not self._closed:
            pause = _POLL
            try:
                visible = await self._reader.positions()
                if visible != seen:
                    await self._wake(seen or {}, visible)
                    seen = visible
            except StorylineError as error:
                _log.warning("streams.poll_failed", error=type(error).__name__)
                pause = _PAUSE
            await asyncio.sleep(pause)

    async def _wake(self, low: dict[int, int], high: dict[int, int]) -> None:
        """Wake those whose story stirred. At the poller's first look, all: no one knows what they missed."""
        listeners = list(self._listeners)
        stirred = await self._reader.stirred(list({one.story for one in listeners}), low, high) if low else None
        for listener in listeners:
            if stirred is None or listener.story in stirred:
                listener.woken.set()
