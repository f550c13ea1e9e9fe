"""What do the log and the read models hold? Read by plain clients and decoded by the standard library: none of the
code that is on trial takes part."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaConsumer, TopicPartition

__all__ = ["EmbeddedBook", "KafkaBook", "Line", "Row", "Rows", "line_of", "read_rows"]


class Line(NamedTuple):
    """A record of the log. Hashes as hex; evidence, channel, direction: "" where it says none. parties: (evidence,
    role, tokens) of each. about: (target, relation)."""

    partition: int
    offset: int
    value: bytes
    mark: str
    name: str
    digest: str
    evidence: str
    tokens: tuple[str, ...]
    refs: tuple[str, ...]
    parties: tuple[tuple[str, str, tuple[str, ...]], ...]
    about: tuple[tuple[str, str], ...]
    happened: datetime
    recorded: datetime
    type: str
    channel: str
    direction: str


class Row(NamedTuple):
    """A row of `timeline.events`."""

    name: str
    digest: str
    evidence: str
    happened: datetime
    recorded: datetime
    type: str
    touch: bool
    partition: int
    offset: int
    value: bytes


@dataclass
class Rows:
    """The read models, and the dead letters as (consumer, reason, origin, partition, offset).

    about: (target, relation, name). parties: (evidence, happened, name, role). evidences: (evidence, its nodes,
    known since, customer). nodes: (node, known since, customer). contacts: (evidence, channel, direction,
    touchpoints, first, last). All hashes as hex; of evidences and nodes those that count.
    """

    events: list[Row]
    refs: list[tuple[str, datetime, str]]
    about: list[tuple[str, str, str]]
    parties: list[tuple[str, datetime, str, str]]
    evidences: list[tuple[str, tuple[str, ...], datetime, str]]
    nodes: list[tuple[str, datetime, str]]
    contacts: list[tuple[str, str, str, int, datetime, datetime]]
    letters: list[tuple[str, str, str, int, int]]


def line_of(partition: int, offset: int, value: bytes) -> Line:
    """What a record says in clear."""
    told = json.loads(value)
    recorded = datetime.fromisoformat(told["recorded_at"])
    tokens = _hashes(told.get("tokens", ()))
    parties = [
        (one.get("evidence", ""), one["role"], _hashes(one.get("tokens", ()))) for one in told.get("parties", ())
    ]
    return Line(
        partition,
        offset,
        value,
        told["public"].get("mailbox", ""),
        told["name"][-32:],
        told["digest"],
        told["evidence"] if tokens else "",
        tokens,
        tuple(hashlib.blake2b(ref.encode(), digest_size=16).hexdigest() for ref in told.get("refs", ())),
        tuple(parties),
        tuple((one["name"][-32:], one["relation"]) for one in told.get("about", ())),
        min(datetime.fromisoformat(told["time"]).astimezone(UTC), recorded),
        recorded,
        told["type"],
        told.get("channel") or "",
        told.get("direction") or "",
    )


def _hashes(tokens: Iterable[str]) -> tuple[str, ...]:
    return tuple(token[-32:] for token in tokens)


class KafkaBook:
    """The topic, read by a plain consumer."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._bootstrap, self._topic = bootstrap, topic
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]

    def ends(self) -> dict[int, int]:
        """Where each partition ends."""
        consumer = self._consumer()
        try:
            return {place.partition: end for place, end in consumer.end_offsets(self._places).items()}
        finally:
            consumer.close(autocommit=False)

    def read(self, start: Mapping[int, int]) -> Iterator[tuple[int, int, bytes]]:
        """(partition, offset, bytes) of all records from `start` to the end that the log has now."""
        consumer = self._consumer()
        try:
            ends = dict(consumer.end_offsets(self._places).items())
            consumer.assign(self._places)
            for place in self._places:
                consumer.seek(place, start.get(place.partition, 0))
            deadline = time.monotonic() + 120
            while any(consumer.position(place) < end for place, end in ends.items()):
                if time.monotonic() > deadline:
                    raise TimeoutError("the topic could not be read to its end")
                for records in consumer.poll(timeout_ms=500).values():
                    for one in records:
                        yield one.partition, one.offset, one.value
        finally:
            consumer.close(autocommit=False)

    def _consumer(self) -> Any:
        return KafkaConsumer(
            bootstrap_servers=self._bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            bootstrap_timeout_ms=20_000,
            metrics_enabled=False,
            max_partition_fetch_bytes=4 * 2**20,
        )


class EmbeddedBook:
    """The embedded log's table, read as a table."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def ends(self) -> dict[int, int]:
        """Where each partition ends."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            return dict(connection.execute("SELECT partition, next_offset FROM log.partitions").fetchall())

    def read(self, start: Mapping[int, int]) -> Iterator[tuple[int, int, bytes]]:
        """(partition, offset, bytes) of all records from `start` on."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            for partition, first in start.items():
                yield from connection.execute(
                    'SELECT partition, "offset", value FROM log.records WHERE partition = %s AND "offset" >= %s '
                    "ORDER BY 2",
                    (partition, first),
                )


def read_rows(dsn: str) -> Rows:
    """All rows, of one moment."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute("SET LOCAL timezone = 'UTC'")
        events = connection.execute(
            "SELECT name, digest, evidence, happened_at, recorded_at, type, touch, log_partition, log_offset, record "
            "FROM timeline.events"
        ).fetchall()
        refs = connection.execute("SELECT ref, happened_at, name FROM timeline.refs").fetchall()
        about = connection.execute("SELECT target, relation, name FROM timeline.about").fetchall()
        parties = connection.execute("SELECT evidence, happened_at, name, role FROM timeline.parties").fetchall()
        evidences = connection.execute(
            "SELECT evidence, nodes, first_at, customer FROM identity.evidences WHERE first_at IS NOT NULL"
        ).fetchall()
        nodes = connection.execute(
            "SELECT node, first_at, customer FROM identity.nodes WHERE first_at IS NOT NULL"
        ).fetchall()
        contacts = connection.execute(
            "SELECT evidence, channel, direction, sum(touchpoints)::bigint, min(first_at), max(last_at) "
            "FROM customers.contacts GROUP BY evidence, channel, direction"
        ).fetchall()
        letters = connection.execute(
            "SELECT consumer, reason, origin, origin_partition, origin_offset FROM storyline.dead_letters"
        ).fetchall()
    return Rows(
        [Row(row[0].hex, row[1].hex, row[2].hex if row[2] else "", *row[3:]) for row in events],
        [(ref.hex, happened, name.hex) for ref, happened, name in refs],
        [(target.hex, relation, name.hex) for target, relation, name in about],
        [(evidence.hex, happened, name.hex, role) for evidence, happened, name, role in parties],
        [(one.hex, tuple(node.hex for node in held), first, home.hex) for one, held, first, home in evidences],
        [(node.hex, first, customer.hex) for node, first, customer in nodes],
        [(evidence.hex, *row) for evidence, *row in contacts],
        [(row[0], row[1], row[2], row[3], row[4]) for row in letters],
    )
