"""Which servers, databases and logs can a test ask for? Real ones, started once, emptied by being thrown away.

postgres        the session's server             database        a fresh database with our tables: its DSN
kafka           bootstrap address of a broker    empty_database  one without any
kafka_broker    the broker, with its log_dirs    retail          the Online Retail history
log_url         a fresh embedded log             any_log_url   a fresh log of each adapter in turn
kafka_log_url   a fresh topic                    make_log      opens logs and closes them after the test
small           a stage for histories, a module  connection    one in autocommit mode to its database
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import structlog

from eventlog.opening import open_log
from eventlog.port import Log
from storyline.database import upgrade
from tests.support.kafka import KafkaBroker, NoKafkaError
from tests.support.postgres import PostgresServer
from tests.support.retail import Retail, imported
from tests.support.stage import Stage, stage
from tests.support.starting import start_quickly

Started = TypeVar("Started")
_LONGEST = (
    "test_import_end_to_end test_chaos test_rebuild_kills test_cli_serve test_hostile_input test_rebuild_one "
    "test_import_online_retail "
    "test_erasure_canary test_rebuild test_bench_publish_read test_truncated_log test_many_projectors test_canary "
    "test_log_move test_kafka_cluster test_readme test_log_kafka test_log_move_served test_demo test_inbox_clients "
    "test_projector test_cli_exits test_segment_served test_dead_letters_served test_automation_served "
    "test_work_helpdesk test_log_conformance test_work_customers test_cli_bench test_relay test_inbox "
    "test_segment_equivalence test_analytics_helpdesk test_same_history test_leases test_rebuild_notice "
    "test_online_retail_facts test_mood_sums test_operations test_replay_python"
).split()
"""Files that take half a minute and more, the longest first: one that began last would be waited for alone."""

# kafka-python leaves a socket to the garbage collector when its connection was refused, or broke off before it stood.
# Such a one has no peer; a socket with a peer (`raddr=`) that nobody closed is still an error.
_REFUSED = r"unclosed <socket\.socket fd=\d+, family=\d+, type=1, proto=6, laddr=\('[\d.]+', \d+\)>"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("filterwarnings", f"ignore:{_REFUSED}:ResourceWarning")  # within a test
    warnings.filterwarnings("ignore", _REFUSED, ResourceWarning)  # after the last one
    start_quickly()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; workers take files in this order."""
    places = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Leave no set-up of logging to the next test: a command that ran in this process may have asked for less."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach, which pytest's tmp_path is not."""
    directory = Path(tempfile.mkdtemp(prefix="storyline-tests-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_directory: Path) -> Iterator[PostgresServer]:
    """The session's server. It does not wait for the disk: what it wrote outlives a kill of it, but no loss of power.
    New databases are copies of one that has all tables, as that takes a fifth of the time of making these."""
    with PostgresServer.start(server_directory / "postgres", fsync=False, full_page_writes="off") as server:
        upgrade(server.dsn_of("template1"))
        yield server


@pytest.fixture(scope="session")
def retail(postgres: PostgresServer) -> Iterator[Retail]:
    """The whole Online Retail history on a system of its own; nobody changes it. Skips without the data."""
    with imported(postgres) as made:
        yield made


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a fresh database, with all tables and nothing in them."""
    name = postgres.create_database()
    yield postgres.dsn_of(name)
    postgres.drop_database(name)


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a fresh database without any tables."""
    name = postgres.create_database("template0")
    yield postgres.dsn_of(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def kafka_broker(server_directory: Path) -> Iterator[KafkaBroker]:
    with start_kafka(server_directory / "kafka") as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(kafka_broker: KafkaBroker) -> str:
    return kafka_broker.bootstrap


@pytest.fixture
def kafka_log_url(kafka: str) -> str:
    """The URL of a topic that does not exist yet; opening it makes it."""
    return f"kafka://{kafka}/t-{uuid.uuid4().hex[:12]}?partitions=4&replication=1&min_isr=1"


@pytest.fixture
def log_url(database: str) -> str:
    """The URL of an embedded log in a fresh database; opening it makes it."""
    return database


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def any_log_url(request: pytest.FixtureRequest) -> str:
    """A fresh log of each adapter in turn."""
    name = "log_url" if request.param == "embedded" else "kafka_log_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def make_log() -> Iterator[Callable[[str], Log]]:
    """`make_log(url)` opens a log; all are closed after the test, before the database goes."""
    opened: list[Log] = []

    def make(url: str) -> Log:
        log = open_log(url)
        opened.append(log)
        return log

    yield make
    for log in opened:
        log.close()


def start_kafka(directory: Path) -> KafkaBroker:
    """A broker, or a loud skip; where CI is set, its absence is a failure."""
    return start_or_skip(KafkaBroker.start, directory, bool(os.environ.get("CI")))


def start_or_skip(start: Callable[[Path], Started], directory: Path, must: bool | None = None) -> Started:
    """What `start` gives, or a loud skip. What runs on Java alone must be there where CI has Java."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        return start(directory)
    except NoKafkaError as trouble:
        if (os.environ.get("CI") and shutil.which("java")) if must is None else must:
            pytest.fail(str(trouble))
        pytest.skip(str(trouble))


@pytest.fixture(scope="module")
def small(postgres: PostgresServer) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def connection(small: Stage) -> Iterator[psycopg.Connection]:
    with psycopg.connect(small.story.dsn, autocommit=True) as made:
        yield made
