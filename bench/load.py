"""Which events does a benchmark put on the log? Generated, sealed for real, appended in large batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from adapters.sample.bulk import bulk
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.event import read_event
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.port import Entry
from eventlog.sealer import Sealer
from eventlog.tokens import Hasher

__all__ = ["sealed"]


def sealed(dsn: str, events: int, customers: int, seed: int = 1) -> Iterator[list[Entry]]:
    """Entries of `events` generated events over `customers` customers (skewed), 5,000 at a time; keys in `dsn`."""
    keyring = Keyring(dsn, MasterKeys(os.urandom(32)), cache_seconds=3600)
    keyring.install()
    sealer = Sealer(keyring, Hasher(keyring.hashing_key()), cache_seconds=3600)
    catalogue = Catalogue(builtin())
    raw = iter(bulk(events, customers, seed))
    try:
        while chunk := list(islice(raw, 5_000)):
            yield sealer.seal([read_event(one, catalogue) for one in chunk], datetime.now(UTC))
    finally:
        keyring.close()
