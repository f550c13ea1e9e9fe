"""Where does a test get a whole served system? `storyline serve`, as a user starts it, in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from storyline.embedded import EmbeddedPostgres
from tests.support.asking import NO_TLS, ready
from tests.support.process import Server, free_ports, wait_until

__all__ = ["Served", "clean_environment", "run_cli", "served"]

_ROOT = Path(__file__).parent.parent.parent


@dataclass
class Served:
    """A system that runs. `output` is all that its processes print."""

    data_dir: Path
    env: dict[str, str]
    url: str
    projector_url: str
    server: Server
    output: Path

    @property
    def key(self) -> str:
        """The development key."""
        return (self.data_dir / "api.key").read_text().strip()

    def client(self, **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS, **more)

    def publish(self, *events: Mapping[str, Any]) -> httpx.Response:
        with self.client() as client:
            headers = {"Content-Type": "application/cloudevents-batch+json"}
            return client.post("/v1/events", json=list(events), headers=headers)

    def run(self, *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """A command on the same settings."""
        return run_cli(self.env, *words, timeout=timeout)

    def stop(self) -> None:
        self.server.stop(signal.SIGTERM, 60)

    def printed(self) -> str:
        return self.output.read_text(errors="replace")


def clean_environment(directory: Path, **settings: str) -> dict[str, str]:
    """The environment of a process, with no setting but these."""
    names = ("STORYLINE_", "LOG_URL", "DATABASE_URL", "KEYS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    port, projector, inbox, relay, scheduler, automation = free_ports(6)
    return {
        **kept,
        "PYTHONPATH": str(_ROOT),
        "STORYLINE_DATA_DIR": str(directory / "data"),
        "STORYLINE_PORT": str(port),
        "STORYLINE_PROJECTOR_PORT": str(projector),
        "STORYLINE_INBOX_PORT": str(inbox),
        "STORYLINE_RELAY_PORT": str(relay),
        "STORYLINE_SCHEDULER_PORT": str(scheduler),
        "STORYLINE_AUTOMATION_PORT": str(automation),
        "COLUMNS": "200",
        **settings,
    }


def run_cli(env: Mapping[str, str], *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """One command of the command line, to its end."""
    argv = [sys.executable, "-m", "storyline.cli", *words]
    return subprocess.run(argv, check=False, env=dict(env), capture_output=True, text=True, timeout=timeout)


@contextmanager
def served(directory: Path, **settings: str) -> Iterator[Served]:
    """`storyline serve` in `directory` (which another user can reach), until the block ends."""
    env = clean_environment(directory, **settings)
    url = f"http://127.0.0.1:{env['STORYLINE_PORT']}"
    projector_url = f"http://127.0.0.1:{env['STORYLINE_PROJECTOR_PORT']}"
    output = directory / "serve.out"
    data_dir = Path(env["STORYLINE_DATA_DIR"])
    server = Server([sys.executable, "-m", "storyline.cli", "serve"], output, env, None)
    try:
        wait_until(lambda: ready(url) and ready(projector_url), server, 90, "storyline serve")
        yield Served(data_dir, env, url, projector_url, server, output)
    finally:
        server.stop(signal.SIGTERM, 60)
        if (data_dir / "postgres" / "data" / "postmaster.pid").exists():
            EmbeddedPostgres.start(data_dir).stop()  # it outlives a supervisor that was killed
