"""Which processes does a benchmark of the API start? `storyline api` and `storyline projector`."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from pydantic import SecretStr

from eventlog.key_access import KeyAccess
from eventlog.masterkey import MasterKeys
from storyline.parts import Parts
from storyline.settings import Settings
from tests.support.process import Server, free_ports, wait_until

__all__ = ["Deployment", "cpu_seconds", "memory", "run"]

_ROOT = Path(__file__).parent.parent


def run(words: list[str], port: int, path: str, output: Path, env: dict[str, str]) -> Server:
    """A Python process of the project that answers 200 on 127.0.0.1:port/path; it dies with us."""
    server = Server([sys.executable, *words], output, {**os.environ, "PYTHONPATH": str(_ROOT), **env}, None)
    wait_until(lambda: _answers(f"http://127.0.0.1:{port}{path}"), server, 60, " ".join(words))
    return server


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@dataclass
class Deployment:
    """One Storyline in production mode: a database, a log, an API of its own process, a projector if asked for.
    `keys`: the key store of what is on the log already; without it one in the same database."""

    dsn: str
    log_url: str
    directory: Path
    keys: KeyAccess | None = None
    port: int = field(init=False)
    key: str = field(init=False)
    parts: Parts = field(init=False)
    """The same parts once more, in the benchmark's own process."""

    def __post_init__(self) -> None:
        self._ports = free_ports(3)
        self.port = self._ports[0]
        keys = self.keys or KeyAccess(self.dsn, MasterKeys(secrets.token_bytes(32)))
        _, (master, _) = keys.master.__reduce__()
        self._env = {
            "LOG_URL": self.log_url,
            "DATABASE_URL": self.dsn,
            "KEYS_URL": keys.url,
            "STORYLINE_MODE": "production",
            "STORYLINE_MASTER_KEY": b64encode(master).decode(),
            "STORYLINE_PORT": str(self._ports[0]),
            "STORYLINE_PROJECTOR_PORT": str(self._ports[1]),
            "STORYLINE_LOG_FORMAT": "json",
            "STORYLINE_LEDGER": str(self.directory / f"erasures-{self.port}.ledger"),
        }
        settings = Settings(
            mode="production",
            database_url=self.dsn,
            log_url=self.log_url,
            keys_url=keys.url,
            master_key=SecretStr(self._env["STORYLINE_MASTER_KEY"]),
        )
        self.parts = Parts.build(settings)
        self.parts.upgrade()
        self.key = self.parts.access.create("bench", ("publish", "read")).secret

    @property
    def ports(self) -> tuple[int, int]:
        """The ports of a first and a second API process."""
        return self.port, self._ports[2]

    @contextmanager
    def api(self, port: int | None = None) -> Iterator[Server]:
        """The API, answering; on `port`, or on its own. Several may run at once."""
        port = port or self.port
        output = self.directory / f"api-{port}.log"
        env = {**self._env, "STORYLINE_PORT": str(port)}
        server = run(["-m", "storyline.cli", "api"], port, "/livez", output, env)
        try:
            yield server
        finally:
            server.stop(signal.SIGTERM)

    @contextmanager
    def projector(self) -> Iterator[Server]:
        """The projector, live."""
        output = self.directory / f"projector-{self.port}.log"
        server = run(["-m", "storyline.cli", "projector"], self._ports[1], "/readyz", output, self._env)
        try:
            yield server
        finally:
            server.stop(signal.SIGTERM)

    @contextmanager
    def projectors(self, number: int, batch: int) -> Iterator[list[int]]:
        """So many projectors that share the log, each answering; gives their process ids."""
        with ExitStack() as running:
            pids = []
            for port in free_ports(number):
                output = self.directory / f"projector-{port}.log"
                env = {**self._env, "STORYLINE_PROJECTOR_PORT": str(port), "STORYLINE_BATCH": str(batch)}
                server = run(["-m", "storyline.cli", "projector"], port, "/readyz", output, env)
                running.callback(server.stop, signal.SIGTERM)
                pids.append(server._process.pid)
            yield pids

    def close(self) -> None:
        """Let go of the parts."""
        self.parts.close()


def memory(server: Server) -> float:
    """MB that a server and its children hold."""
    parent = psutil.Process(server._process.pid)
    return float(sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))) / 2**20


def cpu_seconds(server: Server) -> float:
    """Seconds of CPU, user and system, that a server has used so far."""
    times = psutil.Process(server._process.pid).cpu_times()
    return float(times.user + times.system)
