"""On which servers does chaos run? PostgreSQL and Apache Kafka of its own, each behind a proxy of our own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.chaos.proxy import Proxy, to_port, to_socket
from tests.support.kafka import NoKafkaError, broker_answers
from tests.support.kafka_cluster import KafkaCluster
from tests.support.kafka_java import LEAN, JavaNode
from tests.support.postgres import PostgresServer
from tests.support.process import free_ports, wait_until

__all__ = ["Broker", "Servers", "servers"]

_MB = 2**20


class Broker:
    """One broker whose clients all come through the proxy: that is the address it tells them."""

    def __init__(self, directory: Path) -> None:
        port, controller = free_ports(2)
        self.proxy = Proxy(to_port(port))
        self.bootstrap = f"127.0.0.1:{self.proxy.port}"
        told = {"advertised.listeners": f"PLAINTEXT://{self.bootstrap}"}
        self.node = JavaNode(
            directory, (port, controller), cluster=uuid.uuid4().hex[:22], settings=told, options=LEAN
        )
        self.restart()

    def kill(self) -> None:
        """kill -9; nothing listens where a broker is dead."""
        self.proxy.listen(False)
        self.node.kill()

    def restart(self) -> None:
        """Start it, and return when it answers."""
        server = self.node.launch()
        self.proxy.listen(True)
        wait_until(lambda: broker_answers(self.node.port), server, 90, "Apache Kafka")

    def close(self) -> None:
        self.node.kill()
        self.proxy.close()


@dataclass
class Servers:
    """What a deployment stands on. `broker` or `cluster` are there where Kafka is the log, `small` is a file system
    of few MB that holds the read models' tables, where this machine allows to mount one."""

    directory: Path
    postgres: PostgresServer
    postgres_proxy: Proxy
    broker: Broker | None
    cluster: KafkaCluster | None
    small: Path | None

    @property
    def bootstrap(self) -> str:
        """Where clients find Kafka; empty without."""
        if self.broker is not None:
            return self.broker.bootstrap
        return self.cluster.bootstrap if self.cluster is not None else ""

    def database(self) -> tuple[str, str]:
        """(address of a fresh database, the same through the proxy)"""
        name = self.postgres.create_database()
        if self.small is not None:
            with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
                connection.execute(f"ALTER DATABASE {name} SET TABLESPACE small")
        through = f"postgresql://postgres@127.0.0.1:{self.postgres_proxy.port}/{name}"
        return self.postgres.dsn_of(name), through


@contextmanager
def servers(kafka: bool, brokers: int = 1, small: bool = False) -> Iterator[Servers]:
    """Start them. Raises NoKafkaError where Kafka is asked for and cannot be had."""
    directory = Path(tempfile.mkdtemp(prefix="storyline-chaos-"))
    directory.chmod(0o755)  # PostgreSQL's own user has to reach its folder
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        postgres = stack.enter_context(_postgres(directory))
        proxy = Proxy(to_socket(f"{postgres._sockets}/.s.PGSQL.5432"))
        stack.callback(proxy.close)
        space = stack.enter_context(_small_disk(directory / "small", postgres)) if small else None
        broker = cluster = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # kafka-python leaves refused sockets to the garbage collector
            if kafka and brokers > 1:
                cluster = stack.enter_context(KafkaCluster.start(directory / "kafka", brokers))
            elif kafka:
                if os.environ.get("STORYLINE_TEST_KAFKA"):
                    raise NoKafkaError("chaos kills its broker, so it does not use the one of STORYLINE_TEST_KAFKA.")
                broker = Broker(directory / "kafka")
                stack.callback(broker.close)
        yield Servers(directory, postgres, proxy, broker, cluster, space)


def _postgres(directory: Path) -> PostgresServer:
    return PostgresServer.start(directory / "postgres", max_connections="150", max_wal_size="256MB")


@contextmanager
def _small_disk(path: Path, postgres: PostgresServer) -> Iterator[Path | None]:
    """A file system of its own for the tables, to be filled; None where we may not mount one."""
    path.mkdir(mode=0o755)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(path)], check=False, capture_output=True
    )
    if done.returncode:
        yield None
        return
    try:
        inside = path / "tables"
        inside.mkdir(mode=0o700)
        if postgres._user is not None:
            shutil.chown(inside, postgres._user)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{inside}'")
        yield path
    finally:
        postgres.kill()
        for _ in range(50):
            if not subprocess.run(["umount", str(path)], check=False, capture_output=True).returncode:
                break
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            path.rmdir()
