"""How is what is personal made unreadable without its key, and how is it read again?

One AES-256-GCM blob per person: the event's own under the key of its evidence, one per party under the key of the
party's evidence. See `eventlog/record.py` for what a blob is bound to.
"""

from __future__ import annotations

import os
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Tampered
from eventlog.record import Record

__all__ = ["NONCE_SIZE", "Opened", "associated", "keys_of", "open_blob", "open_record", "seal_blob"]

NONCE_SIZE = 12
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
# The last letter before the padding, in canonical base64: by how much padding there is.
_LAST: Final = {"=": frozenset("AEIMQUYcgkosw048"), "==": frozenset("AQgw")}


class Opened(msgspec.Struct):
    """What was sealed: the event's own part, and each party's (None where its key is erased)."""

    id: str
    who: list[dict[str, str]] = []
    content: dict[str, Any] = {}
    refs: list[dict[str, str]] = []
    extensions: dict[str, Any] = {}
    parties: list[list[dict[str, str]] | None] = []


_decode_own = msgspec.json.Decoder(Opened, float_hook=Decimal).decode


def associated(head_bytes: bytes, index: int) -> bytes:
    """Associated data of the blob at `index`."""
    return b"%b\0%d" % (head_bytes, index)


def seal_blob(
    key: AESGCM, part: Any, head_bytes: bytes, index: int, random: Callable[[int], bytes] = os.urandom
) -> str:
    """A JSON value as a base64 blob. `random` gives the nonce; tests pass their own."""
    nonce = random(NONCE_SIZE)
    return b2a_base64(
        nonce + key.encrypt(nonce, _encode(part), associated(head_bytes, index)), newline=False
    ).decode()


def open_blob(key: AESGCM, blob: str, head_bytes: bytes, index: int, read: Callable[[bytes], Any] = _decode) -> Any:
    """The JSON value in a blob. Raises Tampered if it, its head or its place is not as it was sealed."""
    try:
        raw = a2b_base64(blob, strict_mode=True)
        # Base64 has spare bits before its padding; set, they would make an altered blob that still opens.
        if blob[-1] == "=" and not _canonical(blob):
            raise ValueError("spare bits")
        return read(key.decrypt(raw[:NONCE_SIZE], raw[NONCE_SIZE:], b"%b\0%d" % (head_bytes, index)))
    except (InvalidTag, Base64Error, ValueError, IndexError, msgspec.DecodeError):
        raise Tampered("A sealed part does not open: it, its place or its record was altered.") from None


def _canonical(blob: str) -> bool:
    """Are the bits before the padding zero?"""
    letters = blob[-4:].rstrip("=")
    return letters[-1] in _LAST["=" * (4 - len(letters))]


def open_record(record: Record, keys: Mapping[str, AESGCM | None]) -> Opened | None:
    """What a record sealed, with the keys of `keys_of(record)`; None as a key says "erased".

    Returns None if the event's own key is erased. A key that is missing from `keys` is a caller's mistake
    (`Keyring.keys` raises UnknownKey for it).
    """
    own = keys[record.head.key]
    if own is None:
        return None
    opened: Opened = open_blob(own, record.sealed[0], record.head_bytes, 0, _decode_own)
    if record.head.parties:
        opened.parties = []
        for index, party in enumerate(record.head.parties, start=1):
            key = keys[party.key]
            part = None if key is None else open_blob(key, record.sealed[index], record.head_bytes, index)
            opened.parties.append(None if part is None else part["who"])
    return opened


def keys_of(records: Sequence[Record]) -> set[str]:
    """The ids of all keys that opening these records needs."""
    wanted = {record.head.key for record in records}
    wanted.update(party.key for record in records for party in record.head.parties)
    return wanted
