"""What must a log be able to do? Append a batch, read from positions, say where it ends. No more is needed.

A *position* is (log id, partition, offset). Offsets of a partition rise, but may have holes (Kafka's do).
A *cursor* is the offset of the next record that is wanted: `{partition: next offset}`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Closable", "Entry", "Log", "Logged", "Mendable", "Position", "Settling", "partition_of"]


class Position(NamedTuple):
    """Where a record stands; together with the log's `log_id` it is unique in the world."""

    partition: int
    offset: int


class Entry(NamedTuple):
    """What is appended: the owner as key (UTF-8), and the record's bytes. Both are stored verbatim."""

    key: bytes
    value: bytes


class Logged(NamedTuple):
    """What is read: an entry with its position."""

    partition: int
    offset: int
    key: bytes
    value: bytes


@runtime_checkable
class Log(Protocol):
    """One log. Thread-safe for `append`; `read` belongs to one thread per instance."""

    @property
    def log_id(self) -> str:
        """Identity of this very log, for ever; a recreated topic or table has another."""

    @property
    def partitions(self) -> int:
        """Number of partitions, fixed at creation. An entry goes to `partition_of(key, partitions)`."""

    def append(self, entries: Sequence[Entry]) -> list[Position]:
        """Append in the order given and return when all are durable, with each one's position.

        Raises `Unavailable` when that cannot be had in bounded time; some may then be on the log all the
        same, so a caller that tries again appends repeats. Raises `TooLarge` for an entry over the limit.
        """

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float) -> list[Logged]:
        """At most `limit` records of the cursor's partitions, from the cursor on, in order per partition.

        Waits up to `timeout` seconds for the first. Fair between partitions: none starves while another
        has records. Raises `LogDamaged` if the log begins after, or ends before, what the cursor names,
        and `Unavailable` if it does not answer.
        """

    def ends(self) -> dict[int, int]:
        """`{partition: offset that the next record will at least have}` for every partition."""

    def close(self) -> None:
        """Let go of connections and threads. Harmless when repeated."""


@runtime_checkable
class Closable(Protocol):
    """A log that can be told to take no more records, for ever or until it is opened again, in whatever process."""

    def close_for(self, successor: str | None) -> None:
        """Refuse all appends from the return on, with `Unavailable`, because the log `successor` takes this one's
        place; None: take them again."""

    def successor(self) -> str | None:
        """The log that this one was closed for; None while it is open."""


@runtime_checkable
class Mendable(Protocol):
    """What a log can do besides whose offsets never have holes, so that a hole is damage and can be filled."""

    def holes(self) -> dict[int, list[tuple[int, int]]]:
        """`{partition: [(first, end), …]}`: stretches of offsets before the ends whose records are gone."""

    def put_back(self, records: Sequence[Logged]) -> int:
        """Put records where they stood; what stands there already is left as it is. Gives how many were put."""


@runtime_checkable
class Settling(Protocol):
    """What a log can do besides whose appends leave a trace while they are under way."""

    def settle(self) -> None:
        """Return once all appends that are under way have come to an end, also those of whoever has died since. What
        `ends` says then is all that they will ever have brought."""


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key: CRC-32 modulo the number, the same in both adapters and for ever."""
    return zlib.crc32(key) % partitions
