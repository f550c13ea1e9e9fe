"""How is the app served? By uvicorn, with bounds on what a connection may cost before a request begins."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.problems import PROBLEM_TYPE
from api.services import Services

__all__ = ["ApiServer", "server_of"]

_MAX_HEAD: Final = 64 * 1024
_HEAD_SECONDS: Final = 15.0
_REST_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 10
_CONNECTIONS: Final = 1000


class _Bounded(HttpToolsProtocol):
    """uvicorn's protocol, which bounds neither the size of a request's head, nor the time that it may take, nor how
    long the rest of a body that was refused may go on."""

    _timer: asyncio.TimerHandle | None = None
    _head: int = 0
    _in_head: bool = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_after(_HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > _MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0
        self._close_after(_HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._no_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete and self._timer is None:
            # Refused already: the caller may finish what it sends, so that it reads the answer, but not for ever.
            self._close_after(_REST_SECONDS)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._no_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Problem details here too, for what is no request at all."""
        body = msgspec.json.encode(
            {"type": "urn:storyline:problem:bad-request", "title": "Bad Request", "status": 400, "detail": msg}
        )
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: {PROBLEM_TYPE}\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def _close_after(self, seconds: float) -> None:
        self._no_timer()
        self._timer = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ApiServer(uvicorn.Server):
    """A server that ends live streams before it waits for requests to end."""

    def __init__(self, config: uvicorn.Config, held: Services) -> None:
        super().__init__(config)
        self._held = held

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # A batch makes thousands of short-lived objects, so by Python's own thresholds the collector would walk
        # through all that the caches hold again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._held.streams.stop()
        await super().shutdown(sockets)


def server_of(app: FastAPI, *, host: str = "127.0.0.1", port: int = 8080, **more: Any) -> ApiServer:
    """A server for `create_app`'s app; run it with `run()` or `await serve()`. Access log off: ours has no values."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Bounded,
        ws="none",
        access_log=False,
        server_header=False,
        log_config=None,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_SECONDS,
        **more,
    )
    return ApiServer(config, app.state.services)
