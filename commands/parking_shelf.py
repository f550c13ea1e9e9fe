"""Where do dead letters lie, and how are they read? Parked once, sealed; listed, counted by kind, shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

import psycopg
import structlog
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.letters import (
    REASONS,
    REMEDIES,
    DeadLetter,
    Inside,
    Kind,
    Letter,
    Parked,
    Step,
    Unapplied,
    Waiting,
    id_of,
    known_names,
    open_letter,
    seal_letter,
)
from commands.publishing import Publisher, Rights
from domain.errors import BadInput, Erased, Forbidden, NotFound, Poison, Problem, Unavailable
from eventlog.keyring import Keyring
from eventlog.record import decode
from eventlog.sql import load
from eventlog.tokens import Hasher

__all__ = ["SQL", "Shelf", "letter_id_of", "reason_code"]

SQL: Final = load("commands", "parking.sql")
_NONCE: Final = 12
_FIRST: Final = UUID(int=0)
_ALL: Final = 2**62
_SPARED_DAYS: Final = 1
_CODE: Final = re.compile(r"[a-z-]{1,64}")
_logger = structlog.get_logger("storyline.dead_letters")


class Shelf:
    """Dead letters at rest. Thread-safe; blocks on Postgres and the key store.

    publisher: for its catalogue. rights: what the channel of an inbox topic may publish. alarm: how long a letter may
    wait before it is overdue.
    """

    MOST: ClassVar[int] = 100_000
    """Up to how many letters of a kind are counted; beyond, "that many or more"."""

    def __init__(
        self,
        pool: ConnectionPool,
        keyring: Keyring,
        hasher: Callable[[], Hasher],
        *,
        publisher: Callable[[], Publisher],
        rights: Callable[[str], Rights],
        alarm: timedelta = timedelta(hours=24),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._pool, self._keyring, self._hasher = pool, keyring, hasher
        self._publisher, self._rights, self.alarm = publisher, rights, alarm
        self._clock, self._random = clock, random

    def park(self, connection: psycopg.Connection, letters: Sequence[Letter]) -> None:
        """Park within the caller's transaction; what was parked before is left as it is."""
        if not letters:
            return
        now = self._clock().astimezone(UTC)
        key_id = self._hasher().parking(now.date().isoformat())
        key = self._keyring.make([key_id])[key_id]
        rows = []
        for letter in letters:
            letter_id = id_of(letter)
            inside = Inside(letter.kind, letter.detail, letter.key, letter.value, letter.headers)
            source, event_type = self._names(letter, inside)
            row = {
                "id": letter_id,
                "consumer": letter.consumer,
                "reason": letter.reason,
                "detail": REASONS[letter.reason],
                "origin": letter.origin,
                "partition": letter.partition,
                "offset": letter.offset,
                "source": source,
                "type": event_type,
                "now": now,
                "key_id": UUID(key_id),
                "sealed": seal_letter(key, self._random(_NONCE), inside, letter_id, letter.reason),
            }
            rows.append(row)
        with connection.cursor() as cursor:
            cursor.execute(SQL["note_key"], {"key_id": UUID(key_id), "day": now.date()})
            cursor.executemany(SQL["park"], rows)

    def for_log(self, consumer: str, log_id: str) -> Callable[[psycopg.Connection, Sequence[Unapplied]], None]:
        """What a projector calls with the records of this log that it could not apply."""

        def park(connection: psycopg.Connection, records: Sequence[Unapplied]) -> None:
            self.park(connection, [_letter_of(consumer, log_id, record) for record in records])

        return park

    def park_many(self, letters: Sequence[Letter]) -> None:
        """Park in a transaction of their own."""

        def within(connection: psycopg.Connection) -> None:
            with connection.transaction():
                self.park(connection, letters)

        self._run(within)

    def list(
        self,
        status: str | None = "parked",
        limit: int = 100,
        cursor: str | None = None,
        reason: str | None = None,
        kind: str | None = None,
    ) -> tuple[Sequence[DeadLetter], str | None]:
        """(a page, oldest first; the cursor of the next page or None). A cursor is the id of the last one seen."""
        asked: dict[str, Any] = {"status": status, "reason": reason_code(reason), "limit": limit + 1}
        asked["kind"] = None if kind is None else letter_id_of(kind)
        asked["after"] = None if cursor is None else letter_id_of(cursor)
        # Planned for these very values each time: else no plan could use an index of what is parked only.
        rows = self._run(lambda connection: connection.execute(SQL["page"], asked, prepare=False).fetchall())
        letters = [_shown(row) for row in rows[:limit]]
        return letters, letters[-1].id if len(rows) > limit else None

    def kinds(self, limit: int = 100, cursor: str | None = None) -> tuple[Sequence[Kind], str | None]:
        """(a page of the kinds that wait, oldest letter first; the cursor of the next page or None)."""
        kinds, following = self._kinds(limit, cursor, self.MOST)
        return sorted(kinds, key=lambda kind: (kind.oldest, kind.id)), following

    def parked(self) -> Parked:
        """How many wait by consumer and reason, since when, and how many are overdue; all are counted."""
        waiting: dict[tuple[str, str], Waiting] = {}
        cursor: str | None = None
        while True:
            kinds, cursor = self._kinds(1000, cursor, _ALL)
            for kind in kinds:
                one = waiting.get((kind.consumer, kind.reason), Waiting(0, kind.oldest, 0))
                waiting[kind.consumer, kind.reason] = Waiting(
                    one.letters + kind.letters, min(one.oldest, kind.oldest), one.overdue + kind.overdue
                )
            if cursor is None:
                return Parked(waiting)

    def count(self) -> int:
        """How many wait."""
        return sum(self.parked().counts.values())

    def show(self, letter_id: str, unseal: bool = False, by: str = "cli") -> DeadLetter:
        """One dead letter with its history; with `unseal`, what exactly is wrong and the text of it.

        Each unsealing goes on record with who did it, `by` (an API key's id). Raises NotFound; Erased where the
        content is gone, because the letter was settled or its key destroyed.
        """

        def read(connection: psycopg.Connection) -> DeadLetter:
            row = self._read(connection, "read", letter_id)
            steps = connection.execute(SQL["history"], {"id": row.id}).fetchall()
            shown = _shown(row)._replace(history=tuple([Step(*step) for step in steps]))
            if not unseal:
                return shown
            inside = self._open(row)
            self._note(connection, row.id, "unsealed", by, None)
            _logger.info("dead_letters.unsealed", id=shown.id, by=by)
            return shown._replace(detail=inside.detail, content=inside.value.decode("utf-8", "replace"))

        shown: DeadLetter = self._run(read)
        return shown

    def forget_days(self) -> int:
        """Destroy the parking keys of past days of which nothing waits any more; gives how many.

        So what was settled cannot be read out of a backup either. The last day is spared: a clock may be slow.
        """
        now = self._clock().astimezone(UTC)

        def destroy(connection: psycopg.Connection) -> int:
            before = now.date() - timedelta(days=_SPARED_DAYS)
            spent = [row[0] for row in connection.execute(SQL["spent_keys"], {"before": before}).fetchall()]
            if spent:
                self._keyring.destroy([key_id.hex for key_id in spent])
                connection.execute(SQL["keys_destroyed"], {"ids": spent, "now": now})
            return len(spent)

        return int(self._run(destroy))

    def purge(self, before: datetime) -> int:
        """Forget what was settled before a moment, its history with it; gives how many. What waits stays."""
        gone = 0

        def some(connection: psycopg.Connection) -> int:
            return connection.execute(SQL["purge"], {"before": before, "limit": 1000}).rowcount

        while count := self._run(some):
            gone += count
        return gone

    def _kinds(self, limit: int, cursor: str | None, most: int) -> tuple[Sequence[Kind], str | None]:
        """A page of kinds in the order of their ids, each counted up to `most`."""
        asked = {
            "after": _FIRST if cursor is None else letter_id_of(cursor),
            "limit": limit + 1,
            "most": most,
            "overdue": self._clock() - self.alarm,
        }
        rows = self._run(lambda connection: connection.execute(SQL["kinds"], asked, prepare=False).fetchall())
        kinds = [
            Kind(str(row[0]), row[1], row[2], row[3], REMEDIES.get(row[2], ""), *row[4:]) for row in rows[:limit]
        ]
        return kinds, kinds[-1].id if len(rows) > limit else None

    def _names(self, letter: Letter, inside: Inside) -> tuple[str | None, str | None]:
        """Its source and type, as far as they may stand in clear."""
        if letter.kind == "record":
            try:
                head = decode(letter.value).head
            except Poison:
                return letter.source, letter.type
            return head.source, head.type
        if letter.source is not None or letter.type is not None:
            return letter.source, letter.type
        try:
            rights = self._rights(letter.origin)
        except Forbidden:
            rights = None
        return known_names(inside.event(), rights, self._publisher().catalogue)

    def _note(self, connection: psycopg.Connection, letter_id: UUID, did: str, by: str, why: str | None) -> None:
        connection.execute(SQL["note"], {"id": letter_id, "did": did, "by": by, "why": why, "now": self._clock()})

    def _open(self, row: Any) -> Inside:
        if row.sealed is None:
            raise Erased(f"The dead letter was {row.status}; its content went with that.")
        key = self._keyring.keys([row.key_id.hex])[row.key_id.hex]
        if key is None:
            raise Erased("The parking key of this dead letter was destroyed.")
        return open_letter(key, bytes(row.sealed), row.id, row.reason)

    def _seal(self, row: Any, inside: Inside, reason: str) -> bytes:
        """Sealed anew under another reason."""
        key = self._keyring.make([row.key_id.hex])[row.key_id.hex]
        return seal_letter(key, self._random(_NONCE), inside, row.id, reason)

    def _read(self, connection: psycopg.Connection, query: str, letter_id: str) -> Any:
        with connection.cursor(row_factory=namedtuple_row) as cursor:
            row = cursor.execute(SQL[query], {"id": letter_id_of(letter_id)}).fetchone()
        if row is None:
            raise NotFound("There is no dead letter of that id.")
        return row

    def _run(self, use: Callable[[psycopg.Connection], Any]) -> Any:
        try:
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of the dead letters does not answer ({type(error).__name__}).") from None


def reason_code(text: str | None) -> str | None:
    """A reason to look for, which may be none that a letter has. Raises BadInput for what is no code at all."""
    if text is not None and not _CODE.fullmatch(text):
        raise BadInput([Problem("reason", "is no reason code.", f"Known are {', '.join(sorted(REASONS))}.")])
    return text


def letter_id_of(text: str) -> UUID:
    """An id out of its text. Raises NotFound for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no dead letter and no kind of that id.") from None


def _letter_of(consumer: str, log_id: str, record: Unapplied) -> Letter:
    place = (record.log_partition, record.log_offset)
    return Letter(
        consumer, record.reason, record.detail, "record", log_id, *place, record.value, record.key, type=record.type
    )


def _shown(row: Any) -> DeadLetter:
    return DeadLetter._make((str(row[0]), *row[1:14], str(row[14]), None, ()))
