"""On which servers does a benchmark run? Its own: PostgreSQL and Apache Kafka, started for it and stopped after."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from bench.report import progress
from tests.support.kafka import KafkaBroker, NoKafkaError
from tests.support.postgres import PostgresServer

__all__ = ["ADAPTERS", "Stand", "stand"]

ADAPTERS = ("kafka", "embedded")


@dataclass
class Stand:
    """Servers of one benchmark. `kafka` is empty where no broker can be had."""

    directory: Path
    postgres: PostgresServer
    kafka: str

    def database(self) -> str:
        """The address of a fresh, empty database."""
        return self.postgres.dsn_of(self.postgres.create_database())

    def log_url(self, adapter: str, dsn: str, name: str, partitions: int = 8) -> str:
        """The address of a new log in an adapter."""
        if adapter == "kafka":
            return f"kafka://{self.kafka}/{name}?partitions={partitions}&replication=1&min_isr=1"
        return f"{dsn}{'&' if '?' in dsn else '?'}partitions={partitions}"


@contextmanager
def stand(kafka: bool = True) -> Iterator[Stand]:
    """PostgreSQL with fsync and buffers as in production, and Kafka if asked for and to be had."""
    directory = Path(tempfile.mkdtemp(prefix="storyline-bench-"))
    directory.chmod(0o755)  # PostgreSQL's own user has to reach its folder
    with ExitStack() as servers:
        servers.enter_context(redirect_stdout(sys.stderr))  # a log line of the product's own parts is no JSON
        servers.callback(shutil.rmtree, directory, ignore_errors=True)
        postgres = servers.enter_context(PostgresServer.start(directory / "postgres", shared_buffers="1GB"))
        bootstrap = ""
        if kafka:
            try:
                bootstrap = servers.enter_context(KafkaBroker.start(directory / "kafka")).bootstrap
            except NoKafkaError as error:
                progress(f"Without Kafka: {error}")
        yield Stand(directory, postgres, bootstrap)
