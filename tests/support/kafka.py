"""Where does the Apache Kafka broker of tests and benchmarks come from? Given, from Docker, or from Maven."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import string
import subprocess
import tempfile
import uuid
import warnings
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.support.process import Server, ServerError, free_ports, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its own schemas in a deprecated way
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

__all__ = ["KAFKA_VERSION", "KafkaBroker", "NoKafkaError"]

KAFKA_VERSION = "4.1.1"
_FILES = Path(__file__).parent / "kafka_files"
_HEAP = "512m"


class NoKafkaError(Exception):
    """No broker can be had here; the message says what was tried."""


class _Runner(Protocol):
    """One way to run a broker on a configured data folder."""

    def run(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class KafkaBroker:
    """One real broker (KRaft, single node) with its data in a directory of its own.

        with KafkaBroker.start(directory) as broker:
            KafkaConsumer(bootstrap_servers=broker.bootstrap)

    STORYLINE_TEST_KAFKA=host:port uses a broker that runs already: it is never stopped, killed or searched.
    Otherwise Docker is used where `docker info` answers, else Java 17 and Maven.
    """

    def __init__(self, bootstrap: str, log_dirs: Path | None, runner: _Runner | None) -> None:
        self.bootstrap = bootstrap
        self.log_dirs = log_dirs
        """Where the broker's segment files lie, to search their bytes; None for a given broker."""
        self._runner = runner

    @classmethod
    def start(cls, directory: Path) -> KafkaBroker:
        """A broker that answers; NoKafkaError when none can be had."""
        given = os.environ.get("STORYLINE_TEST_KAFKA")
        if given:
            return cls(given, None, None)
        port, controller_port = free_ports(2)
        data = directory / "kafka-data"
        data.mkdir(parents=True, exist_ok=True)
        runner: _Runner
        if _docker_answers():
            runner = _DockerRunner(directory, data, port)
        else:
            runner = _JavaRunner(directory, data, port, controller_port, _jars())
        broker = cls(f"127.0.0.1:{port}", data, runner)
        atexit.register(broker.kill)
        runner.run()
        return broker

    @property
    def ours(self) -> bool:
        """Whether we started this broker, so that it may be killed."""
        return self._runner is not None

    def stop(self) -> None:
        if self._runner is not None:
            self._runner.stop()

    def kill(self) -> None:
        """kill -9."""
        if self._runner is not None:
            self._runner.kill()

    def restart(self) -> None:
        """Start again on the same data and port, after `stop` or `kill`."""
        if self._runner is not None:
            self._runner.run()

    def __enter__(self) -> KafkaBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class _JavaRunner:
    """The broker as a Java process of ours."""

    def __init__(self, directory: Path, data: Path, port: int, controller_port: int, jars: Path) -> None:
        self._directory, self._port, self._jars = directory, port, jars
        self._config = directory / "server.properties"
        template = string.Template((_FILES / "server.properties").read_text())
        settings = {"port": port, "controller_port": controller_port, "bind": "127.0.0.1", "log_dirs": data}
        self._config.write_text(template.substitute(settings))
        self._server: Server | None = None
        cluster = uuid.uuid4().hex[:22]
        self._tool("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._config))

    def run(self) -> None:
        argv = [*self._java(), "kafka.Kafka", str(self._config)]
        self._server = Server(argv, self._directory / "broker.out", dict(os.environ), None)
        wait_until(lambda: _broker_answers(self._port), self._server, 90, "Apache Kafka")

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(signal.SIGTERM)

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()

    def _java(self) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={_FILES / 'log4j2.properties'}"
        return ["java", f"-Xmx{_HEAP}", f"-Xms{_HEAP}", "-Xshare:auto", log4j, "-cp", f"{self._jars}/*"]

    def _tool(self, *words: str) -> None:
        done = subprocess.run([*self._java(), *words], check=False, capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"{words[0]} failed:\n{done.stdout}{done.stderr}")


class _DockerRunner:
    """The broker as a container of the official image."""

    def __init__(self, directory: Path, data: Path, port: int) -> None:
        self._name = f"storyline-kafka-{uuid.uuid4().hex[:8]}"
        self._directory, self._data, self._port = directory, data, port
        self._made = False
        data.chmod(0o777)  # the image runs as a user of its own

    def run(self) -> None:
        _docker("start", self._name) if self._made else self._make()
        argv = ["docker", "logs", "--follow", self._name]
        server = Server(argv, self._directory / "broker.out", dict(os.environ), None)
        wait_until(lambda: _broker_answers(self._port), server, 120, "Apache Kafka in Docker")
        server.kill()

    def stop(self) -> None:
        _docker("stop", self._name)

    def kill(self) -> None:
        _docker("kill", self._name)

    def _make(self) -> None:
        template = string.Template((_FILES / "server.properties").read_text())
        settings = {"port": self._port, "controller_port": 9093, "bind": "0.0.0.0", "log_dirs": "/data"}
        config = self._directory / "server.properties"
        config.write_text(template.substitute(settings))
        heap = f"KAFKA_HEAP_OPTS=-Xmx{_HEAP} -Xms{_HEAP}"
        mounts = ["-v", f"{self._data}:/data", "-v", f"{config}:/mnt/shared/config/server.properties:ro"]
        publish = ["-p", f"127.0.0.1:{self._port}:{self._port}", "-e", heap]
        _docker("run", "-d", "--name", self._name, *publish, *mounts, f"apache/kafka:{KAFKA_VERSION}")
        self._made = True
        atexit.register(_docker, "rm", "-f", self._name)


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    if done.returncode and words[0] in {"run", "start"}:
        raise NoKafkaError(f"docker {words[0]} failed: {done.stderr.strip()}")


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _broker_answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False  # asked first, because kafka-python leaks a socket for each refused connection
    try:
        client = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=2000)
    except KafkaError:
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()


def _jars() -> Path:
    """The folder with the broker's jars, fetched once into the cache. NoKafkaError says what is missing."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    cache = Path(os.environ.get("STORYLINE_CACHE") or Path.home() / ".cache" / "storyline")
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if jars.exists() and "java" not in missing:
        return jars
    if missing:
        raise NoKafkaError(
            f"No Apache Kafka: STORYLINE_TEST_KAFKA is not set, Docker does not answer, and "
            f"{' and '.join(missing)} cannot be found. Give one of the three."
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        _fetch(Path(scratch) / "jars")
        if not jars.exists():
            # Renamed in one step, so that nobody ever sees half a folder.
            (Path(scratch) / "jars").rename(jars)
    return jars


def _fetch(into: Path) -> None:
    pom = shutil.copy(_FILES / "pom.xml", into.parent / "pom.xml")
    argv = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoKafkaError(f"Maven could not fetch Apache Kafka:\n{done.stdout[-2000:]}{done.stderr[-1000:]}")
