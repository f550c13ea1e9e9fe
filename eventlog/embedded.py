"""How does a Postgres table serve as the log? Gap-free offsets per partition, appended by binary COPY."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg.rows import RowMaker
from psycopg_pool import ConnectionPool

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.limits import check_sizes
from eventlog.port import Entry, Logged, Position, partition_of
from eventlog.sql import load

__all__ = ["EmbeddedLog", "install"]

_SQL = load("eventlog", "embedded.sql")
_SCHEMA = files("eventlog").joinpath("embedded_schema.sql").read_text(encoding="utf-8")

_PATIENCE = 5.0
"""Seconds to wait for a connection, and then for other appends of this process."""
_TRANSACTION_BYTES = 16_000_000
"""Appends that wait for each other are written together up to this size."""
_READ_BYTES = 64_000_000
"""A read returns fewer records than `limit` when they are larger than this together."""
_RETRY_CLOSED = 2
"""Seconds after which an append that met a closed log may try again."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.002, 0.020
"""Seconds between two looks for new records."""

# PostgreSQL's binary COPY: signature, flags, no header extension; rows of 4 fields with their lengths; an end.
_COPY_START = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_COPY_ROW = struct.Struct("!hihiqi").pack
_COPY_LENGTH = struct.Struct("!i").pack
_COPY_END = struct.pack("!h", -1)

_Pool = ConnectionPool[psycopg.Connection[tuple[Any, ...]]]


def install(dsn: str, partitions: int = 8) -> None:
    """Make the log's tables where they are missing; safe to run twice, and in two processes at once.

    The number of partitions counts only the first time. Raises `Unavailable` if no one answers.
    """
    with _as_unavailable(), psycopg.connect(dsn, connect_timeout=10) as connection:
        connection.execute(_SQL["install_lock"])
        connection.execute(_SCHEMA)
        connection.execute(_SQL["install_partitions"], {"partitions": partitions})


