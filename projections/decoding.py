"""How do records of the log become rows that Postgres can copy? Decoded and packed in the reader's process.

The packed form is Postgres' binary COPY format for the staging tables of `staging.sql`. Rows come sorted by name.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from domain.event import happened_at
from eventlog.port import Logged
from eventlog.record import ref_hash

__all__ = ["Batch", "Decoder", "PoisonRecord"]

_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_COPY_END: Final = struct.pack("!h", -1)
_NULL: Final = struct.pack("!i", -1)
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UUID: Final = struct.pack("!i", 16)

_START = struct.Struct("!hii4s16s")  # 13 columns; item; name
_TIMES = struct.Struct("!iqiqi?")  # happened_at, recorded_at, future
_PLACE = struct.Struct("!4s16siiiq")  # digest, log_partition, log_offset
_LENGTH = struct.Struct("!i")
_REF = struct.Struct("!hii4s16s4s16s")


class _About(msgspec.Struct, gc=False):
    relation: str
    name: str


class _Line(msgspec.Struct, gc=False):
    """The fields of a record that a read model's row needs; the rest is skipped undecoded."""

    v: int
    name: str
    type: str
    time: datetime
    digest: str
    owner: str
    recorded_at: datetime
    sealed: msgspec.Raw
    senttime: datetime | None = None
    tokens: tuple[str, ...] = ()
    evidence: str = ""
    refs: tuple[str, ...] = ()
    about: tuple[_About, ...] = ()
    channel: str | None = None
    direction: str | None = None


class PoisonRecord(NamedTuple):
    """A record that could not be decoded, and why; to be parked."""

    log_partition: int
    log_offset: int
    key: bytes
    value: bytes
    trouble: str


class Batch(NamedTuple):
    """A batch ready to be staged. `cursor`: the next offset of each partition that it moves, `start`: from where.

    `staged`, `refs`, `about`, `lookup`: COPY streams, empty bytes where there is no row. `size`: rows of `staged`.
    `newest`: the latest recorded_at in it, epoch seconds (0 if none), for measuring how far behind we are.
    """

    generation: int
    start: dict[int, int]
    cursor: dict[int, int]
    size: int
    staged: bytes
    refs: bytes
    about: bytes
    lookup: bytes
    poison: tuple[PoisonRecord, ...]
    newest: float


def _stream(rows: Sequence[bytes]) -> bytes:
    return b"".join([_COPY_HEADER, *rows, _COPY_END]) if rows else b""


def _micros(time: datetime) -> int:
    delta = time - _POSTGRES_EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _uuid(name: str) -> bytes:
    raw = bytes.fromhex(name[-32:])
    if len(raw) != 16:
        raise ValueError("a hash without 32 hex digits")
    return raw


class Decoder:
    """Decodes and packs batches. Remembers which evidences it has passed on (at most `memory` of them), so that
    known ones cost nothing; a new `Decoder` is made whenever a batch of this one was not committed."""

    def __init__(self, memory: int = 500_000) -> None:
        self._line = msgspec.json.Decoder(_Line)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._memory = memory
        self._texts: dict[str | None, bytes] = {None: _NULL}

    def _text(self, value: str | None) -> bytes:
        packed = self._texts.get(value)
        if packed is None:
            raw = str(value).encode()
            packed = _LENGTH.pack(len(raw)) + raw
            if len(self._texts) < 4096:
                self._texts[value] = packed
        return packed

    def batch(self, generation: int, start: dict[int, int], logged: Sequence[Logged]) -> Batch:
        """Pack what was read. Never raises for what stands on the log: what cannot be decoded is poison."""
        cursor: dict[int, int] = {}
        rows: list[tuple[bytes, datetime, int, bytes]] = []
        refs: list[tuple[bytes, bytes]] = []
        about: list[tuple[bytes, bytes]] = []
        lookup: list[tuple[bytes, bytes]] = []
        poison: list[PoisonRecord] = []
        met: list[str] = []
        newest: datetime | None = None
        for item, (partition, offset, key, value) in enumerate(logged):
            cursor[partition] = offset + 1
            try:
                line = self._read(value)
                name = _uuid(line.name)
                row = self._row(item, name, line, partition, offset, value)
                its_refs = self._refs(item, name, line.refs) if line.refs else ()
                its_about = self._about(item, name, line.about) if line.about else ()
                its_lookup = self._lookup(item, line) if line.tokens and line.evidence not in self._known else ()
            except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
                told = str(error) if isinstance(error, (msgspec.ValidationError, ValueError)) else "not a record"
                poison.append(PoisonRecord(partition, offset, key, value, told[:200]))
                continue
            rows.append((name, line.recorded_at, item, row))
            refs.extend(its_refs)
            about.extend(its_about)
            lookup.extend(its_lookup)
            if its_lookup:
                met.append(line.evidence)
            if newest is None or line.recorded_at > newest:
                newest = line.recorded_at
        # Only now, not as they are met: should the first event with an evidence be refused, the next one brings it.
        for evidence in met:
            self._remember(evidence)
        rows.sort()
        return Batch(
            generation=generation,
            start={partition: start[partition] for partition in cursor},
            cursor=cursor,
            size=len(rows),
            staged=_stream([row[3] for row in rows]),
            refs=_stream([packed for _, packed in sorted(refs)]),
            about=_stream([packed for _, packed in sorted(about)]),
            lookup=_stream([packed for _, packed in sorted(lookup)]),
            poison=tuple(poison),
            newest=newest.timestamp() if newest else 0.0,
        )

    def _read(self, value: bytes) -> _Line:
        line = self._line.decode(value)
        if line.v != 1:
            raise ValueError(f"version {line.v}; this release reads version 1")
        if line.time.tzinfo is None or line.recorded_at.tzinfo is None:
            raise ValueError("a time without offset")
        return line

    def _row(self, item: int, name: bytes, line: _Line, partition: int, offset: int, value: bytes) -> bytes:
        happened, future = happened_at(line.time, line.senttime, line.recorded_at)
        owner = _UUID + _uuid(line.owner) if line.tokens else _NULL
        return b"".join(
            (
                _START.pack(13, 4, item, _UUID, name),
                owner,
                _TIMES.pack(8, _micros(happened), 8, _micros(line.recorded_at), 1, future),
                _PLACE.pack(_UUID, _uuid(line.digest), 4, partition, 8, offset),
                self._text(line.type),
                self._text(line.channel),
                self._text(line.direction),
                _LENGTH.pack(len(value)),
                value,
            )
        )

    def _refs(self, item: int, name: bytes, refs: Sequence[str]) -> list[tuple[bytes, bytes]]:
        hashes = {ref_hash(ref) for ref in refs}
        return [(ref, _REF.pack(3, 4, item, _UUID, ref, _UUID, name)) for ref in hashes]

    def _about(self, item: int, name: bytes, about: Sequence[_About]) -> list[tuple[bytes, bytes]]:
        rows = []
        for one in about:
            target = _uuid(one.name)
            start = _START.pack(4, 4, item, _UUID, target)
            rows.append((target, start + self._text(one.relation) + _UUID + name))
        return rows

    def _lookup(self, item: int, line: _Line) -> list[tuple[bytes, bytes]]:
        owner = _uuid(line.owner)
        hashes = {_uuid(token) for token in line.tokens}
        return [(token, _REF.pack(3, 4, item, _UUID, token, _UUID, owner)) for token in hashes]

    def _remember(self, evidence: str) -> None:
        self._known[evidence] = None
        if len(self._known) > self._memory:
            self._known.popitem(last=False)
