"""Is the record's format still the one that stands on logs for ever? And can someone else check it, from the document
alone? The second half uses nothing of ours but the file."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import blake2b
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventlog.record import decode, encode, head_of
from tests.support.vectors import FILE, made

DOCUMENT = json.loads(FILE.read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
HASHING_KEY = bytes.fromhex(DOCUMENT["hashing_key"])

each = pytest.mark.parametrize("vector", VECTORS, ids=[vector["event"]["id"] for vector in VECTORS])


def test_events_become_the_very_bytes_of_the_vectors() -> None:
    assert made() == VECTORS


@each
def test_a_record_that_is_decoded_and_encoded_again_is_the_same(vector: dict[str, Any]) -> None:
    record = decode(vector["record"].encode())
    assert head_of(record.head) == record.head_bytes
    assert encode(record.head_bytes, record.sealed, record.recorded_at) == vector["record"].encode()


def keyed(person: bytes, content: bytes) -> str:
    return blake2b(content, digest_size=16, key=HASHING_KEY, person=person).hexdigest()


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@each
def test_an_auditor_finds_the_name_and_the_digest(vector: dict[str, Any]) -> None:
    event, head = vector["event"], json.loads(vector["record"])
    assert head["name"] == f"{event['source']}#" + keyed(b"storyline.name", compact([event["source"], event["id"]]))
    assert head["digest"] == keyed(b"storyline.digest", vector["digested"].encode())


@each
def test_an_auditor_finds_the_evidence_in_the_tokens(vector: dict[str, Any]) -> None:
    head = json.loads(vector["record"])
    if "tokens" not in head:
        assert "evidence" not in head
        return
    assert head["evidence"] == keyed(b"storyline.evid", compact(sorted(head["tokens"])))
    assert head["owner"] == head["tokens"][0]
    assert head["key"] == head["evidence"]


@each
def test_an_auditor_opens_the_sealed_parts(vector: dict[str, Any]) -> None:
    text = vector["record"]
    head = json.loads(text)
    head_bytes = text.encode()[: text.encode().rindex(b',"sealed":[')] + b"}"
    keys = [head["key"], *[party["key"] for party in head.get("parties", [])]]
    opened = []
    for index, (key_id, blob) in enumerate(zip(keys, head["sealed"], strict=True)):
        raw = b64decode(blob, validate=True)
        bound_to = head_bytes + b"\0" + str(index).encode()
        key = AESGCM(bytes.fromhex(vector["keys"][key_id]))
        opened.append(json.loads(key.decrypt(raw[:12], raw[12:], bound_to)))
    data = vector["event"]["data"]
    assert opened[0]["id"] == vector["event"]["id"]
    assert len(opened[0].get("who", [])) == len(data.get("who", []))
    assert [len(part["who"]) for part in opened[1:]] == [len(party["who"]) for party in data.get("parties", [])]


def test_an_auditor_finds_the_token_of_a_value() -> None:
    head = json.loads(VECTORS[0]["record"])
    email = keyed(b"storyline.token", compact(["email", "", "ann@example.org", 0]))
    crm = keyed(b"storyline.token", compact(["external", "crm", "a-9", 0]))
    assert f"email.0.{email}" in head["tokens"]
    assert f"external/crm.0.{crm}" in head["tokens"]
    assert len(head["tokens"]) == 3, "a blocked value has no token"


def test_a_conversation_is_hashed_and_other_refs_stand_in_clear() -> None:
    head = json.loads(VECTORS[2]["record"])
    hashed = keyed(b"storyline.ref", compact(["conversation", "<thread-77@example.org>", ""]))
    assert head["refs"] == ["order:536365", "invoice/eu:R-1", f"conversation:{hashed}"]


def test_without_a_token_the_owner_is_the_lowest_ref_and_without_a_ref_the_name() -> None:
    by_ref, by_name = json.loads(VECTORS[3]["record"]), json.loads(VECTORS[4]["record"])
    refs = [["ticket", "T-2", ""], ["order", "536366", ""]]
    assert by_ref["owner"] == "ref." + min(keyed(b"storyline.ref", compact(ref)) for ref in refs)
    assert by_name["owner"] == "event." + by_name["name"].partition("#")[2]
    assert by_ref["key"] == keyed(b"storyline.orphan", compact([by_ref["owner"]]))
