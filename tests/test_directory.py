"""Which rows does an event have in the directory, and how is what it names folded?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from domain.identifiers import Identifier
from eventlog.record import Head, Record, ref_hash
from eventlog.sealing import Opened, keys_of
from eventlog.tokens import Hasher
from projections.directory.extracting import (
    codes_of,
    directory_rows,
    identifier_rows,
    open_parts,
    right_content,
    wants_opening,
)
from projections.directory.folding import folded, name_terms
from projections.directory.rows import DirectoryRows
from tests.support.directory import record_of, rows_of
from tests.support.postgres import PostgresServer
from tests.support.story import START, Story, story

ZOE = [{"kind": "email", "value": "Zoë.L@Example.org"}, {"kind": "phone", "value": "020 7946 0958"}]
HASHER = Hasher(b"h" * 32)


@pytest.fixture(scope="module")
def made(postgres: PostgresServer) -> Iterator[Story]:
    """One system for all tests of this module."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn, master=os.urandom(32)) as one:
        yield one
    postgres.drop_database(name)


def _told(rows: DirectoryRows) -> list[dict[str, Any]]:
    return [msgspec.json.decode(row.fields) for row in rows.claims]


# What an event tells


def test_identifiers_stand_normalised_beside_the_nodes_of_their_own_tokens(made: Story) -> None:
    record, opened = record_of(made, data={"who": [*ZOE, {"kind": "email", "value": "null"}]})
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
    rows = rows_of(made, type="profile.updated", data={"who": ZOE, "content": content})
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
    record, opened = record_of(made, type="organisation.described", data=data)
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
    record, opened = record_of(made, type="profile.updated", data={"who": ZOE, "content": {"name": "Zoe Lindqvst"}})
    about = [{"relation": "corrects", "source": "test/mail", "id": "e-0"}]
    right = {"type": "profile.updated", "content": {"name": "Zoe Lindqvist", "country": "SE"}}
    amendment, read = record_of(made, type="event.amended", data={"who": ZOE, "about": about, "content": right})
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
    record, _ = record_of(made, data=data)
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
    rows = rows_of(made, type="profile.updated", data={"who": who, "content": {"name": "n " * 250}})
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
