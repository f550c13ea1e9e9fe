"""Which rows does an event have in the directory, and how do they come in, go, and stay equal to a rebuild?"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.identifiers import Identifier
from eventlog.record import Head, Record, decode, ref_hash
from eventlog.sealing import Opened, keys_of
from eventlog.tokens import Hasher
from projections.directory import model
from projections.directory.extracting import (
    codes_of,
    directory_rows,
    identifier_rows,
    name_rows,
    open_parts,
    right_content,
    wants_opening,
)
from projections.directory.folding import folded, name_terms
from projections.directory.rows import Claim, Code, DirectoryRows, Identified, PackedRows, Term, pack_rows
from projections.registry import MODELS
from tests.support.postgres import PostgresServer
from tests.support.story import START, Story, event, story
from tests.support.waiting import eventually

ZOE = [{"kind": "email", "value": "Zoë.L@Example.org"}, {"kind": "phone", "value": "020 7946 0958"}]
TABLES = ("identifiers", "claims", "terms", "codes", "words")
HASHER = Hasher(b"h" * 32)


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
    with _session(made) as connection:
        _empty(connection)
        yield connection


def _session(made: Story) -> psycopg.Connection:
    connection = psycopg.connect(made.dsn, autocommit=True)
    connection.execute("SET search_path TO directory, identity, timeline, customers, public, pg_temp")
    connection.execute(model.CREATE_STAGING)
    return connection


def _empty(connection: psycopg.Connection) -> None:
    connection.execute("TRUNCATE identifiers, claims, terms, codes, words, storyline.erased")


def _record(made: Story, **changes: Any) -> tuple[Record, Opened]:
    record = decode(made.seal([event(1, **changes)], START)[0].value)
    return record, open_parts(record, made.keyring.keys(keys_of([record])))


def _rows(made: Story, **changes: Any) -> DirectoryRows:
    return directory_rows(*_record(made, **changes), START, made.hasher)


def _told(rows: DirectoryRows) -> list[dict[str, Any]]:
    return [msgspec.json.decode(row.fields) for row in rows.claims]


def _packed(rows: DirectoryRows) -> PackedRows:
    return pack_rows(rows, b"m" * 28)


def _held(connection: psycopg.Connection) -> dict[str, set[tuple[Any, ...]]]:
    queries = {table: f"SELECT * FROM {table}" for table in TABLES}
    return {table: {_plain(row) for row in connection.execute(query)} for table, query in queries.items()}


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(msgspec.json.encode(one, order="sorted") if isinstance(one, dict) else one for one in row)


def _uuid(number: int) -> bytes:
    return UUID(int=number).bytes


def _claim(number: int, evidence: int, **fields: Any) -> Claim:
    return Claim(_uuid(number), 0, _uuid(evidence), START, START, "crm", msgspec.json.encode(fields, order="sorted"))


def _claims(*claims: Claim) -> DirectoryRows:
    terms = {term for one in claims for term in name_rows(one.evidence, msgspec.json.decode(one.fields))}
    return DirectoryRows([], list(claims), sorted(terms), [])


def _bring(connection: psycopg.Connection, rows: DirectoryRows) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        model.apply(cursor, _packed(rows))


def _forget(connection: psycopg.Connection, *numbers: int) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        model.forget(cursor, [UUID(int=number) for number in numbers])


def _terms(connection: psycopg.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT term FROM terms")}


# What an event tells


def test_identifiers_stand_normalised_beside_the_nodes_of_their_own_tokens(made: Story) -> None:
    record, opened = _record(made, data={"who": [*ZOE, {"kind": "email", "value": "null"}]})
    rows = identifier_rows(record, opened, made.hasher)
    assert {(row.kind, row.value) for row in rows} == {("email", "zoë.l@example.org"), ("phone", "+442079460958")}
    by_kind = {token.partition(".")[0]: bytes.fromhex(token[-32:]) for token in record.head.tokens}
    assert {row.kind: row.node for row in rows} == by_kind
    assert {row.evidence.hex() for row in rows} == {record.head.evidence}


def test_an_identifier_is_known_by_its_token_of_any_generation() -> None:
    who = [
        Identifier("email", "zoe@example.org"),
        Identifier("cookie", "c1", "web"),
        Identifier("cookie", "c2", "web"),
    ]
    raised = HASHER.token(who[1])
    assert raised is not None
    tokens = HASHER.raised(who, {raised: 3})
    head = Head(
        v=1, name=f"s#{'0' * 32}", source="s", type="note.added", version=1, time="", digest="", owner=tokens[0],
        tokens=tokens, evidence=HASHER.evidence(tokens), key="k",
    )  # fmt: skip
    opened = Opened("1", [{"kind": one.kind, "value": one.value, "namespace": one.namespace} for one in who])
    rows = identifier_rows(Record(head, b"", (), ""), opened, HASHER)
    assert {row.node.hex() for row in rows} == {token[-32:] for token in tokens}
    assert {row.value for row in rows} == {"zoe@example.org", "c1", "c2"}


def test_a_profile_claims_each_field_and_null_where_it_is_cleared(made: Story) -> None:
    content = {
        "name": "Zoë  Lindqvist",
        "given_name": None,
        "country": "SE",
        "address": {"street": "Storgatan 1", "country": "SE"},
        "further": {"tier": "gold", "size": None},
    }
    rows = _rows(made, type="profile.updated", data={"who": ZOE, "content": content})
    assert _told(rows) == [
        {
            "name": "Zoë  Lindqvist",
            "given_name": None,
            "country": "SE",
            "address": {"street": "Storgatan 1", "country": "SE"},
            "further.tier": "gold",
            "further.size": None,
        }
    ]
    assert {(one.kind, one.term) for one in rows.terms} == {
        ("email", "zoe.l@example.org"),
        ("phone", "442079460958"),
        ("name", "zoe lindqvist"),
        ("turned", "lindqvist zoe"),
    }


def test_an_organisation_claims_names_and_roles_of_its_parties(made: Story) -> None:
    bo, cy = ([{"kind": "email", "value": f"{name}@acme.example"}] for name in ("bo", "cy"))
    parties = [{"role": "contact", "who": bo}, {"role": "contact", "who": cy}]
    contacts = [{"name": "Bo Ek", "title": "CFO", "role": "billing"}, {"name": ""}]
    data = {"who": [], "parties": parties, "content": {"name": "Acme", "contacts": contacts}}
    record, opened = _record(made, type="organisation.described", data=data)
    rows = directory_rows(record, opened, START, made.hasher)
    assert _told(rows) == [
        {"name": "Bo Ek", "job_title": "CFO", "role": "billing", "organisation": "Acme"},
        {"organisation": "Acme"},
    ]
    assert [(row.place, row.evidence.hex()) for row in rows.claims] == [
        (place, party.evidence) for place, party in enumerate(record.head.parties, start=1)
    ]
    assert {row.value for row in rows.identifiers} == {"bo@acme.example", "cy@acme.example"}


def test_an_amended_profile_claims_the_right_content_and_a_retracted_one_nothing(made: Story) -> None:
    record, opened = _record(made, type="profile.updated", data={"who": ZOE, "content": {"name": "Zoe Lindqvst"}})
    about = [{"relation": "corrects", "source": "test/mail", "id": "e-0"}]
    right = {"type": "profile.updated", "content": {"name": "Zoe Lindqvist", "country": "SE"}}
    amendment, read = _record(made, type="event.amended", data={"who": ZOE, "about": about, "content": right})
    amended = directory_rows(record, opened, START, made.hasher, right_content(amendment, read))
    assert _told(amended) == [{"name": "Zoe Lindqvist", "country": "SE"}]
    retracted = directory_rows(record, opened, START, made.hasher, None)
    assert not retracted.claims
    assert retracted.identifiers == amended.identifiers
    erased = right_content(amendment, Opened(id=""))
    assert erased is None
    assert not directory_rows(amendment, read, START, made.hasher).claims


def test_a_party_is_opened_beside_who_is_erased(made: Story) -> None:
    friend = [{"kind": "email", "value": "friend@example.org"}]
    data = {"who": ZOE, "parties": [{"role": "referred", "who": friend}]}
    record, _ = _record(made, data=data)
    keys: dict[str, AESGCM | None] = {**made.keyring.keys(keys_of([record])), record.head.key: None}
    rows = directory_rows(record, open_parts(record, keys), START, made.hasher)
    assert [row.value for row in rows.identifiers] == ["friend@example.org"]
    keys |= {party.key: None for party in record.head.parties}
    assert not any(directory_rows(record, open_parts(record, keys), START, made.hasher))


def test_numbers_stand_in_clear_and_ask_for_no_key() -> None:
    rows = codes_of(("order/shop:O-17 Ä", "product:P-1", "ticket:T-9", "ticket:T-9", f"conversation:{'0' * 32}"))
    assert {(row.kind, row.namespace, row.value, row.term) for row in rows} == {
        ("order", "shop", "O-17 Ä", "o-17 a"),
        ("ticket", "", "T-9", "t-9"),
    }
    assert ref_hash("ticket:T-9") in {row.ref for row in rows}


def test_only_what_is_new_or_claims_something_is_opened() -> None:
    assert not wants_opening("email.received", False)
    assert wants_opening("email.received", True)
    assert wants_opening("profile.updated", False)
    assert wants_opening("organisation.described", False)


def test_what_is_too_long_is_cut(made: Story) -> None:
    who = [{"kind": "external", "value": "x" * 1000}]
    rows = _rows(made, type="profile.updated", data={"who": who, "content": {"name": "n " * 250}})
    assert max(len(one.term) for one in rows.terms) <= 200
    assert {len(row.value) for row in rows.identifiers} == {1000}


# What is folded


@given(st.text(max_size=300))
def test_what_is_folded_is_folded_again_to_itself(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    assert len(once) <= 200
    assert "\0" not in once


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("Zoë  LINDQVIST", "zoe lindqvist"),
        ("Łukasz", "lukasz"),
        ("Straße", "strasse"),
        ("\uff21\uff22", "ab"),
        ("Ødegård", "odegard"),
    ],
)
def test_accents_case_width_and_blanks_do_not_matter(sent: str, found: str) -> None:
    assert folded(sent) == found


def test_two_words_are_found_in_either_order_and_each_further_word_from_its_own_beginning() -> None:
    for one in permutations(("zoe", "lindqvist")):
        assert " ".join(one) in {term for _, term in name_terms("Lindqvist, Zoë")}
    beginnings = {term.split()[0] for _, term in name_terms("Zoë Anna van Lindqvist")}
    assert beginnings == {"zoe", "anna", "van", "lindqvist"}


# How it comes in


def test_rows_come_in_as_they_were_packed_and_twice_changes_nothing(made: Story, session: psycopg.Connection) -> None:
    content = {"name": "Zoë 'Ω' Lindqvist", "further": {'a"b': "\\"}}
    refs = [{"kind": "order", "value": "Ö-17"}]
    rows = _rows(made, type="profile.updated", data={"who": ZOE, "refs": refs, "content": content})
    _bring(session, rows)
    _bring(session, rows)
    held = _held(session)
    kinds: dict[str, type[Any]] = {"identifiers": Identified, "claims": Claim, "terms": Term, "codes": Code}
    for table, kind in kinds.items():
        sent = {_unpacked(kind(*row)) for row in getattr(rows, table)}
        assert held[table] == sent
    assert held["words"] == {("zoe",), ("ω",), ("lindqvist",)}


def _unpacked(row: Any) -> tuple[Any, ...]:
    """A row as it is read: 16 bytes are a uuid, and JSON is JSON."""
    return tuple(
        UUID(bytes=one) if isinstance(one, bytes) and name != "fields" else one
        for name, one in zip(row._fields, row, strict=True)
    )


def test_nothing_of_an_erased_evidence_comes_in(made: Story, session: psycopg.Connection) -> None:
    rows = _rows(made, type="profile.updated", data={"who": ZOE, "content": {"name": "Zoe"}})
    other = _rows(made, data={"who": [{"kind": "email", "value": "ann@example.org"}]})
    erased = UUID(bytes=rows.identifiers[0].evidence)
    session.execute("INSERT INTO storyline.erased (evidence, erasure) VALUES (%s, %s)", [erased, UUID(int=1)])
    _bring(session, rows)
    _bring(session, other)
    held = _held(session)
    assert {row[4] for row in held["identifiers"]} == {"ann@example.org"}
    assert {row[2] for row in held["terms"]} == {"ann@example.org"}
    assert not held["claims"]


# How it goes


def test_a_name_goes_with_the_last_claim_of_it(session: psycopg.Connection) -> None:
    _bring(
        session,
        _claims(_claim(1, 7, name="Zoe Berg"), _claim(2, 7, name="Zoe Lindqvist"), _claim(3, 7, name="zoë berg")),
    )
    _forget(session, 1)
    assert _terms(session) == {"zoe berg", "berg zoe", "zoe lindqvist", "lindqvist zoe"}
    _forget(session, 3)
    assert _terms(session) == {"zoe lindqvist", "lindqvist zoe"}
    _forget(session, 2, 99)
    assert not any(_held(session).values())


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
    claims = [_claim(number, evidence, **fields) for number, (evidence, fields) in enumerate(told, start=1)]
    gone = {one.name for one in claims if data.draw(st.booleans())}
    with _session(made) as connection:
        _empty(connection)
        for one in data.draw(st.permutations(claims)):
            _bring(connection, _claims(one))
        _forget(connection, *[UUID(bytes=name).int for name in gone])
        left = _held(connection)
        _empty(connection)
        _bring(connection, _claims(*[one for one in claims if one.name not in gone]))
        assert left == _held(connection)


def test_a_name_is_not_taken_away_while_another_brings_it(made: Story, session: psycopg.Connection) -> None:
    _bring(session, _claims(_claim(1, 7, name="Zoe Berg")))
    with _session(made) as bringing:
        with bringing.transaction(), bringing.cursor() as cursor:
            model.apply(cursor, _packed(_claims(_claim(2, 7, name="Zoe Berg"))))
            forgetting = threading.Thread(target=_forget, args=(session, 1))
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
    held = _held(session)
    assert not held["claims"]
    assert {row[2] for row in held["terms"]} == {"bo@acme.example"}
    assert {row[4] for row in held["identifiers"]} == {"bo@acme.example"}


# What a build is compared by


@pytest.mark.parametrize("table", TABLES)
def test_every_column_counts_for_the_hash_of_a_table(session: psycopg.Connection, made: Story, table: str) -> None:
    directory = next(one for one in MODELS if one.name == "directory")
    rows = DirectoryRows(
        [Identified(_uuid(1), _uuid(2), "email", "", "a")],
        [_claim(3, 1, name="Zoe")],
        [Term(_uuid(1), "name", "zoe")],
        [Code(_uuid(4), "order", "", "O", "o")],
    )
    _bring(session, rows)
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
    _bring(session, DirectoryRows([], [_claim(1, 1, name="Zoe")._replace(happened_at=long_ago)], [], []))
    assert session.execute("SELECT happened_at FROM claims").fetchall() == [(long_ago,)]
