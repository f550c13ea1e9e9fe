"""What becomes of what cannot be applied? Parked, sealed, with its reason; listed, counted, redriven, discarded.

One letter or all of a kind: many are seen to in small transactions, each holding the rows that it works on, so that
two who do so at once never see to the same one, and a crash loses nothing: what was appended but not yet settled is
appended once more, which is a repeat, and harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row
from psycopg_pool import ConnectionPool

from commands.letters import (
    REASONS,
    REMEDIES,
    DeadLetter,
    Inside,
    Kind,
    Letter,
    Parked,
    Settled,
    Step,
    Unapplied,
    Waiting,
)
from commands.parking_shelf import SQL, Shelf, letter_id_of, reason_code
from commands.parking_trial import Outcome, Ready, Refusal, Trial
from commands.publishing import Publisher, Rights
from domain.errors import BadInput, Poison, Problem, SealError
from eventlog.keyring import Keyring
from eventlog.port import Log
from eventlog.record import decode
from eventlog.tokens import Hasher

__all__ = [
    "REASONS",
    "REMEDIES",
    "DeadLetter",
    "Kind",
    "Letter",
    "Parked",
    "Parking",
    "Settled",
    "Step",
    "Unapplied",
    "Waiting",
]

_AT_ONCE: Final = 100
"""Most letters in one transaction."""
_MOST_BYTES: Final = 16 * 2**20
"""Most sealed bytes in one, if it is more than one letter."""
_CURSOR: Final = re.compile(r"(\d{1,17})\.(\d{1,17})\.([0-9a-f]{32})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EVERYONE: Final = Rights(system=True)
_CLASH: Final = "Its name is taken by an event with other content; the first one accepted stays."


class _Mark(NamedTuple):
    """How far a walk has come. until: letters that were parked later are none of its business, else it might never
    end where what goes onto the log is parked again."""

    until: datetime
    at: datetime
    last: UUID

    def __str__(self) -> str:
        return f"{_micros(self.until)}.{_micros(self.at)}.{self.last.hex}"


class Parking(Shelf):
    """Dead letters, and what is done with them. Thread-safe; blocks on Postgres, the key store and, to redrive, the
    log.

    publisher, log: of what is redriven. rights: what the channel of an inbox topic may publish. trouble: why a record
    cannot be read by this release's projector, or None. before_settle: called between append and settling.
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
        trouble: Callable[[bytes], str | None] | None = None,
        before_settle: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> None:
        super().__init__(pool, keyring, hasher, publisher=publisher, rights=rights, **more)
        self._log, self._trouble, self._before_settle = log, trouble or _trouble_of, before_settle

    def redrive(self, letter_id: str, by: str = "cli") -> DeadLetter:
        """Try again: a record goes onto the log again, as it is; a message is checked and published again.

        What is refused again stays parked, with the reason of now. Repeats are harmless: names are deterministic.
        by: who asks, `cli` or an API key's id. Raises NotFound, BadInput for one that is not parked, Unavailable
        where the log does not answer.
        """
        self._with_one(letter_id, lambda connection, row: self._try(connection, [row], by))
        return self.show(letter_id)

    def amend(self, letter_id: str, event: Any, why: str, *, by: str, rights: Rights = _EVERYONE) -> DeadLetter:
        """Publish a corrected event in the place of one that was refused; it keeps its source and id.

        event: a CloudEvent as a JSON object. why: kept with it, no personal data. Both the channel's rights
        and `rights`, of who asks, have to allow it. Raises NotFound, Forbidden and, with all that is wrong, BadInput.
        """
        _check_why(why)

        def publish(connection: psycopg.Connection, row: Any) -> None:
            inside = self._open(row)
            _check_same(row, inside, event)
            publisher = self._publisher()
            publisher.check([event], self._rights(row.origin))
            [outcome] = self._trial.send([Ready(row, inside, None, publisher.check([event], rights))])
            if outcome.refusal is not None:
                raise BadInput([Problem("event", outcome.refusal.detail, "Mend it and try again.")])
            self._before_settle()
            self._note(connection, row.id, "amended", by, why)
            self._settle(connection, [outcome], "redriven", by)

        self._with_one(letter_id, publish)
        return self.show(letter_id)

    def discard(self, letter_id: str, why: str, by: str = "cli") -> DeadLetter:
        """Give up on a dead letter, saying why (no personal data). Raises NotFound, BadInput."""
        _check_why(why)
        self._with_one(
            letter_id,
            lambda connection, row: self._settle(connection, [Outcome(row, None, why)], "discarded", by),
        )
        return self.show(letter_id)

    def redrive_many(
        self,
        *,
        by: str,
        kind: str | None = None,
        reason: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
    ) -> Settled:
        """Try the next `limit` letters of a kind or reason (or of all) that were parked when the walk began.

        cursor: `next` of the answer before. Any number may walk at once, and any may begin anew after a crash.
        """
        return self._walk(kind, reason, limit, cursor, lambda connection, rows: self._try(connection, rows, by))

    def discard_many(
        self,
        why: str,
        *,
        by: str,
        kind: str | None = None,
        reason: str | None = None,
        limit: int = 1000,
        cursor: str | None = None,
    ) -> Settled:
        """Give up on the next `limit` letters of a kind or reason that were parked when the walk began."""
        _check_why(why)

        def discard(connection: psycopg.Connection, rows: Sequence[Any]) -> int:
            return self._settle(connection, [Outcome(row, None, why) for row in rows], "discarded", by)

        return self._walk(kind, reason, limit, cursor, discard)

    @property
    def _trial(self) -> Trial:
        return Trial(self._publisher, self._log, self._rights, self._trouble)

    def _with_one(self, letter_id: str, use: Callable[[psycopg.Connection, Any], object]) -> None:
        """Use one parked letter, held meanwhile."""

        def within(connection: psycopg.Connection) -> None:
            with connection.transaction():
                row = self._read(connection, "hold", letter_id)
                if row.status != "parked":
                    trouble = f"is {row.status} already."
                    raise BadInput([Problem("id", trouble, "Only what is parked can be redriven or discarded.")])
                use(connection, row)

        self._run(within)

    def _walk(
        self,
        kind: str | None,
        reason: str | None,
        limit: int,
        cursor: str | None,
        see_to: Callable[[psycopg.Connection, Sequence[Any]], int],
    ) -> Settled:
        kind_id = None if kind is None else letter_id_of(kind)
        asked = {"kind": kind_id, "reason": reason_code(reason), "most": self.MOST}
        first = _Mark(self._clock(), _EPOCH, UUID(int=0)) if cursor is None else _read_cursor(cursor)

        def walk(connection: psycopg.Connection) -> Settled:
            mark: _Mark | None = first
            settled = stayed = 0
            while mark is not None and settled + stayed < limit:
                most = min(_AT_ONCE, limit - settled - stayed)
                with connection.transaction():
                    taken = _take(connection, {**asked, **_placed(mark), "limit": most})
                    rows = taken[: _fitting(taken)]
                    gone = see_to(connection, rows) if rows else 0
                settled, stayed = settled + gone, stayed + len(rows) - gone
                over = len(taken) < most and len(rows) == len(taken)
                mark = None if over else mark._replace(at=rows[-1].parked_at, last=rows[-1].id)
            [[left]] = connection.execute(SQL["remaining"], asked, prepare=False).fetchall()
            return Settled(settled, stayed, left, None if mark is None else str(mark))

        found: Settled = self._run(walk)
        return found

    def _try(self, connection: psycopg.Connection, rows: Sequence[Any], by: str) -> int:
        """Try letters that are held; gives how many went."""
        trial = self._trial
        ready: list[Ready] = []
        kept: list[Outcome] = []
        for row in rows:
            try:
                inside = self._open(row)
            except SealError as error:
                kept.append(Outcome(row, None, "", Refusal(None, error.detail, "its seal does not open")))
                continue
            found = trial.prepare(row, inside)
            if isinstance(found, Refusal):
                kept.append(Outcome(row, inside, "", found))
            else:
                ready.append(found)
        taken = _taken(connection, ready)
        clash = Refusal("name-clash", _CLASH, "its name is still taken by other content")
        kept += [Outcome(one.row, one.inside, "", clash) for one in ready if one.row.id in taken]
        outcomes = trial.send([one for one in ready if one.row.id not in taken])
        kept += [one for one in outcomes if one.refusal is not None]
        self._before_settle()
        self._stay(connection, kept, by)
        return self._settle(connection, [one for one in outcomes if one.refusal is None], "redriven", by)

    def _settle(self, connection: psycopg.Connection, outcomes: Sequence[Outcome], status: str, by: str) -> int:
        now = self._clock()
        changes = [
            {"id": one.row.id, "status": status, "did": status, "why": one.why, "by": by, "now": now}
            for one in outcomes
        ]
        with connection.cursor() as cursor:
            cursor.executemany(SQL["settle"], changes)
            cursor.executemany(SQL["note"], changes)
        return len(changes)

    def _stay(self, connection: psycopg.Connection, outcomes: Sequence[Outcome], by: str) -> None:
        now = self._clock()
        changes = []
        for row, inside, _, refusal in outcomes:
            if refusal is None:
                continue
            reason, sealed = row.reason, row.sealed
            if inside is not None and refusal.reason is not None:
                reason = refusal.reason
                anew = Inside(inside.kind, refusal.detail, inside.key, inside.value, inside.headers)
                sealed = self._seal(row, anew, reason)
            change = {"id": row.id, "reason": reason, "detail": REASONS.get(reason, row.detail), "sealed": sealed}
            changes.append({**change, "why": refusal.why, "did": "stayed", "by": by, "now": now})
        with connection.cursor() as cursor:
            cursor.executemany(SQL["stay"], changes)
            cursor.executemany(SQL["note"], changes)


