"""Does the key store destroy for good, and does whoever comes back become someone new at once?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from domain.errors import Erased
from domain.identifiers import Identifier
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.record import Head, decode
from eventlog.sealer import Sealer
from tests.support.story import Story, event, story

MASTER = bytes(range(32))
ANN = Identifier("email", "ann@example.org")


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database, master=MASTER) as made:
        yield made


def head_of_next(small: Story, sealer: Sealer | None = None, **changes: Any) -> Head:
    """The head of a mail of Ann's that is sealed now."""
    small.sealer = sealer or small.sealer
    [entry] = small.seal([event(1, **changes)], datetime(2026, 3, 1, tzinfo=UTC))
    return decode(entry.value).head


def base(small: Story) -> str:
    token = small.hasher.token(ANN)
    assert token is not None
    return token[-32:]


def test_an_entry_of_the_ledger_is_applied_once_and_for_good(small: Story) -> None:
    known, never_made = uuid4().hex, uuid4().hex
    small.keyring.make([known])
    assert small.keyring.lacking(["a", "b"]) == {"a", "b"}
    for _ in range(2):
        small.keyring.apply("a", [known, never_made], {base(small): 2})
    assert small.keyring.lacking(["a", "b"]) == {"b"}
    assert small.keyring.keys([known, never_made]) == {known: None, never_made: None}
    for one in (known, never_made):
        with pytest.raises(Erased):
            small.keyring.make([one])


def test_an_older_erasure_that_is_applied_again_lowers_no_generation(small: Story) -> None:
    small.keyring.apply("new", [], {base(small): 3})
    small.keyring.apply("old", [], {base(small): 1})
    assert small.keyring.generations([f"email.0.{base(small)}"]) == {f"email.0.{base(small)}": 3}


def test_who_comes_back_seconds_after_the_erasure_is_published_as_someone_new(small: Story) -> None:
    before = head_of_next(small)
    small.keyring.apply("a", [before.evidence], {base(small): 1})
    after = head_of_next(small)
    assert after.tokens != before.tokens
    assert after.evidence != before.evidence
    assert after.owner.startswith("email.1.")


def test_a_party_that_was_erased_does_not_hold_up_who_names_it(small: Story) -> None:
    party = [{"role": "cc", "who": [{"kind": "email", "value": ANN.value}]}]
    bob = [{"kind": "email", "value": "bob@example.org"}]
    changes: dict[str, Any] = {"data": {"who": bob, "parties": party}}
    before = head_of_next(small, **changes)
    small.keyring.apply("a", [before.parties[0].key], {base(small): 1})
    after = head_of_next(small, **changes)
    assert after.evidence == before.evidence, "Bob is who he was"
    assert after.parties[0].tokens[0].startswith("email.1.")


def test_a_destroyed_key_without_a_new_generation_stays_an_error(small: Story) -> None:
    before = head_of_next(small)
    small.keyring.apply("a", [before.evidence], {})
    with pytest.raises(Erased):
        head_of_next(small)


def test_another_process_goes_on_under_a_destroyed_key_no_longer_than_its_cache_lasts(small: Story) -> None:
    now = 0.0
    there = Keyring(small.dsn, MasterKeys(MASTER), cache_seconds=60, clock=lambda: now)
    sealer = Sealer(there, small.hasher, cache_seconds=60, clock=lambda: now)
    before = head_of_next(small, sealer)
    small.keyring.apply("a", [before.evidence], {base(small): 1})
    assert head_of_next(small).evidence == before.evidence, "sealed, and unreadable for ever"
    now = 61.0
    assert head_of_next(small).evidence != before.evidence
    there.close()
