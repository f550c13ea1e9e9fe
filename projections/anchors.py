"""Is the log still the one that the rows were made of? It must hold, where we read last, the record that we read.

An offset alone does not tell: a log that lost its tail and grew again has other records at the same offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from domain.errors import LogDamaged, Unavailable
from eventlog.port import Log, Logged

__all__ = ["Anchor", "check_anchors", "record_hash", "records_at"]

_PATIENCE = 10
"""Empty reads, of a second each, after which a log that has the records does not answer."""


class Anchor(NamedTuple):
    """The last record that was applied in a partition: where it stood, and the hash of its bytes."""

    offset: int
    record: bytes


def record_hash(value: bytes) -> bytes:
    """16 bytes that tell a record from any other."""
    return blake2b(value, digest_size=16).digest()


def check_anchors(log: Log, anchors: Mapping[int, Anchor]) -> None:
    """Raises LogDamaged if the log does not hold what was applied, Unavailable if it does not say so in time."""
    if not anchors:
        return
    ends = log.ends()
    for partition, anchor in anchors.items():
        if anchor.offset >= ends.get(partition, 0):
            raise _damaged(partition, anchor, f"it ends at {ends.get(partition, 0)}")
    held = records_at(log, ends, [(partition, anchor.offset) for partition, anchor in anchors.items()])
    for partition, anchor in anchors.items():
        record = held[partition, anchor.offset]
        if record is None:
            raise _damaged(partition, anchor, "no record stands there any more")
        if record_hash(record.value) != anchor.record:
            raise _damaged(partition, anchor, "another record stands there")


def records_at(
    log: Log, ends: Mapping[int, int], places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Logged | None]:
    """The records that stand at these (partition, offset), None where the log holds none."""
    found: dict[tuple[int, int], Logged | None] = {}
    left = sorted(set(places))
    while left:
        # One place of each partition at a time, so that one read asks for all of them.
        wanted = dict(reversed(left))
        left = [place for place in left if wanted[place[0]] != place[1]]
        for place in wanted.items():
            found[place] = None
        there = {partition: offset for partition, offset in wanted.items() if offset < ends.get(partition, 0)}
        for one in _first_records(log, there):
            if wanted[one.partition] == one.offset:
                found[one.partition, one.offset] = one
    return found


def _first_records(log: Log, wanted: Mapping[int, int]) -> list[Logged]:
    """The record at or behind each of these places; none of a partition that is damaged there."""
    cursor, found = dict(wanted), list[Logged]()
    empty = 0
    while cursor:
        try:
            records = log.read(cursor, len(cursor), 1.0)
        except LogDamaged:
            if len(cursor) == 1:
                return found
            return found + [one for place in cursor.items() for one in _first_records(log, dict([place]))]
        for one in records:
            if cursor.pop(one.partition, None) is not None:
                found.append(one)
        empty = 0 if records else empty + 1
        if empty >= _PATIENCE:
            raise Unavailable("The log does not give the records that were applied last. Try again later.")
    return found


def _damaged(partition: int, anchor: Anchor, what: str) -> LogDamaged:
    return LogDamaged(
        f"Partition {partition} does not hold the record at offset {anchor.offset} that was applied: {what}. The log "
        "lost its end, or is another one. `storyline log check` says how much, `storyline log repair` puts it back."
    )
