"""How do records of the log become rows that Postgres can copy? Decoded and packed in the reader's process.

The packed form is Postgres' binary COPY format. Rows come sorted by name, so that two projectors insert in the same
order, and an index is walked once.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from domain.event import happened_at
from eventlog.port import Logged
from eventlog.record import ref_hash
from projections.anchors import Anchor, record_hash
from projections.packing import NAME_SIZE, Packed, mark, pack

__all__ = ["NOTHING", "Batch", "Decoder", "PoisonRecord", "Rows"]

_NULL: Final = struct.pack("!i", -1)
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NONE: Final[list[bytes]] = []
_LONGEST_CODE: Final = 500

_LENGTH = struct.Struct("!i")
_EVENT = struct.Struct("!hi16si16siqiqi?i16siiiq")  # name, owner, happened_at, recorded_at, future, digest, position
_NOBODY = struct.Struct("!hi16siiqiqi?i16siiiq")  # the same with a null owner
_REF = struct.Struct("!hi16siqi16s")  # ref, happened_at, name
_PAIR = struct.Struct("!hi16si16s")  # token, owner
_TARGET = struct.Struct("!hi16s")  # target, then relation and name


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


class Rows(NamedTuple):
    """Rows of some events for the three tables that an event has rows in."""

    events: Packed
    refs: Packed
    about: Packed

    def split(self, chosen: Collection[bytes], width: int) -> tuple[Rows, Rows]:
        """(the rest, rows of events whose mark begins with one of `chosen`, each `width` bytes long)."""
        pairs = [packed.split(chosen, width) for packed in self]
        return Rows(*[pair[0] for pair in pairs]), Rows(*[pair[1] for pair in pairs])

    def with_(self, other: Rows) -> Rows:
        """These rows, then the other's."""
        return Rows(*[mine.with_(its) for mine, its in zip(self, other, strict=True)])


class Batch(NamedTuple):
    """A batch of the log. `cursor`: the next offset of each partition that it moves, `start`: from where.

    `first`: rows of each name's first event in it, sorted by name; `names`: theirs, as Postgres writes an array.
    `again`: rows of further events with such a name. `lookup`: identifiers that the reader has not met since it
    started. `newest`: the latest recorded_at in it, epoch seconds (0 if none), for measuring how far behind we are.
    `anchors`: the last record of each partition in it.
    """

    generation: int
    start: dict[int, int]
    cursor: dict[int, int]
    names: str
    first: Rows
    again: Rows
    lookup: Packed
    poison: tuple[PoisonRecord, ...]
    newest: float
    anchors: dict[int, Anchor]

    @property
    def size(self) -> int:
        """How many events are in it."""
        return len(self.first.events) + len(self.again.events)


NOTHING: Final = Rows(pack(()), pack(()), pack(()))

_Event = tuple[bytes, datetime, bytes, list[bytes], list[bytes]]
"""(mark, recorded_at, row of `events`, rows of `refs`, rows of `about`)"""


def _told_apart(events: list[_Event]) -> tuple[list[_Event], list[_Event]]:
    """(the first event of each name, the others). First is who was recorded first, of those published together who
    stands first on the log; all sorted by name."""
    events.sort(key=itemgetter(0))
    if len({event[0][:NAME_SIZE] for event in events}) == len(events):
        return events, []
    events.sort(key=lambda event: (event[0][:NAME_SIZE], event[1], event[0]))
    first: list[_Event] = []
    again: list[_Event] = []
    last = b""
    for event in events:
        name = event[0][:NAME_SIZE]
        (again if name == last else first).append(event)
        last = name
    return first, again


def _rows(events: Sequence[_Event]) -> Rows:
    return Rows(
        pack([(event[0], event[2]) for event in events]),
        pack([(event[0], row) for event in events for row in event[3]]),
        pack([(event[0], row) for event in events for row in event[4]]),
    )


def _micros(time: datetime) -> int:
    delta = time - _POSTGRES_EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    raw = value.encode()
    if len(raw) > _LONGEST_CODE or 0 in raw:
        # Postgres would refuse the whole batch, again and again
        raise ValueError(f"a code that is longer than {_LONGEST_CODE} bytes or holds a NUL")
    return _LENGTH.pack(len(raw)) + raw


