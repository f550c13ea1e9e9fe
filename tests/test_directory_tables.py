"""How do rows come into the directory and out of it, so that live and rebuilt tables stay equal?"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.directory import model
from projections.directory.rows import Claim, Code, DirectoryRows, Identified, Term
from projections.registry import MODELS
from tests.support.directory import (
    TABLES,
    bring,
    claim_of,
    claims,
    empty,
    forget,
    held,
    packed,
    rows_of,
    session_of,
    uuid_of,
)
from tests.support.postgres import PostgresServer
from tests.support.story import Story, event, story
from tests.support.waiting import eventually

ZOE = [{"kind": "email", "value": "Zoë.L@Example.org"}, {"kind": "phone", "value": "020 7946 0958"}]


@pytest.fixture(scope="module")
def made(postgres: PostgresServer) -> Iterator[Story]:
    """One system for all tests of this module; its directory is emptied before each."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn, master=os.urandom(32)) as one:
        yield one
    postgres.drop_database(name)


@pytest.fixture
def session(made: Story) -> Iterator[psycopg.Connection]:
    """A projector's session on an empty directory."""
    with session_of(made) as connection:
        empty(connection)
        yield connection


def _terms(connection: psycopg.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT term FROM terms")}


# How it comes in


def test_rows_come_in_as_they_were_packed_and_twice_changes_nothing(made: Story, session: psycopg.Connection) -> None:
    content = {"name": "Zoë 'Ω' Lindqvist", "further": {'a"b': "\\"}}
    refs = [{"kind": "order", "value": "Ö-17"}]
    rows = rows_of(made, type="profile.updated", data={"who": ZOE, "refs": refs, "content": content})
    bring(session, rows)
    bring(session, rows)
    there = held(session)
    kinds: dict[str, type[Any]] = {"identifiers": Identified, "claims": Claim, "terms": Term, "codes": Code}
    for table, kind in kinds.items():
        sent = {_unpacked(kind(*row)) for row in getattr(rows, table)}
        assert there[table] == sent
    assert there["words"] == {("zoe",), ("ω",), ("lindqvist",)}


def _unpacked(row: Any) -> tuple[Any, ...]:
    """A row as it is read: 16 bytes are a uuid, and JSON is JSON."""
    return tuple(
        UUID(bytes=one) if isinstance(one, bytes) and name != "fields" else one
        for name, one in zip(row._fields, row, strict=True)
    )


def test_nothing_of_an_erased_evidence_comes_in(made: Story, session: psycopg.Connection) -> None:
    rows = rows_of(made, type="profile.updated", data={"who": ZOE, "content": {"name": "Zoe"}})
    other = rows_of(made, data={"who": [{"kind": "email", "value": "ann@example.org"}]})
    erased = UUID(bytes=rows.identifiers[0].evidence)
    session.execute("INSERT INTO storyline.erased (evidence, erasure) VALUES (%s, %s)", [erased, UUID(int=1)])
    bring(session, rows)
    bring(session, other)
    there = held(session)
    assert {row[4] for row in there["identifiers"]} == {"ann@example.org"}
    assert {row[2] for row in there["terms"]} == {"ann@example.org"}
    assert not there["claims"]


# How it goes


def test_a_name_goes_with_the_last_claim_of_it(session: psycopg.Connection) -> None:
    bring(
        session,
        claims(
            claim_of(1, 7, name="Zoe Berg"), claim_of(2, 7, name="Zoe Lindqvist"), claim_of(3, 7, name="zoë berg")
        ),
    )
    forget(session, 1)
    assert _terms(session) == {"zoe berg", "berg zoe", "zoe lindqvist", "lindqvist zoe"}
    forget(session, 3)
    assert _terms(session) == {"zoe lindqvist", "lindqvist zoe"}
    forget(session, 2, 99)
    assert not any(held(session).values())


_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Zoe Lindqvist", "Zoe", "Bo", None]),
        "given_name": st.sampled_from(["Zoe", "Bo"]),
        "family_name": st.sampled_from(["Lindqvist", None]),
    },
)


