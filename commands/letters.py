"""What is a dead letter? What stands of it in clear, what is inside its seal, why it waits and what to do about it.

A dead letter is sealed under the parking key of its day (AES-256-GCM, bound to its id and reason). In clear stand
only a reason code with a fixed sentence, where it came from and, if they are known ones, its source and type. What
exactly was wrong may name a field that the sender made up, so it is inside the seal, too.
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commands.messages import events_of
from commands.publishing import Rights
from domain.catalogue.registry import Catalogue
from domain.errors import StorylineError, Tampered

__all__ = [
    "REASONS",
    "REMEDIES",
    "DeadLetter",
    "Inside",
    "Kind",
    "Letter",
    "Parked",
    "Settled",
    "Step",
    "Unapplied",
    "Waiting",
    "id_of",
    "known_names",
    "open_letter",
    "seal_letter",
]

REASONS: Final = {
    "poison": "The record on the log cannot be read.",
    "name-clash": "An event of the same name with other content was accepted before; the first one stays.",
    "bad-input": "The event is not right.",
    "unknown-type": "The event's type, or the version of it that it pins, is not in the catalogue.",
    "forbidden": "The channel is not bound to this source or type.",
    "too-large": "The message or event is larger than the limit.",
    "wrong-media-type": "The message is no CloudEvent.",
    "expired": "Messages were deleted from the inbox topic before they were read.",
}
"""Reason codes, and the sentence that stands for each in clear."""

REMEDIES: Final = {
    "poison": "If a newer release reads such records, upgrade and redrive. Otherwise look into one with --unseal, "
    "find out who writes to the log beside Storyline, and discard.",
    "name-clash": "A redrive cannot help: the name is taken. Have the channel send the change under a new id, or as "
    "event.amended, then discard.",
    "bad-input": "Look into one with --unseal: it says which field. Mend the type (an upcaster, a wider schema) and "
    "redrive, or correct a single event with redrive --with; tell the channel.",
    "unknown-type": "Register the type, or its newer version, in STORYLINE_TYPES_DIR, restart, and redrive.",
    "forbidden": "If the channel may publish this, bind its source and type in STORYLINE_CHANNELS_FILE, restart and "
    "redrive; if not, discard.",
    "too-large": "Have the channel send smaller events, large parts as attachments by reference; then discard, or "
    "correct this one with redrive --with.",
    "wrong-media-type": "Have the channel send CloudEvents; then discard, or correct this one with redrive --with.",
    "expired": "These messages are gone from Kafka. Publish them again from their source, then discard. Give the "
    "topic a longer retention, or the inbox more room.",
}
"""What an operator is told to do about each reason."""

_NONCE: Final = 12
_KNOWN_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+){1,5}")
_KNOWN_SOURCE: Final = re.compile(r"[^\x00-\x20\x7f@]{1,200}")


class Letter(NamedTuple):
    """What is to be parked.

    kind: `record` (bytes of our own log, with their key) or `message` (of an inbox topic, with its headers).
    origin: log id or topic. item: index of the event within its message. detail: what is wrong, a sentence.
    source, type: given only where they are known ones, as they stand in clear.
    """

    consumer: str
    reason: str
    detail: str
    kind: str
    origin: str
    partition: int
    offset: int
    value: bytes
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    source: str | None = None
    type: str | None = None
    item: int = 0


class Unapplied(Protocol):
    """A record of our own log that could not be applied; `type` is None where it cannot be read."""

    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def log_partition(self) -> int: ...
    @property
    def log_offset(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...
    @property
    def type(self) -> str | None: ...


class Step(NamedTuple):
    """What was done with a dead letter: `unsealed`, `stayed` (tried in vain), `redriven`, `amended`, `discarded`.

    by: `cli`, or the id of an API key, whose label stands beside it. why: never the content.
    """

    at: datetime
    did: str
    by: str
    label: str | None
    why: str | None


class DeadLetter(NamedTuple):
    """A dead letter as it is listed. Shown by itself it has its history; unsealed, `detail` says what exactly is
    wrong and `content` holds the text. kind: the id that letters with one cause and one remedy share."""

    id: str
    consumer: str
    reason: str
    detail: str
    origin: str
    partition: int | None
    offset: int | None
    source: str | None
    type: str | None
    parked_at: datetime
    status: str
    status_at: datetime
    status_why: str | None
    status_by: str | None
    kind: str
    content: str | None = None
    history: tuple[Step, ...] = ()


class Kind(NamedTuple):
    """Letters with one cause and one remedy: how many wait, since when, why, and what to do about them.

    letters, overdue: exact up to a bound (`Parking.MOST`), which means "that many or more".
    """

    id: str
    consumer: str
    reason: str
    detail: str
    remedy: str
    origin: str
    type: str | None
    oldest: datetime
    newest: datetime
    letters: int
    overdue: int


class Waiting(NamedTuple):
    """How many wait, since when the oldest does, and how many of them longer than the alarm's time."""

    letters: int
    oldest: datetime
    overdue: int


