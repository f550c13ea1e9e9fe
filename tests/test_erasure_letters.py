"""Do the dead letters of an erased person go with her, and those of nobody else?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.erasing import Erasing
from commands.letters import Letter
from commands.parking import Parking
from eventlog.record import decode
from projections.runner import Parked
from tests.support.erasing import ADA, BOB, Told, erasing_of, node_of, told, who
from tests.support.letters import AS_BATCH, AS_STRUCTURED, message, park_records, parking_of
from tests.support.postgres import PostgresServer
from tests.support.story import START, Story, event

WHY = "asked for it"


@pytest.fixture(scope="module")
def once(postgres: PostgresServer) -> Iterator[Told]:
    with told(postgres) as made:
        yield made


@pytest.fixture
def small(once: Told) -> Iterator[Story]:
    with once.again() as made:
        yield made


@pytest.fixture
def parking(small: Story) -> Iterator[Parking]:
    with parking_of(small) as made:
        yield made


@pytest.fixture
def erasing(small: Story, tmp_path: Path) -> Iterator[Erasing]:
    with erasing_of(small, tmp_path / "erasures.ledger") as made:
        yield made


def park(parking: Parking, *letters: Letter) -> dict[str, str]:
    """`{id: place}` of what was parked; the place says which it is."""
    parking.park_many(letters)
    return {one.id: f"{one.origin}:{one.offset}" for one in parking.list()[0]}


def sent(offset: int, data: Any, headers: Any = AS_STRUCTURED, batch: bool = False) -> Letter:
    raw: Any = {**event(offset), "data": data}
    return message(offset, [raw] if batch else raw, headers=headers)


def test_letters_that_name_an_erased_person_go_and_all_others_stay(
    small: Story, erasing: Erasing, parking: Parking
) -> None:
    of_ada = [
        sent(0, {"who": who(ADA)}),
        sent(1, {"who": who(BOB), "parties": [{"role": "cc", "who": who(ADA.upper())}]}),
        sent(2, {"who": who("#17")}, headers=AS_BATCH, batch=True),
        sent(3, {"who": [{"kind": "mail", "value": ADA}]}),  # parked because of its kind
        sent(4, {"who": [{"kind": "customer_no", "value": 17}]}),  # because of its number
        sent(5, {"who": ADA}),  # because it is no list
        message(6, f"{{ broken, {ADA.upper()}".encode()),
    ]
    of_others = [
        sent(10, {"who": who(BOB), "content": {"subject": "hello"}}),
        sent(11, {"who": who("#170")}),
        sent(12, {"content": {"subject": "nobody"}}),
        message(13, b"{ broken"),
        message(14, b"[]"),
    ]
    park(parking, *of_ada, *of_others)
    done = erasing.erase(node_of(small, "#17"), WHY, by="key-7")
    left, _ = parking.list()
    assert sorted(one.offset or 0 for one in left) == [10, 11, 12, 13, 14]
    assert done.certificate is not None
    assert done.certificate["letters"] == len(of_ada)
    gone, _ = parking.list("discarded")
    assert {(one.status_why, one.status_by) for one in gone} == {(f"erasure {done.id.hex}", "key-7")}
    assert small.rows("SELECT count(*) FROM storyline.dead_letters WHERE sealed IS NOT NULL") == [(5,)]


def test_a_letter_that_was_parked_after_the_erasure_is_of_whoever_came_back(
    small: Story, parking: Parking, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(step: str) -> None:
        raise StoppedError

    with erasing_of(small, tmp_path / "ledger", after_step=stop) as broken_off, pytest.raises(StoppedError):
        broken_off.erase(node_of(small, "#17"), WHY, by="cli")
    park(parking, sent(0, {"who": who(ADA)}))
    with erasing_of(small, tmp_path / "ledger") as erasing:
        assert erasing.apply() == 1
    assert len(parking.list()[0]) == 1


def test_what_a_parked_record_was_sealed_under_is_destroyed_too(
    small: Story, erasing: Erasing, parking: Parking
) -> None:
    """It stands on the log. No read model took it up, so that nobody knows its set of identifiers."""
    [entry] = small.seal([event(30, data={"who": who(ADA, "+442071234567")})], START + timedelta(days=1))
    [other] = small.seal([event(31, data={"who": who(BOB, "+442071234567")})], START + timedelta(days=1))
    mine, others = decode(entry.value).head, decode(other.value).head
    for number, (key, value) in enumerate((entry, other)):
        park_records(parking, small, Parked("name-clash", "taken", 0, 900 + number, key, value, "email.received"))
    done = erasing.erase(node_of(small, "#17"), WHY, by="cli")
    assert [one.offset for one in parking.list()[0]] == [901]
    assert small.keyring.keys([mine.key])[mine.key] is None
    assert small.keyring.keys([others.key])[others.key] is not None
    assert small.rows("SELECT erasure FROM storyline.erased WHERE evidence = %s", UUID(mine.evidence)) == [(done.id,)]
    assert done.certificate is not None
    assert (done.certificate["letters"], done.certificate["evidences"]) == (1, 3)


def test_a_record_whose_letter_was_settled_long_ago_is_found_on_the_log(
    small: Story, erasing: Erasing, parking: Parking
) -> None:
    clash = event(1, data={"who": who(ADA), "content": {"subject": "another"}})
    entries = small.seal([clash, event(2, id="x", data={"who": who(ADA, "+442071234567")})], START)
    key = decode(entries[1].value).head.key
    places = small.log.append(entries)
    park_records(
        parking,
        small,
        *[
            Parked("name-clash", "taken", *place, entry.key, entry.value, "email.received")
            for entry, place in zip(entries, places, strict=True)
        ],
    )
    small.rows("UPDATE storyline.positions SET next_offset = 1000 RETURNING 1")  # nobody applies them
    parking.discard_many("a test", by="cli")
    done = erasing.erase(node_of(small, "#17"), WHY, by="cli")
    assert small.keyring.keys([key]) == {key: None}
    assert done.certificate is not None
    assert done.certificate["letters"] == 0


def test_more_letters_than_one_batch_holds_are_all_looked_at(
    small: Story, erasing: Erasing, parking: Parking
) -> None:
    parking.park_many([sent(n, {"who": who(ADA if n % 2 else BOB)}) for n in range(230)])
    done = erasing.erase(node_of(small, "#17"), WHY, by="cli")
    assert done.certificate is not None
    assert done.certificate["letters"] == 115
    assert small.rows("SELECT count(*) FROM storyline.dead_letters WHERE status = 'parked'") == [(115,)]
