"""How does a test take the end of a log away, as a restored backup or an unclean leader does?"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import psycopg

__all__ = ["cut_embedded", "cut_segments"]


def cut_embedded(dsn: str, ends: Mapping[int, int]) -> None:
    """An embedded log as a backup of an earlier moment has it: each partition ends where `ends` says."""
    with psycopg.connect(dsn) as connection:
        for partition, end in ends.items():
            connection.execute('DELETE FROM log.records WHERE partition = %s AND "offset" >= %s', (partition, end))
            connection.execute("UPDATE log.partitions SET next_offset = %s WHERE partition = %s", (end, partition))


def cut_segments(log_dirs: Path, topic: str, ends: Mapping[int, int]) -> dict[int, int]:
    """Cut the segment files of a broker that is stopped, so that partitions end at about `ends`: a batch of records
    is cut as a whole. Gives where they end now."""
    found = {}
    for partition, end in ends.items():
        folder = log_dirs / f"{topic}-{partition}"
        found[partition] = _cut(folder, end)
        (folder / "leader-epoch-checkpoint").unlink(missing_ok=True)
    # Without these the broker reads the segments anew, as after a crash, and believes what it finds.
    for path in log_dirs.glob("*-checkpoint"):
        path.unlink()
    (log_dirs / ".kafka_cleanshutdown").unlink(missing_ok=True)
    return found


def _cut(folder: Path, end: int) -> int:
    """Keep the record batches (base offset, length, …, last offset delta) that end before `end`."""
    [segment] = sorted(folder.glob("*.log"))
    data, place, kept = segment.read_bytes(), 0, 0
    while place + 12 <= len(data):
        base, length = struct.unpack_from("!qi", data, place)
        [last_delta] = struct.unpack_from("!i", data, place + 23)
        if length <= 0 or base + last_delta + 1 > end:
            break
        place += 12 + length
        kept = base + last_delta + 1
    with segment.open("r+b") as file:
        file.truncate(place)
    for path in [*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")]:
        path.unlink()
    return kept
