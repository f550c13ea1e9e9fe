"""What happens around every request? Security headers, a timed log line without a caller's values, a last resort."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from api.problems import internal

__all__ = ["Around"]

_log = structlog.get_logger("storyline.api")
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_CLOSED: Final = b"default-src 'none'; frame-ancestors 'none'"
_DOCS: Final = (
    b"default-src 'none'; connect-src 'self'; img-src 'self' data: https://fastapi.tiangolo.com; "
    b"script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"frame-ancestors 'none'"
)
_ADDED: Final = [*_HEADERS, (b"content-security-policy", _CLOSED)]
_DOCS_ADDED: Final = [*_HEADERS, (b"content-security-policy", _DOCS)]
_NO_STORE: Final = (b"cache-control", b"no-store")
_QUIET: Final = frozenset({"/livez", "/readyz", "/metrics"})


class Around:
    """ASGI middleware. The log line has the route's template, never the path, the query or a body."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._log = _log.bind()  # once: a request does not pay for putting a logger together

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                route = _route(scope)
                message["headers"] = _complete(message.get("headers", ()), route)
                self._note(scope["method"], route, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # the last resort: told without its text, which may hold a caller's value
            _log.error("request.failed", route=_route(scope), error=type(error).__name__, at=_places(error))
            if not started:
                await internal()(scope, receive, sending)

    def _note(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if route != "none" else "any"
        self._metrics.latency.labels(method, route, str(status)).observe(seconds)
        if route not in _QUIET:
            self._log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def _complete(headers: Iterable[tuple[bytes, bytes]], route: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, with those that every answer has."""
    given = list(headers)
    more = _DOCS_ADDED if route == "/docs" else _ADDED
    if any(name == b"cache-control" for name, _ in given):
        return given + more
    return [*given, *more, _NO_STORE]


def _route(scope: Scope) -> str:
    """The template of the route, such as `/v1/customers/{customer}/timeline`."""
    route = scope.get("route")
    return getattr(route, "path_format", None) or getattr(route, "path", None) or "none"


def _places(error: Exception) -> list[str]:
    """Where it happened, innermost last: file and line, without the values that a traceback would show."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ][-8:]
