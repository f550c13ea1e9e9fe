"""Is a process alive, ready, and how is it doing? `/livez`, `/readyz` and `/metrics` over plain HTTP.

For processes without an API of their own. It tells numbers and names of partitions, nothing else; still it listens
where the settings say, which is loopback unless someone chooses otherwise.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from domain.errors import Misconfigured

__all__ = ["Health"]

_logger = structlog.get_logger("storyline.health")

Report = Callable[[], tuple[bool, Mapping[str, Any]]]
"""(ready, what to show of it)."""


class Health:
    """The health server of one process, in a thread of its own.

    with Health(host, port, registry, lambda: (projector.ready, {"lag": 0})) as health:
        ...  # health.port is the port, also where 0 was asked for
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, report: Report) -> None:
        """Raises Misconfigured if the port is taken."""
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(registry, report))
        except OSError as error:
            raise Misconfigured(
                f"The health port {port} cannot be had ({type(error).__name__}); choose another in the settings."
            ) from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def __enter__(self) -> Health:
        self._thread.start()
        _logger.info("health.listening", port=self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(registry: CollectorRegistry, report: Report) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "storyline"
        sys_version = ""
        timeout = 10

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/livez":
                self._answer(HTTPStatus.OK, b'{"status":"alive"}\n')
            elif path == "/readyz":
                ready, shown = report()
                body = json.dumps({"status": "ready" if ready else "not ready", **shown}).encode() + b"\n"
                self._answer(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, body)
            elif path == "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_LATEST)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b'{"status":"not found"}\n')

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """A scraper that asks every few seconds is no news."""

    return Handler