def _about(about: tuple[str, str], name: bytes) -> bytes:
    return b"".join((_TARGET.pack(3, 16, _uuid(about[0])), _text(about[1]), _LENGTH.pack(16), name))


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
        self._kinds: dict[tuple[str | None, ...], bytes] = {}

    def batch(self, generation: int, start: dict[int, int], logged: Sequence[Logged]) -> Batch:
        """Pack what was read. Never raises for what stands on the log: what cannot be decoded is poison."""
        last: dict[int, tuple[int, bytes]] = {}
        events: list[_Event] = []
        lookup: list[tuple[bytes, bytes]] = []
        met: list[str] = []
        poison: list[PoisonRecord] = []
        for partition, offset, key, value in logged:
            last[partition] = (offset, value)
            try:
                line = self._read(value)
                event = self._event(line, partition, offset, value)
                if line.tokens and line.evidence not in self._known:
                    lookup.extend(self._lookup(line, event[0]))
                    met.append(line.evidence)
            except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
                told = str(error) if isinstance(error, (msgspec.ValidationError, ValueError)) else "not a record"
                poison.append(PoisonRecord(partition, offset, key, value, told[:200]))
                continue
            events.append(event)
        # Only now, not as they are met: should the first event with an evidence be refused, the next one brings it.
        for evidence in met:
            self._remember(evidence)
        first, again = _told_apart(events)
        return Batch(
            generation=generation,
            start={partition: start[partition] for partition in last},
            cursor={partition: offset + 1 for partition, (offset, _) in last.items()},
            names=f"{{{','.join([event[0][:NAME_SIZE].hex() for event in first])}}}",
            first=_rows(first),
            again=_rows(again),
            lookup=pack(lookup),
            poison=tuple(poison),
            newest=max([event[1] for event in events]).timestamp() if events else 0.0,
            anchors={partition: Anchor(offset, record_hash(value)) for partition, (offset, value) in last.items()},
        )

    def _read(self, value: bytes) -> _Line:
        line = self._line.decode(value)
        if line.v != 1:
            raise ValueError(f"version {line.v}; this release reads version 1")
        if line.time.tzinfo is None or line.recorded_at.tzinfo is None:
            raise ValueError("a time without offset")
        return line

    def _event(self, line: _Line, partition: int, offset: int, value: bytes) -> _Event:
        name, digest = _uuid(line.name), _uuid(line.digest)
        happened, future = happened_at(line.time, line.senttime, line.recorded_at)
        micros = _micros(happened)
        rest = (8, micros, 8, _micros(line.recorded_at), 1, future, 16, digest, 4, partition, 8, offset)
        start = (
            _EVENT.pack(12, 16, name, 16, _uuid(line.owner), *rest)
            if line.tokens
            else _NOBODY.pack(12, 16, name, -1, *rest)
        )
        kind = (line.type, line.channel, line.direction)
        row = b"".join((start, self._kinds.get(kind) or self._kind(kind), _LENGTH.pack(len(value)), value))
        refs = (
            [_REF.pack(3, 16, ref, 8, micros, 16, name) for ref in {ref_hash(ref) for ref in line.refs}]
            if line.refs
            else _NONE
        )
        about = (
            [_about(one, name) for one in {(one.name, one.relation) for one in line.about}] if line.about else _NONE
        )
        return mark(name, partition, offset), line.recorded_at, row, refs, about

    def _kind(self, kind: tuple[str | None, ...]) -> bytes:
        packed = b"".join([_text(part) for part in kind])
        if len(self._kinds) < 4096:
            self._kinds[kind] = packed
        return packed

    def _lookup(self, line: _Line, its_mark: bytes) -> list[tuple[bytes, bytes]]:
        owner = _uuid(line.owner)
        hashes = {_uuid(token) for token in line.tokens}
        return [(its_mark, _PAIR.pack(2, 16, token, 16, owner)) for token in hashes]

    def _remember(self, evidence: str) -> None:
        self._known[evidence] = None
        if len(self._known) > self._memory:
            self._known.popitem(last=False)
