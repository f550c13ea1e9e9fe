"""How is what the directory needs opened? With a key store of one's own, beside the projector's SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Tampered, UnknownKey
from eventlog.key_access import KeyAccess
from eventlog.keyring import Keyring
from eventlog.record import Record
from eventlog.sealing import Opened, keys_of
from eventlog.tokens import Hasher
from projections.directory.extracting import open_parts

__all__ = ["Opener"]


class Opener:
    """Opens records for the directory, with a key store of its own."""

    def __init__(self, keys: KeyAccess) -> None:
        self._keyring: Keyring = keys.keyring()
        self.hasher: Hasher = keys.hasher(self._keyring)
        self.unknown = 0

    def open(self, records: Sequence[Record]) -> list[Opened | None]:
        """What each record sealed; None where the key was destroyed, or (counted in `unknown`) is not in the store.

        Raises Unavailable where the key store does not answer.
        """
        if not records:
            return []
        try:
            keys = self._keyring.keys(keys_of(records))
        except UnknownKey:
            return [self._by_itself(one) for one in records]
        return [_opened(one, keys) for one in records]

    def _by_itself(self, record: Record) -> Opened | None:
        try:
            return _opened(record, self._keyring.keys(keys_of([record])))
        except UnknownKey:
            self.unknown += 1
            return None

    def close(self) -> None:
        """Let go of the key store."""
        self._keyring.close()


def _opened(record: Record, keys: Mapping[str, AESGCM | None]) -> Opened | None:
    try:
        return open_parts(record, keys)
    except Tampered:
        return None  # the timeline shows it as such, the directory says nothing of it
