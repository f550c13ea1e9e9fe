"""How does a node of Apache Kafka run as a Java process of ours? Jars from Maven, settings of its own, signals."""

from __future__ import annotations

import os
import shutil
import signal
import string
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.once import alone_in
from tests.support.process import Server, ServerError

__all__ = ["FULL", "KAFKA_VERSION", "LEAN", "JavaNode", "NoKafkaError", "jars", "properties_of"]

KAFKA_VERSION = "4.1.1"
FILES = Path(__file__).parent / "kafka_files"
FULL = ("-Xmx512m", "-Xms512m")
LEAN = ("-Xmx256m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Several nodes beside PostgreSQL and the tests on two cores."""


class NoKafkaError(Exception):
    """No broker can be had here; the message says what was tried."""


class JavaNode:
    """One node (broker and controller) with its settings, its data and the process that runs it.

    `directory` holds all of it. `settings` come after those of server.properties and win; `formatting` are further
    words for `kafka-storage format`. Made, it is formatted; `launch` starts it without waiting for its answer.
    """

    def __init__(
        self,
        directory: Path,
        ports: tuple[int, int],
        *,
        cluster: str,
        settings: Mapping[str, str] | None = None,
        formatting: Sequence[str] = (),
        options: Sequence[str] = FULL,
    ) -> None:
        self.directory, self.port = directory, ports[0]
        self.data = directory / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self._options, self._jars = options, jars()
        self._config = directory / "server.properties"
        self._config.write_text(properties_of(*ports, "127.0.0.1", self.data, settings))
        self._server: Server | None = None
        words = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._config), *formatting]
        self._formatting: subprocess.Popen[str] | None = subprocess.Popen(
            [*self._java(), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def launch(self) -> Server:
        """Start the process on its data and ports; gives it before it answers."""
        if self._formatting is not None:
            output = self._formatting.communicate()[0]
            if self._formatting.returncode:
                raise ServerError(f"kafka-storage format failed:\n{output}")
            self._formatting = None
        argv = [*self._java(), "kafka.Kafka", str(self._config)]
        self._server = Server(argv, self.directory / "broker.out", dict(os.environ), None)
        return self._server

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; what was not started yet is fine."""
        if self._formatting is not None:
            self._formatting.kill()
            self._formatting.communicate()
            self._formatting = None
        if self._server is not None:
            self._server.kill()

    def pause(self) -> None:
        if self._server is not None:
            self._server.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self._server is not None:
            self._server.send(signal.SIGCONT)

    def _java(self) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}"
        return ["java", *self._options, "-Xshare:auto", log4j, "-cp", f"{self._jars}/*"]


def properties_of(
    port: int, controller_port: int, bind: str, log_dirs: Path, more: Mapping[str, str] | None = None
) -> str:
    """The text of a node's settings; what stands in `more` wins."""
    template = string.Template((FILES / "server.properties").read_text())
    told = template.substitute(port=port, controller_port=controller_port, bind=bind, log_dirs=log_dirs)
    return told + "".join(f"\n{name}={value}" for name, value in (more or {}).items()) + "\n"


def jars() -> Path:
    """The folder with the broker's jars, fetched once into the cache. NoKafkaError says what is missing."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    cache = Path(os.environ.get("STORYLINE_CACHE") or Path.home() / ".cache" / "storyline")
    found = cache / f"kafka-{KAFKA_VERSION}"
    if found.exists() and "java" not in missing:
        return found
    if missing:
        raise NoKafkaError(
            f"No Apache Kafka: STORYLINE_TEST_KAFKA is not set, Docker does not answer, and "
            f"{' and '.join(missing)} cannot be found. Give one of the three."
        )
    with alone_in(cache), tempfile.TemporaryDirectory(dir=cache) as scratch:
        if not found.exists():
            _fetch(Path(scratch) / "jars")
            # Renamed in one step, so that nobody ever sees half a folder.
            (Path(scratch) / "jars").rename(found)
    return found


def _fetch(into: Path) -> None:
    pom = shutil.copy(FILES / "pom.xml", into.parent / "pom.xml")
    argv = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoKafkaError(f"Maven could not fetch Apache Kafka:\n{done.stdout[-2000:]}{done.stderr[-1000:]}")
