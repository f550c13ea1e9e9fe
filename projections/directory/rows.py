"""What do rows of the directory look like, and how are they packed for COPY? In Postgres' binary format, as the
rows of every other read model; see `projections/packing.py`.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final, NamedTuple

from projections.columns import micros_of
from projections.packing import Packed, pack

__all__ = [
    "Claim",
    "Code",
    "DirectoryRows",
    "Identified",
    "PackedRows",
    "Term",
    "pack_claim",
    "pack_code",
    "pack_identifier",
    "pack_rows",
    "pack_term",
]

_JSONB: Final = b"\x01"

_LENGTH = struct.Struct("!i")
_IDENTIFIER = struct.Struct("!hi16si16s")  # evidence, node
_CLAIM = struct.Struct("!hi16sihi16siqiq")  # name, place, evidence, happened_at, recorded_at
_ONE = struct.Struct("!hi16s")  # evidence or ref


class Identified(NamedTuple):
    """A row of `identifiers`; evidence and node are the 16 bytes of their uuid."""

    evidence: bytes
    node: bytes
    kind: str
    namespace: str
    value: str


class Claim(NamedTuple):
    """A row of `claims`: what the event `name` says of its `who` (place 0) or its nth party. `fields`: JSON."""

    name: bytes
    place: int
    evidence: bytes
    happened_at: datetime
    recorded_at: datetime
    source: str
    fields: bytes


class Term(NamedTuple):
    """A row of `terms`."""

    evidence: bytes
    kind: str
    term: str


class Code(NamedTuple):
    """A row of `codes`; ref is the 16 bytes of `eventlog.record.ref_hash`."""

    ref: bytes
    kind: str
    namespace: str
    value: str
    term: str


class DirectoryRows(NamedTuple):
    """Rows of one event, or of several, for the four tables."""

    identifiers: list[Identified]
    claims: list[Claim]
    terms: list[Term]
    codes: list[Code]


class PackedRows(NamedTuple):
    """The same, ready for COPY."""

    identifiers: Packed
    claims: Packed
    terms: Packed
    codes: Packed


def pack_identifier(row: Identified) -> bytes:
    """A row of `identifiers` in COPY format."""
    evidence, node, kind, namespace, value = row
    return _IDENTIFIER.pack(5, 16, evidence, 16, node) + _text(kind) + _text(namespace) + _text(value)


def pack_claim(row: Claim) -> bytes:
    """A row of `claims` in COPY format."""
    name, place, evidence, happened_at, recorded_at, source, fields = row
    fixed = _CLAIM.pack(7, 16, name, 2, place, 16, evidence, 8, micros_of(happened_at), 8, micros_of(recorded_at))
    return b"".join((fixed, _text(source), _LENGTH.pack(len(fields) + 1), _JSONB, fields))


def pack_term(row: Term) -> bytes:
    """A row of `terms` in COPY format."""
    evidence, kind, term = row
    return _ONE.pack(3, 16, evidence) + _text(kind) + _text(term)


def pack_code(row: Code) -> bytes:
    """A row of `codes` in COPY format."""
    ref, kind, namespace, value, term = row
    return _ONE.pack(5, 16, ref) + _text(kind) + _text(namespace) + _text(value) + _text(term)


def pack_rows(rows: DirectoryRows, its_mark: bytes) -> PackedRows:
    """All rows of one event, each with the event's mark beside it."""
    return PackedRows(
        pack([(its_mark, pack_identifier(row)) for row in rows.identifiers]),
        pack([(its_mark, pack_claim(row)) for row in rows.claims]),
        pack([(its_mark, pack_term(row)) for row in rows.terms]),
        pack([(its_mark, pack_code(row)) for row in rows.codes]),
    )


def _text(value: str) -> bytes:
    raw = value.encode()
    return _LENGTH.pack(len(raw)) + raw
