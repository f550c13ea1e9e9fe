"""Does the key store keep its promises? Made once, by whoever comes first; unknown is an error; wrapping rotates."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Erased, Misconfigured, Tampered, Unavailable, UnknownKey
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys, read_master

MASTER = bytes(range(32))
NEWER = bytes(range(32, 64))
NONCE = bytes(12)

MakeKeyring = Callable[..., Keyring]


@pytest.fixture
def make_keyring(database: str) -> Iterator[MakeKeyring]:
    """`make_keyring(master, …)` opens the key store of this test's database."""
    opened: list[Keyring] = []

    def make(master: MasterKeys | None = None, **more: object) -> Keyring:
        keyring = Keyring(database, master or MasterKeys(MASTER), **more)  # type: ignore[arg-type]
        opened.append(keyring)
        keyring.install()
        return keyring

    yield make
    for keyring in opened:
        keyring.close()


def same(one: AESGCM | None, other: AESGCM | None) -> bool:
    assert one is not None
    assert other is not None
    return other.decrypt(NONCE, one.encrypt(NONCE, b"text", b""), b"") == b"text"


def erase(database: str, key_id: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE keyring.keys SET wrapped = NULL, erased_at = now() WHERE key_id = %s", (key_id,))


def test_all_who_ask_at_once_get_the_same_keys(make_keyring: MakeKeyring) -> None:
    ids = [uuid4().hex for _ in range(50)]
    keyrings = [make_keyring() for _ in range(4)]
    found: list[dict[str, AESGCM]] = []
    start = threading.Barrier(8)

    def ask(index: int) -> None:
        start.wait()
        found.append(keyrings[index % 4].make(ids))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for keys in found[1:]:
        assert all(same(found[0][key_id], keys[key_id]) for key_id in ids)


def test_all_who_start_at_once_get_the_same_hashing_key(make_keyring: MakeKeyring) -> None:
    keyrings = [make_keyring() for _ in range(4)]
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.hashing_key())) for one in keyrings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) == 32


def test_a_key_is_committed_before_it_is_given_out(make_keyring: MakeKeyring) -> None:
    key_id = uuid4().hex
    made = make_keyring().make([key_id])[key_id]
    assert same(made, make_keyring().keys([key_id])[key_id])


def test_an_unknown_key_is_an_error_and_never_taken_for_erased(make_keyring: MakeKeyring) -> None:
    known, unknown = uuid4().hex, uuid4().hex
    keyring = make_keyring()
    keyring.make([known])
    with pytest.raises(UnknownKey, match=unknown):
        keyring.keys([known, unknown])


def test_an_erased_key_opens_nothing_and_is_not_made_again(make_keyring: MakeKeyring, database: str) -> None:
    key_id = uuid4().hex
    make_keyring().make([key_id])
    erase(database, key_id)
    fresh = make_keyring()
    assert fresh.keys([key_id]) == {key_id: None}
    with pytest.raises(Erased):
        fresh.make([key_id])


def test_an_erasure_takes_effect_elsewhere_when_the_cache_forgets(make_keyring: MakeKeyring, database: str) -> None:
    now = 0.0
    key_id = uuid4().hex
    keyring = make_keyring(cache_seconds=60, clock=lambda: now)
    keyring.make([key_id])
    erase(database, key_id)
    now = 59.0
    assert keyring.keys([key_id])[key_id] is not None
    now = 61.0
    assert keyring.keys([key_id]) == {key_id: None}


def test_the_cache_is_bounded(make_keyring: MakeKeyring, database: str) -> None:
    keyring = make_keyring(cache_size=10)
    ids = [uuid4().hex for _ in range(30)]
    for key_id in ids:
        keyring.make([key_id])
    assert len(keyring._cache._entries) == 10
    erase(database, ids[0])
    assert keyring.keys([ids[0]]) == {ids[0]: None}, "the oldest was forgotten, so the store was asked"


def test_rotation_wraps_all_keys_anew_and_the_older_master_is_of_no_use_after(make_keyring: MakeKeyring) -> None:
    ids = [uuid4().hex for _ in range(25)]
    before = make_keyring()
    keys, hashing = before.make(ids), before.hashing_key()
    told: list[int] = []
    rotating = make_keyring(MasterKeys(NEWER, [MASTER]))
    assert rotating.rotate(told.append, batch=10) == 25
    assert told == [15, 5, 0]
    after = make_keyring(MasterKeys(NEWER))
    found = after.keys(ids)
    assert all(same(keys[key_id], found[key_id]) for key_id in ids)
    assert after.hashing_key() == hashing
    with pytest.raises(Misconfigured, match="STORYLINE_OLD_MASTER_KEYS"):
        make_keyring().keys(ids)


def test_rotation_goes_on_where_it_was_stopped(make_keyring: MakeKeyring) -> None:
    ids = [uuid4().hex for _ in range(25)]
    make_keyring().make(ids)

    class StoppedError(Exception):
        pass

    def stop(_left: int) -> None:
        raise StoppedError

    both = MasterKeys(NEWER, [MASTER])
    with pytest.raises(StoppedError):
        make_keyring(both).rotate(stop, batch=10)
    assert set(make_keyring(both).keys(ids)) == set(ids), "half-way, both master keys together open all"
    assert make_keyring(both).rotate(batch=10) == 15
    assert make_keyring(both).rotate() == 0
    assert set(make_keyring(MasterKeys(NEWER)).keys(ids)) == set(ids)


def test_rotation_leaves_tombstones_as_they_are(make_keyring: MakeKeyring, database: str) -> None:
    key_id = uuid4().hex
    make_keyring().make([key_id])
    erase(database, key_id)
    make_keyring(MasterKeys(NEWER, [MASTER])).rotate()
    assert make_keyring(MasterKeys(NEWER)).keys([key_id]) == {key_id: None}


def test_a_wrapped_key_that_was_put_under_another_id_is_an_error(make_keyring: MakeKeyring, database: str) -> None:
    ids = sorted(uuid4().hex for _ in range(2))
    make_keyring().make(ids)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE keyring.keys SET wrapped = (SELECT wrapped FROM keyring.keys WHERE key_id = %s)"
            " WHERE key_id = %s",
            ids,
        )
    with pytest.raises(Tampered):
        make_keyring().keys(ids)


def test_generations_are_found_by_their_tokens(make_keyring: MakeKeyring, database: str) -> None:
    keyring = make_keyring()
    raised, other = uuid4().hex, uuid4().hex
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO keyring.generations VALUES (%s, 2)", (raised,))
    tokens = [f"email.0.{raised}", f"email/crm.0.{other}"]
    assert keyring.generations(tokens) == {f"email.0.{raised}": 2}
    assert keyring.generations([]) == {}


def test_a_key_store_that_does_not_answer_is_unavailable() -> None:
    keyring = Keyring("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", MasterKeys(MASTER))
    keyring._pool.timeout = 0.5
    with pytest.raises(Unavailable):
        keyring.keys([uuid4().hex])
    keyring.close()


@pytest.mark.parametrize("text", ["", "no base64!", "c2hvcnQ=", "ä" * 44])
def test_a_master_key_that_is_not_32_bytes_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Misconfigured) as error:
        read_master(text)
    assert not text or text not in error.value.detail


def test_the_label_of_a_master_key_tells_nothing_about_it() -> None:
    master = os.urandom(32)
    assert MasterKeys(master).current not in master.hex()
    assert MasterKeys(master).current == MasterKeys(master, [NEWER]).current
