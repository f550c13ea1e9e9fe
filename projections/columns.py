"""How does one value stand in Postgres' binary COPY format? With its length before it, or -1 for null. And how are
many ids written as one array?"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

from psycopg import adapters
from psycopg.adapt import PyFormat

__all__ = ["LENGTH", "LONGEST_CODE", "NULL", "array_of", "cut", "hash16", "micros_of", "numeric", "text"]

NULL: Final = struct.pack("!i", -1)
LENGTH: Final = struct.Struct("!i")
LONGEST_CODE: Final = 500
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_numeric = adapters.get_dumper(Decimal, PyFormat.BINARY)(Decimal).dump


def micros_of(time: datetime) -> int:
    """A time as Postgres counts it: microseconds since 2000."""
    delta = time - _POSTGRES_EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def text(value: str | None) -> bytes:
    """A code. Raises ValueError for one that Postgres, and with it the whole batch, would be refused for."""
    if value is None:
        return NULL
    raw = value.encode()
    if len(raw) > LONGEST_CODE or 0 in raw:
        raise ValueError(f"a code that is longer than {LONGEST_CODE} bytes or holds a NUL")
    return LENGTH.pack(len(raw)) + raw


@lru_cache(maxsize=4096)
def cut(value: str | None) -> bytes:
    """A code, as much of it as there is room for: for columns that only repeat what the record says in full. Most are
    one of a few, so that they are remembered."""
    if value is None:
        return NULL
    raw = value.encode("utf-8", "replace").replace(b"\0", b"")
    if len(raw) > LONGEST_CODE:
        raw = raw[:LONGEST_CODE].decode("utf-8", "ignore").encode()
    return LENGTH.pack(len(raw)) + raw


def numeric(value: Decimal) -> bytes:
    """An exact number, with all of its digits."""
    return _numeric_of(str(value))  # numbers that are equal differ in their digits: 1.5 is not 1.50


@lru_cache(maxsize=8192)
def _numeric_of(value: str) -> bytes:
    """Prices and quantities come again and again, and to pack one takes as long as all else of its row."""
    raw = _numeric(Decimal(value)) or b""
    return LENGTH.pack(len(raw)) + bytes(raw)


def hash16(name: str) -> bytes:
    """The 16 bytes that a name, token or evidence ends with, in hex. Raises ValueError where there are none."""
    raw = bytes.fromhex(name[-32:])
    if len(raw) != 16:
        raise ValueError("a hash without 32 hex digits")
    return raw


def array_of(values: Iterable[str]) -> str:
    """Ids in hex, numbers, or moments in ISO 8601, as Postgres writes an array: much faster for thousands than to
    adapt each."""
    return f"{{{','.join(values)}}}"
