"""How does a Kafka topic serve as the log? Idempotent producer, manual assignment, no consumer group."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient, OffsetSpec
from kafka.errors import (
    KafkaError,
    LogTruncationError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    for_code,
)

from domain.errors import LogDamaged, Misconfigured, TooLarge, Unavailable
from eventlog.limits import check_sizes
from eventlog.port import Entry, Logged, Position, partition_of

__all__ = ["KafkaLog"]

_DELIVERY_MS = 20_000
"""An append that is not acknowledged by then has failed."""
_PATIENCE_MS = 10_000
"""How long one request, or the first contact, may take."""
_IN_FLIGHT_BYTES = 64_000_000
"""Appends wait for each other beyond this; the producer itself has no bound."""
_SILENCE = 3.0
"""Seconds of empty reads after which the broker is asked whether it is still there, and where the log ends."""
_SERVER = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}


class _Address(NamedTuple):
    servers: list[str]
    topic: str
    partitions: int
    replication: int
    min_isr: int
    security: dict[str, Any]


class KafkaLog:
    """The `Log` on one topic, which is made if it is missing.

    `kafka://host:port[,host:port]/topic?partitions=8&replication=3&min_isr=2&security=PLAINTEXT`; the numbers
    count only when the topic is made. Production wants replication 3 and min_isr 2, because a broker
    acknowledges before it syncs to disk.
    """

    def __init__(self, url: str) -> None:
        """Raises `Misconfigured` for a bad URL or a topic that forgets, `Unavailable` if no broker answers."""
        self._address = _parse(url)
        self._topic = self._address.topic
        self._common = {"bootstrap_servers": self._address.servers, **self._address.security}
        self._lock = threading.Lock()
        self._admin_lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._producer: KafkaProducer | None = None
        self._reader: _Reader | None = None
        self._gate = _Gate(_IN_FLIGHT_BYTES)
        self._closed = False
        try:
            self._log_id, self._partitions = self._find_topic()
        except BaseException:
            self.close()
            raise

    @property
    def log_id(self) -> str:
        return self._log_id

    @property
    def partitions(self) -> int:
        return self._partitions

    def append(self, entries: Sequence[Entry]) -> list[Position]:
        check_sizes(entries)
        if not entries:
            return []
        size = sum(len(key) + len(value) for key, value in entries)
        topic, partitions = self._topic, self._partitions
        with self._gate.passed(size), _as_ours():
            send: Any = self._get_producer().send
            futures: list[Any] = [
                send(topic, value, key, partition=partition_of(key, partitions)) for key, value in entries
            ]
            # get() sets a timer up, even for what is already there
            records = [future.value or future.get(_DELIVERY_MS / 1000 + 5) for future in futures]
        return [Position(record.partition, record.offset) for record in records]

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float) -> list[Logged]:
        if self._closed:
            raise Unavailable("The log is closed.")
        if self._reader is None:
            with _as_ours():
                self._reader = _Reader(self._common, self._topic)
        self._reader.move_to(cursor, self.ends)
        return self._reader.read(cursor, limit, timeout, self.ends)

    def ends(self) -> dict[int, int]:
        asked = {TopicPartition(self._topic, p): OffsetSpec.LATEST for p in range(self._partitions)}
        with self._asking() as admin:
            found = admin.list_partition_offsets(asked, timeout_ms=_PATIENCE_MS)
        return {place.partition: found[place].offset for place in asked}

    def close(self) -> None:
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
        # What appends still wait for is acknowledged or has failed by then; after that closing is quick.
        self._gate.wait_until_empty(_DELIVERY_MS / 1000 + 5)
        with contextlib.suppress(KafkaError):
            if producer is not None:
                producer.close(timeout=2)
        with contextlib.suppress(KafkaError):
            if self._reader is not None:
                self._reader.close()
        with self._admin_lock:
            self._forget_admin()

    def _get_producer(self) -> KafkaProducer:
        with self._lock:
            if self._closed:
                raise Unavailable("The log is closed.")
            if self._producer is None:
                self._producer = KafkaProducer(
                    **self._common,
                    acks="all",
                    enable_idempotence=True,
                    compression_type="lz4",
                    linger_ms=1,  # measured: more adds latency and wins nothing
                    batch_size=256 * 1024,
                    max_block_ms=_PATIENCE_MS,
                    request_timeout_ms=_PATIENCE_MS,
                    delivery_timeout_ms=_DELIVERY_MS,
                    bootstrap_timeout_ms=_PATIENCE_MS,
                    reconnect_backoff_max_ms=1000,
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
            return self._producer

    def _find_topic(self) -> tuple[str, int]:
        with self._asking() as admin:
            cluster = admin.describe_cluster()["cluster_id"]
            [topic] = admin.describe_topics([self._topic])
            if topic["error_code"] == 3:
                self._make_topic(admin)
                [topic] = admin.describe_topics([self._topic])
            if topic["error_code"]:
                raise for_code(topic["error_code"])(self._topic)
            _check_for_ever(admin, self._topic)
        return f"kafka:{cluster}:{topic['topic_id']}", len(topic["partitions"])

    def _make_topic(self, admin: KafkaAdminClient) -> None:
        wanted = {
            "num_partitions": self._address.partitions,
            "replication_factor": self._address.replication,
            "configs": {**_FOR_EVER, "min.insync.replicas": str(self._address.min_isr)},
        }
        with contextlib.suppress(TopicAlreadyExistsError):  # another process was faster
            admin.create_topics({self._topic: wanted})
        admin.wait_for_topics([self._topic], timeout_ms=_PATIENCE_MS)

    @contextmanager
    def _asking(self) -> Iterator[KafkaAdminClient]:
        """The admin client, which is not thread-safe; a new one after an error."""
        with self._admin_lock, _as_ours():
            try:
                if self._admin is None:
                    self._admin = KafkaAdminClient(
                        **self._common,
                        bootstrap_timeout_ms=_PATIENCE_MS,
                        request_timeout_ms=_PATIENCE_MS,
                        reconnect_backoff_max_ms=1000,
                    )
                yield self._admin
            except KafkaError:
                self._forget_admin()
                raise

    def _forget_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError):
                admin.close()


class _Reader:
    """A consumer with what it was last told to read. One thread."""

    def __init__(self, common: Mapping[str, Any], topic: str) -> None:
        self._topic = topic
        self._consumer = KafkaConsumer(
            **common,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_bytes=16 * 1024 * 1024,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            fetch_max_wait_ms=250,
            request_timeout_ms=_PATIENCE_MS,
            bootstrap_timeout_ms=_PATIENCE_MS,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        self._next: dict[int, int] = {}
        self._heard = time.monotonic()

    def move_to(self, cursor: Mapping[int, int], ends: Any) -> None:
        """Assign and seek where the cursor is not where the last read left off."""
        moved = {p: offset for p, offset in cursor.items() if self._next.get(p) != offset}
        if not moved and len(cursor) == len(self._next):
            return
        if moved:
            _check_ends(moved, ends())
        with _as_ours():
            if cursor.keys() != self._next.keys():
                self._consumer.assign([TopicPartition(self._topic, p) for p in cursor])
            for partition, offset in moved.items():
                self._consumer.seek(TopicPartition(self._topic, partition), offset)
        self._next = dict(cursor)

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float, ends: Any) -> list[Logged]:
        try:
            with _as_ours():
                polled = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=limit)
        except BaseException:
            self._next = {}  # where the consumer stands now is not known
            raise
        found = [
            Logged(record.partition, record.offset, record.key or b"", record.value or b"")
            for records in polled.values()
            for record in records
        ]
        for place, records in polled.items():
            self._next[place.partition] = records[-1].offset + 1
        if found:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > _SILENCE:
            _check_ends(cursor, ends())
            self._heard = time.monotonic()
        return found

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=2000)


class _Gate:
    """Lets appends through while less than `limit` bytes are under way; one alone may be larger."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._under_way = 0
        self._change = threading.Condition()

    @contextmanager
    def passed(self, size: int) -> Iterator[None]:
        with self._change:
            fits = self._change.wait_for(
                lambda: self._under_way == 0 or self._under_way + size <= self._limit, _DELIVERY_MS / 1000
            )
            if not fits:
                raise Unavailable("The log did not take the records in time. Send them again later.")
            self._under_way += size
        try:
            yield
        finally:
            with self._change:
                self._under_way -= size
                self._change.notify_all()

    def wait_until_empty(self, timeout: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._under_way == 0, timeout)


