"""What stands between a client and its server? A TCP proxy of our own that cuts, refuses and delays at will."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable

__all__ = ["Proxy", "to_port", "to_socket"]

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_Connect = Callable[[], Awaitable[_Streams]]


def to_port(port: int) -> _Connect:
    """A server on 127.0.0.1."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> _Connect:
    """A server on a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)


class Proxy:
    """Listens on a port of 127.0.0.1 from the moment it is made. Its switches may be set from any thread.

    delay: seconds that each chunk of an answer is kept. refusing: new connections are closed at once. mute: what
    comes from either side is swallowed, as by a network that is gone.
    """

    def __init__(self, connect: _Connect, port: int = 0) -> None:
        self.delay = 0.0
        self.refusing = False
        self.mute = False
        self.port = port
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def cut(self) -> int:
        """Cut all connections, both ends, without a farewell; gives how many there were."""
        number = len(self._writers) // 2
        self._loop.call_soon_threadsafe(self._abort)
        return number

    def listen(self, wanted: bool) -> None:
        """Stop listening, so that connections are refused as by a machine without the server; or listen again."""
        done = asyncio.run_coroutine_threadsafe(self._listen(wanted), self._loop)
        done.result(10)

    def heal(self) -> None:
        """Let everything through again. What was swallowed is lost, so connections from before are cut."""
        muted = self.mute
        self.delay, self.refusing, self.mute = 0.0, False, False
        if muted:
            self.cut()

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen(True))
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._listen(False))
        self._abort()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _listen(self, wanted: bool) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if wanted:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            if self.refusing:
                return
            theirs, to_them = await self._connect()
            ends.append(to_them)
            self._writers.update(ends)
            await asyncio.gather(self._pump(reader, to_them, answers=False), self._pump(theirs, writer, answers=True))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                self._writers.discard(end)
                with contextlib.suppress(Exception):
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        while data := await reader.read(65536):
            if self.mute:
                continue
            if answers and self.delay:
                await asyncio.sleep(self.delay)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # one end is gone; so the other one goes, too