class Parked(NamedTuple):
    """Who waits, by (consumer, reason)."""

    waiting: dict[tuple[str, str], Waiting]

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """How many."""
        return {of: one.letters for of, one in self.waiting.items()}

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest of all waits."""
        return min((one.oldest for one in self.waiting.values()), default=None)


class Settled(NamedTuple):
    """What one step of a walk over many letters came to.

    settled: redriven or discarded now. stayed: tried, and refused again. remaining: of these still parked, counted
    up to a bound. next: the cursor to go on with, None at the end of the walk.
    """

    settled: int
    stayed: int
    remaining: int
    next: str | None


class Inside(msgspec.Struct, frozen=True, array_like=True):
    """What is inside the seal."""

    kind: str
    detail: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    def event(self) -> dict[str, Any] | None:
        """The one event that it holds, as it was sent; None where it cannot be read, or there are several."""
        try:
            raw = events_of(self.headers, self.value) if self.kind == "message" else []
        except StorylineError:
            return None
        return raw[0] if len(raw) == 1 and isinstance(raw[0], dict) else None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Inside).decode


def id_of(letter: Letter) -> UUID:
    """A hash of where it came from, so that the same trouble met twice is parked once; and of the bytes of a record,
    since a log that lost its end and grew again has others at the same places."""
    place = msgspec.json.encode((letter.kind, letter.origin, letter.partition, letter.offset, letter.item))
    record = letter.value if letter.kind == "record" else b""
    return UUID(bytes=blake2b(place + record, digest_size=16, person=b"storyline.letter").digest())


def seal_letter(key: AESGCM, nonce: bytes, inside: Inside, letter_id: UUID, reason: str) -> bytes:
    """The sealed bytes, bound to the letter's id and reason. nonce: 12 random bytes."""
    return nonce + key.encrypt(nonce, _encode(inside), _bound_to(letter_id, reason))


def open_letter(key: AESGCM, sealed: bytes, letter_id: UUID, reason: str) -> Inside:
    """The inverse. Raises Tampered."""
    try:
        return _decode(key.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(letter_id, reason)))
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise Tampered("The dead letter does not open: it or its reason was altered.") from None


def _bound_to(letter_id: UUID, reason: str) -> bytes:
    return letter_id.bytes + reason.encode("ascii")


def known_names(raw: dict[str, Any] | None, rights: Rights | None, catalogue: Catalogue) -> tuple[Any, Any]:
    """(source, type) of an event that was refused, each only if it may stand in clear: a type of the catalogue, or
    what the channel's binding names (not by a mere `*`); None else, because a sender may have made it up."""
    if raw is None:
        return None, None
    bound = rights or Rights((), ())
    source, event_type = raw.get("source"), raw.get("type")
    good_source = isinstance(source, str) and _KNOWN_SOURCE.fullmatch(source) and _named(source, bound.sources)
    good_type = isinstance(event_type, str) and (
        event_type in catalogue or (_KNOWN_TYPE.fullmatch(event_type) and _named(event_type, bound.types))
    )
    return source if good_source else None, event_type if good_type else None


def _named(value: str, patterns: tuple[str, ...]) -> bool:
    return any(
        value == pattern or (len(pattern) > 1 and pattern.endswith("*") and value.startswith(pattern[:-1]))
        for pattern in patterns
    )
