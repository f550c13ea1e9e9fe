"""How is it told that a customer entered or left a segment? By an event on the customer's timeline, once.

What is to be told is committed with the membership (`storyline.segment_changes`) and taken from there to the log.
Each event has a name made of the change, so that one which is told again by whoever comes after a death is a repeat,
and no second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
import structlog

from commands.publishing import Publisher, Rights
from domain.errors import BadInput, Poison, SealError
from eventlog.keyring import Keyring
from eventlog.record import Record, decode
from eventlog.sealing import keys_of, open_record
from eventlog.sql import load

__all__ = ["SOURCE", "Announced", "Announcing"]

SOURCE: Final = "storyline/segments"
_SQL: Final = load("commands", "announcing.sql")
_RIGHTS: Final = Rights(system=True)
_AT_ONCE: Final = 100
_logger = structlog.get_logger("storyline.segments")
_Who = list[dict[str, str]]


class _Waiting(NamedTuple):
    """A change that is to be told."""

    id: int
    segment: str
    version: int
    customer: UUID
    at: datetime
    entered: bool
    because: str


class _Trace(NamedTuple):
    """An event that names a customer by an evidence, its own or a party's."""

    evidence: UUID
    record: Record


class Announced(NamedTuple):
    """What became of some changes: how many were told, and how many will never be."""

    told: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Announcing:
    """Announces. Blocks on the key store and the log."""

    publisher: Publisher
    keyring: Keyring
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def step(self, connection: psycopg.Connection) -> Announced:
        """Announce the next changes, on an autocommit connection; (0, 0) where there are none, or another is at it.
        Raises Unavailable, after which some may have been told; they are told again under the same names."""
        with _alone(connection) as ours:
            rows = connection.execute(_SQL["waiting"], {"limit": _AT_ONCE}).fetchall() if ours else []
            if not rows:
                return Announced(0, 0)
            waiting = [_Waiting(*row) for row in rows]
            people = self._people(connection, {one.customer for one in waiting})
            skipped = self._tell(waiting, people)
            asked = {"ids": [one.id for one in waiting], "skipped": [skipped.get(one.id) for one in waiting]}
            connection.execute(_SQL["announced"], {**asked, "now": self.clock()})
        return Announced(len(waiting) - len(skipped), len(skipped))

    def waiting(self, connection: psycopg.Connection) -> int:
        """How many changes wait to be told."""
        [[number]] = connection.execute(_SQL["count_waiting"]).fetchall()
        return int(number)

    def _tell(self, waiting: Sequence[_Waiting], people: Mapping[UUID, _Who]) -> dict[int, str]:
        """Publish them in their order; gives why not, of those that cannot be told."""
        skipped = {one.id: "erased" for one in waiting if one.customer not in people}
        events = {one.id: _event(one, people[one.customer]) for one in waiting if one.customer in people}
        try:
            self.publisher.publish(list(events.values()), _RIGHTS)
        except BadInput:  # of some; the others are told all the same
            for id, event in events.items():
                try:
                    self.publisher.publish([event], _RIGHTS)
                except BadInput as error:
                    skipped[id] = "refused"
                    fields = [problem.field for problem in error.problems]
                    _logger.error("segments.not_announced", change=id, fields=fields)
        return skipped

    def _people(self, connection: psycopg.Connection, customers: set[UUID]) -> dict[UUID, _Who]:
        """By which identifiers each of these customers is named, as somebody sent them; without those of whom nothing
        can be read any more."""
        traces: dict[UUID, list[_Trace]] = {}
        for customer, evidence, value in connection.execute(_SQL["traces"], {"customers": list(customers)}):
            try:
                traces.setdefault(customer, []).append(_Trace(evidence, decode(bytes(value))))
            except Poison:
                continue
        found = {customer: self._who(its) for customer, its in traces.items()}
        return {customer: who for customer, who in found.items() if who}

    def _who(self, traces: Sequence[_Trace]) -> _Who:
        """The identifiers of the first of these that can be read."""
        for evidence, record in traces:
            try:
                opened = open_record(record, self.keyring.keys(keys_of([record])))
            except SealError as error:
                _logger.error("segments.unopened", kind=type(error).__name__)
                continue
            if opened is None:
                continue
            if record.head.evidence[-32:] == evidence.hex:
                return opened.who
            for party, who in zip(record.head.parties, opened.parties, strict=False):
                if party.evidence[-32:] == evidence.hex and who:
                    return who
        return []


def _event(one: _Waiting, who: _Who) -> dict[str, Any]:
    """A change as a CloudEvent. Its id says nothing of the customer, whose id may be another by the time of a
    repeat."""
    told = f"{one.segment}\0{one.version}\0{one.id}\0{one.at.astimezone(UTC).isoformat()}"
    return {
        "specversion": "1.0",
        "source": SOURCE,
        "id": blake2b(told.encode(), digest_size=16).hexdigest(),
        "type": "segment.entered" if one.entered else "segment.left",
        "time": one.at.isoformat(),
        "data": {
            "who": who,
            "content": {"segment": one.segment, "version": one.version, "because": one.because},
        },
    }


@contextmanager
def _alone(connection: psycopg.Connection) -> Iterator[bool]:
    """Whether it is us who announce."""
    ours = connection.execute(_SQL["try_alone"]).fetchone() == (True,)
    try:
        yield ours
    finally:
        if ours and not connection.closed:
            connection.execute(_SQL["not_alone"])