def _taken(connection: psycopg.Connection, ready: Sequence[Ready]) -> set[UUID]:
    """Ids of the letters whose name other content has: the projector ruled so, and for good."""
    heads = {one.row.id: one.head for one in ready if one.head is not None}
    if not heads:
        return set()
    names = [UUID(head.name[-32:]) for head in heads.values()]
    asked = {"names": names, "digests": [UUID(head.digest) for head in heads.values()]}
    taken = {row[0] for row in connection.execute(SQL["ruled_against"], asked).fetchall()}
    return {letter_id for (letter_id, head), name in zip(heads.items(), names, strict=True) if name in taken}


def _take(connection: psycopg.Connection, asked: dict[str, Any]) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(SQL["take"], asked, prepare=False).fetchall()


def _fitting(rows: Sequence[Any]) -> int:
    """How many of these rows, one at least, are seen to in one transaction, so that large ones take no more memory
    than small ones do."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row.sealed)
        if size > _MOST_BYTES:
            return max(1, number)
    return len(rows)


def _placed(mark: _Mark) -> dict[str, Any]:
    return {"until": mark.until, "after_at": mark.at, "after_id": mark.last}


def _read_cursor(text: str) -> _Mark:
    parts = _CURSOR.fullmatch(text)
    if parts is not None:
        return _Mark(_at(int(parts[1])), _at(int(parts[2])), UUID(parts[3]))
    raise BadInput([Problem("cursor", "is none.", "Pass on `next` of the answer before, or leave it out.")])


def _at(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _trouble_of(value: bytes) -> str | None:
    """Why bytes are no record; the projector may be more particular."""
    try:
        decode(value)
    except Poison as error:
        return error.detail
    return None


def _check_why(why: str) -> None:
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise BadInput([Problem("why", "is empty, too long or not printable.", "Say why, in 1 to 500 letters.")])


def _check_same(row: Any, inside: Inside, event: Any) -> None:
    """A corrected event takes the place of one event that a channel sent, under the same name."""
    if inside.kind != "message" or row.reason == "expired":
        way_out = "Publish the right event through the API, then discard this letter."
        raise BadInput([Problem("id", "is no event that a channel sent.", way_out)])
    before = inside.event()
    for name in ("source", "id"):
        known = (before or {}).get(name)
        if isinstance(known, str) and (not isinstance(event, dict) or event.get(name) != known):
            way_out = "Keep the name of the event; under another it would be another one."
            raise BadInput([Problem(f"event.{name}", "is not that of the parked event.", way_out)])
