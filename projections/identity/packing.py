"""How do rows of `identity` look in Postgres' binary COPY format? Packed here, since a driver that adapts each value
by itself takes longer than finding out who is who.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from domain.identity import Dispute, Kind, NodeState
from projections.columns import LENGTH, NULL, micros_of, text
from projections.identity.tables import PlainRow

__all__ = ["copy_rows", "dispute", "evidence", "member", "node", "plain", "rooted", "said"]

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END: Final = struct.pack("!h", -1)
_ONE = struct.Struct("!hi16s").pack
_TWO = struct.Struct("!hi16si16s").pack
_UUID = struct.Struct("!i16s").pack
_TIME = struct.Struct("!iq").pack
_SMALL = struct.Struct("!ih").pack
_INTEGER = struct.Struct("!ii").pack
_ROOTED = struct.Struct("!hiiii").pack
_ARRAY = struct.Struct("!iiiiii").pack
"""Length, dimensions, whether any is null, type, how many, number of the first."""
_UUIDS, _TEXTS = 2950, 25
_EMPTY: Final = struct.pack("!iiii", 12, 0, 0, _TEXTS)
_YES, _NO = struct.pack("!i?", 1, True), struct.pack("!i?", 1, False)


def node(its: UUID, kind: Kind, state: NodeState) -> bytes:
    """A row of `nodes`."""
    first_at, shared, strong, direct, direct_at, component, customer = state
    return b"".join(
        (
            _ONE(11, 16, its.bytes),
            _kind(kind),
            _time(first_at),
            _YES if shared else _NO,
            _texts(strong) if strong else _EMPTY,
            _uuid(direct),
            _time(direct_at),
            _uuid(component),
            _UUID(16, customer.bytes),
        )
    )


def evidence(
    its: UUID, nodes: Collection[UUID], first_at: datetime | None, component: UUID | None, customer: UUID
) -> bytes:
    """A row of `evidences`."""
    rest = (_uuids([one.bytes for one in nodes]), _time(first_at), _uuid(component), _UUID(16, customer.bytes))
    return b"".join((_ONE(5, 16, its.bytes), *rest))


def plain(component: UUID, row: PlainRow) -> bytes:
    """A row of `plain`."""
    sizes = (_SMALL(2, row.priority), _time(row.first_at), _INTEGER(4, row.nodes), _INTEGER(4, row.links))
    return b"".join((_TWO(7, 16, component.bytes, 16, row.customer.bytes), *sizes, _texts(row.numbers)))


def dispute(its: Dispute, component: UUID | None) -> bytes:
    """A row of `disputes`."""
    rest = (text(its.reason), _time(its.first_at), _uuid(component))
    return b"".join((_TWO(5, 16, its.a.bytes, 16, its.b.bytes), *rest))


def said(its: bytes, nodes: Sequence[bytes], first_at: datetime | None) -> bytes:
    """A row of `said_evidences`."""
    return b"".join((_ONE(3, 16, its), _uuids(nodes), _time(first_at)))


def member(its: bytes, of: bytes, kind: Kind, first_at: datetime | None, beside: int) -> bytes:
    """A row of `said_members`: a node, the evidence that it is in, and how many others are."""
    return b"".join((_TWO(7, 16, its, 16, of), _kind(kind), _time(first_at), _INTEGER(4, beside)))


def rooted(number: int, root: int) -> bytes:
    """A row of `rooted`."""
    return _ROOTED(2, 4, number, 4, root)


def copy_rows(into: psycopg.Connection | psycopg.Cursor[Any], query: LiteralString, rows: Iterable[bytes]) -> None:
    """Copy rows that were packed here."""
    opened = into.cursor() if isinstance(into, psycopg.Connection) else into
    with opened.copy(query) as copy:
        copy.write(_HEADER)
        some: list[bytes] = []
        for row in rows:
            some.append(row)
            if len(some) == 1000:
                copy.write(b"".join(some))
                some.clear()
        copy.write(b"".join((*some, _END)))


@lru_cache(maxsize=10_000)
def _kind(kind: Kind) -> bytes:
    return text(kind.kind) + text(kind.namespace) + _SMALL(2, kind.priority)


def _time(at: datetime | None) -> bytes:
    return NULL if at is None else _TIME(8, micros_of(at))


def _uuid(one: UUID | None) -> bytes:
    return NULL if one is None else _UUID(16, one.bytes)


def _uuids(ids: Sequence[bytes]) -> bytes:
    if not ids:
        return struct.pack("!iiii", 12, 0, 0, _UUIDS)
    return _ARRAY(20 + 20 * len(ids), 1, 0, _UUIDS, len(ids), 1) + b"".join([_UUID(16, one) for one in ids])


def _texts(values: Sequence[str]) -> bytes:
    if not values:
        return _EMPTY
    raw = [one.encode() for one in values]
    body = b"".join([LENGTH.pack(len(one)) + one for one in raw])
    return _ARRAY(20 + len(body), 1, 0, _TEXTS, len(raw), 1) + body
