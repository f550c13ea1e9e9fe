"""How does a test get projectors that it can kill and freeze? `storyline projector`, each a process of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
from base64 import b64encode
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.support.asking import get, ready
from tests.support.process import Server, free_ports, wait_until
from tests.support.served import clean_environment
from tests.support.story import Story

__all__ = ["ProjectorProcess"]


class ProjectorProcess:
    """One `storyline projector` on a story's database and log; `directory` keeps what it prints."""

    def __init__(self, story: Story, master: bytes, directory: Path, **more: str) -> None:
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        env = clean_environment(
            directory,
            DATABASE_URL=story.dsn,
            KEYS_URL=story.dsn,
            LOG_URL=story.log_url,
            STORYLINE_MASTER_KEY=b64encode(master).decode(),
            STORYLINE_PROJECTOR_PORT=str(port),
            STORYLINE_LOG_FORMAT="json",
            **more,
        )
        self._output = directory / f"projector-{port}.out"
        self._server = Server([sys.executable, "-m", "storyline.cli", "projector"], self._output, env, None)

    def wait(self) -> ProjectorProcess:
        """Until it has a seat; started before, several come up at once."""
        wait_until(self.ready, self._server, 60, "storyline projector")
        return self

    def ready(self) -> bool:
        return ready(self.url)

    def partitions(self) -> list[int]:
        """Those that it holds."""
        held: list[int] = get(f"{self.url}/readyz").json()["partitions"]
        return held

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        text = get(f"{self.url}/metrics").text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        )

    def kill(self) -> None:
        """kill -9, of its reader too."""
        self._server.kill()

    def stop(self) -> None:
        self._server.stop(signal.SIGTERM, 30)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def printed(self) -> str:
        return self._output.read_text(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _family(self) -> list[psutil.Process]:
        """The projector and its reader, not the shell that guards them."""
        leader = psutil.Process(self._server.pid)
        return [leader, *(one for one in leader.children(recursive=True) if "python" in one.name())]
