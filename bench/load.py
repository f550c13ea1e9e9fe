"""Which events does a benchmark put on the log? Generated, sealed for real, appended in large batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count, islice
from typing import Any

from adapters.sample.bulk import bulk
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.event import read_event
from eventlog.key_access import KeyAccess
from eventlog.masterkey import MasterKeys
from eventlog.port import Entry
from eventlog.sealer import Sealer
from eventlog.tokens import Hasher

__all__ = ["made_keys", "sealed"]


def made_keys(dsn: str) -> KeyAccess:
    """A key store of its own in a database, under a master key that nobody keeps."""
    return KeyAccess(dsn, MasterKeys(os.urandom(32)), cache_seconds=3600)


def _each_once(customers: int) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(bulk(customers, customers, seed=0)):
        who = [
            {"kind": "customer_no", "value": f"B-{number}"},
            {"kind": "email", "value": f"customer{number}@example.com"},
        ]
        # Before all others, so that none of those makes an identifier older than it was.
        yield {**event, "time": "2024-12-31T12:00:00Z", "data": {**event["data"], "who": who}}


def _with_cookie(event: dict[str, Any], number: int) -> dict[str, Any]:
    data = event["data"]
    return {**event, "data": {**data, "who": [data["who"][1], {"kind": "cookie", "value": f"c-{number}"}]}}


def sealed(
    keys: KeyAccess, events: int, customers: int, seed: int = 1, linking: bool = False
) -> Iterator[list[Entry]]:
    """Entries of `events` generated events over `customers` customers (skewed), 5,000 at a time; with the keys that
    `keys` leads to. Before them comes one of each customer. `linking`: each event brings a new cookie."""
    keyring = keys.keyring()
    keyring.install()
    sealer = Sealer(keyring, Hasher(keyring.hashing_key()), cache_seconds=3600)
    catalogue = Catalogue(builtin())
    raw: Iterator[dict[str, Any]] = chain(_each_once(customers), bulk(events, customers, seed))
    if linking:
        raw = map(_with_cookie, raw, count())
    try:
        while chunk := list(islice(raw, 5_000)):
            yield sealer.seal([read_event(one, catalogue) for one in chunk], datetime.now(UTC))
    finally:
        keyring.close()
