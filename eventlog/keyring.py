"""Where are the keys of what is sealed? Behind `KEYS_URL`: one key per evidence, wrapped by the master key.

A key is made by insert-or-read and committed before anything sealed with it is appended, so no record can ever
be on the log without its key. A key is active, erased (a tombstone stays) or unknown, and unknown is an error.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg_pool import ConnectionPool, PoolTimeout

from domain.errors import Erased, Unavailable, UnknownKey
from eventlog.masterkey import KEY_SIZE, MasterKeys
from eventlog.sql import load

__all__ = ["Keyring"]

_SQL = load("eventlog", "keyring.sql")
_HASHING = b"hashing"


class _Cache:
    """Bounded, and forgets after `seconds`, so that an erasure elsewhere takes effect here too."""

    def __init__(self, size: int, seconds: float, clock: Callable[[], float]) -> None:
        self._entries: OrderedDict[str, tuple[float, AESGCM]] = OrderedDict()
        self._lock = threading.Lock()
        self._size, self._seconds, self._clock = size, seconds, clock

    def get_many(self, ids: Iterable[str]) -> dict[str, AESGCM | None]:
        now = self._clock()
        found: dict[str, AESGCM | None] = {}
        entries = self._entries
        with self._lock:
            for key_id in ids:
                entry = entries.get(key_id)
                if entry is not None and entry[0] > now:
                    found[key_id] = entry[1]
        return found

    def put_many(self, keys: dict[str, AESGCM]) -> None:
        until = self._clock() + self._seconds
        with self._lock:
            for key_id, key in keys.items():
                self._entries[key_id] = (until, key)
                self._entries.move_to_end(key_id)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def drop(self, ids: Iterable[str]) -> None:
        with self._lock:
            for key_id in ids:
                self._entries.pop(key_id, None)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


class Keyring:
    """The key store. Thread-safe; blocks on Postgres, so call it from a worker thread.

    url: a `postgresql://` address. cache_seconds: how long a key that was erased elsewhere may still be used.
    """

    def __init__(
        self,
        url: str,
        master: MasterKeys,
        *,
        cache_size: int = 200_000,
        cache_seconds: float = 60,
        pool_size: int = 4,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._master = master
        self._random = random
        self._cache = _Cache(cache_size, cache_seconds, clock)
        self._pool = ConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=10,
            open=False,
            check=ConnectionPool.check_connection,
            kwargs={"autocommit": True, "options": "-c statement_timeout=15s", "connect_timeout": 5},
        )
        self._opening = threading.Lock()
        self._opened = False

    def close(self) -> None:
        """Close the connections and forget all keys."""
        self._cache.clear()
        self._pool.close()

    def _run(self, use: Callable[[psycopg.Connection], Any]) -> Any:
        try:
            if not self._opened:
                with self._opening:
                    self._pool.open()
                    self._opened = True
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The key store does not answer ({type(error).__name__}).") from None

    def install(self) -> None:
        """Create the tables if they are not there."""

        def create(connection: psycopg.Connection) -> None:
            with connection.transaction():
                connection.execute(_SQL["lock"])
                connection.execute(_SQL["install"])

        self._run(create)

    def hashing_key(self) -> bytes:
        """The hashing key (32 bytes), made at first use."""

        def insert_or_read(connection: psycopg.Connection) -> bytes:
            fresh = self._master.wrap(self._random(KEY_SIZE), _HASHING)
            connection.execute(_SQL["insert_hashing"], {"wrapped": fresh, "master": self._master.current})
            row = connection.execute(_SQL["read_hashing"]).fetchone()
            if row is None:
                raise UnknownKey("The key store has lost its hashing key.")
            return self._master.unwrap(row[0], row[1], _HASHING)

        key: bytes = self._run(insert_or_read)
        return key

    def make(self, ids: Iterable[str]) -> dict[str, AESGCM]:
        """Keys to seal with, made where they are missing, committed on return. Raises Erased for a tombstone."""
        wanted = set(ids)
        found = self._cache.get_many(wanted)
        if len(found) < len(wanted):
            found.update(self._fetch(wanted - found.keys()))
            missing = wanted - found.keys()
            if missing:
                found.update(self._insert(sorted(missing)))
                # What is still missing another process has made a moment before: its key counts, not ours.
                found.update(self._read(wanted - found.keys()))
        keys: dict[str, AESGCM] = {}
        for key_id, key in found.items():
            if key is None:
                raise Erased("The key of this person was destroyed by an erasure; try again.")
            keys[key_id] = key
        return keys

    def _insert(self, ids: list[str]) -> dict[str, AESGCM | None]:
        """Make keys; gives those that were not there before."""
        fresh = {key_id: self._random(KEY_SIZE) for key_id in ids}
        wrapped = [self._master.wrap(key, UUID(key_id).bytes) for key_id, key in fresh.items()]
        parameters = {"ids": ids, "wrapped": wrapped, "master": self._master.current}
        rows = self._run(lambda connection: connection.execute(_SQL["insert_keys"], parameters).fetchall())
        made = {row[0].hex: AESGCM(fresh[row[0].hex]) for row in rows}
        self._cache.put_many(made)
        return dict(made)

    def keys(self, ids: Iterable[str]) -> dict[str, AESGCM | None]:
        """Keys to open with; None for an erased one. Raises UnknownKey for one that the store never had."""
        wanted = set(ids)
        found = self._cache.get_many(wanted)
        missing = wanted - found.keys()
        if missing:
            found.update(self._read(missing))
        return found

    def recall(self, ids: set[str]) -> dict[str, AESGCM | None] | None:
        """Like `keys`, out of the cache alone: None where the key store has to be asked. Never blocks."""
        found = self._cache.get_many(ids)
        return found if len(found) == len(ids) else None

    def destroy(self, ids: Iterable[str]) -> int:
        """Destroy keys for good; a tombstone stays of each. Gives how many there were to destroy.

        What they sealed opens nowhere any more: here at once, in other processes within `cache_seconds`.
        """
        wanted = list(ids)
        gone = self._run(lambda connection: connection.execute(_SQL["destroy_keys"], {"ids": wanted}).rowcount)
        self._cache.drop(wanted)
        return int(gone)

    def apply(self, mark: str, ids: Iterable[str], generations: Mapping[str, int]) -> None:
        """Apply an entry of the ledger of erasures, whole or not at all; harmless when repeated.

        mark: the entry's hash, kept as applied. ids: keys to destroy; one that the store never had gets a tombstone,
        so that it is never made. generations: `{hash of a token of generation 0: generation}`, the least that its
        identifier has from now on.
        """
        wanted = sorted(set(ids))
        raised = sorted(generations.items())
        parameters = {
            "mark": mark,
            "ids": wanted,
            "master": self._master.current,
            "tokens": [token for token, _ in raised],
            "generations": [generation for _, generation in raised],
        }

        def destroy(connection: psycopg.Connection) -> None:
            with connection.transaction():
                # First, so that whoever is refused the destroyed key finds the generation to go on with.
                connection.execute(_SQL["raise_generations"], parameters)
                connection.execute(_SQL["bury_keys"], parameters)
                connection.execute(_SQL["destroy_keys"], parameters)
                connection.execute(_SQL["note_applied"], parameters)

        self._run(destroy)
        self._cache.drop(wanted)

    def lacking(self, marks: Iterable[str]) -> set[str]:
        """Which of these entries of the ledger the store has not applied, or forgot by being restored."""
        wanted = list(marks)
        rows = self._run(lambda connection: connection.execute(_SQL["applied"], {"marks": wanted}).fetchall())
        return set(wanted) - {mark for (mark,) in rows}

    def _read(self, ids: Iterable[str]) -> dict[str, AESGCM | None]:
        wanted = set(ids)
        found = self._fetch(wanted) if wanted else {}
        lost = wanted - found.keys()
        if lost:
            raise UnknownKey(f"{len(lost)} key(s) are not in the key store, {min(lost)} among them.")
        return found

    def _fetch(self, ids: Iterable[str]) -> dict[str, AESGCM | None]:
        """Those of these keys that the store has."""
        wanted = list(ids)
        rows = self._run(lambda connection: connection.execute(_SQL["read_keys"], {"ids": wanted}).fetchall())
        found: dict[str, AESGCM | None] = {}
        for key_id, wrapped, master in rows:
            found[key_id.hex] = (
                None if wrapped is None else AESGCM(self._master.unwrap(wrapped, master, key_id.bytes))
            )
        self._cache.put_many({key_id: key for key_id, key in found.items() if key is not None})
        return found

    def generations(self, tokens: Iterable[str]) -> dict[str, int]:
        """`{token of generation 0: current generation}` of those that an erasure has raised."""
        by_hash = {token.rpartition(".")[2]: token for token in tokens}
        if not by_hash:
            return {}
        parameters = {"tokens": list(by_hash)}
        rows = self._run(lambda connection: connection.execute(_SQL["read_generations"], parameters).fetchall())
        return {by_hash[token.hex]: generation for token, generation in rows}

    def rotate(self, progress: Callable[[int], None] = lambda left: None, batch: int = 1000) -> int:
        """Wrap all keys by the current master key, a batch a transaction; may be stopped and started again.

        Gives the number of keys wrapped anew; calls `progress` with how many are left.
        """
        self._run(self._rotate_hashing)
        done = 0
        while count := self._run(lambda connection: self._rotate_batch(connection, batch)):
            done += count
            progress(self._run(self._count_foreign))
        return done

    def _count_foreign(self, connection: psycopg.Connection) -> int:
        row = connection.execute(_SQL["count_foreign"], {"master": self._master.current}).fetchone()
        return int(row[0]) if row else 0

    def _rotate_hashing(self, connection: psycopg.Connection) -> None:
        row = connection.execute(_SQL["read_hashing"]).fetchone()
        if row is not None and row[1] != self._master.current:
            wrapped = self._master.wrap(self._master.unwrap(row[0], row[1], _HASHING), _HASHING)
            connection.execute(_SQL["update_hashing"], {"wrapped": wrapped, "master": self._master.current})

    def _rotate_batch(self, connection: psycopg.Connection, batch: int) -> int:
        with connection.transaction():
            parameters: dict[str, Any] = {"master": self._master.current, "limit": batch}
            rows = connection.execute(_SQL["read_foreign"], parameters).fetchall()
            anew = [
                self._master.wrap(self._master.unwrap(wrapped, master, key_id.bytes), key_id.bytes)
                for key_id, wrapped, master in rows
            ]
            parameters = {"ids": [row[0] for row in rows], "wrapped": anew, "master": self._master.current}
            connection.execute(_SQL["rewrap"], parameters)
        return len(rows)
