"""How do records of the log become rows that Postgres can copy? Decoded and packed in the reader's process.

The packed form is Postgres' binary COPY format. Rows come sorted by name, so that two projectors insert in the same
order, and an index is walked once. What follows from an event beside its row in the timeline is packed here too, as
if it counted as it stands; the few that do not are taken out by their marks, and settled one by one.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Final

import msgspec

from domain.event import CORRECTIONS, happened_at
from eventlog.port import Logged
from eventlog.record import ref_hash
from projections.anchors import Anchor, record_hash
from projections.columns import LENGTH, array_of, hash16, micros_of, text
from projections.contacts import contact_kind, summed
from projections.deriving import RULINGS, Deriver
from projections.directory.extracting import CLAIMING, CODE_KINDS
from projections.lines import Line, More, check_tokens, ref_kind
from projections.packing import NAME_SIZE, Packed, mark, pack
from projections.rows import Batch, PoisonRecord, Rows

__all__ = ["Decoder"]

_NONE: Final[list[bytes]] = []
_CORRECTING: Final = frozenset(CORRECTIONS)
_TELLING: Final = CLAIMING | RULINGS.keys() | _CORRECTING
"""Types of which more follows than rows of the timeline."""

_QUARTER: Final = 15 * 60 * 1_000_000
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = 2**63 - 1
"""After any time."""
_EVENT = struct.Struct("!hi16si16siqiqi?i?i16siiiq")
"""name, evidence, happened_at, recorded_at, future, touch, digest, position; then codes and record."""
_NOBODY = struct.Struct("!hi16siiqiqi?i?i16siiiq")  # the same with a null evidence
_REF = struct.Struct("!hi16siqi16s")  # ref, happened_at, name
_TARGET = struct.Struct("!hi16s")  # target, then relation and name


_Event = tuple[bytes, datetime, bytes, list[bytes], list[bytes], bytes, int]
"""(mark, recorded_at, row of `events`, rows of `refs`, rows of `about`, key of its contact or b"", happened_at)"""


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


def _evidences(events: Sequence[_Event], more: Sequence[More]) -> set[bytes]:
    found = {event[5][:NAME_SIZE] for event in events if event[5]}
    found.update([hash16(party.evidence) for one in more for party in one.line.parties if party.tokens])
    return found


def _about(about: tuple[str, str], name: bytes) -> bytes:
    return b"".join((_TARGET.pack(3, 16, hash16(about[0])), text(about[1]), LENGTH.pack(16), name))


class Decoder:
    """Decodes and packs batches. Remembers which evidences it has passed on, and since when each is known (at most
    `memory` of them), so that known ones cost nothing; a new `Decoder` is made whenever a batch of this one was not
    committed. `deriver` makes what follows from an event beside its own rows."""

    def __init__(self, deriver: Deriver, memory: int = 500_000) -> None:
        self._line = msgspec.json.Decoder(Line)
        self._deriver = deriver
        self._known: OrderedDict[str, int] = OrderedDict()
        self._codes: OrderedDict[bytes, None] = OrderedDict()
        self._memory = memory
        self._kinds: dict[tuple[str | None, ...], tuple[bytes, bool, bytes, bool]] = {}

    def batch(self, generation: int, start: dict[int, int], logged: Sequence[Logged]) -> Batch:
        """Pack what was read. Never raises for what stands on the log: what cannot be decoded is poison. Raises
        Unavailable where the key store is needed and does not answer."""
        last: dict[int, tuple[int, bytes]] = {}
        events: list[_Event] = []
        more: list[More] = []
        poison: list[PoisonRecord] = []
        for partition, offset, key, value in logged:
            last[partition] = (offset, value)
            try:
                events.append(self._event(self._read(value), partition, offset, value, more))
            except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
                told = str(error) if isinstance(error, (msgspec.ValidationError, ValueError)) else "not a record"
                poison.append(PoisonRecord(partition, offset, key, value, told[:200]))
        correcting = any(one.line.type in _CORRECTING for one in more)
        first, again = _told_apart(events)
        if again and more:
            others = {event[0] for event in again}
            more = [one for one in more if one.mark not in others]
        unknown = self._deriver.unopened
        follows = self._deriver.follow(more)
        for one in more:
            self._remember(one)
        return Batch(
            generation=generation,
            start={partition: start[partition] for partition in last},
            cursor={partition: offset + 1 for partition, (offset, _) in last.items()},
            names=array_of([event[0][:NAME_SIZE].hex() for event in first]),
            first=_rows(first),
            again=_rows(again),
            derived=follows.derived._replace(contacts=self._contacts(first)),
            sightings=follows.sightings,
            rulings=follows.rulings,
            evidences=b"".join(_evidences(first, more)),
            correcting=correcting,
            poison=tuple(poison),
            newest=max([event[1] for event in events]).timestamp() if events else 0.0,
            anchors={partition: Anchor(offset, record_hash(value)) for partition, (offset, value) in last.items()},
            unopened=self._deriver.unopened - unknown,
            quarters=self._quarters(first),
        )

    def _quarters(self, events: Sequence[_Event]) -> tuple[str, ...]:
        found = {event[6] // _QUARTER for event in events}
        return tuple([(_EPOCH + timedelta(minutes=15 * one)).isoformat() for one in sorted(found)])

    def _contacts(self, events: Sequence[_Event]) -> Packed:
        return summed([(event[5], event[6]) for event in events if len(event[5]) > NAME_SIZE])

    def _read(self, value: bytes) -> Line:
        line = self._line.decode(value)
        if line.v != 1:
            raise ValueError(f"version {line.v}; this release reads version 1")
        if line.time.tzinfo is None or line.recorded_at.tzinfo is None:
            raise ValueError("a time without offset")
        return line

    def _event(self, line: Line, partition: int, offset: int, value: bytes, more: list[More]) -> _Event:
        name, digest = hash16(line.name), hash16(line.digest)
        happened, future = happened_at(line.time, line.senttime, line.recorded_at)
        micros, recorded = micros_of(happened), micros_of(line.recorded_at)
        packed, touch, contact, telling = self._kind(line)
        rest = (8, micros, 8, recorded, 1, future, 1, touch, 16, digest, 4, partition, 8, offset)
        if line.tokens:
            evidence = hash16(line.evidence)
            start = _EVENT.pack(13, 16, name, 16, evidence, *rest)
            contact = evidence + contact
            seen = self._known.get(line.evidence)
            new = seen is None or micros < seen
        else:
            start, contact, new = _NOBODY.pack(13, 16, name, -1, *rest), b"", False
        row = b"".join((start, packed, LENGTH.pack(len(value)), value))
        refs, numbered = _NONE, False
        if line.refs:
            hashes = {ref_hash(ref): ref for ref in line.refs}
            refs = [_REF.pack(3, 16, ref, 8, micros, 16, name) for ref in hashes]
            numbered = self._has_new_code(hashes)
        about = (
            [_about(one, name) for one in {(one.name, one.relation) for one in line.about}] if line.about else _NONE
        )
        its_mark = mark(name, partition, offset)
        deriver = self._deriver
        if (
            new
            or numbered
            or telling
            or line.parties
            or (touch and ((refs and deriver.refers(line)) or deriver.speaks(line)))
        ):
            more.append(self._more(line, its_mark, (happened, micros, recorded), value, (new, numbered)))
        return its_mark, line.recorded_at, row, refs, about, contact, micros

    def _more(
        self, line: Line, its_mark: bytes, times: tuple[datetime, int, int], value: bytes, flags: tuple[bool, bool]
    ) -> More:
        """What is to be derived of an event. Raises ValueError for what could not be, and would stop the batch."""
        met = self._known
        unmet = bool(line.tokens) and line.evidence not in met
        if flags[0] or line.type in RULINGS:
            check_tokens(line.tokens)
        for party in line.parties:
            check_tokens(party.tokens)
            if party.tokens:
                hash16(party.evidence)
                unmet = unmet or party.evidence not in met
            text(party.role)
        return More(its_mark, line, times[0], times[1:], value, unmet, *flags)

    def _has_new_code(self, refs: dict[bytes, str]) -> bool:
        """Is there a number among these refs that a search may not know yet?"""
        known = self._codes
        return any(ref not in known and ref_kind(clear) in CODE_KINDS for ref, clear in refs.items())

    def _kind(self, line: Line) -> tuple[bytes, bool, bytes, bool]:
        """(type, channel and direction packed; is it a touchpoint; its kind of contact; does more follow)."""
        kind = (line.type, line.channel, line.direction)
        found = self._kinds.get(kind)
        if found is None:
            touch = self._deriver.touches(line.type)
            packed = b"".join([text(part) for part in kind])
            contact = contact_kind(line.type, line.channel, line.direction) if touch else b""
            deriver = self._deriver
            telling = (
                line.type in _TELLING
                or deriver.tells(line.type)
                or deriver.works(line.type)
                or deriver.figures(line.type)
            )
            found = (packed, touch, contact, telling)
            if len(self._kinds) < 4096:
                self._kinds[kind] = found
        return found

    def _remember(self, one: More) -> None:
        """Only now, not as they are met: should the first event with an evidence be refused, the next brings it."""
        line = one.line
        since = _LAST if line.type in RULINGS else one.times[0]  # a ruling is no evidence: the next event brings it
        if line.tokens:
            self._since(line.evidence, since)
        for party in line.parties:
            if party.tokens:
                self._since(party.evidence, since)
        for ref in line.refs:
            self._codes[ref_hash(ref)] = None
        while len(self._codes) > self._memory:
            self._codes.popitem(last=False)

    def _since(self, evidence: str, micros: int) -> None:
        seen = self._known.get(evidence)
        if seen is None or micros < seen:
            self._known[evidence] = micros
            if len(self._known) > self._memory:
                self._known.popitem(last=False)
