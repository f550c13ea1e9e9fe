"""The inbox: moves what channels publish straight to Kafka from their topics onto the log.

Any number of processes share the partitions of all bound `inbox.CHANNEL` topics by leases. An event is checked as at
the door, with its channel's rights; what is good is sealed and appended, what is bad is parked sealed, and then the
positions move, in Postgres, by compare-and-set. A crash in between repeats events, and so does a process that was
frozen and wakes up; that is harmless: their names are deterministic.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from commands.channels import Channels
from commands.messages import STRUCTURED, event_bytes, events_of, reason_of
from commands.parking import Letter, Parking
from commands.publishing import Publisher, Rights
from consumers.inbox_topics import InboxTopics, Message
from consumers.seat import Heartbeat
from domain.errors import BadInput, Fenced, Forbidden, SealError, TooLarge, Unavailable, WrongMediaType
from domain.event import Event
from projections.connecting import KEEPALIVE
from projections.leases import Held, Seat
from projections.positions import Positions

__all__ = ["Inbox", "InboxMetrics"]

_CONSUMER = "inbox"
_LONGEST_PAUSE = 10.0
_REFUSALS = (BadInput, Forbidden, TooLarge, WrongMediaType)
_EVENTS_AT_ONCE = 1000
_logger = structlog.get_logger("storyline.inbox")


class InboxMetrics:
    """What an operator sees of the inbox, in Prometheus' form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.moved = Counter("storyline_inbox_events", "Events moved onto the log", ["topic"], registry=registry)
        self.parked = Counter(
            "storyline_inbox_parked", "Events and messages parked", ["topic", "reason"], registry=registry
        )
        self.lag = Gauge("storyline_inbox_lag", "Messages not moved yet", ["topic", "partition"], registry=registry)
        self.troubles = Counter("storyline_inbox_troubles", "Interruptions", ["kind"], registry=registry)
        self.held = Gauge("storyline_inbox_partitions", "Partitions that this inbox holds", registry=registry)


class _Sorted(NamedTuple):
    """A poll, sorted: what goes onto the log, each with its message's place, and what is parked."""

    events: list[Event]
    places: list[tuple[Message, int, bytes]]
    letters: list[Letter]


