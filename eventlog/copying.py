"""How does a history move from one log to another? Verbatim, in order, with a map of where each record went.

The map is a text file. Its first line names both logs:

    storyline-log-map 1 FROM_LOG_ID TO_LOG_ID

Every further line is a run of records whose offsets rise by one on both sides, as five numbers:

    source partition,source offset,target partition,target offset,number of records

A run is written and synced to disk after the target has acknowledged it. Whoever stops the copying at any point
and starts it again with the same map goes on after the last run; what had been appended but not yet noted is
appended once more, and repeats are harmless. Lines that a crash cut short are dropped.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.port import Entry, Log, Logged, Position

__all__ = ["Copying", "Progress", "Run", "copy_log", "places", "read_map"]

Progress = Callable[[int, int], None]

_BATCH = 5_000
_PATIENCE = 30.0
"""Seconds to wait for records that the source says it has."""
_LINE = re.compile(rb"(\d+),(\d+),(\d+),(\d+),(\d+)\n")


class Run(NamedTuple):
    """Records that stand one after the other in both logs."""

    source_partition: int
    source_offset: int
    target_partition: int
    target_offset: int
    records: int


class Copying:
    """The copying of one log to the end of another, as far as the map says that it has come.

    with Copying(source, target, map_path) as copying:
        copying.to(source.ends(), progress)

    `cursor`: per source partition, the offset that is copied next. `done`: records copied, by earlier calls too.
    """

    def __init__(self, source: Log, target: Log, map_path: Path) -> None:
        """Make the map, or go on with it. The number of partitions may differ. Raises `Misconfigured` if the map
        belongs to other logs, `LogDamaged` if the target is no longer what the map remembers."""
        if source.log_id == target.log_id:
            raise Misconfigured("A log cannot be copied to itself. Give --from and --to two different logs.")
        self._source, self._target = source, target
        self._file = _open_map(map_path, source, target)
        try:
            self.cursor, self.done = _resume(self._file, source, target)
        except BaseException:
            self._file.close()
            raise

    def to(self, ends: Mapping[int, int], progress: Progress) -> int:
        """Copy everything before `ends`; returns how many records that were. `progress(done, total)` is called after
        each batch; both count what earlier calls did. Raises `Unavailable` if a log does not answer."""
        begun = self.done
        total = begun + sum(max(0, ends[p] - offset) for p, offset in self.cursor.items())
        progress(begun, total)
        while wanted := {p: offset for p, offset in self.cursor.items() if offset < ends[p]}:
            records = [r for r in self._source.read(wanted, _BATCH, _PATIENCE) if r.offset < ends[r.partition]]
            if not records:
                raise Unavailable(f"The source gave no record within {_PATIENCE:.0f} s. Start the copying again.")
            positions = self._target.append([Entry(r.key, r.value) for r in records])
            _note(self._file, _runs(records, positions))
            for record in records:
                self.cursor[record.partition] = record.offset + 1
            self.done += len(records)
            progress(self.done, total)
        return self.done - begun

    def __enter__(self) -> Copying:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def copy_log(source: Log, target: Log, map_path: Path, progress: Progress) -> int:
    """Copy what `source` holds now to the end of `target`; returns the number of records copied by this call.

    Raises as `Copying` does.
    """
    with Copying(source, target, map_path) as copying:
        return copying.to(source.ends(), progress)


def places(map_path: Path, wanted: Iterable[Position]) -> dict[Position, Position]:
    """Where records of the source stand in the target: `{source position: target position}` of those that the map
    knows. Of a record that was copied twice, the later copy."""
    sought: dict[int, list[int]] = {}
    for partition, offset in sorted(wanted):
        sought.setdefault(partition, []).append(offset)
    found: dict[Position, Position] = {}
    for run in read_map(map_path) if sought else ():
        offsets = sought.get(run.source_partition, [])
        first = bisect_left(offsets, run.source_offset)
        for offset in offsets[first : bisect_left(offsets, run.source_offset + run.records)]:
            place = Position(run.target_partition, run.target_offset + offset - run.source_offset)
            found[Position(run.source_partition, offset)] = place
    return found


def read_map(map_path: Path) -> Iterator[Run]:
    """The runs of a map, in the order in which they were written."""
    with map_path.open("rb") as file:
        file.readline()
        while found := _LINE.fullmatch(file.readline()):
            yield Run(*map(int, found.groups()))


def _open_map(map_path: Path, source: Log, target: Log) -> BinaryIO:
    """The map, positioned behind its first line."""
    header = f"storyline-log-map 1 {source.log_id} {target.log_id}\n".encode()
    file = map_path.open("a+b")
    try:
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):  # new, or killed before its first line was whole
            file.truncate(0)
            file.write(header)
            _sync(file)
        elif first != header:
            raise Misconfigured(
                f"The map {map_path} belongs to the copying of another pair of logs. Give a new file."
            )
    except BaseException:
        file.close()
        raise
    return file


def _resume(file: BinaryIO, source: Log, target: Log) -> tuple[dict[int, int], int]:
    """Where each source partition goes on, and how many records are done. Cuts off a torn end."""
    cursor = dict.fromkeys(range(source.partitions), 0)
    target_ends = target.ends()
    done = 0
    whole = file.tell()
    while found := _LINE.fullmatch(file.readline()):
        run = Run(*map(int, found.groups()))
        if run.target_offset + run.records > target_ends.get(run.target_partition, 0):
            raise LogDamaged(
                f"The target's partition {run.target_partition} ends before a record that the map says was copied. "
                "Start with an empty target and a new map."
            )
        cursor[run.source_partition] = run.source_offset + run.records
        done += run.records
        whole = file.tell()
    file.truncate(whole)
    file.seek(whole)
    _check_source(cursor, source.ends())
    return cursor, done


def _check_source(cursor: Mapping[int, int], ends: Mapping[int, int]) -> None:
    for partition, offset in cursor.items():
        if offset > ends.get(partition, 0):
            raise LogDamaged(
                f"The source's partition {partition} ends before a record that was copied. Is `storyline log check` "
                "content with it? Once it is mended, start with an empty target and a new map."
            )


def _runs(records: Sequence[Logged], positions: Sequence[Position]) -> list[Run]:
    """The fewest runs that say where the records went, each source partition's in its order."""
    runs: list[Run] = []
    latest: dict[int, int] = {}  # source partition: index of its latest run
    for record, position in zip(records, positions, strict=True):
        index = latest.get(record.partition)
        run = runs[index] if index is not None else None
        if run is not None and index is not None and _continues(run, record, position):
            runs[index] = run._replace(records=run.records + 1)
            continue
        latest[record.partition] = len(runs)
        runs.append(Run(record.partition, record.offset, position.partition, position.offset, 1))
    return runs


def _continues(run: Run, record: Logged, position: Position) -> bool:
    return (
        record.offset == run.source_offset + run.records
        and position == (run.target_partition, run.target_offset + run.records)
    )  # fmt: skip


def _note(file: BinaryIO, runs: Sequence[Run]) -> None:
    file.write(b"".join(b"%d,%d,%d,%d,%d\n" % run for run in runs))
    _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
