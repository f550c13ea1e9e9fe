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
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Tampered
from eventlog.record import Record

__all__ = ["NONCE_SIZE", "Opened", "associated", "keys_of", "open_blob", "open_record", "seal_blob"]

NONCE_SIZE = 12
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Opened(msgspec.Struct, frozen=True):
    """What was sealed: the event's own part, and each party's (None where its key is erased)."""

    id: str
    who: list[dict[str, str]]
    content: dict[str, Any]
    refs: list[dict[str, str]]
    extensions: dict[str, Any]
    parties: list[list[dict[str, str]] | None]


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


def open_blob(key: AESGCM, blob: str, head_bytes: bytes, index: int) -> Any:
    """The JSON value in a blob. Raises Tampered if it, its head or its place is not as it was sealed."""
    try:
        raw = a2b_base64(blob, strict_mode=True)
        # Base64 has spare bits before its padding; set, they would make an altered blob that still opens.
        if b2a_base64(raw[-(len(raw) % 3 or 3) :], newline=False) != blob[-4:].encode():
            raise ValueError("spare bits")
        return _decode(key.decrypt(raw[:NONCE_SIZE], raw[NONCE_SIZE:], associated(head_bytes, index)))
    except (InvalidTag, Base64Error, ValueError, msgspec.DecodeError):
        raise Tampered("A sealed part does not open: it, its place or its record was altered.") from None


def open_record(record: Record, keys: Mapping[str, AESGCM | None]) -> Opened | None:
    """What a record sealed, with the keys of `keys_of(record)`; None as a key says "erased".

    Returns None if the event's own key is erased. A key that is missing from `keys` is a caller's mistake
    (`Keyring.keys` raises UnknownKey for it).
    """
    own = keys[record.head.key]
    if own is None:
        return None
    part = open_blob(own, record.sealed[0], record.head_bytes, 0)
    parties: list[list[dict[str, str]] | None] = []
    for index, party in enumerate(record.head.parties, start=1):
        key = keys[party.key]
        parties.append(None if key is None else open_blob(key, record.sealed[index], record.head_bytes, index)["who"])
    return Opened(
        id=part["id"],
        who=part.get("who", []),
        content=part.get("content", {}),
        refs=part.get("refs", []),
        extensions=part.get("extensions", {}),
        parties=parties,
    )


def keys_of(records: Sequence[Record]) -> set[str]:
    """The ids of all keys that opening these records needs."""
    wanted = {record.head.key for record in records}
    wanted.update(party.key for record in records for party in record.head.parties)
    return wanted