class EmbeddedLog:
    """The `Log` over the tables of schema `log` in one database."""

    def __init__(self, dsn: str) -> None:
        """Open a log that `install` has made. Raises `Misconfigured` if it has not, `Unavailable` if no one
        answers."""
        self._pool: _Pool = ConnectionPool(
            dsn,
            kwargs={"autocommit": True, "connect_timeout": 5, "application_name": "storyline-log"},
            min_size=1,
            max_size=4,
            num_workers=1,
            timeout=_PATIENCE,
            reconnect_timeout=_PATIENCE,  # later calls try again, without a backoff of minutes
            configure=_configure,
            check=ConnectionPool.check_connection,
            open=True,
        )
        self._waiting: list[_Append] = []
        self._waiting_lock = threading.Lock()
        self._writer = threading.Lock()
        self._turn = 0
        try:
            with self._connection() as connection:
                if connection.execute(_SQL["exists"]).fetchone() != (True,):
                    raise Misconfigured("The log's tables are missing or old. Run `storyline db upgrade` first.")
                [(self._log_id,)] = connection.execute(_SQL["identity"]).fetchall()
                self._partitions = len(connection.execute(_SQL["ends"]).fetchall())
        except BaseException:
            self._pool.close()
            raise

    @classmethod
    def open(cls, url: str) -> EmbeddedLog:
        """Open the log at `postgresql://…[?partitions=8]`, and make it first where it does not exist yet, or is of an
        older release."""
        dsn, partitions = _split(url)
        with _as_unavailable(), psycopg.connect(dsn, connect_timeout=10) as connection:
            made = connection.execute(_SQL["exists"]).fetchone() == (True,)
        if not made:
            install(dsn, partitions)
        return cls(dsn)

    @property
    def log_id(self) -> str:
        return f"embedded:{self._log_id}"

    @property
    def partitions(self) -> int:
        return self._partitions

    def append(self, entries: Sequence[Entry]) -> list[Position]:
        """As the port says. Appends of several threads that wait for each other share one transaction."""
        check_sizes(entries)
        if not entries:
            return []
        append = _Append(entries, self._partitions)
        with self._waiting_lock:
            self._waiting.append(append)
        if not self._writer.acquire(timeout=_PATIENCE):
            with self._waiting_lock:
                if append in self._waiting:
                    self._waiting.remove(append)
            raise Unavailable("The log did not take the records in time. Send them again later.")
        try:
            while not append.done:
                self._write_waiting()
        finally:
            self._writer.release()
        if append.trouble is not None:
            raise Unavailable(append.trouble, append.retry_after)
        return append.positions

    def read(self, cursor: Mapping[int, int], limit: int, timeout: float) -> list[Logged]:
        """As the port says. Looks again every few milliseconds; NOTIFY would hold up every commit."""
        deadline = time.monotonic() + timeout
        pause = _SHORTEST_PAUSE
        while True:
            found = self._read_now(cursor, limit)
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def ends(self) -> dict[int, int]:
        with self._connection() as connection:
            return _ends(connection)

    def successor(self) -> str | None:
        """As `Closable` says."""
        with self._connection() as connection:
            [(found,)] = connection.execute(_SQL["successor"]).fetchall()
        return None if found is None else str(found)

    def close_for(self, successor: str | None) -> None:
        """As `Closable` says."""
        with self._connection() as connection, connection.transaction():
            connection.execute(_SQL["hold_all"])
            connection.execute(_SQL["close_partitions"], {"successor": successor})
            connection.execute(_SQL["name_successor"], {"successor": successor})

    def settle(self) -> None:
        """As `Settling` says."""
        with self._connection() as connection, connection.transaction():
            connection.execute(_SQL["hold_all"])

    def holes(self) -> dict[int, list[tuple[int, int]]]:
        """As `Mendable` says; looks at every offset."""
        found: dict[int, list[tuple[int, int]]] = {}
        with self._connection() as connection:
            for partition, first, end in connection.execute(_SQL["holes"]).fetchall():
                found.setdefault(partition, []).append((first, end))
        return found

    def put_back(self, records: Sequence[Logged]) -> int:
        """As `Mendable` says."""
        columns = zip(*records, strict=True) if records else ((), (), (), ())
        asked = dict(zip(Logged._fields, map(list, columns), strict=True))
        with self._connection() as connection:
            return connection.execute(_SQL["put_back"], asked).rowcount

    def close(self) -> None:
        self._pool.close()

    def _write_waiting(self) -> None:
        """Write the appends that wait, oldest first, in one transaction. Held: the writer's lock."""
        appends = self._take_waiting()
        try:
            with self._connection() as connection:
                _write(connection, appends)
        except Unavailable as trouble:
            for append in appends:
                append.trouble, append.retry_after = trouble.detail, trouble.retry_after
        finally:
            for append in appends:
                append.done = True

    def _take_waiting(self) -> list[_Append]:
        taken: list[_Append] = []
        size = 0
        with self._waiting_lock:
            while self._waiting and (not taken or size + self._waiting[0].size <= _TRANSACTION_BYTES):
                size += self._waiting[0].size
                taken.append(self._waiting.pop(0))
        return taken

    def _read_now(self, cursor: Mapping[int, int], limit: int) -> list[Logged]:
        with self._connection() as connection:
            ends = _ends(connection)
            available = {p: _check(p, wanted, ends) for p, wanted in cursor.items()}
            shares = fair_shares(available, limit, self._turn)
            self._turn += 1
            if not shares:
                return []
            stretches = _fetch(connection, {p: (cursor[p], cursor[p] + share) for p, share in shares.items()})
        for partition, rows in stretches.items():
            _check_whole(partition, cursor[partition], rows)
        return [row for rows in stretches.values() for row in rows]

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with _as_unavailable(), self._pool.connection() as connection:
            yield connection


class _Append:
    """One caller's entries on their way into the log."""

    def __init__(self, entries: Sequence[Entry], partitions: int) -> None:
        self.entries = entries
        self.targets = [partition_of(key, partitions) for key, _ in entries]
        self.size = sum(len(key) + len(value) for key, value in entries)
        self.positions: list[Position] = []
        self.trouble: str | None = "The append was interrupted. Send the records again."
        self.retry_after = 1
        self.done = False


