"""What is erased with a customer? What is at home in her: evidences, identifiers, and the generations that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from domain.errors import Poison
from domain.identifiers import Identifier
from eventlog.keyring import Keyring
from eventlog.record import Head, decode
from eventlog.sql import load
from eventlog.tokens import Hasher

__all__ = ["SQL", "Scope", "account", "raised_by", "scope_of"]

SQL: Final = load("commands", "erasing.sql")
_LISTED: Final = 1000
"""Most events of each kind that a certificate lists."""
_AT_ONCE: Final = 500


class Scope(NamedTuple):
    """evidences: sets of identifiers, each with a key. nodes: identifiers that lead to nobody afterwards."""

    evidences: tuple[UUID, ...]
    nodes: tuple[UUID, ...]


def scope_of(connection: psycopg.Connection, customer: UUID) -> tuple[Scope, dict[UUID, Identifier]]:
    """What is at home in a customer and not erased yet, and its identifiers in clear, where they can be read."""
    asked = {"customer": customer}
    evidences = [row[0] for row in connection.execute(SQL["evidences"], asked)]
    rows = connection.execute(SQL["nodes"], asked).fetchall()
    known = {node: Identifier(kind, value, namespace) for node, kind, namespace, value in rows if value is not None}
    return Scope(tuple(evidences), tuple([row[0] for row in rows])), known


def raised_by(
    nodes: Sequence[UUID], known: Mapping[UUID, Identifier], hasher: Hasher, keyring: Keyring
) -> dict[str, int]:
    """`{hash of a token of generation 0: generation}` by which each node is left behind.

    A node that cannot be read is taken for one of generation 0: then it is its own base. For one that was raised
    before that would name nobody, and do no harm.
    """
    bases = {node: base for node, one in known.items() if (base := hasher.token(one)) is not None}
    current = keyring.generations(bases.values())
    raised: dict[str, int] = {}
    for node in nodes:
        base, generation = node.hex, 0
        if node in bases:
            tokens = [hasher.token(known[node], place) for place in range(current.get(bases[node], 0) + 1)]
            mine = [place for place, token in enumerate(tokens) if token is not None and token[-32:] == node.hex]
            if mine:
                base, generation = bases[node][-32:], mine[0]
        raised[base] = max(raised.get(base, 0), generation + 1)
    return raised


def account(connection: psycopg.Connection, scope: Scope) -> dict[str, Any]:
    """What a certificate tells of a scope: how much there is of it, and which events also name others."""
    asked = {"evidences": list(scope.evidences), "nodes": list(scope.nodes)}
    mine = {evidence.hex for evidence in scope.evidences}
    [[events]] = connection.execute(SQL["count_events"], asked).fetchall()
    names_others = _listed(
        _heads(connection, "own_events", asked),
        lambda head: any(party.evidence not in mine for party in head.parties),
    )
    return {
        "events": events,
        "evidences": len(scope.evidences),
        "identifiers": len(scope.nodes),
        "names_others": names_others,
        "named_by_others": _listed(_heads(connection, "named_by_others", asked)),
        "elsewhere": _listed(_heads(connection, "elsewhere", asked)),
    }


def _listed(heads: Iterator[tuple[str, Head]], wanted: Callable[[Head], bool] = lambda head: True) -> dict[str, Any]:
    """How many events, and the names and positions of the first ones."""
    listed: list[dict[str, str]] = []
    count = 0
    for position, head in heads:
        if wanted(head):
            count += 1
            if len(listed) < _LISTED:
                listed.append({"name": head.name, "position": position})
    return {"count": count, "events": listed}


def _heads(connection: psycopg.Connection, query: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, Head]]:
    """The heads of events with their positions, a batch at a time, however many there are."""
    with connection.transaction(), connection.cursor(name="events", binary=True) as cursor:
        cursor.itersize = _AT_ONCE
        cursor.execute(SQL[query], asked)
        for partition, offset, record in cursor:
            try:
                yield f"{partition}:{offset}", decode(bytes(record)).head
            except Poison:
                continue
