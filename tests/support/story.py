"""How does a test get a whole small Storyline? A database, a log, a publisher and a runner, wired without servers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from commands.publishing import Publisher, Rights
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.event import read_event
from eventlog.key_access import KeyAccess
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.opening import open_log
from eventlog.port import Entry, Log
from eventlog.sealer import Sealer
from eventlog.tokens import Hasher
from projections.decoding import Decoder
from projections.deriving import Deriver, Reading
from projections.opening import Opener
from projections.registry import MODELS
from projections.runner import Parked, Runner
from storyline.database import upgrade

__all__ = ["ALL", "Story", "event", "note", "story"]

ALL = Rights(system=True)
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def event(number: int | str, **changes: Any) -> dict[str, Any]:
    """A good CloudEvent as a plain object; `changes` replace attributes, `data` is merged."""
    data = {"who": [{"kind": "email", "value": "ann@example.org"}], "content": {"subject": f"Mail {number}"}}
    data.update(changes.pop("data", {}))
    minutes = number if isinstance(number, int) else 0
    raw = {
        "specversion": "1.0",
        "source": "test/mail",
        "id": f"e-{number}",
        "type": "email.received",
        "time": (START + timedelta(minutes=minutes)).isoformat(),
        "data": data,
    }
    return {**raw, **changes}


def note(number: int | str, text: str, **changes: Any) -> dict[str, Any]:
    """A mail with this text."""
    return event(number, data={"content": {"subject": text}}, **changes)


@dataclass
class Story:
    """The parts of one small system. `parked` collects what runners could not apply."""

    dsn: str
    log_url: str
    log: Log
    keyring: Keyring
    hasher: Hasher
    sealer: Sealer
    catalogue: Catalogue
    publisher: Publisher
    reading: Reading
    parked: list[Parked] = field(default_factory=list)
    opener: Opener | None = None
    _staying: tuple[Runner, Any] | None = None

    def publish(self, *raw: Any) -> list[Any]:
        """Publish plain objects."""
        return self.publisher.publish(raw, ALL)

    def seal(self, raw: Sequence[Any], recorded_at: datetime) -> list[Entry]:
        """Entries without appending them."""
        return self.sealer.seal([read_event(one, self.catalogue) for one in raw], recorded_at)

    def runner(self, **changes: Any) -> Runner:
        """A runner on this log; the caller closes it."""
        parts: dict[str, Any] = {
            "dsn": self.dsn,
            "log_url": self.log_url,
            "log_id": self.log.log_id,
            "partitions": self.log.partitions,
            "park": lambda connection, parked: self.parked.extend(parked),
            "reading": self.reading,
        }
        return Runner(**{**parts, **changes})

    def decoder(self) -> Decoder:
        """A decoder as the projector's reader has it."""
        if self.opener is None:
            self.opener = Opener(self.reading.keys)
        return Decoder(Deriver(self.catalogue, self.opener))

    def project(self, **changes: Any) -> None:
        """Apply the whole log. Without `changes` by a runner that stays for the next time: its reader is a process,
        which takes a second to start."""
        if not changes:
            try:
                self._stay().run_to(self.log.ends())
            except BaseException:
                self.rest()
                raise
            return
        runner = self.runner(**changes)
        try:
            runner.run_to(self.log.ends())
        finally:
            runner.close()

    def _stay(self) -> Runner:
        made = self.dsn, self.log_url, self.log.log_id, self.log.partitions, self.reading
        if self._staying is None or self._staying[1] != made:
            self.rest()
            self._staying = self.runner(), made
        return self._staying[0]

    def rest(self) -> None:
        """Let go of the database and of the log, for who removes or copies them."""
        if self._staying is not None:
            self._staying[0].close()
            self._staying = None

    def hashes(self, suffix: str = "", republished: bool = False) -> dict[str, Any]:
        """Row hashes of all read models."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return {model.name: dict(model.hashes(connection, suffix, republished)) for model in MODELS}

    def empty(self) -> None:
        """Empty the read models and forget their positions, as if nothing had been applied yet."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for model in MODELS:
                tables = connection.execute(
                    "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
                    "WHERE schemaname = %s AND tablename <> 'rules'",
                    [model.name],
                ).fetchall()
                for (table,) in tables:
                    connection.execute(f"DELETE FROM {table}")  # much faster for a few rows than TRUNCATE
            connection.execute("DELETE FROM storyline.positions")

    def rows(self, query: str, *parameters: Any) -> list[Any]:
        """Rows of a query."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()


@contextmanager
def story(
    dsn: str, log_url: str, *, master: bytes | None = None, hashing_from: Story | None = None
) -> Iterator[Story]:
    """A system on a database and a log. `hashing_from` shares the key store of another."""
    upgrade(dsn)
    log = open_log(log_url)
    keys = hashing_from.reading.keys if hashing_from else KeyAccess(dsn, MasterKeys(master or os.urandom(32)))
    keyring = hashing_from.keyring if hashing_from else Keyring(dsn, keys.master)
    if hashing_from is None:
        keyring.install()
    hasher = Hasher(keyring.hashing_key())
    catalogue = Catalogue(builtin())
    sealer = Sealer(keyring, hasher)
    publisher = Publisher(catalogue, sealer, log)
    made = Story(dsn, log_url, log, keyring, hasher, sealer, catalogue, publisher, Reading(keys))
    try:
        yield made
    finally:
        made.rest()
        made.log.close()  # a test may have opened it anew
        if made.opener is not None:
            made.opener.close()
        if hashing_from is None:
            keyring.close()
