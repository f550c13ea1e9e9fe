"""Is everything that was altered, cut or swapped an error? For each byte of a record and each place of a blob."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Poison, Tampered
from eventlog.record import Record, decode, encode, stamp
from eventlog.sealing import Opened, keys_of, open_blob, open_record, seal_blob
from tests.support.vectors import FILE, FixedKeys

VECTORS = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]
RECORDS = [vector["record"].encode() for vector in VECTORS]
WITH_PARTIES = RECORDS[1]


def opened(value: bytes) -> Opened | None:
    record = decode(value)
    return open_record(record, FixedKeys().make(keys_of([record])))


def with_blobs(record: Record, *blobs: str) -> bytes:
    return encode(record.head_bytes, blobs, record.recorded_at)


@given(st.sampled_from(RECORDS), st.data())
def test_a_byte_that_was_changed_anywhere_but_in_recorded_at_is_an_error(value: bytes, data: st.DataObject) -> None:
    end = value.rindex(b'"recorded_at"')
    place = data.draw(st.integers(0, end - 1))
    other = data.draw(st.integers(1, 255))
    altered = bytearray(value)
    altered[place] ^= other
    with pytest.raises((Tampered, Poison)):
        opened(bytes(altered))


@given(st.sampled_from(RECORDS), st.data())
def test_a_record_that_was_cut_is_an_error(value: bytes, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(value)))
    end = data.draw(st.integers(begin, len(value)))
    if (begin, end) != (0, len(value)):
        with pytest.raises((Tampered, Poison)):
            opened(value[begin:end])


def test_recorded_at_is_outside_the_seal() -> None:
    record = decode(RECORDS[0])
    later = encode(record.head_bytes, record.sealed, stamp(datetime(2030, 1, 1, tzinfo=UTC)))
    assert opened(later) == opened(RECORDS[0])


def test_a_swapped_blob_is_an_error() -> None:
    record = decode(WITH_PARTIES)
    own, first, second = record.sealed
    for blobs in ((own, second, first), (first, own, second), (second, first, own), (own, first, first)):
        with pytest.raises(Tampered):
            opened(with_blobs(record, *blobs))


def test_a_blob_of_the_same_person_in_another_record_is_an_error() -> None:
    """Both are under one key; only the associated data tells them apart."""
    key = AESGCM(bytes(32))
    here, there = b'{"name":"a#1"}', b'{"name":"a#2"}'
    blob = seal_blob(key, {"id": "1"}, here, 0)
    assert open_blob(key, blob, here, 0) == {"id": "1"}
    with pytest.raises(Tampered):
        open_blob(key, blob, there, 0)


def test_a_blob_in_another_place_of_its_record_is_an_error() -> None:
    key = AESGCM(bytes(32))
    blob = seal_blob(key, {"who": []}, b"{}", 1)
    assert open_blob(key, blob, b"{}", 1) == {"who": []}
    for place in (0, 2, 11):
        with pytest.raises(Tampered):
            open_blob(key, blob, b"{}", place)


def test_a_truncated_blob_is_an_error() -> None:
    record = decode(WITH_PARTIES)
    raw = b64decode(record.sealed[0])
    for length in (0, 1, 11, 12, 27, 28, len(raw) - 1):
        cut = b64encode(raw[:length]).decode()
        with pytest.raises(Tampered):
            opened(with_blobs(record, cut, *record.sealed[1:]))


def test_a_blob_with_spare_bits_set_is_an_error() -> None:
    """Base64 decoders ignore the bits before the padding, so that several texts mean the same bytes."""
    key = AESGCM(bytes(32))
    for part in ({}, {"a": ""}, {"a": "b"}, {"a": "bc"}):
        blob = seal_blob(key, part, b"{}", 0)
        for other in (chr(ord(blob.rstrip("=")[-1]) + step) for step in (1, 2)):
            body = blob.rstrip("=")
            altered = body[:-1] + other + "=" * (len(blob) - len(body))
            with pytest.raises(Tampered):
                open_blob(key, altered, b"{}", 0)


def test_an_altered_head_is_an_error() -> None:
    for before, after in (
        (b'"email.0.', b'"email.1.'),
        (b'"role":"cc"', b'"role":"to"'),
        (b"vector.mail", b"vector.mall"),
    ):
        assert before in WITH_PARTIES
        with pytest.raises(Tampered):
            opened(WITH_PARTIES.replace(before, after, 1))


def test_an_erased_key_leaves_the_other_parts_readable() -> None:
    record = decode(WITH_PARTIES)
    keys: dict[str, AESGCM | None] = dict(FixedKeys().make(keys_of([record])))
    keys[record.head.parties[0].key] = None
    part = open_record(record, keys)
    assert part is not None
    assert part.parties[0] is None
    assert part.parties[1] == [{"kind": "email", "value": "guest"}]
    assert open_record(record, {**keys, record.head.key: None}) is None


@given(st.binary(max_size=300))
def test_garbage_is_poison_and_crashes_nothing(value: bytes) -> None:
    with pytest.raises(Poison):
        decode(value)


def test_two_seals_of_the_same_have_different_nonces() -> None:
    key = AESGCM(bytes(32))
    assert seal_blob(key, {}, b"{}", 0) != seal_blob(key, {}, b"{}", 0)
