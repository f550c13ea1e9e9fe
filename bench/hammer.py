"""Who sends the requests of a benchmark? A cheap process of its own: raw connections, requests made beforehand.

`python -m bench.hammer PLAN.json`: sends every request of the plan once over keep-alive connections, as fast as the
answers come or at a steady rate, and prints what came back as JSON.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvloop

__all__ = ["Hits", "get", "hammer", "post"]


class Hits(msgspec.Struct, frozen=True):
    """What came back. Times are in seconds of the monotonic clock, which all processes of a machine share.

    seconds: from the first byte out to the last byte in. statuses: `{status: how many}`. took: of each answer, in the
    order of their arrival. answered: for each answer, when it was there and, if `keep`, its body.
    """

    seconds: float
    statuses: dict[str, int]
    took: list[float]
    answered: list[tuple[float, str]]


class _Plan(msgspec.Struct, frozen=True):
    ports: list[int]
    requests: str
    connections: int
    rate: float
    keep: bool


class _Answer(NamedTuple):
    status: str
    body: bytes


def post(path: str, body: bytes, key: str, media_type: str) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: {media_type}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def get(path: str, key: str) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\r\n".encode()


def hammer(
    directory: Path,
    port: int | Sequence[int],
    requests: Sequence[bytes],
    *,
    connections: int = 16,
    rate: float = 0,
    keep: bool = False,
) -> Hits:
    """Send all requests, each once, from another process. rate: requests a second; 0: as fast as answers come.
    port: of 127.0.0.1; several share the connections in turn, as behind a balancer.

    Raises ValueError if an answer is anything but 200 or 202: a benchmark of refusals would be a fast one.
    """
    packed = directory / f"requests-{time.monotonic_ns()}"
    packed.write_bytes(msgspec.msgpack.encode(requests))
    plan = _Plan([port] if isinstance(port, int) else list(port), str(packed), connections, rate, keep)
    told = directory / f"{packed.name}.json"
    told.write_bytes(msgspec.json.encode(plan))
    argv = [sys.executable, "-m", "bench.hammer", str(told)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    packed.unlink()
    hits = msgspec.json.decode(done.stdout, type=Hits)
    if hits.statuses.keys() - {"200", "202"}:
        raise ValueError(f"the server refused requests: {hits.statuses}")
    return hits


class _Line(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._missing = 0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(exc)

    def send(self, request: bytes) -> None:
        self._began = time.monotonic()
        self._received, self._missing = b"", 0
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._missing:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._missing = end + 4 + _length(self._received[:end])
        if len(self._received) >= self._missing:
            now = time.monotonic()
            body = self._received.partition(b"\r\n\r\n")[2] if self._run.plan.keep else b""
            self._run.answered(self, now, now - self._began, _Answer(self._received[9:12].decode(), body))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("an answer without content-length")


class _Run:
    """All connections of one plan, and what they brought."""

    def __init__(self, plan: _Plan, requests: list[bytes]) -> None:
        self.plan = plan
        self._left = deque(requests)
        self._missing = len(requests)
        self._idle: deque[_Line] = deque()
        self._took: list[float] = []
        self._answered: list[tuple[float, str]] = []
        self._statuses: dict[str, int] = {}
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due: deque[bytes] = deque()

    async def run(self) -> Hits:
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda: _Line(self), "127.0.0.1", port))[1]
            for port in islice(cycle(self.plan.ports), self.plan.connections)
        ]
        began = time.monotonic()
        if self.plan.rate:
            self._idle = deque(lines)
            await self._steadily(began)
        else:
            self._due, self._left = self._left, deque()
            for line in lines:
                self._next(line)
        await self._done
        seconds = self._answered[-1][0] - began
        return Hits(seconds, self._statuses, self._took, self._answered if self.plan.keep else [])

    async def _steadily(self, began: float) -> None:
        """Each request at its time, whether the ones before are answered or not; it waits only for a connection."""
        for number in range(len(self._left)):
            pause = began + number / self.plan.rate - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._due.append(self._left.popleft())
            if self._idle:
                # In turn: one that is never used would be closed by the server after some seconds.
                self._next(self._idle.popleft())

    def _next(self, line: _Line) -> None:
        if self._due:
            line.send(self._due.popleft())
        else:
            self._idle.append(line)

    def answered(self, line: _Line, now: float, took: float, answer: _Answer) -> None:
        self._took.append(took)
        self._statuses[answer.status] = self._statuses.get(answer.status, 0) + 1
        self._answered.append((now, answer.body.decode()))
        self._missing -= 1
        if self._missing == 0 and not self._done.done():
            self._done.set_result(None)
        else:
            self._next(line)

    def lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"the server closed a connection: {error}"))


async def _send_all(plan: _Plan, requests: list[bytes]) -> Hits:
    return await _Run(plan, requests).run()


def _main(path: str) -> None:
    plan = msgspec.json.decode(Path(path).read_bytes(), type=_Plan)
    requests = msgspec.msgpack.decode(Path(plan.requests).read_bytes(), type=list[bytes])
    hits = uvloop.run(_send_all(plan, requests))
    # With PYTHONUNBUFFERED the standard output itself would write a part of what is longer than a pipe holds.
    with open(sys.stdout.fileno(), "wb", closefd=False) as output:
        output.write(msgspec.json.encode(hits))


if __name__ == "__main__":
    _main(sys.argv[1])
