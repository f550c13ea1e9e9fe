"""What was sent, and what was answered? The only memory that the oracle trusts; no code of the product is in it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

__all__ = ["Ack", "Ledger", "Place", "Sent"]

Place = tuple[int, int]
"""(partition, offset)"""


class Ack(NamedTuple):
    """One acknowledged append: where it stands, and between which moments it was asked for and answered."""

    place: Place
    mark: str
    began: float
    ended: float


@dataclass(slots=True)
class Sent:
    """One event that was sent, once or more.

    mark: stands in clear in the record, so that the event is recognised without any key. kind: `good`; `bad`, which
    must be refused; `clash`, the name of another with other content. state: `unclear` until there is an answer.
    places: where the log is said to have it. message: place on the inbox topic.
    """

    mark: str
    kind: Literal["good", "bad", "clash"]
    person: str
    ref: str | None
    state: Literal["unclear", "acknowledged", "refused"] = "unclear"
    places: list[Place] = field(default_factory=list)
    message: Place | None = None


class Ledger:
    """All that was sent. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.sent: dict[str, Sent] = {}
        self.acks: list[Ack] = []
        self.requests: list[list[Place]] = []
        """The places of each acknowledged request, in the order of its events."""
        self._tops: dict[int, int] = {}
        self._inbox_tops: dict[int, int] = {}
        self.answers: Counter[str] = Counter()
        """How often each kind of answer came: a status, or the name of an error."""

    def add(self, sent: Sent) -> None:
        """Something is about to be sent for the first time."""
        with self._lock:
            self.sent[sent.mark] = sent

    def acknowledge(self, marks: list[str], places: list[Place], began: float, ended: float) -> None:
        """The log is said to hold these, at these places."""
        with self._lock:
            self.requests.append(places)
            for mark, place in zip(marks, places, strict=True):
                one = self.sent[mark]
                one.state = "acknowledged"
                one.places.append(place)
                self.acks.append(Ack(place, mark, began, ended))
                self._tops[place[0]] = max(place[1], self._tops.get(place[0], -1))

    def delivered(self, marks: list[str], message: Place) -> None:
        """The inbox topic is said to hold these events, in one message."""
        with self._lock:
            for mark in marks:
                self.sent[mark].state = "acknowledged"
                self.sent[mark].message = message
            self._inbox_tops[message[0]] = max(message[1], self._inbox_tops.get(message[0], -1))

    def refuse(self, marks: list[str]) -> None:
        """These were refused for good. What was acknowledged before stays so."""
        with self._lock:
            for mark in marks:
                if self.sent[mark].state == "unclear":
                    self.sent[mark].state = "refused"

    def answered(self, what: str) -> None:
        """Count an answer."""
        with self._lock:
            self.answers[what] += 1

    def tops(self) -> tuple[dict[int, int], dict[int, int]]:
        """(last acknowledged offset of each partition of the log, of the inbox topic)"""
        with self._lock:
            return dict(self._tops), dict(self._inbox_tops)

    def count(self, state: str) -> int:
        """How many events are in this state."""
        with self._lock:
            return sum(one.state == state for one in self.sent.values())

    def acknowledgements(self) -> int:
        """How many appends were acknowledged so far, on either way."""
        with self._lock:
            return len(self.acks)
