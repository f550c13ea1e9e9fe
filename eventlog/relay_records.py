"""What does the relay have to know of a record on the log? Whether it is of an event store, and which event it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from domain.errors import Poison, Unavailable
from domain.work import SOURCE
from eventlog.port import Entry, Log, Position
from eventlog.tokens import Hasher

__all__ = ["Native", "entry_of", "natives", "same"]

_START: Final = b'{"v":1,"name":"' + SOURCE.encode()
_TAIL: Final = 29
"""Bytes behind `"recorded_at":"`: the time, a quote and a brace."""
_CHUNK: Final = 5_000
_PATIENCE: Final = 30.0
"""Seconds to wait for records that the log says it has."""


class _Own(msgspec.Struct):
    """What of a head is looked at."""

    name: str
    source: str
    owner: str
    type: str
    refs: tuple[str, ...] = ()
    public: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Own).decode


class Native(NamedTuple):
    """A record of an event store, as it stands on the log."""

    id: UUID
    version: int
    type: str
    position: Position
    value: bytes


def entry_of(state: bytes, stamped: bytes) -> Entry:
    """What is appended of an event: its record, recorded now (`stamped`, see `record.stamp`); the time is outside of
    what was sealed. Raises Poison for what is no record."""
    try:
        owner = _decode(state).owner
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Poison("The event store holds an event that is no record; restore it from a backup.") from None
    return Entry(owner.encode(), state[:-_TAIL] + stamped + b'"}')


def same(one: bytes, other: bytes) -> bool:
    """Whether two records are one, whenever they were recorded."""
    return one[:-_TAIL] == other[:-_TAIL]


def natives(
    log: Log, start: Mapping[int, int], ends: Mapping[int, int], hasher: Hasher, alive: Callable[[], None]
) -> Iterator[list[Native]]:
    """The records of event stores from `start` (default: the beginning) to `ends`, a chunk at a time, in the order of
    each partition. `alive` is called between two chunks. Raises LogDamaged where the log ends before `start`."""
    cursor = {partition: start.get(partition, 0) for partition in ends}
    while wanted := {partition: offset for partition, offset in cursor.items() if offset < ends[partition]}:
        records = log.read(wanted, _CHUNK, _PATIENCE)
        if not records:
            raise Unavailable(f"The log gave no record within {_PATIENCE:.0f} s.")
        found = []
        for record in records:
            cursor[record.partition] = record.offset + 1
            if record.value.startswith(_START) and record.offset < ends[record.partition]:
                native = _native(record.value, Position(record.partition, record.offset), hasher)
                if native is not None:
                    found.append(native)
        yield found
        alive()


def _native(value: bytes, position: Position, hasher: Hasher) -> Native | None:
    """The event of a record; None where only its source looks like ours."""
    try:
        head = _decode(value)
        id, version = UUID(head.refs[0].partition(":")[2]), int(head.public["revision"])
    except (msgspec.DecodeError, ValueError, KeyError, IndexError, TypeError):
        return None
    if head.name != f"{head.source}#{hasher.name(head.source, f'{id.hex}.{version}')}":
        return None
    return Native(id, version, head.type, position, value)
