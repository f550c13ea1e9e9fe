"""How are dead letters tried again, many at once, so that a bad one stops none of the others?

A record goes onto the log as it is, if this release can read it and its name is free; a message is checked with the
rights of its channel and published. What is appended twice, after a crash, is a repeat, and harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from commands.letters import Inside
from commands.messages import events_of, reason_of
from commands.publishing import Publisher, Rights
from domain.errors import BadInput, Forbidden, Poison, SealError, StorylineError, TooLarge, WrongMediaType
from domain.event import Event
from eventlog.port import Entry, Log
from eventlog.record import Head, decode

__all__ = ["Outcome", "Ready", "Refusal", "Trial"]

REFUSALS: Final = (BadInput, Forbidden, TooLarge, WrongMediaType)
_EVENTS_AT_ONCE: Final = 1000


class Refusal(NamedTuple):
    """Why a letter stays. reason: the code of now, or None where it is the one of before. detail: a sentence, which
    goes inside the seal. why: a sentence for the list, without anything that was sent."""

    reason: str | None
    detail: str
    why: str


class Ready(NamedTuple):
    """A letter that may go: its row, and what goes onto the log."""

    row: Any
    inside: Inside
    entry: Entry | None
    events: Sequence[Event]
    head: Head | None = None

    @property
    def size(self) -> int:
        """How many records it makes."""
        return 1 if self.entry is not None else len(self.events)


class Outcome(NamedTuple):
    """What became of one: where it stands now, or why it stays."""

    row: Any
    inside: Inside | None
    why: str
    refusal: Refusal | None = None


def refusal_of(error: StorylineError) -> Refusal:
    """Why an error makes a letter stay."""
    if isinstance(error, SealError):
        return Refusal(None, error.detail, "its seal, or a key that it needs, does not open")
    return Refusal(reason_of(error), error.detail, "refused again")


@dataclass(frozen=True)
class Trial:
    """One try with the means of now. `trouble`: why a record cannot be read by this release's projector, or None."""

    publisher: Callable[[], Publisher]
    log: Callable[[], Log]
    rights: Callable[[str], Rights]
    trouble: Callable[[bytes], str | None]

    def prepare(self, row: Any, inside: Inside) -> Ready | Refusal:
        """Check one letter; never raises for what is in it."""
        if row.reason == "expired":
            return Refusal(None, inside.detail, "the messages are gone; publish them again from their source")
        try:
            if inside.kind == "record":
                return self._record(row, inside)
            raw = events_of(inside.headers, inside.value)
            return Ready(row, inside, None, self.publisher().check(raw, self.rights(row.origin)))
        except REFUSALS as error:
            return refusal_of(error)
        except SealError as error:
            return refusal_of(error)

    def _record(self, row: Any, inside: Inside) -> Ready | Refusal:
        trouble = self.trouble(inside.value)
        if trouble is not None:
            return Refusal("poison", f"The record cannot be read: {trouble}.", "this release cannot read it either")
        try:
            head = decode(inside.value).head
        except Poison as error:
            return Refusal("poison", error.detail, "this release cannot read it either")
        entry = Entry(inside.key or head.owner.encode(), inside.value)
        return Ready(row, inside, entry, (), head)

    def send(self, ready: Sequence[Ready]) -> list[Outcome]:
        """Append all; where one is refused it alone stays. Raises Unavailable, after which any may be on the log."""
        found: list[Outcome] = []
        group: list[Ready] = []
        for one in ready:
            if group and sum(other.size for other in group) + one.size > _EVENTS_AT_ONCE:
                found += self._append(group)
                group = []
            group.append(one)
        return found + self._append(group)

    def _append(self, group: Sequence[Ready]) -> list[Outcome]:
        if not group:
            return []
        try:
            return self._records([one for one in group if one.entry is not None]) + self._messages(
                [one for one in group if one.entry is None]
            )
        except (*REFUSALS, SealError) as error:
            if len(group) == 1:
                return [Outcome(group[0].row, group[0].inside, "", refusal_of(error))]
        middle = len(group) // 2
        return self._append(group[:middle]) + self._append(group[middle:])

    def _records(self, group: Sequence[Ready]) -> list[Outcome]:
        positions = self.log().append([one.entry for one in group if one.entry is not None]) if group else []
        return [
            Outcome(one.row, one.inside, f"again on the log at {position.partition}:{position.offset}")
            for one, position in zip(group, positions, strict=True)
        ]

    def _messages(self, group: Sequence[Ready]) -> list[Outcome]:
        receipts = iter(self.publisher().append([event for one in group for event in one.events]))
        found = []
        for one in group:
            mine = [next(receipts).position for _ in one.events]
            places = ", ".join(f"{place.partition}:{place.offset}" for place in mine[:10])
            found.append(Outcome(one.row, one.inside, f"published at {places}"))
        return found
