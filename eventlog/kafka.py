"""How does a Kafka topic serve as the log? Idempotent producer, manual assignment, no consumer group."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, MessageSizeTooLargeError

from domain.errors import LogDamaged, StorylineError, Unavailable
from eventlog.kafka_address import KafkaAddress
from eventlog.kafka_contact import Contact
from eventlog.kafka_errors import PATIENCE_MS, as_ours
from eventlog.kafka_reader import Reader
from eventlog.kafka_topics import FOR_EVER, Stated, Topic, doubts_about, find_topics
from eventlog.limits import check_sizes
from eventlog.port import Entry, Logged, Position, partition_of

__all__ = ["KafkaLog"]

_DELIVERY_MS: Final = 20_000
"""An append that is not acknowledged by then has failed."""
_REQUEST_MS: Final = 5_000
"""A broker that is silent for so long is taken for gone: an append then has time for another one to take over."""
_IN_FLIGHT_BYTES: Final = 64_000_000
"""Appends wait for each other beyond this; the producer itself has no bound."""
_LOOK_EVERY: Final = 10.0
"""Seconds after which an append asks whether the topic is still the same."""


class KafkaLog:
    """The `Log` on one topic, which is made if it is missing. `KafkaAddress` says what its URL may hold.

    Production wants replication 3 and min_isr 2, because a broker acknowledges before it syncs to disk.
    """

    def __init__(self, url: str) -> None:
        """Raises `Misconfigured` for a bad URL, a refusal, or a topic that forgets, `Unavailable` if no broker
        answers."""
        self._address = KafkaAddress.parse(url)
        self._topic = self._address.topic
        self._contact = Contact(self._address)
        self._admin_lock = threading.Lock()
        self._admin: KafkaAdminClient | None = None
        self._producers = _Producers(self._contact.made)
        self._reader: Reader | None = None
        self._gate = _Gate(_IN_FLIGHT_BYTES)
        self._closed = self._made_anew = False
        self._looked_at = time.monotonic()
        try:
            topic, self.doubts = self._find_topic()
        except BaseException:
            self.close()
            raise
        self._log_id, self._partitions = topic.identity, len(topic.partitions)
        self._contact.welcome()

    doubts: Sequence[str]
    """In what the topic is weaker than it was stated, or than production wants; sentences for operators."""

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
        self._look_again()
        size = sum(len(key) + len(value) for key, value in entries)
        topic, partitions = self._topic, self._partitions
        with self._gate.passed(size), self._needing("Write"), self._producers.one() as producer:
            send: Any = producer.send
            futures: list[Any] = [
                send(topic, value, key, partition=partition_of(key, partitions)) for key, value in entries
            ]
            # get() sets a timer up, even for what is already there
            records = [future.value or future.get(_DELIVERY_MS / 1000 + 5) for future in futures]
        return [Position(record.partition, record.offset) for record in records]

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float) -> list[Logged]:
        if self._closed:
            raise Unavailable("The log is closed.")
        with self._needing("Read"):
            try:
                if self._reader is None:
                    self._reader = Reader(self._contact.made, self._topic, self.ends)
                return self._reader.read(cursor, limit, timeout)
            except (KafkaError, Unavailable):
                # A new one stands where it is told to, and logs in with what the files hold by then.
                self._forget_reader()
                raise

    def ends(self) -> dict[int, int]:
        asked = {TopicPartition(self._topic, p): OffsetSpec.LATEST for p in range(self._partitions)}
        with self._asking() as admin, self._needing("Describe"):
            found = admin.list_partition_offsets(asked, timeout_ms=PATIENCE_MS)
            self._check_same(admin)
        return {place.partition: found[place].offset for place in asked}

    def _look_again(self) -> None:
        """Now and then, before an append: a topic made anew would take it without a word."""
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._looked_at = time.monotonic()
            with contextlib.suppress(Unavailable):  # the append itself will tell
                self.ends()
        if self._made_anew:
            raise _made_anew(self._topic)

    def _check_same(self, admin: KafkaAdminClient) -> None:
        [found] = admin.describe_topics([self._topic])
        if not found["error_code"] and not self._log_id.endswith(f":{found['topic_id']}"):
            self._made_anew = True
            raise _made_anew(self._topic)

    def close(self) -> None:
        self._closed = True
        self._producers.refuse()
        # What appends still wait for is acknowledged or has failed by then; after that closing is quick.
        self._gate.wait_until_empty(_DELIVERY_MS / 1000 + 5)
        self._producers.close()
        self._forget_reader()
        with self._admin_lock:
            self._forget_admin()

    def _needing(self, right: str) -> contextlib.AbstractContextManager[None]:
        right = f"{right} on topic {self._topic}" if " " not in right else right
        return as_ours(self._contact, self._address.user, right)

    def _find_topic(self) -> tuple[Topic, list[str]]:
        address = self._address
        stated = Stated(address.partitions, address.replication, address.min_isr, FOR_EVER)
        with self._asking() as admin:
            topic = find_topics(admin, [self._topic], stated, self._needing)[self._topic]
            with self._needing("DescribeConfigs"):
                return topic, doubts_about(admin, topic, stated)

    @contextmanager
    def _asking(self) -> Iterator[KafkaAdminClient]:
        """The admin client, which is not thread-safe; a new one after an error."""
        with self._admin_lock:
            try:
                if self._admin is None:
                    with self._needing("Describe"):
                        self._admin = self._contact.made(
                            KafkaAdminClient,
                            bootstrap_timeout_ms=PATIENCE_MS,
                            request_timeout_ms=PATIENCE_MS,
                            reconnect_backoff_max_ms=1000,
                        )
                yield self._admin
            except StorylineError:
                self._forget_admin()
                raise

    def _forget_admin(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            with contextlib.suppress(KafkaError):
                admin.close()

    def _forget_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(KafkaError):
                reader.close()


def _made_anew(topic: str) -> LogDamaged:
    return LogDamaged(
        f"The topic {topic} was made anew while we used it; what it held is gone. Stop everything: "
        "`storyline log check` says how much that is, `storyline log repair` puts it back."
    )


class _Producers:
    """The one producer that appends share. One that has failed is put aside for a new one, because it may never
    send again: kafka-python 3.0.12 asks for no new producer id once a batch that was sent has expired.
    """

    def __init__(self, made: Callable[..., Any]) -> None:
        self._make = made
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._aside: list[threading.Thread] = []
        self._failed: tuple[float, BaseException] | None = None
        self._closed = False

    @contextmanager
    def one(self) -> Iterator[KafkaProducer]:
        producer = self._get()
        try:
            yield producer
        except MessageSizeTooLargeError:
            raise
        except KafkaError:
            self._put_aside(producer)
            raise

    def refuse(self) -> None:
        """From now on no producer is given."""
        with self._lock:
            self._closed = True

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
            aside = list(self._aside)
        if producer is not None:
            _close(producer, 2)
        for thread in aside:
            thread.join(_DELIVERY_MS / 1000)

    def _get(self) -> KafkaProducer:
        asked = time.monotonic()
        with self._lock:
            if self._closed:
                raise Unavailable("The log is closed.")
            if self._producer is None:
                if self._failed is not None and self._failed[0] > asked:
                    raise self._failed[1]  # while we waited for our turn another one found that there is none
                try:
                    self._producer = self._made()
                except BaseException as error:
                    self._failed = (time.monotonic(), error)
                    raise
            return self._producer

    def _made(self) -> KafkaProducer:
        made: KafkaProducer = self._make(
            KafkaProducer,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=1,  # measured: more adds latency and wins nothing
            batch_size=256 * 1024,
            max_block_ms=PATIENCE_MS,
            request_timeout_ms=_REQUEST_MS,
            delivery_timeout_ms=_DELIVERY_MS,
            bootstrap_timeout_ms=PATIENCE_MS,
            reconnect_backoff_max_ms=1000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        return made

    def _put_aside(self, producer: KafkaProducer) -> None:
        """Let a failed producer end what others still wait for, without making anybody wait."""
        with self._lock:
            if self._producer is not producer:
                return
            self._producer = None
            self._aside = [thread for thread in self._aside if thread.is_alive()]
            thread = threading.Thread(target=_close, args=(producer, _DELIVERY_MS / 1000), daemon=True)
            self._aside.append(thread)
        thread.start()


def _close(producer: KafkaProducer, seconds: float) -> None:
    with contextlib.suppress(KafkaError):
        producer.close(timeout=seconds)


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
