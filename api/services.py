"""What do the routes share? Made once per app out of its parts, found through the request."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import psycopg
from anyio import CapacityLimiter, to_thread
from fastapi import Request
from psycopg_pool import AsyncConnectionPool

from api.metrics import Metrics
from api.parts import ApiParts
from api.streams import Streams
from api.waiting import Door, Places
from eventlog.port import Log, Logged
from projections.timeline.reader import TimelineReader

__all__ = ["RawLog", "Services", "services"]

T = TypeVar("T")

_SESSION: Final = (
    "-c statement_timeout=15s -c default_transaction_read_only=on -c timezone=UTC -c jit=off "
    # A generic plan knows neither the filters nor the limit, and sorts a whole story to show its first page.
    "-c plan_cache_mode=force_custom_plan"
)


class RawLog:
    """The log for the raw routes: one reader at a time, as the port asks, off the event loop."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._limiter = CapacityLimiter(2)

    async def ends(self) -> dict[int, int]:
        """Where each partition ends."""
        return await to_thread.run_sync(self._ends, limiter=self._limiter)

    async def read(self, partition: int, offset: int, limit: int) -> Sequence[Logged]:
        """Records of one partition from an offset on, which must lie before its end."""
        return await to_thread.run_sync(self._read, partition, offset, limit, limiter=self._limiter)

    async def ask(self, question: Callable[[Log], T]) -> T:
        """What a question to the log gives."""
        return await to_thread.run_sync(self._ask, question, limiter=self._limiter)

    def _ask(self, question: Callable[[Log], T]) -> T:
        with self._lock:
            return question(self._log)

    def _ends(self) -> dict[int, int]:
        with self._lock:
            return self._log.ends()

    def _read(self, partition: int, offset: int, limit: int) -> Sequence[Logged]:
        with self._lock:
            return self._log.read({partition: offset}, limit, 5.0)


class Services:
    """The parts, and what the API makes of them. `open` and `close` run with the app's lifespan."""

    def __init__(self, parts: ApiParts) -> None:
        self.parts, self.limits = parts, parts.limits
        self.metrics = Metrics(parts.collectors)
        self.pool = AsyncConnectionPool(
            parts.reader_dsn,
            min_size=2,
            max_size=16,
            timeout=5,
            open=False,
            check=_check,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                "connect_timeout": 5,
                "options": _SESSION,
            },
        )
        self.reader = TimelineReader(self.pool, parts.log.log_id)
        self.log = RawLog(parts.log)
        self.door = Door(parts.limits)
        self.streams = Streams(self.reader, parts.limits)
        self._took_over: bool | None = None
        self.asking = CapacityLimiter(4)
        """Threads that ask who a caller is."""
        self.unsealing = CapacityLimiter(4)
        """Threads that unseal pages."""
        self.working = CapacityLimiter(4)
        """Threads for what operators and administrators ask."""
        self.commanding = CapacityLimiter(8)
        """Threads that change deals, tickets, tasks, leads and colleagues."""
        self.replays = Places(parts.limits.max_replays)
        self.replaying = CapacityLimiter(parts.limits.max_replays + 1)
        """Threads that replay, and one that lets go of a replay."""
        self.previewing = CapacityLimiter(2)
        """Rules of segments that are tried at once: each holds a connection for seconds."""
        self.erasing = CapacityLimiter(2)
        """Threads that erase: there is one erasure at a time, so more would wait, and keep others from theirs."""

    async def unseal(self, task: Callable[[], T]) -> T:
        """What has to be asked of the key store or the event store, off the event loop."""
        return await to_thread.run_sync(task, limiter=self.unsealing)

    async def wait_for(self, vector: Mapping[int, int]) -> None:
        """Return once the records at the vector's offsets are visible. Raises NotYet."""
        await self.reader.wait_for(await self._held_here(vector), self.limits.visible_wait)

    async def _held_here(self, vector: Mapping[int, int]) -> Mapping[int, int]:
        """The vector without what lies behind the end of a log that took another's place: those are positions of
        the log before, and all that it held was visible before this one counted."""
        if self._took_over is None:
            self._took_over = await self.reader.took_over()
        if not self._took_over:
            return vector
        seen = await self.reader.positions()
        if all(seen.get(part, 0) > offset for part, offset in vector.items()):
            return vector
        ends = await self.log.ends()
        return {part: offset for part, offset in vector.items() if offset < ends.get(part, 0)}

    async def begins_at(self, place: Mapping[int, int] | None) -> dict[int, int]:
        """Behind which vector a stream goes on: behind `place`, and now where that says nothing. From the start of
        the story for a place on another log (None, or behind the end of this one): rather twice than never."""
        partitions = range(self.parts.log.partitions)
        if place is None or await self._held_here(place) != place:
            return dict.fromkeys(partitions, -1)
        visible = await self.reader.positions()
        return {part: place.get(part, visible.get(part, 0) - 1) for part in partitions}

    async def open(self) -> None:
        # Without waiting: with the database down the process is alive, and `/readyz` says what is missing.
        await self.pool.open(wait=False)

    async def close(self) -> None:
        await self.streams.close()
        await self.pool.close()


async def _check(connection: psycopg.AsyncConnection) -> None:
    """Refuse a connection whose server has gone, without a round trip for the good ones: a server that goes
    closes the socket, which then can be read; a good idle one has nothing to say."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def services(request: Request) -> Services:
    """What the app of this request holds."""
    held: Services = request.app.state.services
    return held
