"""Where does a test get the API? A real server in a process of its own, on a database and an embedded log.

with running_api(postgres, directory) as api:
    with api.client("publish", "read") as client: …
    api.project()
"""

from __future__ import annotations

import argparse
import base64
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psutil
from psycopg_pool import ConnectionPool

from api.app import create_app
from api.parts import ApiParts, Limits
from api.server import server_of
from commands.access import Access
from commands.parking import Parking
from commands.proposing import Proposing
from commands.publishing import Publisher, Rights
from commands.rulings import Rulings
from commands.segments import Segments
from commands.webhooks import Webhooks
from commands.working import Working
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration
from domain.segment_limits import Known
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys, read_master
from eventlog.opening import open_log
from eventlog.sealer import Sealer
from eventlog.store import WorkStore
from eventlog.tokens import Hasher
from storyline.configuration import load_configuration
from storyline.metrics import ParkedCollector
from tests.support.asking import NO_TLS, ready
from tests.support.commanding import relay
from tests.support.erasing import erasing_with
from tests.support.postgres import PostgresServer
from tests.support.process import Server, free_ports, wait_until
from tests.support.story import Story, story

__all__ = ["BATCH", "ONE", "RunningApi", "running_api"]

ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_ROOT = Path(__file__).resolve().parents[2]
_START = """
from storyline.loading import loading
with loading():
    from tests.support.api import _main
_main()
"""


@dataclass
class RunningApi:
    """A server, and the same parts once more in this process, to look at and to project with."""

    url: str
    story: Story
    access: Access
    server: Server
    output: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def key(self, *scopes: str, **bounds: Any) -> str:
        """A new key's secret."""
        return self.access.create("test", scopes, **bounds).secret

    def client(self, *scopes: str, **options: Any) -> httpx.Client:
        """An HTTP client with a key of these scopes; without scopes, with no key."""
        headers = {"Authorization": f"Bearer {self.key(*scopes)}"} if scopes else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=NO_TLS, **options)

    def project(self) -> None:
        """Make visible what is on the log, and what was saved."""
        relay(self.story)
        self.story.project()

    def fresh(self) -> str:
        """An e-mail address that no other test has."""
        return f"person{next(self._numbers)}@example.org"

    def customer(self, email: str) -> str:
        """The customer's id of an e-mail address."""
        from domain.identifiers import Identifier

        token = self.story.hasher.token(Identifier("email", email))
        assert token is not None
        return token[-32:]

    def printed(self) -> str:
        """What the server has printed so far."""
        return self.output.read_text(errors="replace")

    def rss(self) -> int:
        """Bytes of memory that the server's processes hold."""
        parent = psutil.Process(self.server._process.pid)
        return sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))

    def stop(self) -> None:
        """Ask the server to stop, as an orchestrator does, and wait."""
        self.server._process.send_signal(signal.SIGTERM)
        self.server._process.wait(20)


@contextmanager
def running_api(
    postgres: PostgresServer, directory: Path, configuration: Path | None = None, **limits: Any
) -> Iterator[RunningApi]:
    """A server on a fresh database; `limits` are changes to `api.parts.Limits`."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    master = os.urandom(32)
    port = free_ports(1)[0]
    output = directory / f"api-{port}.log"
    argv = [sys.executable, "-c", _START, dsn, str(port)]
    argv += [f"{limit}={value}" for limit, value in limits.items()]
    env = {**os.environ, "TEST_MASTER": base64.b64encode(master).decode(), "PYTHONPATH": str(_ROOT)}
    if configuration is not None:
        env["TEST_CONFIGURATION"] = str(configuration)
    env["TEST_LEDGER"] = str(directory / f"erasures-{port}.ledger")
    with (
        story(dsn, f"{dsn}&partitions=4", master=master) as made,
        ConnectionPool(dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool,
    ):
        server = Server(argv, output, env, None)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: ready(url), server, 60, "the API")
            yield RunningApi(url, made, Access(pool), server, output)
        finally:
            server.stop(signal.SIGTERM)
    postgres.drop_database(name)


def _serve(dsn: str, port: int, limits: Limits) -> None:
    keyring = Keyring(dsn, MasterKeys(read_master(os.environ["TEST_MASTER"])))
    hasher = Hasher(keyring.hashing_key())
    catalogue = Catalogue(builtin())
    log = open_log(dsn)
    sealer = Sealer(keyring, hasher)
    publisher = Publisher(catalogue, sealer, log)
    configuration = _configuration()
    store = WorkStore(dsn, catalogue, sealer, keyring, lambda: datetime.now(UTC))
    pool = ConnectionPool(dsn, min_size=1, max_size=8, open=True, kwargs={"autocommit": True})
    parking = Parking(
        pool,
        keyring,
        lambda: hasher,
        publisher=lambda: publisher,
        log=lambda: log,
        rights=lambda _topic: Rights(),
    )
    parts = ApiParts(
        publisher=publisher,
        access=Access(pool),
        keyring=keyring,
        hasher=hasher,
        catalogue=catalogue,
        log=log,
        dead_letters=parking,
        erasing=erasing_with(
            SimpleNamespace(keyring=keyring, hasher=hasher, log=log), pool, parking, Path(os.environ["TEST_LEDGER"])
        ),
        proposing=Proposing(pool, lambda: Rulings(publisher, keyring, hasher)),
        webhooks=Webhooks(pool),
        segments=Segments(pool, Known(catalogue, configuration.rfm)),
        working=Working(
            store,
            pool,
            configuration,
            catalogue,
            publisher=lambda: publisher,
            zone=ZoneInfo("Europe/London"),
        ),
        reader_dsn=dsn,
        collectors=[ParkedCollector(parking)],
        limits=limits,
    )
    try:
        server_of(create_app(parts), port=port).run()
    finally:
        log.close()
        store.close()
        pool.close()
        keyring.close()


def _configuration() -> Configuration:
    """The built-in one, or that of the file that the test names."""
    path = os.environ.get("TEST_CONFIGURATION")
    return load_configuration(Path(path) if path else None, Catalogue(builtin()))


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("port", type=int)
    parser.add_argument("limits", nargs="*")
    arguments = parser.parse_args()
    pairs = (limit.split("=") for limit in arguments.limits)
    _serve(
        arguments.dsn, arguments.port, Limits(**{name: type(getattr(Limits(), name))(value) for name, value in pairs})
    )