@dataclass
class Inbox:
    """One inbox. `run` blocks until `stop` is set. `ready`: it has a seat, and all is well; one without a partition
    stands by. log_url tells where Kafka is, how to log in, and how many copies a new topic has. lease: seconds unseen
    after which the others take its partitions."""

    dsn: str
    log_url: str
    channels: Channels
    publisher: Publisher
    parking: Parking
    registry: CollectorRegistry
    retention_days: int = 7
    partitions: int = 4
    lease: float = 10.0
    batch: int = 500
    before_move: Callable[[], None] = lambda: None
    held: dict[str, list[int]] = field(init=False, default_factory=dict)
    _heartbeat: Heartbeat | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.metrics = InboxMetrics(self.registry)

    @property
    def ready(self) -> bool:
        """Whether it has a seat."""
        heartbeat = self._heartbeat
        return heartbeat is not None and heartbeat.fresh

    def run(self, stop: threading.Event) -> None:
        """Move events until `stop` is set. Raises LogDamaged when a topic ends before our position."""
        pause = 0.1
        while not stop.is_set():
            try:
                self._take_part(stop)
                pause = 0.1
            except (Unavailable, Fenced, SealError, psycopg.Error) as error:
                kind = type(error).__name__.lower()
                self.metrics.troubles.labels(kind).inc()
                _logger.warning("inbox.trouble", kind=kind, detail=getattr(error, "detail", kind))
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _take_part(self, stop: threading.Event) -> None:
        """Join the others, move what stands in a fair share of the partitions, leave."""
        names = self.channels.topics
        with InboxTopics.open(self.log_url, names, self.retention_days, self.partitions) as topics:
            units = {topics.ids[topic]: topics.partitions[topic] for topic in names}
            seat = Seat(_CONSUMER, units, self.lease)
            with psycopg.connect(
                self.dsn,
                autocommit=True,
                connect_timeout=5,
                application_name=seat.application_name,
                options="-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s",
                **KEEPALIVE,
            ) as connection:
                try:
                    with Heartbeat(self.dsn, seat) as heartbeat:
                        self._heartbeat = heartbeat
                        self._serve(connection, topics, seat, heartbeat, stop)
                finally:
                    self._heartbeat = None
                    self._note_held({})
                    with contextlib.suppress(psycopg.Error):
                        seat.leave(connection)

    def _serve(
        self,
        connection: psycopg.Connection,
        topics: InboxTopics,
        seat: Seat,
        heartbeat: Heartbeat,
        stop: threading.Event,
    ) -> None:
        positions = {topic: Positions(_CONSUMER, topics.ids[topic]) for topic in self.channels.topics}
        cursor: dict[tuple[str, int], int] = {}
        while not stop.is_set():
            if heartbeat.due():
                cursor = _hold(seat.settle(connection), topics, positions)
                self._skip_expired(connection, topics, positions, cursor)
                topics.assign(cursor)
                self._note_held(cursor)
            if not cursor:
                heartbeat.wait(0.5)
                continue
            polled = topics.poll(self.batch, 0.5)
            if polled:
                self._move(connection, positions, cursor, polled)
            for (topic, partition), lag in topics.lags(cursor).items():
                self.metrics.lag.labels(topic, partition).set(lag)

    def _note_held(self, cursor: Mapping[tuple[str, int], int]) -> None:
        self.held = {topic: sorted(part for name, part in cursor if name == topic) for topic, _ in cursor}
        self.metrics.held.set(len(cursor))
        self.metrics.lag.clear()
        told = "; ".join(f"{topic}: {','.join(map(str, held))}" for topic, held in sorted(self.held.items()))
        _logger.info("inbox.holds", partitions=told)  # plain: a log line takes nothing else

    def _move(
        self,
        connection: psycopg.Connection,
        positions: Mapping[str, Positions],
        cursor: dict[tuple[str, int], int],
        polled: Sequence[Message],
    ) -> None:
        """Append what is good, park what is bad, and only then move the positions."""
        ready = self._sort(polled)
        letters = list(ready.letters)
        for start in range(0, len(ready.events), _EVENTS_AT_ONCE):
            part = slice(start, start + _EVENTS_AT_ONCE)
            letters += self._append(ready.events[part], ready.places[part])
        ends = {(message.topic, message.partition): message.offset + 1 for message in polled}
        self.before_move()
        with connection.transaction():
            self.parking.park(connection, letters)
            for topic in sorted({topic for topic, _ in ends}):
                mine = [place for place in ends if place[0] == topic]
                start_at = {place[1]: cursor[place] for place in mine}
                positions[topic].move(connection, start_at, {place[1]: ends[place] for place in mine})
        cursor.update(ends)
        self._count(ready, letters)

    def _sort(self, polled: Iterable[Message]) -> _Sorted:
        ready = _Sorted([], [], [])
        for message in polled:
            try:
                raw = events_of(message.headers, message.value)
            except _REFUSALS as error:
                ready.letters.append(_letter(message, error, 0, message.value or b"", message.headers))
                continue
            rights = self.channels.rights_of(message.topic)
            for item, one in enumerate(raw):
                self._judge(ready, message, item, one, rights)
        return ready

    def _judge(self, ready: _Sorted, message: Message, item: int, raw: Any, rights: Rights) -> None:
        """Check one event by itself, so that a bad one never holds up the rest."""
        text = event_bytes(raw)
        try:
            [event] = self.publisher.check([raw], rights)
        except _REFUSALS as error:
            ready.letters.append(_letter(message, error, item, text, _AS_STRUCTURED))
            return
        ready.events.append(event)
        ready.places.append((message, item, text))

    def _append(self, events: Sequence[Event], places: Sequence[tuple[Message, int, bytes]]) -> list[Letter]:
        """Append events; those whose record is too large come back as letters."""
        try:
            self.publisher.append(events)
            return []
        except (BadInput, TooLarge) as error:
            if len(events) == 1:
                message, item, text = places[0]
                return [_letter(message, error, item, text, _AS_STRUCTURED)]
        middle = len(events) // 2
        return self._append(events[:middle], places[:middle]) + self._append(events[middle:], places[middle:])

    def _skip_expired(
        self,
        connection: psycopg.Connection,
        topics: InboxTopics,
        positions: Mapping[str, Positions],
        cursor: dict[tuple[str, int], int],
    ) -> None:
        """Where retention was faster than we were, say so by a dead letter, and go on with what is left."""
        for (topic, partition), first in topics.beginnings(cursor).items():
            wanted = cursor[topic, partition]
            if wanted >= first:
                continue
            detail = f"Messages {wanted} to {first - 1} of partition {partition} had expired. Publish them again."
            value = detail.encode()
            letter = Letter(_CONSUMER, "expired", detail, "message", topic, partition, wanted, value)
            with connection.transaction():
                if wanted:
                    self.parking.park(connection, [letter])
                    self.metrics.parked.labels(topic, "expired").inc()
                    _logger.error("inbox.expired", topic=topic, partition=partition, count=first - wanted)
                positions[topic].move(connection, {partition: wanted}, {partition: first})
            cursor[topic, partition] = first

    def _count(self, ready: _Sorted, letters: Sequence[Letter]) -> None:
        for message, _, _ in ready.places:
            self.metrics.moved.labels(message.topic).inc()
        offsets: dict[tuple[str, int, str], list[int]] = {}
        for letter in letters:
            self.metrics.parked.labels(letter.origin, letter.reason).inc()
            offsets.setdefault((letter.origin, letter.partition, letter.reason), []).append(letter.offset)
        for (topic, partition, reason), found in offsets.items():  # one line each, however much of it is wrong
            _logger.warning("inbox.parked", topic=topic, partition=partition, offset=found[0], reason=reason,
                            count=len(found))  # fmt: skip


def _hold(
    held: Iterable[Held], topics: InboxTopics, positions: Mapping[str, Positions]
) -> dict[tuple[str, int], int]:
    """Take note of what we hold; gives where to go on."""
    topic_of = {log_id: topic for topic, log_id in topics.ids.items()}
    cursor = {}
    for one in positions.values():
        one.epochs = {}
    for one_held in held:
        topic = topic_of.get(one_held.log_id)
        if topic is not None:
            positions[topic].epochs[one_held.partition] = one_held.epoch
            cursor[topic, one_held.partition] = one_held.offset
    return cursor


_AS_STRUCTURED = (("content-type", STRUCTURED.encode()),)


def _letter(
    message: Message, error: BadInput | Forbidden | TooLarge | WrongMediaType, item: int, value: bytes, headers: Any
) -> Letter:
    return Letter(
        consumer=_CONSUMER,
        reason=reason_of(error),
        detail=error.detail,
        kind="message",
        origin=message.topic,
        partition=message.partition,
        offset=message.offset,
        value=value,
        key=message.key or b"",
        headers=tuple(headers),
        item=item,
    )
