"""How are the inbox topics read? Manual assignment, offsets from Postgres, nothing committed to Kafka."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from domain.errors import LogDamaged, Unavailable
from eventlog.kafka_address import KafkaAddress
from eventlog.kafka_contact import Contact
from eventlog.kafka_errors import PATIENCE_MS, as_ours
from eventlog.kafka_reader import CONSUMER
from eventlog.kafka_topics import Stated, Topic, find_topics, for_days

__all__ = ["InboxTopics", "Message"]

_LAG_EVERY: Final = 2.0

_Place = tuple[str, int]
_Needing = Callable[[], AbstractContextManager[None]]


class Message(NamedTuple):
    """One message of an inbox topic, as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class InboxTopics:
    """The inbox topics, read by one thread. `ids`: an identity per topic, another one for a topic made anew.
    `partitions`: those of each topic; which of them are read is what `assign` was told."""

    def __init__(self, consumer: KafkaConsumer, topics: Mapping[str, Topic], needing: _Needing) -> None:
        self._consumer, self._needing = consumer, needing
        self.ids = {name: topic.identity for name, topic in topics.items()}
        self.partitions = {name: topic.partitions for name, topic in topics.items()}
        self._lag_at = 0.0

    @classmethod
    @contextmanager
    def open(cls, log_url: str, names: Sequence[str], days: int, partitions: int = 4) -> Iterator[InboxTopics]:
        """The topics, made where they are missing, with a retention of `days` and the copies that the log's URL
        states. Raises Unavailable, and Misconfigured where Kafka refuses us at the start."""
        address = KafkaAddress.parse(log_url)
        contact = Contact(address)

        def needing(right: str) -> AbstractContextManager[None]:
            return _as_ours(contact, address.user, right)

        stated = Stated(partitions, address.replication, address.min_isr, for_days(days))
        found = _find_topics(contact, names, stated, needing)
        reading = f"Read on topic {', '.join(names)}"
        with needing(reading):
            consumer = contact.made(KafkaConsumer, **CONSUMER, isolation_level="read_committed")
        contact.welcome()
        try:
            yield cls(consumer, found, lambda: needing(reading))
        finally:
            with contextlib.suppress(KafkaError):
                consumer.close(autocommit=False, timeout_ms=2000)

    def beginnings(self, places: Iterable[_Place]) -> dict[_Place, int]:
        """`{(topic, partition): first offset that is still there}`."""
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return {}
        with self._needing():
            found = self._consumer.beginning_offsets(asked)
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    def assign(self, cursor: Mapping[_Place, int]) -> None:
        """Read these partitions, from here. Raises LogDamaged for a position beyond the end of a topic."""
        places = [TopicPartition(*place) for place in cursor]
        with self._needing():
            self._consumer.assign(places)
            ends = self._consumer.end_offsets(places) if places else {}
            for place, end in ends.items():
                wanted = cursor[place.topic, place.partition]
                if wanted > end:
                    raise LogDamaged(
                        f"Inbox topic {place.topic} ends at {end} in partition {place.partition}, before the "
                        f"remembered {wanted}: it was truncated. Delete the topic, so that it is made anew."
                    )
                self._consumer.seek(place, wanted)

    def poll(self, limit: int, seconds: float) -> list[Message]:
        """At most `limit` messages, in order per partition. Raises Unavailable, LogDamaged."""
        with self._needing():
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=limit)
        return [
            Message(one.topic, one.partition, one.offset, one.key, one.value, tuple(one.headers or ()))
            for records in polled.values()
            for one in records
        ]

    def lags(self, cursor: Mapping[_Place, int]) -> dict[_Place, int]:
        """Every two seconds: how many messages are not moved yet; else nothing."""
        if not cursor or time.monotonic() - self._lag_at < _LAG_EVERY:
            return {}
        self._lag_at = time.monotonic()
        with self._needing():
            ends = self._consumer.end_offsets(list(self._consumer.assignment()))
        return {
            (place.topic, place.partition): max(0, end - cursor[place.topic, place.partition])
            for place, end in ends.items()
        }


def _find_topics(
    contact: Contact,
    names: Sequence[str],
    stated: Stated,
    needing: Callable[[str], AbstractContextManager[None]],
) -> dict[str, Topic]:
    with needing(f"Describe on topic {', '.join(names)}"):
        admin = contact.made(
            KafkaAdminClient,
            bootstrap_timeout_ms=PATIENCE_MS,
            request_timeout_ms=PATIENCE_MS,
            reconnect_backoff_max_ms=1000,
        )
    try:
        return find_topics(admin, names, stated, needing)
    finally:
        with contextlib.suppress(KafkaError):
            admin.close()


@contextmanager
def _as_ours(contact: Contact, user: str, right: str) -> Iterator[None]:
    with as_ours(contact, user, right):
        try:
            yield
        except (OffsetOutOfRangeError, LogTruncationError):
            # Expired, or the topic was made anew; `assign` tells those from a topic that lost its end.
            raise Unavailable("Messages went away while they were read; the inbox starts again.") from None
