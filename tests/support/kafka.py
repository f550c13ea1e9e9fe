"""Where does the Apache Kafka broker of tests and benchmarks come from? Given, from Docker, or from Maven."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import uuid
import warnings
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.support.kafka_java import FULL, KAFKA_VERSION, JavaNode, NoKafkaError, properties_of
from tests.support.process import Server, free_ports, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it reads its own schemas in a deprecated way
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

__all__ = ["KAFKA_VERSION", "KafkaBroker", "NoKafkaError", "broker_answers", "docker_answers"]


class _Runner(Protocol):
    """One way to run a broker on a configured data folder."""

    def run(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


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
        runner: _Runner
        if docker_answers():
            data = directory / "kafka-data"
            data.mkdir(parents=True, exist_ok=True)
            runner = _DockerRunner(directory, data, port)
        else:
            runner = _JavaRunner(directory, port, controller_port)
            data = runner.node.data
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

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        if self._runner is not None:
            self._runner.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self._runner is not None:
            self._runner.resume()

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

    def __init__(self, directory: Path, port: int, controller_port: int) -> None:
        self.node = JavaNode(directory, (port, controller_port), cluster=uuid.uuid4().hex[:22])

    def run(self) -> None:
        wait_until(lambda: broker_answers(self.node.port), self.node.launch(), 90, "Apache Kafka")

    def stop(self) -> None:
        self.node.stop()

    def kill(self) -> None:
        self.node.kill()

    def pause(self) -> None:
        self.node.pause()

    def resume(self) -> None:
        self.node.resume()


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
        wait_until(lambda: broker_answers(self._port), server, 120, "Apache Kafka in Docker")
        server.kill()

    def stop(self) -> None:
        _docker("stop", self._name)

    def kill(self) -> None:
        _docker("kill", self._name)

    def pause(self) -> None:
        _docker("pause", self._name)

    def resume(self) -> None:
        _docker("unpause", self._name)

    def _make(self) -> None:
        config = self._directory / "server.properties"
        config.write_text(properties_of(self._port, 9093, "0.0.0.0", Path("/data")))
        heap = f"KAFKA_HEAP_OPTS={' '.join(FULL)}"
        mounts = ["-v", f"{self._data}:/data", "-v", f"{config}:/mnt/shared/config/server.properties:ro"]
        publish = ["-p", f"127.0.0.1:{self._port}:{self._port}", "-e", heap]
        _docker("run", "-d", "--name", self._name, *publish, *mounts, f"apache/kafka:{KAFKA_VERSION}")
        self._made = True
        atexit.register(_docker, "rm", "-f", self._name)


def _docker(*words: str) -> None:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True)
    if done.returncode and words[0] in {"run", "start"}:
        raise NoKafkaError(f"docker {words[0]} failed: {done.stderr.strip()}")


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def broker_answers(port: int, brokers: int = 1) -> bool:
    """Whether the node on this port knows of so many brokers."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False  # asked first, because kafka-python leaks a socket for each refused connection
    try:
        client = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{port}", bootstrap_timeout_ms=2000)
    except KafkaError:
        return False
    try:
        return len(client.describe_cluster()["brokers"]) >= brokers
    except KafkaError:
        return False
    finally:
        client.close()
