"""Is the log still the one that the rows were made of? It must hold, where we read last, the record that we read.

An offset alone does not tell: a log that lost its tail and grew again has other records at the same offsets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from domain.errors import LogDamaged, Unavailable
from eventlog.port import Log

__all__ = ["Anchor", "check_anchors", "record_hash"]

_PATIENCE = 10.0


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
    wanted = {partition: anchor.offset for partition, anchor in anchors.items()}
    deadline = time.monotonic() + _PATIENCE
    while wanted:
        for one in log.read(wanted, len(wanted), 1.0):
            if wanted.pop(one.partition, None) is None:
                continue
            anchor = anchors[one.partition]
            if one.offset != anchor.offset or record_hash(one.value) != anchor.record:
                raise _damaged(one.partition, anchor, "another record stands there")
        if wanted and time.monotonic() > deadline:
            raise Unavailable("The log does not give the records that were applied last. Is it well?")


def _damaged(partition: int, anchor: Anchor, what: str) -> LogDamaged:
    return LogDamaged(
        f"Partition {partition} does not hold the record at offset {anchor.offset} that was applied: {what}. The log "
        "lost its end, or is another one. `storyline log check` says how much, `storyline log repair` puts it back."
    )
