"""Where does a test of proposals get customers? Put straight into the read models, so that thousands cost nothing.

town.add(name="Ann Carter", email="ann@example.org")   a customer; gives its id
town.join(a, b)                                        a merge as the projector would show it
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from domain.identifiers import KINDS, priority

__all__ = ["Town"]

_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_NAMESPACE = uuid.UUID(int=7)


@dataclass
class Town:
    """Customers in the tables of one database, over an autocommit connection."""

    connection: psycopg.Connection
    _count: int = 0

    def run(self, query: str, *parameters: Any) -> list[Any]:
        """A statement of a test, and its rows."""
        cursor = self.connection.execute(sql.SQL(query), parameters)
        return cursor.fetchall() if cursor.description else []

    def add(self, **known: Any) -> str:
        """A customer with identifiers (`email=…`, `phone=…`; `shared_phone=…` links nobody) and, of the rest, one
        claim. Gives the id."""
        self._count += 1
        at = _FIRST + timedelta(minutes=self._count)
        shared = {kind.removeprefix("shared_"): known.pop(kind) for kind in list(known) if kind.startswith("shared_")}
        own = {kind: known.pop(kind) for kind in KINDS if kind in known} or {"cookie": f"c{self._count}"}
        nodes = {kind: uuid.uuid5(_NAMESPACE, f"{kind} {value} {self._count}") for kind, value in own.items()}
        nodes |= {kind: uuid.uuid5(_NAMESPACE, f"{kind} {value}") for kind, value in shared.items()}
        evidence = uuid.uuid5(_NAMESPACE, f"evidence {self._count}")
        customer = nodes[min(own, key=priority)]
        for kind, value in {**shared, **own}.items():
            belongs = nodes[kind] if kind in shared else customer
            self.connection.execute(
                "INSERT INTO identity.nodes (node, kind, namespace, priority, first_at, shared, strong,"
                " component, customer) VALUES (%s, %s, '', %s, %s, %s, '{}', %s, %s) ON CONFLICT DO NOTHING",
                (nodes[kind], kind, priority(kind), at, kind in shared, customer, belongs),
            )
            self.connection.execute(
                "INSERT INTO directory.identifiers VALUES (%s, %s, %s, '', %s)",
                (evidence, nodes[kind], kind, value),
            )
        self.connection.execute(
            "INSERT INTO identity.evidences VALUES (%s, %s, %s, %s, %s)",
            (evidence, list(nodes.values()), at, customer, customer),
        )
        if known:
            self.connection.execute(
                "INSERT INTO directory.claims VALUES (%s, 0, %s, %s, %s, 'test/crm', %s)",
                (uuid.uuid5(_NAMESPACE, f"claim {self._count}"), evidence, at, at, Jsonb(known)),
            )
        return customer.hex

    def evidences(self, customer: str) -> list[uuid.UUID]:
        """Evidences at home in a customer."""
        rows = self.run("SELECT evidence FROM identity.evidences WHERE customer = %s", uuid.UUID(customer))
        return [row[0] for row in rows]

    def join(self, a: str, b: str) -> str:
        """Two customers become one: that of the lesser node order has given its id. Gives the id that is left."""
        first, second = uuid.UUID(a), uuid.UUID(b)
        self.run("UPDATE identity.nodes SET customer = %s WHERE customer = %s", first, second)
        self.run("UPDATE identity.evidences SET customer = %s WHERE customer = %s", first, second)
        return a

    def split(self, node: str) -> str:
        """A node and the evidences that begin with it are a customer of their own again."""
        one = uuid.UUID(node)
        self.run("UPDATE identity.evidences SET customer = %s WHERE %s = ANY (nodes)", one, one)
        self.run(
            "UPDATE identity.nodes SET customer = %s WHERE node IN (SELECT unnest(nodes) FROM identity.evidences"
            " WHERE customer = %s)",
            one,
            one,
        )
        return node

    def erase(self, customer: str) -> None:
        """What an erasure leaves of a customer: nothing in the directory, and a note of each evidence."""
        for evidence in self.evidences(customer):
            self.run("INSERT INTO storyline.erased (evidence, erasure) VALUES (%s, %s)", evidence, uuid.uuid4())
            self.run("DELETE FROM directory.identifiers WHERE evidence = %s", evidence)
            self.run("DELETE FROM directory.claims WHERE evidence = %s", evidence)