@settings(max_examples=25, deadline=None)
@given(told=st.lists(st.tuples(st.integers(1, 2), _FIELDS), max_size=6), data=st.data())
def test_what_is_left_equals_what_was_never_joined_by_the_rest(
    made: Story, told: list[tuple[int, dict[str, Any]]], data: st.DataObject
) -> None:
    all_of_them = [claim_of(number, evidence, **fields) for number, (evidence, fields) in enumerate(told, start=1)]
    gone = {one.name for one in all_of_them if data.draw(st.booleans())}
    with session_of(made) as connection:
        empty(connection)
        for one in data.draw(st.permutations(all_of_them)):
            bring(connection, claims(one))
        forget(connection, *[UUID(bytes=name).int for name in gone])
        left = held(connection)
        empty(connection)
        bring(connection, claims(*[one for one in all_of_them if one.name not in gone]))
        assert left == held(connection)


def test_a_name_is_not_taken_away_while_another_brings_it(made: Story, session: psycopg.Connection) -> None:
    bring(session, claims(claim_of(1, 7, name="Zoe Berg")))
    with session_of(made) as bringing:
        with bringing.transaction(), bringing.cursor() as cursor:
            model.apply(cursor, packed(claims(claim_of(2, 7, name="Zoe Berg"))))
            forgetting = threading.Thread(target=forget, args=(session, 1))
            forgetting.start()
            eventually(lambda: _waits(made))
        forgetting.join(20)
    assert _terms(session) == {"zoe berg", "berg zoe"}


def _waits(made: Story) -> bool:
    return bool(made.rows("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))


def test_what_an_erased_person_said_of_others_goes_with_it(made: Story, session: psycopg.Connection) -> None:
    bo = [{"kind": "email", "value": "bo@acme.example"}]
    data = {
        "who": ZOE,
        "parties": [{"role": "contact", "who": bo}],
        "content": {"name": "Acme", "contacts": [{"name": "Bo Ek"}]},
    }
    made.publish(event("erased", type="organisation.described", data=data))
    made.project()
    [(evidence,)] = session.execute("SELECT DISTINCT evidence FROM identifiers WHERE kind = 'phone'").fetchall()
    session.execute("INSERT INTO storyline.erased (evidence, erasure) VALUES (%s, %s)", [evidence, UUID(int=1)])
    with session.transaction(), session.cursor() as cursor:
        model.erase(cursor, [evidence])
    there = held(session)
    assert not there["claims"]
    assert {row[2] for row in there["terms"]} == {"bo@acme.example"}
    assert {row[4] for row in there["identifiers"]} == {"bo@acme.example"}


# What a build is compared by


@pytest.mark.parametrize("table", TABLES)
def test_every_column_counts_for_the_hash_of_a_table(session: psycopg.Connection, made: Story, table: str) -> None:
    directory = next(one for one in MODELS if one.name == "directory")
    rows = DirectoryRows(
        [Identified(uuid_of(1), uuid_of(2), "email", "", "a")],
        [claim_of(3, 1, name="Zoe")],
        [Term(uuid_of(1), "name", "zoe")],
        [Code(uuid_of(4), "order", "", "O", "o")],
    )
    bring(session, rows)
    named = "INSERT INTO timeline.parties (evidence, happened_at, name, role) VALUES (%s, now(), %s, 'cc')"
    session.execute(named, [UUID(bytes=uuid_of(1)), UUID(bytes=uuid_of(3))])  # of what no event names nothing counts
    before = directory.hashes(session)
    columns = [
        one[0]
        for one in session.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", [f"directory.{table}"]
        )
    ]
    changed = {"text": "'x'", "uuid": "gen_random_uuid()", "smallint": "9", "jsonb": "'{}'"}
    for column in columns:
        [(kind,)] = session.execute(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s",
            [f"directory.{table}", column],
        ).fetchall()
        value = changed.get(kind, "now()")
        with session.transaction(force_rollback=True):
            session.execute(f"UPDATE directory.{table} SET {column} = {value}")
            session.execute("SELECT 1")
            assert directory.hashes(session)[table] != before[table], column


def test_a_contact_of_an_event_long_ago_is_packed_too(session: psycopg.Connection) -> None:
    long_ago = datetime(1900, 1, 1, tzinfo=UTC) + timedelta(microseconds=1)
    bring(session, DirectoryRows([], [claim_of(1, 1, name="Zoe")._replace(happened_at=long_ago)], [], []))
    assert session.execute("SELECT happened_at FROM claims").fetchall() == [(long_ago,)]
