"""How do definitions of segments stand in the database? Rows, and the queries that read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import psycopg

from eventlog.sql import load

__all__ = [
    "SQL",
    "Definition",
    "Kind",
    "SegmentPage",
    "State",
    "Version",
    "find",
    "page_of",
    "version_of",
    "versions_of",
]

SQL: Final = load("commands", "segments.sql")
Kind = Literal["dynamic", "fixed", "snapshot"]
State = Literal["active", "archived"]
_MOST_VERSIONS: Final = 100


class Definition(NamedTuple):
    """What a segment is. serving: the version of its rule that counts, None while the first is being found out, and
    for lists. filling: one that is being found out beside it. announce: whether entering and leaving are told."""

    code: str
    kind: Kind
    title: str
    description: str
    state: State
    serving: int | None
    filling: int | None
    announce: bool
    created_at: datetime
    changed_at: datetime
    created_by: str | None
    revision: int


class Version(NamedTuple):
    """A rule of a segment. rule: in its canonical form; text: readable. filled_to: up to which customer it was found
    out; size: how many were in it when that was complete."""

    version: int
    rule: Mapping[str, Any]
    text: str
    hash: str
    made_at: datetime
    made_by: str | None
    state: Literal["filling", "serving", "retired", "failed"]
    filled_to: UUID | None
    size: int | None
    announce_existing: bool

    @property
    def share(self) -> float:
        """How much of it is found out, 0 to 1: ids of customers are hashes, so the place of one tells how many stand
        before it."""
        if self.state != "filling":
            return 1.0
        return 0.0 if self.filled_to is None else self.filled_to.int / 2**128


class SegmentPage(NamedTuple):
    """Segments in the order of their codes. more: the code to go on behind."""

    segments: tuple[Definition, ...]
    more: str | None


def find(connection: psycopg.Connection, code: str) -> Definition | None:
    """A segment, None if there is none of that code."""
    row = connection.execute(SQL["one"], {"code": code}).fetchone()
    return None if row is None else Definition(*row)


def page_of(
    connection: psycopg.Connection, after: str, limit: int, state: str | None, kind: str | None, words: str | None
) -> SegmentPage:
    """Segments behind a code. words: what stands in their code, title or description."""
    asked = {"after": after, "limit": limit + 1, "state": state, "kind": kind, "like": _like(words)}
    found = [Definition(*row) for row in connection.execute(SQL["page"], asked)]
    return SegmentPage(tuple(found[:limit]), found[limit - 1].code if len(found) > limit else None)


def versions_of(connection: psycopg.Connection, code: str) -> list[Version]:
    """The rules of a segment, the newest first."""
    return [Version(*row) for row in connection.execute(SQL["versions"], {"code": code, "limit": _MOST_VERSIONS})]


def version_of(connection: psycopg.Connection, code: str) -> Version | None:
    """The rule that serves, else the one that is being found out, else the newest."""
    row = connection.execute(SQL["version"], {"code": code}).fetchone()
    return None if row is None else Version(*row)


def _like(words: str | None) -> str | None:
    if not words:
        return None
    quoted = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{quoted}%"
