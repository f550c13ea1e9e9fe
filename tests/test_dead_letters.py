"""Is nothing lost? What cannot be applied is parked once, sealed, listed, counted, and goes its way when redriven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commands.messages import STRUCTURED
from commands.parking import REASONS, Letter, Parking
from commands.publishing import Rights
from domain.errors import BadInput, Erased, Forbidden, NotFound, Tampered
from eventlog.port import Entry
from projections.runner import Parked
from tests.support.story import Story, event, story

SECRET = "zq-canary-zq"
AS_STRUCTURED = (("content-type", STRUCTURED.encode()),)


@pytest.fixture
def small(database: str, log_url: str) -> Iterator[Story]:
    with story(database, log_url) as made:
        yield made


@pytest.fixture
def parking(small: Story) -> Iterator[Parking]:
    with ConnectionPool(small.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool:
        yield parking_of(small, pool)


def parking_of(small: Story, pool: ConnectionPool, rights: Rights | None = None) -> Parking:
    def rights_of(_topic: str) -> Rights:
        if rights is None:
            raise Forbidden("No channel is bound to this topic.")
        return rights

    return Parking(
        pool,
        small.keyring,
        lambda: small.hasher,
        publisher=lambda: small.publisher,
        log=lambda: small.log,
        rights=rights_of,
        clock=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


def message(offset: int, raw: object, reason: str = "bad-input", detail: str = "data.x: is wrong.") -> Letter:
    value = json.dumps(raw).encode()
    return Letter("inbox", reason, detail, "message", "inbox.mail", 0, offset, value, headers=AS_STRUCTURED)


def test_the_same_trouble_met_twice_is_parked_once(parking: Parking) -> None:
    parking.park_many([message(1, {}), message(2, {})])
    parking.park_many([message(2, {"changed": True}), message(3, {})])
    letters, more = parking.list()
    assert [letter.offset for letter in letters] == [1, 2, 3]
    assert more is None
    assert parking.count() == 3
    assert parking.parked().counts == {("inbox", "bad-input"): 3}
    assert parking.parked().oldest == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_list_goes_on_by_cursor_and_shows_each_once(parking: Parking) -> None:
    parking.park_many([message(offset, {}) for offset in range(25)])
    seen: list[str] = []
    cursor: str | None = None
    while True:
        letters, cursor = parking.list("parked", 10, cursor)
        seen += [letter.id for letter in letters]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25


def test_what_is_parked_is_sealed_and_opens_only_with_its_id_and_reason(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, {"text": SECRET}, detail=f"data.{SECRET}: is not a field.")])
    [letter] = parking.list()[0]
    assert letter.detail == REASONS["bad-input"]
    [row] = small.rows("SELECT dead_letters::text, sealed FROM storyline.dead_letters")
    assert SECRET not in row[0]
    assert SECRET.encode() not in bytes(row[1])
    shown = parking.show(letter.id, unseal=True)
    assert shown.content is not None
    assert SECRET in shown.content
    assert SECRET in shown.detail
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.dead_letters SET reason = 'forbidden'")
    with pytest.raises(Tampered):
        parking.show(letter.id, unseal=True)


def test_an_erased_parking_key_leaves_the_letter_and_nothing_of_its_content(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, {"text": SECRET})])
    [letter] = parking.list()[0]
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("UPDATE keyring.keys SET wrapped = NULL, erased_at = now()")
    small.keyring._cache.clear()
    assert parking.show(letter.id).id == letter.id
    with pytest.raises(Erased):
        parking.show(letter.id, unseal=True)


def test_a_message_that_is_right_now_is_published_when_it_is_redriven(small: Story) -> None:
    with ConnectionPool(small.dsn, min_size=1, kwargs={"autocommit": True}) as pool:
        parking = parking_of(small, pool, Rights(("test/*",), ("email.*",)))
        parking.park_many([message(1, event(1), "forbidden")])
        [letter] = parking.list()[0]
        redriven = parking.redrive(letter.id)
        assert redriven.status == "redriven"
        assert parking.count() == 0
        assert sum(small.log.ends().values()) == 1
        with pytest.raises(BadInput, match="redriven already"):
            parking.redrive(letter.id)


def test_a_message_that_is_refused_again_stays_with_the_reason_of_now(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, event(1))])
    [letter] = parking.list()[0]
    stayed = parking.redrive(letter.id)
    assert (stayed.status, stayed.reason) == ("parked", "forbidden")
    assert "bound" in parking.show(letter.id, unseal=True).detail
    assert sum(small.log.ends().values()) == 0


def test_a_record_goes_onto_the_log_again_as_it_is(parking: Parking, small: Story) -> None:
    small.publish(event(1))
    [first] = small.log.read(dict.fromkeys(range(small.log.partitions), 0), 10, 5)
    record = Parked("poison", "It could not be read then.", first.partition, first.offset, first.key, first.value)
    with psycopg.connect(small.dsn) as connection:
        parking.for_log("projector", small.log.log_id)(connection, [record])
    [letter] = parking.list()[0]
    assert (letter.consumer, letter.origin) == ("projector", small.log.log_id)
    assert parking.redrive(letter.id).status == "redriven"
    [again] = small.log.read({first.partition: first.offset + 1}, 10, 5)
    assert (again.key, again.value) == (first.key, first.value)
    small.project()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(1,)], "a repeat is harmless"


def test_a_record_that_was_parked_without_its_key_finds_its_partition(parking: Parking, small: Story) -> None:
    small.publish(event(1))
    [first] = small.log.read(dict.fromkeys(range(small.log.partitions), 0), 10, 5)
    record = Parked("name-clash", "Another stays.", first.partition, first.offset, b"", first.value, "email.received")
    with psycopg.connect(small.dsn) as connection:
        parking.for_log("projector", small.log.log_id)(connection, [record])
    parking.redrive(parking.list()[0][0].id)
    [again] = small.log.read({first.partition: first.offset + 1}, 10, 5)
    assert again.key == first.key


def test_parking_is_undone_with_the_transaction_that_it_stands_in(parking: Parking, small: Story) -> None:
    with psycopg.connect(small.dsn) as connection:
        parking.park(connection, [message(1, {})])
        connection.rollback()
    assert parking.count() == 0


def test_S70_poison_on_the_log_is_parked_and_the_rest_goes_on(parking: Parking, small: Story) -> None:
    small.publish(event(1))
    small.log.append([Entry(b"anyone", f"garbage {SECRET}".encode())])
    small.publish(event(2))
    small.project(park=parking.for_log("projector", small.log.log_id))
    assert small.rows("SELECT count(*) FROM timeline.events") == [(2,)]
    [letter] = parking.list()[0]
    assert letter.reason == "poison"
    assert SECRET in str(parking.show(letter.id, unseal=True).content)


def test_a_discarded_letter_is_kept_with_the_reason_why(parking: Parking) -> None:
    parking.park_many([message(1, {})])
    [letter] = parking.list()[0]
    with pytest.raises(BadInput, match="why"):
        parking.discard(letter.id, " ")
    assert parking.discard(letter.id, "a test of the channel").status_why == "a test of the channel"
    assert parking.list()[0] == []
    assert [one.id for one in parking.list("discarded")[0]] == [letter.id]


@pytest.mark.parametrize("letter_id", ["nonsense", "00000000-0000-0000-0000-000000000000", "\0"])
def test_a_letter_that_is_not_there_is_not_found(parking: Parking, letter_id: str) -> None:
    for ask in (parking.show, parking.redrive):
        with pytest.raises(NotFound):
            ask(letter_id)
