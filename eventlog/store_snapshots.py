"""How does a snapshot of an aggregate rest in the event store? Whole in one blob, sealed under the key of everybody
whose data is in it, one key over the other; an erasure of any of them makes it unreadable, and the events are folded.

A snapshot only saves time: one that does not open, or is of another release's shape, is passed over. A blob is bound
to the aggregate, its version and the shape of its state, so that one that was swapped does not open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.domain import DomainEventProtocol, Snapshot
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.utils import get_topic, resolve_topic

from domain.errors import Tampered
from domain.identifiers import Identifier, Ref
from domain.work import Work
from eventlog.keyring import Keyring
from eventlog.sealing import NONCE_SIZE

__all__ = ["SnapshotMapper"]

_logger = structlog.get_logger("storyline.snapshots")


class _Kept(msgspec.Struct):
    """What of an aggregate is beside its state."""

    who: tuple[Identifier, ...]
    refs: tuple[Ref, ...]
    created_on: datetime
    modified_on: datetime
    state: tuple[dict[str, Any], dict[str, Any]]


class _Sealed(msgspec.Struct):
    """A snapshot as it is stored. keys: whose data is in it, in the order of sealing."""

    v: int
    shape: str
    keys: list[str]
    blob: bytes


class SnapshotMapper(Mapper[UUID]):
    """Snapshots to bytes and back."""

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(JSONTranscoder())  # which is asked for nothing
        self._keyring = keyring

    def take(self, aggregate: Work, keys: Mapping[str, AESGCM | None]) -> StoredEvent | None:
        """A snapshot, sealed under those of these keys that are not destroyed. keys: those that opened the events of
        which the aggregate was made; asked for anew, one could be gone whose data is in the state.

        None where there is no key, or where the state is not the same after it was written and read: then there is
        no snapshot, and nothing is lost but time.
        """
        cls = type(aggregate)
        state = cls.state_to_plain(aggregate.state)
        kept = _Kept(aggregate.who, aggregate.refs, aggregate.created_on, aggregate.modified_on, state)
        if cls.state_from_plain(*state) != aggregate.state:
            _logger.warning("snapshot.not_alike", kind=aggregate.KIND)
            return None
        there = {key_id: key for key_id, key in keys.items() if key is not None}
        if not there:
            return None
        blob, shape = msgspec.json.encode(kept), _shape(cls)
        bound = _bound(cls, aggregate.id, aggregate.version, shape)
        for key in there.values():
            blob = _seal(key, blob, bound)
        sealed = _Sealed(1, shape, list(there), blob)
        return StoredEvent(aggregate.id, aggregate.version, get_topic(cls), msgspec.json.encode(sealed))

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """As the library has it. Raises Tampered for one that does not open."""
        found = self.open(stored_event)
        if found is None:
            raise Tampered("A snapshot does not open.")
        return found

    def open(self, stored: StoredEvent) -> Snapshot | None:
        """A snapshot; None for one that is of no use: of another shape, or under a key that was destroyed. Raises
        Tampered where it was altered or swapped."""
        sealed = msgspec.json.decode(stored.state, type=_Sealed)
        cls = resolve_topic(stored.topic)
        if sealed.v != 1 or sealed.shape != _shape(cls):
            return None
        id = UUID(str(stored.originator_id))
        blob, bound = sealed.blob, _bound(cls, id, stored.originator_version, sealed.shape)
        keys = self._keyring.keys(sealed.keys)
        for key_id in reversed(sealed.keys):
            key = keys[key_id]
            if key is None:
                return None
            blob = _open(key, blob, bound)
        kept = msgspec.json.decode(blob, type=_Kept)
        state = {
            "_created_on": kept.created_on,
            "_modified_on": kept.modified_on,
            "who": kept.who,
            "refs": kept.refs,
            "state": cls.state_from_plain(*kept.state),
        }
        return Snapshot(id, stored.originator_version, kept.modified_on, stored.topic, state)


@cache
def _shape(cls: type[Work]) -> str:
    """Changes with the fields of the state, so that a snapshot of an older release is not taken for one of this."""
    described = msgspec.json.encode(msgspec.json.schema(cls.STATE), order="sorted")
    version = getattr(cls, "class_version", 1)
    return blake2b(b"%d " % version + described, digest_size=8).hexdigest()


def _bound(cls: type[Work], id: UUID, version: int, shape: str) -> bytes:
    return f"snapshot\0{cls.KIND}\0{id.hex}\0{version}\0{shape}".encode()


def _seal(key: AESGCM, blob: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(NONCE_SIZE)
    return nonce + key.encrypt(nonce, blob, bound)


def _open(key: AESGCM, blob: bytes, bound: bytes) -> bytes:
    try:
        return key.decrypt(blob[:NONCE_SIZE], blob[NONCE_SIZE:], bound)
    except (InvalidTag, ValueError):
        raise Tampered("A snapshot does not open: it, or its place, was altered.") from None
