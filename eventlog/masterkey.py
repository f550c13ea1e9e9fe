"""Which key wraps the keys? The master key, from the environment or a file, and those it replaced."""

from __future__ import annotations

import os
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Misconfigured, Tampered

__all__ = ["KEY_SIZE", "MasterKeys", "read_master"]

KEY_SIZE = 32
_NONCE = 12


def read_master(text: str) -> bytes:
    """A master key out of its base64 text. Raises Misconfigured unless it has 32 bytes."""
    try:
        key = b64decode(text.strip(), validate=True)
    except (Base64Error, ValueError):
        key = b""
    if len(key) != KEY_SIZE:
        raise Misconfigured("The master key is not base64 of 32 bytes; make one with `openssl rand -base64 32`.")
    return key


class MasterKeys:
    """The current master key, and older ones that may still have wrapped something."""

    def __init__(
        self, current: bytes, older: Sequence[bytes] = (), random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._raw = (current, tuple(older))
        self._keys = {self._label(key): AESGCM(key) for key in (*older, current)}
        self.current = self._label(current)
        self._random = random

    def __reduce__(self) -> tuple[type[MasterKeys], tuple[bytes, tuple[bytes, ...]]]:
        """To another process of ours, through a pipe."""
        return MasterKeys, self._raw

    @staticmethod
    def _label(key: bytes) -> str:
        """A name of the key that tells nothing about it."""
        return blake2b(key, digest_size=8, person=b"storyline.label").hexdigest()

    def wrap(self, key: bytes, purpose: bytes) -> bytes:
        """The key, sealed by the current master key and bound to its purpose (its id)."""
        nonce = self._random(_NONCE)
        return nonce + self._keys[self.current].encrypt(nonce, key, purpose)

    def unwrap(self, wrapped: bytes, label: str, purpose: bytes) -> bytes:
        """The key. Misconfigured if its master key is not at hand; Tampered if it was altered or swapped."""
        master = self._keys.get(label)
        if master is None:
            raise Misconfigured(
                f"A key was wrapped by master key {label}, which is not at hand. "
                "Put the older key into STORYLINE_OLD_MASTER_KEYS until `storyline keys rotate` is through."
            )
        try:
            return master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], purpose)
        except InvalidTag:
            raise Tampered("A wrapped key does not open: the key store was altered.") from None
