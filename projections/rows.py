"""In which form does a batch of the log reach Postgres? Rows in COPY format, by the table that they go into."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from projections.anchors import Anchor
from projections.packing import Packed, pack

__all__ = ["NOTHING", "NOTHING_MORE", "Batch", "Derived", "PoisonRecord", "Rows", "RulingSeen", "Sighting"]


class PoisonRecord(NamedTuple):
    """A record that could not be decoded, and why; to be parked."""

    log_partition: int
    log_offset: int
    key: bytes
    value: bytes
    trouble: str


class Rows(NamedTuple):
    """Rows of some events for the tables of the timeline."""

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


class Derived(NamedTuple):
    """Rows that follow from events which count as they stand, by table.

    `contacts` are sums over the batch, marked by their evidence; all others are marked by their event.
    """

    contacts: Packed
    parties: Packed
    trades: Packed
    consents: Packed
    answers: Packed
    identifiers: Packed
    claims: Packed
    terms: Packed
    codes: Packed
    steps: Packed
    notices: Packed
    lines: Packed
    scores: Packed
    moods: Packed
    mentions: Packed
    things: Packed

    def without(self, names: Collection[bytes], width: int) -> Derived:
        """Without the rows of events whose mark begins with one of these; `contacts` stay as they are."""
        if not names:
            return self
        return Derived(self.contacts, *[packed.split(names, width)[0] for packed in self[1:]])


class Sighting(NamedTuple):
    """An evidence that the reader has not met since it started, or not so early. `mark`: of the event that shows it;
    `at`: when that happened, None where the event links nobody (a ruling)."""

    mark: bytes
    evidence: UUID
    tokens: tuple[str, ...]
    at: datetime | None


class RulingSeen(NamedTuple):
    """A steward's ruling: the tokens of each side."""

    mark: bytes
    name: UUID
    at: datetime
    merges: bool
    sides: tuple[tuple[str, ...], ...]


class Batch(NamedTuple):
    """A batch of the log. `cursor`: the next offset of each partition that it moves, `start`: from where.

    `first`: rows of each name's first event in it, sorted by name; `names`: theirs, as Postgres writes an array.
    `again`: rows of further events with such a name. `derived`, `sightings`, `rulings`: what follows from the first
    ones. `evidences`: all that its events name, 16 bytes each. `correcting`: it holds corrections. `newest`: the
    latest recorded_at in it, epoch seconds (0 if none), for measuring how far behind we are. `anchors`: the last
    record of each partition in it. `unopened`: events whose key is unknown, of which the directory says nothing.
    `quarters`: the quarters of an hour in which its events happened, by their begin, as Postgres reads it.
    """

    generation: int
    start: dict[int, int]
    cursor: dict[int, int]
    names: str
    first: Rows
    again: Rows
    derived: Derived
    sightings: tuple[Sighting, ...]
    rulings: tuple[RulingSeen, ...]
    evidences: bytes
    correcting: bool
    poison: tuple[PoisonRecord, ...]
    newest: float
    anchors: dict[int, Anchor]
    unopened: int = 0
    quarters: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many events are in it."""
        return len(self.first.events) + len(self.again.events)


NOTHING: Final = Rows(pack(()), pack(()), pack(()))
NOTHING_MORE: Final = Derived(*[pack(())] * len(Derived._fields))