@contextmanager
def _as_ours() -> Iterator[None]:
    """kafka-python's errors as ours."""
    try:
        yield
    except (OffsetOutOfRangeError, LogTruncationError) as trouble:
        raise LogDamaged(
            "The topic begins after, or ends before, a position that we remember. It was truncated, or is "
            "another one: restore it in full, or rebuild the read models."
        ) from trouble
    except MessageSizeTooLargeError as trouble:
        raise TooLarge("The broker takes no record of this size: raise max.message.bytes.") from trouble
    except (KafkaError, ValueError) as trouble:
        # ValueError is what send() raises when the topic is no longer there
        raise Unavailable(
            f"Kafka does not answer as it should ({type(trouble).__name__}). Try again later."
        ) from trouble


def _check_ends(cursor: Mapping[int, int], ends: Mapping[int, int]) -> None:
    for partition, wanted in cursor.items():
        if partition not in ends:
            raise LogDamaged(
                f"The log has no partition {partition}, only {len(ends)}. Is LOG_URL that of another log?"
            )
        if wanted > ends[partition]:
            raise LogDamaged(
                f"Partition {partition} ends at offset {ends[partition]}, before the remembered {wanted}. "
                "The topic was truncated or made anew: restore it in full, or rebuild the read models."
            )


def _check_for_ever(admin: KafkaAdminClient, topic: str) -> None:
    """A topic that somebody else made may forget; that must not be found out a week later."""
    asked = ConfigResource("topic", topic, configs=dict.fromkeys(_FOR_EVER))
    settings = admin.describe_configs([asked], config_filter="all")["topic"][topic]
    for name, wanted in _FOR_EVER.items():
        if str(settings[name]["value"]) != wanted:
            raise Misconfigured(
                f"The topic {topic} has {name}={settings[name]['value']} and would lose its history. "
                f"Set {name}={wanted} on it."
            )


