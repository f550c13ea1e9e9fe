"""How does the log become a timeline, and nothing beside it? By the code that live runs, without what follows from
events: that is made of the timeline afterwards, as a whole, which costs far less than batch by batch.

Any number of workers share the partitions of the log. What cannot be applied is noted, and parked once all is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg

from domain.catalogue.registry import Catalogue
from domain.errors import Unavailable
from eventlog.opening import open_log
from eventlog.port import Log, Logged
from projections.decoding import Decoder
from projections.deriving import Anew, Deriver
from projections.family import Lost, TimelineAlone
from projections.lines import Line
from projections.packing import Packed, pack
from projections.registry import NEXT
from projections.runner import Parked

__all__ = ["Parted", "Read", "Unapplied", "noted", "parked_of"]

_Cursor = psycopg.Cursor[Any]
_WAIT: Final = 1.0
_LOOKS: Final = 30


class Unapplied(NamedTuple):
    """A record that could not be applied, and why; the record itself stands on the log."""

    reason: str
    detail: str
    log_partition: int
    log_offset: int
    type: str | None


class Read(NamedTuple):
    """What a step did: where it stands now, and what could not be applied."""

    reached: int
    unapplied: list[Unapplied]


class Parted:
    """Reads stretches of single partitions into the timeline of a build. Belongs to one thread."""

    def __init__(self, log_url: str, catalogue: Catalogue) -> None:
        self._log = open_log(log_url)
        self._deriver = _Deriver(catalogue)
        self._decoder = _Decoder(self._deriver)
        self._family = TimelineAlone(self._deriver, NEXT)

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()

    def forget(self) -> None:
        """What was read last was not committed: nothing of it is known."""
        self._decoder = _Decoder(self._deriver)

    def step(self, cursor: _Cursor, partition: int, start: int, end: int, limit: int, alone: bool) -> Read:
        """Apply what comes from `start` on, before `end`, within the caller's transaction. Raises GoAloneError where
        that has to be begun again with `alone`; Unavailable where the log does not answer."""
        logged = [one for one in self._log.read({partition: start}, limit, _WAIT) if one.offset < end]
        if not logged:
            return Read(start, [])
        batch = self._decoder.batch(0, {partition: start}, logged)
        lost = self._family.apply(cursor, batch, alone)
        unapplied = [
            Unapplied("poison", f"The record cannot be read: {one.trouble}.", one[0], one[1], None)
            for one in batch.poison
        ]
        unapplied += [_clash(one) for one in lost]
        if lost:
            self.forget()
        return Read(batch.cursor[partition], unapplied)


class _Decoder(Decoder):
    """Packs what is of the timeline alone."""

    def _contacts(self, events: Sequence[Any]) -> Packed:
        del events
        return pack(())

    def _quarters(self, events: Sequence[Any]) -> tuple[str, ...]:
        del events
        return ()

    def _has_new_code(self, refs: dict[bytes, str]) -> bool:
        del refs
        return False


class _Deriver(Deriver):
    """Derives what is of the timeline alone: whom events name."""

    def tells(self, type: str) -> bool:
        """No facts are wanted."""
        del type
        return False

    def works(self, type: str) -> bool:
        """No steps of work."""
        del type
        return False

    def figures(self, type: str) -> bool:
        """No rows of figures."""
        del type
        return False

    def refers(self, line: Line) -> bool:
        """No answers, no mentions."""
        del line
        return False

    def speaks(self, line: Line) -> bool:
        """No mentions."""
        del line
        return False

    def _adds(self, line: Line) -> bool:
        del line
        return False

    def _said(self, line: Line, anew: Anew | None) -> tuple[int, Any] | None:
        del line, anew
        return None


def _clash(one: Lost) -> Unapplied:
    detail = "Its name is taken by an event with other content; the first one accepted stays."
    return Unapplied("name-clash", detail, one.log_partition, one.log_offset, one.type)


def noted(state: str, unapplied: Sequence[Unapplied]) -> str:
    """The note of what could not be applied, with these."""
    if not unapplied:
        return state
    return json.dumps([*(json.loads(state) if state else []), *unapplied])


def parked_of(log: Log, state: str) -> Iterator[Parked]:
    """What was noted, as it is parked: with the records as they stand on the log. Raises Unavailable where the log
    does not give one of them, since nothing may be lost: the rebuild is gone on with later."""
    for row in json.loads(state) if state else []:
        one = Unapplied(*row)
        logged = _record_at(log, one.log_partition, one.log_offset)
        key = logged.key if one.reason == "poison" else b""
        yield Parked(one.reason, one.detail, one.log_partition, one.log_offset, key, logged.value, one.type)


def _record_at(log: Log, partition: int, offset: int) -> Logged:
    for _ in range(_LOOKS):
        for logged in log.read({partition: offset}, 1, _WAIT):
            if logged.offset == offset:
                return logged
    raise Unavailable(f"The log does not give the record at {partition}/{offset}, which it gave before.")
