"""What are the bytes of a record on the log? Version 1, final: made once, stored and copied verbatim.

A record is one JSON object in UTF-8 without blanks, its fields in this order:

    v, name, source, type, version, time, senttime?, digest, owner, tokens?, evidence?, refs?, parties?, about?,
    actor?, channel?, direction?, public?, key, sealed, recorded_at

Fields with `?` are left out when empty. All before `sealed` is the *head*. `sealed` is an array of blobs: the
event's own, then one per party. A blob is base64 of nonce (12 bytes), AES-256-GCM ciphertext and tag (16 bytes);
its associated data is the head closed by `}`, a zero byte and the blob's index in decimal. So a blob that is
swapped, truncated or altered, or whose head was touched, does not open. `recorded_at` is outside, because it is
stamped last.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from domain.errors import Poison

__all__ = [
    "MAX_RECORD",
    "AboutHead",
    "Head",
    "PartyHead",
    "Record",
    "decode",
    "encode",
    "head_of",
    "ref_hash",
    "stamp",
]

MAX_RECORD: Final = 1_000_000
"""Largest record in bytes; an event whose record would be larger is refused at the door."""

_TAIL: Final = b',"sealed":['


class PartyHead(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is in clear of a party: role, tokens, evidence and key of its own."""

    role: str
    key: str
    tokens: tuple[str, ...] = ()
    evidence: str = ""


class AboutHead(msgspec.Struct, frozen=True):
    """Another event by name (`SOURCE#HASH`), and the relation to it."""

    relation: str
    name: str


class Head(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is in clear of a record, but for `recorded_at`; see the module for the meaning of its bytes.

    name: `SOURCE#HASH`. owner: a token, `ref.HASH` or `event.HASH`. tokens: sorted by priority. evidence: hash of
    the tokens, "" without tokens. refs: `kind[/namespace]:value`, a conversation's value hashed.
    """

    v: int
    name: str
    source: str
    type: str
    version: int
    time: str
    senttime: str | None = None
    digest: str
    owner: str
    tokens: tuple[str, ...] = ()
    evidence: str = ""
    refs: tuple[str, ...] = ()
    parties: tuple[PartyHead, ...] = ()
    about: tuple[AboutHead, ...] = ()
    actor: str | None = None
    channel: str | None = None
    direction: str | None = None
    public: dict[str, Any] = {}
    key: str


class _Tail(msgspec.Struct, frozen=True):
    sealed: tuple[str, ...]
    recorded_at: str


class Record(msgspec.Struct, frozen=True):
    """A decoded record: `head`, the bytes that its blobs are bound to, the blobs, and when it was recorded."""

    head: Head
    head_bytes: bytes
    sealed: tuple[str, ...]
    recorded_at: str


_encoder = msgspec.json.Encoder(decimal_format="number")
_head_decoder = msgspec.json.Decoder(Head, float_hook=Decimal)
_tail_decoder = msgspec.json.Decoder(_Tail)


def head_of(head: Head) -> bytes:
    """The head's bytes, closed by `}`: what the blobs are bound to."""
    return _encoder.encode(head)


def stamp(now: datetime) -> str:
    """`recorded_at`: UTC, microseconds, always 27 characters."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


@lru_cache(maxsize=16_384)  # each ref is asked for by several tables
def ref_hash(ref: str) -> bytes:
    """16 bytes under which the timeline of a ref in its clear form (`kind[/namespace]:value`) is found.

    Without a key: refs are codes and stand in clear (a conversation's value is hashed before), and the projector
    holds no secrets.
    """
    return blake2b(ref.encode(), digest_size=16).digest()


def encode(head_bytes: bytes, sealed: tuple[str, ...], recorded_at: str) -> bytes:
    """The record's bytes."""
    blobs = '","'.join(sealed)
    return head_bytes[:-1] + f',"sealed":["{blobs}"],"recorded_at":"{recorded_at}"}}'.encode("ascii")


def decode(value: bytes) -> Record:
    """A record out of its bytes. Raises Poison for anything else. Checks the shape, not the seal."""
    split = value.rfind(_TAIL)
    if split < 0:
        raise Poison("The bytes are no record: the sealed part is missing.")
    head_bytes = value[:split] + b"}"
    try:
        head = _head_decoder.decode(head_bytes)
        tail = _tail_decoder.decode(b"{" + value[split + 1 :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = str(error) if isinstance(error, msgspec.ValidationError) else "broken JSON"
        raise Poison(f"The bytes are no record: {told}.") from None
    if head.v != 1:
        raise Poison(f"The record has version {head.v}; this release reads version 1. Upgrade, then redrive.")
    if len(tail.sealed) != 1 + len(head.parties):
        raise Poison("The record's blobs do not match its parties.")
    return Record(head, head_bytes, tail.sealed, tail.recorded_at)