def _parse(url: str) -> _Address:
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    topic = parts.path.strip("/")
    unknown = sorted(query.keys() - {"partitions", "replication", "min_isr", "security"})
    servers = parts.netloc.split(",")
    if not all(map(_SERVER.fullmatch, servers)) or not topic or "/" in topic or unknown:
        raise Misconfigured(
            "A Kafka log's URL is kafka://host:port[,host:port]/topic"
            "[?partitions=8&replication=3&min_isr=2&security=PLAINTEXT]"
            + (f"; it knows no {', '.join(unknown)}." if unknown else ".")
        )
    return _Address(
        servers=servers,
        topic=topic,
        partitions=_number(query, "partitions", 8),
        replication=_number(query, "replication", 1),
        min_isr=_number(query, "min_isr", 1),
        security=_security(query.get("security", "PLAINTEXT")),
    )


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isdecimal() and 1 <= int(text) <= 1024):
        raise Misconfigured(f"A Kafka log's URL: {name} must be a whole number from 1 to 1024.")
    return int(text)


def _security(protocol: str) -> dict[str, Any]:
    """The client settings of a security protocol: the place where TLS and SASL go."""
    if protocol != "PLAINTEXT":
        raise Misconfigured("A Kafka log's URL: security must be PLAINTEXT; others are not supported yet.")
    return {"security_protocol": protocol}
