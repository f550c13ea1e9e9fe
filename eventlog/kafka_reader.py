"""How are a topic's records read? By a consumer without a group, that is told where to read, and never resets."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition

from domain.errors import LogDamaged
from eventlog.kafka_errors import PATIENCE_MS
from eventlog.port import Logged

__all__ = ["CONSUMER", "Reader"]

CONSUMER: Final[Mapping[str, Any]] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "fetch_max_bytes": 16 * 1024 * 1024,
    "max_partition_fetch_bytes": 2 * 1024 * 1024,
    "request_timeout_ms": PATIENCE_MS,
    "bootstrap_timeout_ms": PATIENCE_MS,
    "reconnect_backoff_max_ms": 1000,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}
"""What every consumer of ours is made with."""
_SILENCE: Final = 3.0
"""Seconds of empty reads after which the broker is asked whether it is still there, and where the log ends."""

_Ends = Callable[[], Mapping[int, int]]


class Reader:
    """A consumer with what it was last told to read. One thread. Raises kafka-python's errors, and LogDamaged."""

    def __init__(self, made: Callable[..., KafkaConsumer], topic: str, ends: _Ends) -> None:
        self._topic, self._ends = topic, ends
        self._consumer = made(KafkaConsumer, **CONSUMER, fetch_max_wait_ms=250)
        self._next: dict[int, int] = {}
        self._heard = time.monotonic()

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float) -> list[Logged]:
        """At most `limit` records from `cursor` on; none after `timeout` seconds."""
        self._move_to(cursor)
        polled = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=limit)
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
            _check(cursor, self._ends())
            self._heard = time.monotonic()
        return found

    def close(self) -> None:
        self._consumer.close(autocommit=False, timeout_ms=2000)

    def _move_to(self, cursor: Mapping[int, int]) -> None:
        """Assign and seek where the cursor is not where the last read left off."""
        moved = {p: offset for p, offset in cursor.items() if self._next.get(p) != offset}
        if not moved and len(cursor) == len(self._next):
            return
        if moved:
            _check(moved, self._ends())
        if cursor.keys() != self._next.keys():
            self._consumer.assign([TopicPartition(self._topic, p) for p in cursor])
        for partition, offset in moved.items():
            self._consumer.seek(TopicPartition(self._topic, partition), offset)
        self._next = dict(cursor)


def _check(cursor: Mapping[int, int], ends: Mapping[int, int]) -> None:
    for partition, wanted in cursor.items():
        if partition not in ends:
            raise LogDamaged(
                f"The log has no partition {partition}, only {len(ends)}. Is LOG_URL that of another log?"
            )
        if wanted > ends[partition]:
            raise LogDamaged(
                f"Partition {partition} ends at offset {ends[partition]}, before the remembered {wanted}. "
                "The topic lost its end. `storyline log check` says how much, `storyline log repair` puts it back."
            )
