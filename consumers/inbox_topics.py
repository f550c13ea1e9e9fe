"""How are the inbox topics read? Manual assignment, offsets from Postgres, nothing committed to Kafka."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, OffsetOutOfRangeError, TopicAlreadyExistsError, for_code

from domain.errors import LogDamaged, Unavailable

__all__ = ["InboxTopics", "Message"]

_PATIENCE_MS: Final = 10_000
_DAY_MS: Final = 86_400_000
_LAG_EVERY: Final = 2.0

_Place = tuple[str, int]


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

    def __init__(self, consumer: KafkaConsumer, ids: Mapping[str, str], partitions: Mapping[str, list[int]]) -> None:
        self._consumer, self.ids, self.partitions = consumer, ids, partitions
        self._lag_at = 0.0

    @classmethod
    @contextmanager
    def open(
        cls, servers: str, names: Sequence[str], days: int, replication: int, partitions: int = 4
    ) -> Iterator[InboxTopics]:
        """The topics, made where they are missing, with a retention of `days`. Raises Unavailable."""
        with _as_ours():
            common = {"bootstrap_servers": servers.split(","), "bootstrap_timeout_ms": _PATIENCE_MS}
            ids, found = _find_topics(common, names, days, replication, partitions)
            consumer = KafkaConsumer(
                **common,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                request_timeout_ms=_PATIENCE_MS,
                max_partition_fetch_bytes=2 * 1024 * 1024,
                fetch_max_bytes=16 * 1024 * 1024,
                reconnect_backoff_max_ms=1000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        try:
            yield cls(consumer, ids, found)
        finally:
            with contextlib.suppress(KafkaError):
                consumer.close(autocommit=False, timeout_ms=2000)

    def beginnings(self, places: Iterable[_Place]) -> dict[_Place, int]:
        """`{(topic, partition): first offset that is still there}`."""
        asked = [TopicPartition(*place) for place in places]
        if not asked:
            return {}
        with _as_ours():
            found = self._consumer.beginning_offsets(asked)
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    def assign(self, cursor: Mapping[_Place, int]) -> None:
        """Read these partitions, from here. Raises LogDamaged for a position beyond the end of a topic."""
        places = [TopicPartition(*place) for place in cursor]
        with _as_ours():
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
        with _as_ours():
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
        with _as_ours():
            ends = self._consumer.end_offsets(list(self._consumer.assignment()))
        return {
            (place.topic, place.partition): max(0, end - cursor[place.topic, place.partition])
            for place, end in ends.items()
        }


def _find_topics(
    common: Mapping[str, Any], names: Sequence[str], days: int, replication: int, partitions: int
) -> tuple[dict[str, str], dict[str, list[int]]]:
    """(identities, partitions) of the topics, which are made where they are missing."""
    admin = KafkaAdminClient(**common, request_timeout_ms=_PATIENCE_MS, reconnect_backoff_max_ms=1000)
    try:
        cluster = admin.describe_cluster()["cluster_id"]
        missing = [one["name"] for one in admin.describe_topics(list(names)) if one["error_code"] == 3]
        configs = {"retention.ms": str(days * _DAY_MS), "cleanup.policy": "delete"}
        for name in missing:
            wanted = {"num_partitions": partitions, "replication_factor": replication, "configs": configs}
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics({name: wanted})
        if missing:
            admin.wait_for_topics(missing, timeout_ms=_PATIENCE_MS)
        ids, found = {}, {}
        for topic in admin.describe_topics(list(names)):
            if topic["error_code"]:
                raise for_code(topic["error_code"])(topic["name"])
            ids[topic["name"]] = f"kafka:{cluster}:{topic['topic_id']}"
            found[topic["name"]] = sorted(one["partition_index"] for one in topic["partitions"])
        return ids, found
    finally:
        with contextlib.suppress(KafkaError):
            admin.close()


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except OffsetOutOfRangeError:
        raise Unavailable("Messages expired while they were read; the inbox starts again.") from None
    except KafkaError as error:
        raise Unavailable(f"Kafka does not answer as it should ({type(error).__name__}).") from None
