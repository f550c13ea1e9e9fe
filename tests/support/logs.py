"""Which builders do the tests of logs share?"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from kafka.admin import KafkaAdminClient

from eventlog.port import Entry, Log, Logged, partition_of

MakeLog = Callable[[str], Log]


def start(log: Log) -> dict[int, int]:
    return dict.fromkeys(range(log.partitions), 0)


def move(cursor: dict[int, int], found: Iterable[Logged]) -> None:
    for record in found:
        cursor[record.partition] = record.offset + 1


def read_all(log: Log, cursor: dict[int, int] | None = None) -> list[Logged]:
    """Everything from the cursor to the present ends."""
    cursor = start(log) if cursor is None else cursor
    ends = log.ends()
    records: list[Logged] = []
    while any(cursor[p] < ends[p] for p in cursor):
        found = log.read(cursor, 1000, 20)
        assert found, "the log has records, and gave none in 20 s"
        records += found
        move(cursor, found)
    return records


def by_partition(records: Iterable[Logged]) -> dict[int, list[bytes]]:
    values: dict[int, list[bytes]] = defaultdict(list)
    for record in records:
        values[record.partition].append(record.value)
    return values


def expected(entries: Iterable[Entry], partitions: int) -> dict[int, list[bytes]]:
    values: dict[int, list[bytes]] = defaultdict(list)
    for key, value in entries:
        values[partition_of(key, partitions)].append(value)
    return values


def key_of(partition: int, partitions: int) -> bytes:
    """A key that goes to this partition."""
    return next(key for n in range(10_000) if partition_of(key := str(n).encode(), partitions) == partition)


def log_ends_of(keys: Sequence[bytes], partitions: int) -> dict[int, int]:
    """The cursor after one record of each key."""
    return {p: sum(partition_of(key, partitions) == p for key in keys) for p in range(partitions)}


def in_threads(work: Callable[[int], object], number: int) -> None:
    """Run `work(0..number-1)` at once; the first error is ours."""
    troubles: list[BaseException] = []

    def run(index: int) -> None:
        try:
            work(index)
        except BaseException as trouble:
            troubles.append(trouble)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for trouble in troubles:
        raise trouble


def until_it_fails(work: Callable[[], object]) -> None:
    """Do it again until it raises, for at most a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        work()


def delete_topic(bootstrap: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_topics([topic])
    deadline = time.monotonic() + 30
    while topic in admin.list_topics() and time.monotonic() < deadline:
        time.sleep(0.1)
    admin.close()


def topic_of(url: str) -> str:
    return urlsplit(url).path.strip("/")


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same each time."""

    return random.Random(seed).randbytes(size)
