"""How does a test bring rows into the directory, and look at what is there?"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import psycopg

from eventlog.record import Record, decode
from eventlog.sealing import Opened, keys_of
from projections.directory import model
from projections.directory.extracting import directory_rows, name_rows, open_parts
from projections.directory.rows import Claim, DirectoryRows, PackedRows, pack_rows
from tests.support.story import START, Story, event

__all__ = [
    "TABLES",
    "bring",
    "claim_of",
    "claims",
    "empty",
    "forget",
    "held",
    "packed",
    "record_of",
    "rows_of",
    "session_of",
    "uuid_of",
]

TABLES = ("identifiers", "claims", "terms", "codes", "words")


def session_of(made: Story) -> psycopg.Connection:
    """A projector's session."""
    connection = psycopg.connect(made.dsn, autocommit=True)
    connection.execute("SET search_path TO directory, identity, timeline, customers, public, pg_temp")
    connection.execute(model.CREATE_STAGING)
    return connection


def empty(connection: psycopg.Connection) -> None:
    """Take all rows away."""
    connection.execute("TRUNCATE identifiers, claims, terms, codes, words, storyline.erased")


def record_of(made: Story, **changes: Any) -> tuple[Record, Opened]:
    """An event as a record, and what was opened of it."""
    record = decode(made.seal([event(1, **changes)], START)[0].value)
    return record, open_parts(record, made.keyring.keys(keys_of([record])))


def rows_of(made: Story, **changes: Any) -> DirectoryRows:
    """The rows of an event."""
    return directory_rows(*record_of(made, **changes), START, made.hasher)


def packed(rows: DirectoryRows) -> PackedRows:
    """Rows ready for COPY."""
    return pack_rows(rows, b"m" * 28)


def held(connection: psycopg.Connection) -> dict[str, set[tuple[Any, ...]]]:
    """All rows, by table."""
    queries = {table: f"SELECT * FROM {table}" for table in TABLES}
    return {table: {_plain(row) for row in connection.execute(query)} for table, query in queries.items()}


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(msgspec.json.encode(one, order="sorted") if isinstance(one, dict) else one for one in row)


def uuid_of(number: int) -> bytes:
    """16 bytes of a uuid."""
    return UUID(int=number).bytes


def claim_of(number: int, evidence: int, **fields: Any) -> Claim:
    """What an event claims of an evidence."""
    return Claim(
        uuid_of(number), 0, uuid_of(evidence), START, START, "crm", msgspec.json.encode(fields, order="sorted")
    )


def claims(*claims: Claim) -> DirectoryRows:
    """Claims with the terms of the names in them."""
    terms = {term for one in claims for term in name_rows(one.evidence, msgspec.json.decode(one.fields))}
    return DirectoryRows([], list(claims), sorted(terms), [])


def bring(connection: psycopg.Connection, rows: DirectoryRows) -> None:
    """Bring rows in, in a transaction of their own."""
    with connection.transaction(), connection.cursor() as cursor:
        model.apply(cursor, packed(rows))


def forget(connection: psycopg.Connection, *numbers: int) -> None:
    """Take away what these events claim."""
    with connection.transaction(), connection.cursor() as cursor:
        model.forget(cursor, [UUID(int=number) for number in numbers])
