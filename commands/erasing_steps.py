"""How does an erasure go on from wherever it stands? Step by step, each of which may be done again.

    (ledger)  → recorded → destroyed → searched → emptied → certified
    appended    in the     keys gone,  dead       directory  nothing of it is on its way any more;
    and synced  database   generations letters    emptied,   the certificate is in the ledger
                           raised      purged     vacuumed

The ledger comes first: what stands there is destroyed, come what may; what does not was never begun. It is also what
brings a restored database, or a restored key store, to where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.erasing_letters import LetterSearch
from commands.erasing_scope import SQL, Scope, account
from commands.ledger import Entry, Ledger, Written, read_line
from commands.letters import Inside, open_letter
from commands.parking import Parking
from domain.errors import BadInput, LogDamaged, NotFound, SealError, Unavailable
from eventlog.keyring import Keyring
from eventlog.tokens import Hasher

__all__ = ["Around", "Erasure", "State", "Steps"]

_FIRST: Final = UUID(int=0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PATIENCE: Final = 60.0
_POLL: Final = 0.05
_AT_ONCE: Final = 500
_logger = structlog.get_logger("storyline.erasures")


class Erasure(NamedTuple):
    """One erasure. by: `cli`, or the id of an API key. step: how far it has come; `certified` is the end.
    certificate: what was done, as `docs/erasure.md` tells it; None until then."""

    id: UUID
    customer: UUID
    at: datetime
    by: str
    why: str
    step: str
    certificate: dict[str, Any] | None


class State(NamedTuple):
    """How ledger, database and key store stand to each other. torn: the ledger ends in an append that was broken off.
    The others: entries that one of them lacks, erasures that have not come to their end."""

    entries: int
    torn: bool
    database_lacks: int
    keys_lack: int
    ledger_lacks: int
    open: int


class Directory(Protocol):
    """What is readable of people, and how it is emptied of some."""

    def empty(self, connection: psycopg.Connection, evidences: Collection[UUID]) -> None: ...

    def clean(self, connection: psycopg.Connection) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Around:
    """What an erasure needs beside the database. ends: where the log ends. records: what stands on the log at these
    (partition, offset). retention_days: of inbox topics, None where there are none. cache_seconds: how long another
    process may still hold a key. after_step: called after each step with its name."""

    keyring: Keyring
    hasher: Callable[[], Hasher]
    ledger: Callable[[], Ledger]
    parking: Callable[[], Parking]
    directory: Directory
    ends: Callable[[], Mapping[int, int]]
    records: Callable[[Sequence[tuple[int, int]]], Iterable[bytes]]
    log_id: Callable[[], str]
    retention_days: int | None = None
    cache_seconds: float = 60
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    after_step: Callable[[str], None] = lambda step: None


class Steps:
    """The steps of erasures, one erasure at a time in the whole system."""

    def __init__(self, pool: ConnectionPool, around: Around) -> None:
        self._pool, self._around = pool, around

    @contextmanager
    def _alone(self) -> Iterator[psycopg.Connection]:
        """A connection that no other erasure has at the same time."""
        until = time.monotonic() + _PATIENCE
        while True:
            # Who waits gives the connection back meanwhile: there are few, and the one that is at work needs another.
            with self._reading() as connection:
                if connection.execute(SQL["try_alone"]).fetchone() == (True,):
                    try:
                        yield connection
                    finally:
                        if not connection.closed:
                            connection.execute(SQL["not_alone"])
                    return
            if time.monotonic() > until:
                raise Unavailable("Another erasure is under way; try again.")
            time.sleep(_POLL)

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection]:
        """A connection. Raises Unavailable where the database does not answer."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of the erasures does not answer ({type(error).__name__}).") from None

    def _take_up(self, connection: psycopg.Connection) -> None:
        """Bring the database, the key store and the ledger to one state: each gets what it lacks."""
        ledger = self._around.ledger()
        entries, known = self._both(connection)
        if len(known) > len(entries):
            ledger.adopt(known)
            _logger.warning("erasures.ledger_mended", count=len(known) - len(entries))
            entries = ledger.read()
        for one in entries[len(known) :]:
            self._record(connection, one)
        for one in self._lacking(entries):
            self._destroy(one)
        for evidence_of, evidences in self._late(connection).items():
            self._add(connection, evidence_of, evidences)

    def _both(self, connection: psycopg.Connection) -> tuple[list[Written], list[str]]:
        """(entries of the ledger, lines of the database), which agree as far as both go."""
        entries = self._around.ledger().read()
        known = [row[0] for row in connection.execute(SQL["lines"])]
        for one, line in zip(entries, known, strict=False):
            if one.line != line:
                raise LogDamaged(
                    f"Entry {one.entry.number} of the ledger of erasures is another one than the database took up. "
                    "STORYLINE_LEDGER names the ledger of another database, or two were written apart; put the right "
                    "one into its place."
                )
        return entries, known

    def _lacking(self, entries: Sequence[Written]) -> list[Written]:
        """What the key store has not applied."""
        wanted = [one for one in entries if one.entry.kind != "certificate"]
        marks = self._around.keyring.lacking([one.hash for one in wanted]) if wanted else set()
        return [one for one in wanted if one.hash in marks]

    def _append(self, **fields: Any) -> Written:
        now = self._around.clock().astimezone(UTC)
        return self._around.ledger().append(
            lambda number, previous: Entry(number=number, previous=previous, at=now, **fields)
        )

    def _record(self, connection: psycopg.Connection, written: Written) -> None:
        """Take an entry of the ledger up."""
        entry = written.entry
        row = {**msgspec.structs.asdict(entry), "line": written.line, "certificate": Jsonb(entry.certificate)}
        row.update(evidences=list(entry.evidences), nodes=list(entry.nodes))
        with connection.transaction():
            connection.execute(SQL["record_line"], row)
            if entry.kind == "certificate":
                connection.execute(SQL["record_certificate"], row)
                return
            if entry.kind == "erasure":
                connection.execute(SQL["record_erasure"], row)
            else:
                connection.execute(SQL["begin_again"], row)
            connection.execute(SQL["record_evidences"], row)
            connection.execute(SQL["record_nodes"], row)
        _logger.info("erasures.recorded", id=entry.erasure.hex, by=entry.by, count=len(entry.evidences))

    def _destroy(self, written: Written) -> None:
        entry = written.entry
        self._around.keyring.apply(written.hash, [one.hex for one in entry.evidences], entry.raised)

    def _late(self, connection: psycopg.Connection) -> dict[UUID, list[UUID]]:
        """Evidences that came to be known too late, by the erasure that they belong to."""
        found: dict[UUID, list[UUID]] = {}
        for evidence, erasure in connection.execute(SQL["late"]).fetchall():
            found.setdefault(erasure, []).append(evidence)
        return found

    def _add(self, connection: psycopg.Connection, erasure: UUID, evidences: Sequence[UUID]) -> None:
        """More to destroy of an erasure: it begins again."""
        self._record(connection, self._append(kind="addition", erasure=erasure, evidences=tuple(evidences)))

    def _go_on(self, connection: psycopg.Connection, erasure: UUID, patience: float = 0.0) -> None:
        """From where it stands to its end, or until the read models do not catch up with the log in `patience`
        seconds: then the next one who comes goes on."""
        while True:
            row = self._one(connection, erasure)
            following = self._step(connection, row, patience)
            if following is None:
                return
            if following != row.step:
                connection.execute(SQL["step"], {"erasure": erasure, "step": following})
                self._around.after_step(following)

    def _step(self, connection: psycopg.Connection, row: Erasure, patience: float) -> str | None:
        """Take the step that is next; gives where that leads, None where it is the end or has to wait."""
        lines = connection.execute(SQL["lines_of"], {"erasure": row.id}).fetchall()
        entries = [read_line(line) for (line,) in lines]
        if row.step == "recorded":
            return self._destroy_all(entries)
        if row.step == "destroyed":
            return self._search(connection, row, entries)
        if row.step == "searched":
            return self._empty(connection, row)
        if row.step == "emptied":
            return self._certify(connection, row, entries, patience)
        return None

    def _one(self, connection: psycopg.Connection, erasure: UUID) -> Erasure:
        row = connection.execute(SQL["one"], {"erasure": erasure}).fetchone()
        if row is None:
            raise NotFound("There is no erasure of that id.")
        return Erasure(*row)

    def _destroy_all(self, entries: Sequence[Written]) -> str:
        for one in self._lacking(entries):
            self._destroy(one)
        return "destroyed"

    def _search(self, connection: psycopg.Connection, row: Erasure, entries: Sequence[Written]) -> str:
        """Purge the dead letters. What was parked as a record stands on the log, too, and its key has to go."""
        _, nodes = self._taken(connection, row.id)
        bases = {base for one in entries for base in one.entry.raised}
        values = [value for (value,) in connection.execute(SQL["values_of"], {"nodes": nodes})]
        search = LetterSearch(self._around.hasher(), nodes, bases, values, row.at)
        found: list[UUID] = []
        strays: set[UUID] = set()
        for letter_id, parked_at, inside in self._letters(connection):
            if search.finds(inside, parked_at):
                found.append(letter_id)
                strays |= search.strays(inside.value) if inside.kind == "record" else set()
        for record in self._settled_records(connection):
            strays |= search.strays(record)
        known = connection.execute(SQL["erased_among"], {"evidences": sorted(strays)}).fetchall()
        if left := sorted(strays - {evidence for (evidence,) in known}):
            self._add(connection, row.id, left)
            return "recorded"
        for letter_id in found:
            try:
                self._around.parking().discard(str(letter_id), _why(row.id), row.by)
            except BadInput:
                continue  # somebody settled it meanwhile, and its content went with that
        return "searched"

    def _letters(self, connection: psycopg.Connection) -> Iterator[tuple[UUID, datetime, Inside]]:
        """Every letter that waits and can be opened, a batch at a time."""
        at, last = _EPOCH, _FIRST
        while True:
            rows = connection.execute(SQL["letters"], {"after_at": at, "after_id": last}).fetchall()
            keys = self._around.keyring.keys({row[3].hex for row in rows}) if rows else {}
            for letter_id, reason, parked_at, key_id, sealed in rows:
                key = keys[key_id.hex]
                try:
                    if key is not None:
                        yield letter_id, parked_at, open_letter(key, bytes(sealed), letter_id, reason)
                except SealError:
                    continue
            if not rows:
                return
            last, _, at, *_ = rows[-1]

    def _settled_records(self, connection: psycopg.Connection) -> Iterator[bytes]:
        """Records that were parked once and stand on the log still, whatever became of their letters."""
        rows = connection.execute(SQL["settled_records"], {"log_id": self._around.log_id()}).fetchall()
        for start in range(0, len(rows), _AT_ONCE):
            yield from self._around.records(rows[start : start + _AT_ONCE])

    def _empty(self, connection: psycopg.Connection, row: Erasure) -> str:
        evidences, nodes = self._taken(connection, row.id)
        with connection.transaction():
            self._around.directory.empty(connection, evidences)
            connection.execute(SQL["wake_segments"], {"evidences": evidences})
            if connection.execute(SQL["has_proposals"]).fetchone() == (True,):
                connection.execute(SQL["forget_proposals"], {"nodes": [row.customer, *nodes]})
        self._around.directory.clean(connection)
        return "emptied"

    def _certify(
        self, connection: psycopg.Connection, row: Erasure, entries: Sequence[Written], patience: float
    ) -> str | None:
        if entries[-1].entry.kind == "certificate":
            return "certified"  # as the ledger knew before a restore
        if not self._caught_up(connection, patience):
            return None
        if late := self._late(connection).get(row.id):
            self._add(connection, row.id, late)
            return "recorded"
        told = self._certificate(connection, row, entries)
        self._record(connection, self._append(kind="certificate", erasure=row.id, certificate=told))
        _logger.info("erasures.certified", id=row.id.hex, count=told["evidences"])
        return "certified"

    def _caught_up(self, connection: psycopg.Connection, patience: float) -> bool:
        """Have the read models all that is on the log now?"""
        ends, until = self._around.ends(), time.monotonic() + patience
        while True:
            seen: dict[int, int] = dict(
                connection.execute(SQL["positions"], {"log_id": self._around.log_id()}).fetchall()
            )
            if all(seen.get(partition, 0) >= end for partition, end in ends.items()):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL)

    def _taken(self, connection: psycopg.Connection, erasure: UUID) -> tuple[list[UUID], list[UUID]]:
        """(evidences, nodes) that an erasure took."""
        [(evidences, nodes)] = connection.execute(SQL["erased"], {"erasure": erasure}).fetchall()
        return evidences, nodes

    def _certificate(
        self, connection: psycopg.Connection, row: Erasure, entries: Sequence[Written]
    ) -> dict[str, Any]:
        """What was done: counts, names and positions of events, times; nothing personal."""
        evidences, nodes = self._taken(connection, row.id)
        [[letters]] = connection.execute(SQL["letters_gone"], {"why": _why(row.id)}).fetchall()
        keys = self._around.keyring.keys([evidence.hex for evidence in evidences])
        told = {
            "erasure": row.id.hex,
            "customer": row.customer.hex,
            "at": row.at.isoformat(),
            "by": row.by,
            "why": row.why,
            "certified_at": self._around.clock().astimezone(UTC).isoformat(),
            **account(connection, Scope(tuple(evidences), tuple(nodes))),
            "keys": sum(key is None for key in keys.values()),
            "letters": letters,
            "remains": self._remains(row.at),
            "ledger": entries[-1].hash,
        }
        return {**told, "hash": sha256(msgspec.json.encode(told, order="sorted")).hexdigest()}

    def _remains(self, at: datetime) -> list[dict[str, str | None]]:
        """What is left elsewhere, and until when at most; None: as long as it is kept."""
        around = self._around
        caches = at + timedelta(seconds=around.cache_seconds)
        found: list[tuple[str, str | None]] = [("keys in the memory of other processes", caches.isoformat())]
        if around.retention_days is not None:
            until = (at + timedelta(days=around.retention_days)).isoformat()
            found.append(("messages on inbox topics, as the channels wrote them", until))
        found += [
            ("backups of the database and of the key store, and their write-ahead logs", None),
            ("freed space in the files of the database, until it is written over", None),
        ]
        return [{"what": what, "until": until} for what, until in found]


def _why(erasure: UUID) -> str:
    """Why a dead letter was discarded."""
    return f"erasure {erasure.hex}"