def fair_shares(available: Mapping[int, int], limit: int, turn: int) -> dict[int, int]:
    """How many records to take of each partition: `{partition: number > 0}`, at most `limit` together.

    Small partitions are taken whole and the others share the rest alike. With a limit below the number of
    partitions, `turn` says where to begin, so that each has its turn.
    """
    busy = sorted((p for p in available if available[p] > 0), key=lambda p: (available[p], p))
    if limit < len(busy):
        in_turn = sorted(busy)
        begin = turn * limit % len(in_turn)
        return dict.fromkeys((in_turn[begin:] + in_turn[:begin])[:limit], 1)
    shares: dict[int, int] = {}
    left = limit
    for index, partition in enumerate(busy):
        shares[partition] = min(available[partition], left // (len(busy) - index))
        left -= shares[partition]
    return shares


def _write(connection: psycopg.Connection[tuple[Any, ...]], appends: Sequence[_Append]) -> None:
    """Append everything in one transaction and note the positions."""
    touched = sorted({partition for append in appends for partition in append.targets})
    try:
        connection.execute(_SQL["begin_append"], prepare=False)
        rows = connection.execute(_SQL["lock_partitions"], {"partitions": touched}).fetchall()
        if any(closed for _, _, closed in rows):
            raise _closed(connection)
        ends: dict[int, int] = {partition: end for partition, end, _ in rows}
        placed = [_place(append, ends) for append in appends]
        moved = {"partitions": touched, "next_offsets": [ends[p] for p in touched]}
        connection.execute(_SQL["advance_partitions"], moved)
        with connection.cursor().copy(_SQL["copy_records"]) as copy:
            copy.write(_copy_bytes(appends, placed))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    for append, positions in zip(appends, placed, strict=True):
        append.positions = positions
        append.trouble = None


def _closed(connection: psycopg.Connection[tuple[Any, ...]]) -> Unavailable:
    """What an append to a log that was closed is told."""
    [(successor,)] = connection.execute(_SQL["successor"]).fetchall()
    return Unavailable(
        f"This log takes no more records: {successor} takes its place. While `storyline log move` is at work send "
        "them again later; afterwards LOG_URL has to name the new log. `storyline log move --abort` opens this one "
        "again.",
        _RETRY_CLOSED,
    )


def _place(append: _Append, ends: dict[int, int]) -> list[Position]:
    """The positions of one append; moves `ends` on."""
    positions: list[Position] = []
    for partition in append.targets:
        offset = ends[partition]
        ends[partition] = offset + 1
        positions.append(Position(partition, offset))
    return positions


def _copy_bytes(appends: Sequence[_Append], placed: Sequence[Sequence[Position]]) -> bytes:
    parts = [_COPY_START]
    for append, positions in zip(appends, placed, strict=True):
        for (key, value), (partition, offset) in zip(append.entries, positions, strict=True):
            parts += (
                _COPY_ROW(4, 2, partition, 8, offset, len(key)),
                key,
                _COPY_LENGTH(len(value)),
                value,
            )
    parts.append(_COPY_END)
    return b"".join(parts)


def _ends(connection: psycopg.Connection[tuple[Any, ...]]) -> dict[int, int]:
    return dict(connection.execute(_SQL["ends"]).fetchall())


def _fetch(
    connection: psycopg.Connection[tuple[Any, ...]], stretches: Mapping[int, tuple[int, int]]
) -> dict[int, list[Logged]]:
    """`{partition: records}` of `{partition: (first, end)}`, in one round trip."""
    max_bytes = _READ_BYTES // len(stretches)
    with connection.pipeline():
        cursors = {}
        for partition, (first, end) in sorted(stretches.items()):
            cursors[partition] = connection.cursor(binary=True, row_factory=_logged)
            asked = {"partition": partition, "first": first, "end": end, "max_bytes": max_bytes}
            cursors[partition].execute(_SQL["read_partition"], asked)
        return {partition: cursor.fetchall() for partition, cursor in cursors.items()}


def _logged(_cursor: Any) -> RowMaker[Logged]:
    return Logged._make


def _check(partition: int, wanted: int, ends: Mapping[int, int]) -> int:
    """How many records the partition has from `wanted` on; `LogDamaged` if it ends before."""
    if partition not in ends:
        raise LogDamaged(f"The log has no partition {partition}, only {len(ends)}. Is LOG_URL that of another log?")
    if wanted > ends[partition]:
        raise LogDamaged(
            f"Partition {partition} ends at offset {ends[partition]}, before the remembered {wanted}. "
            "The log lost its end. `storyline log check` says how much, `storyline log repair` puts it back."
        )
    return ends[partition] - wanted


def _check_whole(partition: int, first: int, rows: Sequence[Logged]) -> None:
    """Offsets have no gaps here, so a gap means that someone deleted records."""
    if not rows or rows[0].offset != first or rows[-1].offset != first + len(rows) - 1:
        raise LogDamaged(
            f"Records of partition {partition} from offset {first} on are gone. `storyline log repair` puts back "
            "what the timeline holds of them."
        )


def _configure(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    connection.execute(_SQL["session"])
    connection.prepare_threshold = 0


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """psycopg's operational errors (no connection, time-outs, a full disk) as one of ours."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InternalError) as trouble:
        raise Unavailable(
            f"The log's database does not answer as it should ({type(trouble).__name__}). Try again later."
        ) from trouble


def _split(url: str) -> tuple[str, int]:
    """The DSN for libpq and the number of partitions, which libpq does not know."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = [value for name, value in query if name == "partitions"]
    rest = urlencode([(name, value) for name, value in query if name != "partitions"])
    if given and not (given[-1].isdecimal() and 1 <= int(given[-1]) <= 1024):
        raise Misconfigured("LOG_URL: partitions must be a whole number from 1 to 1024.")
    # Not urlunsplit: it drops the empty host of `postgresql:///name`.
    bare = url.split("?", 1)[0] + (f"?{rest}" if rest else "")
    return bare, int(given[-1]) if given else 8
