"""What becomes of what cannot be applied? It is parked, sealed, with its reason; listed, counted, redriven.

A dead letter is sealed under the parking key of its day (AES-256-GCM, bound to its id and reason). In clear stand
only a reason code with a fixed sentence, where it came from and, if they are known ones, its source and type. What
exactly was wrong may name a field that the sender made up, so it is inside the seal, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.messages import events_of, reason_of
from commands.publishing import Publisher, Rights
from domain.errors import (
    BadInput,
    Erased,
    Forbidden,
    NotFound,
    Problem,
    StorylineError,
    Tampered,
    TooLarge,
    Unavailable,
    WrongMediaType,
)
from eventlog.keyring import Keyring
from eventlog.port import Entry, Log
from eventlog.record import decode
from eventlog.sql import load
from eventlog.tokens import Hasher

__all__ = ["REASONS", "DeadLetter", "Letter", "Parked", "Parking", "Unapplied"]

REASONS: Final = {
    "poison": "The record on the log cannot be read.",
    "name-clash": "An event of the same name with other content was accepted before; the first one stays.",
    "tampered": "A sealed part does not open: the record was altered.",
    "bad-input": "The event is not right.",
    "forbidden": "The channel is not bound to this source or type.",
    "too-large": "The message or event is larger than the limit.",
    "wrong-media-type": "The message is no CloudEvent.",
    "expired": "Messages were deleted from the inbox topic before they were read.",
}
"""Reason codes, and the sentence that stands for each in clear."""

_SQL = load("commands", "parking.sql")
_NONCE: Final = 12
_REFUSALS = (BadInput, Forbidden, TooLarge, WrongMediaType)


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


class DeadLetter(NamedTuple):
    """A dead letter as it is listed. Unsealed, `detail` says what exactly is wrong and `content` holds the text."""

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
    content: str | None = None


class Parked(NamedTuple):
    """How many wait, by (consumer, reason), and since when the oldest of all does."""

    counts: dict[tuple[str, str], int]
    oldest: datetime | None


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    """What is inside the seal."""

    kind: str
    detail: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Sealed).decode


def _now() -> datetime:
    return datetime.now(UTC)


class Parking:
    """Dead letters. Thread-safe; blocks on Postgres, the key store and, to redrive, the log.

    publisher, log: asked for only by `redrive`. rights: what the channel of an inbox topic may publish.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        keyring: Keyring,
        hasher: Callable[[], Hasher],
        *,
        publisher: Callable[[], Publisher],
        log: Callable[[], Log],
        rights: Callable[[str], Rights],
        clock: Callable[[], datetime] = _now,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._pool, self._keyring, self._hasher = pool, keyring, hasher
        self._publisher, self._log, self._rights = publisher, log, rights
        self._clock, self._random = clock, random

    def park(self, connection: psycopg.Connection, letters: Sequence[Letter]) -> None:
        """Park within the caller's transaction; what was parked before is left as it is."""
        if not letters:
            return
        now = self._clock()
        key_id = self._hasher().parking(now.astimezone(UTC).date().isoformat())
        key = self._keyring.make([key_id])[key_id]
        rows = []
        for letter in letters:
            letter_id = _id_of(letter)
            inside = _Sealed(letter.kind, letter.detail, letter.key, letter.value, letter.headers)
            row = {
                "id": letter_id,
                "consumer": letter.consumer,
                "reason": letter.reason,
                "detail": REASONS[letter.reason],
                "origin": letter.origin,
                "partition": letter.partition,
                "offset": letter.offset,
                "source": letter.source,
                "type": letter.type,
                "now": now,
                "key_id": UUID(key_id),
                "sealed": self._seal(key, inside, letter_id, letter.reason),
            }
            rows.append(row)
        with connection.cursor() as cursor:
            cursor.executemany(_SQL["park"], rows)

    def for_log(self, consumer: str, log_id: str) -> Callable[[psycopg.Connection, Sequence[Unapplied]], None]:
        """What a projector calls with the records of this log that it could not apply."""

        def park(connection: psycopg.Connection, records: Sequence[Unapplied]) -> None:
            self.park(connection, [_letter_of(consumer, log_id, record) for record in records])

        return park

    def park_many(self, letters: Sequence[Letter]) -> None:
        """Park in a transaction of their own."""
        self._run(lambda connection: self.park(connection, letters))

    def list(
        self, status: str | None = "parked", limit: int = 100, cursor: str | None = None, reason: str | None = None
    ) -> tuple[list[DeadLetter], str | None]:
        """(a page, oldest first; the cursor of the next page or None). A cursor is the id of the last one seen."""
        asked: dict[str, Any] = {"status": status, "reason": reason, "limit": limit + 1, "after": None}
        if cursor is not None:
            asked["after"] = _uuid(cursor)
        rows = self._run(lambda connection: connection.execute(_SQL["page"], asked).fetchall())
        letters = [_letter(row) for row in rows[:limit]]
        return letters, letters[-1].id if len(rows) > limit else None

    def parked(self) -> Parked:
        """How many wait, and since when; an alarm when that is long."""
        rows = self._run(lambda connection: connection.execute(_SQL["counts"]).fetchall())
        return Parked({(row[0], row[1]): row[2] for row in rows}, min((row[3] for row in rows), default=None))

    def count(self) -> int:
        """How many wait."""
        return sum(self.parked().counts.values())

    def show(self, letter_id: str, unseal: bool = False) -> DeadLetter:
        """One dead letter; with `unseal`, what exactly is wrong and the text of it. Raises NotFound, Erased."""
        row = self._run(lambda connection: self._read(connection, "read", letter_id))
        if not unseal:
            return _letter(row)
        inside = self._open(row)
        return _letter(row)._replace(detail=inside.detail, content=inside.value.decode("utf-8", "replace"))

    def redrive(self, letter_id: str) -> DeadLetter:
        """Try again: a record goes onto the log again, as it is; a message is checked and published again.

        What is refused again stays parked, with the reason of now. Repeats are harmless: names are deterministic.
        Raises NotFound, BadInput for one that is not parked, Unavailable where the log does not answer.
        """

        def settle(connection: psycopg.Connection) -> None:
            with connection.transaction():
                row = self._read(connection, "hold", letter_id)
                _must_be_parked(row)
                inside = self._open(row)
                try:
                    why = self._send(row.origin, inside)
                except _REFUSALS as error:
                    self._stay(connection, row, inside, error)
                    return
                change = {"id": row.id, "status": "redriven", "why": why, "now": self._clock()}
                connection.execute(_SQL["settle"], change)

        self._run(settle)
        return self.show(letter_id)

    def discard(self, letter_id: str, why: str) -> DeadLetter:
        """Give up on a dead letter, saying why (no personal data). Raises NotFound, BadInput."""
        if not why.strip() or len(why) > 500 or not why.isprintable():
            raise BadInput([Problem("why", "is empty, too long or not printable.", "Say why, in 1 to 500 letters.")])

        def settle(connection: psycopg.Connection) -> None:
            with connection.transaction():
                row = self._read(connection, "hold", letter_id)
                _must_be_parked(row)
                change = {"id": row.id, "status": "discarded", "why": why, "now": self._clock()}
                connection.execute(_SQL["settle"], change)

        self._run(settle)
        return self.show(letter_id)

    def _send(self, origin: str, inside: _Sealed) -> str:
        if inside.kind == "record":
            [position] = self._log().append([Entry(inside.key or _owner(inside.value), inside.value)])
            return f"again on the log at {position.partition}:{position.offset}"
        publisher = self._publisher()
        raw = events_of(inside.headers, inside.value)
        receipts = publisher.publish(raw, self._rights(origin))
        places = ", ".join(f"{one.position.partition}:{one.position.offset}" for one in receipts[:10])
        return f"published at {places}"

    def _stay(self, connection: psycopg.Connection, row: Any, inside: _Sealed, error: StorylineError) -> None:
        reason = reason_of(error)
        anew = msgspec.structs.replace(inside, detail=error.detail)
        key = self._keyring.keys([row.key_id.hex])[row.key_id.hex]
        if key is None:
            raise Erased("The parking key of this dead letter was destroyed.")
        change = {
            "id": row.id,
            "reason": reason,
            "detail": REASONS[reason],
            "sealed": self._seal(key, anew, row.id, reason),
            "now": self._clock(),
            "why": "refused again",
        }
        connection.execute(_SQL["stay"], change)

    def _seal(self, key: AESGCM, inside: _Sealed, letter_id: UUID, reason: str) -> bytes:
        nonce = self._random(_NONCE)
        return nonce + key.encrypt(nonce, _encode(inside), _bound_to(letter_id, reason))

    def _open(self, row: Any) -> _Sealed:
        key = self._keyring.keys([row.key_id.hex])[row.key_id.hex]
        if key is None:
            raise Erased("The parking key of this dead letter was destroyed.")
        sealed = bytes(row.sealed)
        try:
            return _decode(key.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound_to(row.id, row.reason)))
        except (InvalidTag, ValueError, msgspec.DecodeError):
            raise Tampered("The dead letter does not open: it or its reason was altered.") from None

    def _read(self, connection: psycopg.Connection, query: str, letter_id: str) -> Any:
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            row = cursor.execute(_SQL[query], {"id": _uuid(letter_id)}).fetchone()
        if row is None:
            raise NotFound("There is no dead letter of that id.")
        return row

    def _run(self, use: Callable[[psycopg.Connection], Any]) -> Any:
        try:
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of the dead letters does not answer ({type(error).__name__}).") from None


def _letter_of(consumer: str, log_id: str, record: Unapplied) -> Letter:
    place = (record.log_partition, record.log_offset)
    return Letter(
        consumer, record.reason, record.detail, "record", log_id, *place, record.value, record.key, type=record.type
    )


def _owner(value: bytes) -> bytes:
    """The key that a readable record was appended under."""
    return decode(value).head.owner.encode()


def _id_of(letter: Letter) -> UUID:
    """A hash of where it came from, so that the same trouble met twice is parked once."""
    place = msgspec.json.encode((letter.kind, letter.origin, letter.partition, letter.offset, letter.item))
    return UUID(bytes=blake2b(place, digest_size=16, person=b"storyline.letter").digest())


def _bound_to(letter_id: UUID, reason: str) -> bytes:
    return letter_id.bytes + reason.encode()


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no dead letter of that id.") from None


def _letter(row: Any) -> DeadLetter:
    return DeadLetter(str(row[0]), *row[1:13])


def _must_be_parked(row: Any) -> None:
    if row.status != "parked":
        trouble = f"is {row.status} already."
        raise BadInput([Problem("id", trouble, "Only what is parked can be redriven or discarded.")])
