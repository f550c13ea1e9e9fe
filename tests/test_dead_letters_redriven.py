"""Is each dead letter settled once and its event there once, whoever redrives, discards or dies in the middle?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg_pool import ConnectionPool

from commands.parking import Letter, Parking
from commands.publishing import Publisher
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Unavailable
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.opening import open_log
from eventlog.port import Entry, Logged
from eventlog.sealer import Sealer
from eventlog.tokens import Hasher
from projections.runner import Parked
from tests.support.letters import AS_BATCH, MAIL, logged, message, park_records, parking_of, walk
from tests.support.story import Story, event, story

MASTER = bytes(range(32))


@pytest.fixture
def small(database: str, log_url: str) -> Iterator[Story]:
    with story(database, log_url, master=MASTER) as made:
        yield made


@pytest.fixture
def parking(small: Story) -> Iterator[Parking]:
    with parking_of(small) as made:
        yield made


def events_shown(small: Story) -> int:
    small.project()
    [[count]] = small.rows("SELECT count(*) FROM timeline.events")
    return int(count)


def test_S70_all_of_a_kind_are_redriven_in_steps_and_a_bad_one_stops_none(parking: Parking, small: Story) -> None:
    good = [message(n, event(n)) for n in range(250)]
    good[17] = message(17, b"{broken")
    good[18] = message(18, [event(900), event(901)], headers=AS_BATCH)
    good[60] = message(60, event(60, source="else/where"))
    parking.park_many(good)
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.dead_letters SET sealed = sealed || '\\x00' WHERE origin_offset = 5")
    found = walk(lambda cursor: parking.redrive_many(by="cli", reason="bad-input", limit=60, cursor=cursor))
    assert [one.settled + one.stayed for one in found] == [60, 60, 60, 60, 10]
    assert sum(one.settled for one in found) == 247
    assert parking.parked().counts == {("inbox", "bad-input"): 2, ("inbox", "forbidden"): 1}
    assert events_shown(small) == 248
    [stayed] = [one for one in parking.list()[0] if one.offset == 5]
    assert stayed.status_why == "its seal does not open"
    again = walk(lambda cursor: parking.redrive_many(by="cli", limit=60, cursor=cursor))
    assert [(one.settled, one.stayed, one.remaining) for one in again] == [(0, 3, 3)]
    assert logged(small) == 248


def test_a_walk_leaves_alone_what_was_parked_after_it_began(parking: Parking) -> None:
    parking.park_many([message(n, {}) for n in range(3)])
    first = parking.redrive_many(by="cli", limit=2)
    parking.park_many([message(n, {}) for n in range(3, 9)])
    second = parking.redrive_many(by="cli", limit=100, cursor=first.next)
    assert (second.stayed, second.remaining, second.next) == (1, 9, None)


@pytest.mark.parametrize("cursor", ["", "x", "1.2", "9" * 18 + ".1." + "0" * 32, "1.1." + "0" * 31])
def test_a_wrong_cursor_is_told(parking: Parking, cursor: str) -> None:
    with pytest.raises(BadInput, match="cursor"):
        parking.redrive_many(by="cli", cursor=cursor)


def test_all_of_a_kind_are_discarded_with_a_reason(parking: Parking) -> None:
    parking.park_many([message(n, event(n), "forbidden" if n % 2 else "bad-input") for n in range(30)])
    kind = next(one.id for one in parking.kinds()[0] if one.reason == "forbidden")
    with pytest.raises(BadInput, match="why"):
        parking.discard_many(" ", by="cli", kind=kind)
    found = walk(lambda cursor: parking.discard_many("a pilot", by="abc", kind=kind, limit=10, cursor=cursor))
    assert [one.settled for one in found][:1] == [10]
    assert sum(one.settled for one in found) == 15
    gone = parking.list("discarded")[0]
    assert {(one.offset or 0) % 2 for one in gone} == {1}
    assert {(one.status_why, one.status_by) for one in gone} == {("a pilot", "abc")}
    assert [(step.did, step.by, step.why) for step in parking.show(gone[0].id).history] == [
        ("discarded", "abc", "a pilot")
    ]
    assert parking.count() == 15


def test_large_letters_are_seen_to_in_smaller_steps(parking: Parking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.parking._MOST_BYTES", 1500)
    parking.park_many([message(n, event(n, data={"content": {"subject": "s" * 100 * n}})) for n in range(1, 9)])
    found = walk(lambda cursor: parking.redrive_many(by="cli", limit=3, cursor=cursor))
    assert sum(one.settled + one.stayed for one in found) == 8
    assert found[-1].next is None


def test_a_log_that_does_not_answer_leaves_everything_parked(small: Story) -> None:
    class Silent:
        def append(self, entries: Any) -> Any:
            raise Unavailable("The log does not answer.")

    silent = Publisher(small.catalogue, small.sealer, Silent())  # type: ignore[arg-type]
    with parking_of(small, publisher=lambda: silent, log=Silent) as parking:
        parking.park_many([message(n, event(n)) for n in range(3)])
        with pytest.raises(Unavailable):
            parking.redrive_many(by="cli")
        assert parking.count() == 3
        assert {one.status_why for one in parking.list()[0]} == {None}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=4), min_size=3, max_size=3),
    number=st.integers(1, 60),
)
def test_two_redrivers_and_a_discarder_settle_each_letter_once(
    small: Story, parking: Parking, batches: list[list[int]], number: int
) -> None:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("TRUNCATE storyline.dead_letters CASCADE")
    before = logged(small)
    parking.park_many([message(n, event(f"{before}-{n}")) for n in range(number)])
    settled = [0, 0, 0]
    failed: list[BaseException] = []

    def work(who: int) -> None:
        try:
            cursor: str | None = None
            for limit in [*batches[who], 100]:
                if who == 2:
                    found = parking.discard_many("a test", by="c", limit=limit, cursor=cursor)
                else:
                    found = parking.redrive_many(by="ab"[who], limit=limit, cursor=cursor)
                settled[who] += found.settled
                cursor = found.next
                if cursor is None:
                    break
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    left = parking.redrive_many(by="d", limit=1000)
    assert sum(settled) + left.settled == number
    assert (left.remaining, parking.count()) == (0, 0)
    [[discarded]] = small.rows("SELECT count(*) FROM storyline.dead_letters WHERE status = 'discarded'")
    assert discarded == settled[2]
    assert logged(small) - before == number - discarded, "each that was redriven went onto the log once"
    assert small.rows(
        "SELECT max(n) FROM (SELECT count(*) n FROM storyline.dead_letter_history GROUP BY letter_id) t"
    ) == [(1,)]


def test_a_kill_between_append_and_settling_loses_nothing_and_doubles_nothing(
    parking: Parking, small: Story, database: str, log_url: str
) -> None:
    parking.park_many([message(n, event(n)) for n in range(150)])
    argv = [sys.executable, "-m", "tests.test_dead_letters_redriven", database, log_url]
    killed = subprocess.run(argv, check=False, timeout=60, cwd=Path(__file__).parent.parent)
    assert killed.returncode == -signal.SIGKILL
    assert logged(small) == 150, "100 settled, 50 appended and not settled"
    assert parking.count() == 50
    walk(lambda cursor: parking.redrive_many(by="cli", limit=1000, cursor=cursor))
    assert parking.count() == 0
    assert logged(small) == 200
    assert events_shown(small) == 150


def test_a_record_of_a_newer_release_waits_until_a_release_reads_it(parking: Parking, small: Story) -> None:
    """Redriven by the release that cannot read it, nothing is put on the log; by one that can, it is as live."""
    small.publish(event(1))
    [first] = small.log.read(dict.fromkeys(range(small.log.partitions), 0), 10, 5)
    unread = first.value.replace(b'{"v":1,', b'{"v":2,')
    small.log.append([Entry(first.key, unread)])
    small.project(park=parking.for_log("projector", small.log.log_id))
    [letter] = parking.list()[0]
    assert (letter.reason, letter.consumer) == ("poison", "projector")
    stayed = parking.redrive(letter.id)
    assert (stayed.status, stayed.status_why) == ("parked", "this release cannot read it either")
    assert logged(small) == 2
    with parking_of(small, trouble=lambda value: None) as newer:
        assert newer.redrive(letter.id).status == "parked", "what the log's own format refuses is refused too"
    assert logged(small) == 2


def test_S70_a_record_that_an_older_release_parked_is_redriven_and_a_rebuild_equals_live(
    parking: Parking, small: Story
) -> None:
    small.publish(*[event(n) for n in range(20)])
    records = small.log.read(dict.fromkeys(range(small.log.partitions), 0), 100, 5)
    old, read = records[:7], records[7:]
    apply_records(small, read)  # as an older release left it: the others were not applied, but parked
    park_records(
        parking, small, *[Parked("poison", "Not read.", one.partition, one.offset, one.key, one.value) for one in old]
    )
    found = parking.redrive_many(by="cli")
    assert (found.settled, found.stayed, found.remaining) == (7, 0, 0)
    assert logged(small) == 27
    assert events_shown(small) == 20
    live = small.hashes()
    rebuild_all(small)
    assert small.hashes() == live


def apply_records(small: Story, records: list[Logged]) -> None:
    """Apply these, and take all that stands before them on the log for seen."""
    runner = small.runner()
    try:
        runner.take()
        runner.apply(small.decoder().batch(0, runner.cursor, records))
    finally:
        runner.close()
    assert runner.cursor == small.log.ends()


def rebuild_all(small: Story) -> None:
    """The whole log again into empty tables."""
    small.empty()
    small.project()


def test_a_name_clash_stays_one_and_says_so_and_the_log_does_not_grow(parking: Parking, small: Story) -> None:
    small.publish(event(1))
    small.publish(event(1, data={"content": {"subject": "another"}}))
    small.project(park=parking.for_log("projector", small.log.log_id))
    [letter] = parking.list()[0]
    assert (letter.reason, letter.type, letter.source) == ("name-clash", "email.received", "test/mail")
    for _ in range(2):
        stayed = parking.redrive(letter.id)
        assert (stayed.status, stayed.reason) == ("parked", "name-clash")
        assert stayed.status_why == "its name is still taken by other content"
    assert logged(small) == 2
    found = parking.redrive_many(by="cli", reason="name-clash")
    assert (found.settled, found.stayed, found.next) == (0, 1, None)


def test_what_expired_stays_expired(parking: Parking) -> None:
    parking.park_many([Letter("inbox", "expired", "Messages 1 to 9.", "message", "inbox.mail", 0, 1, b"Messages 1")])
    stayed = parking.redrive(parking.list()[0][0].id)
    assert (stayed.status, stayed.reason) == ("parked", "expired")
    assert stayed.status_why == "the messages are gone; publish them again from their source"


def test_a_letter_whose_key_was_destroyed_says_so_and_can_still_be_discarded(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, event(1))])
    [letter] = parking.list()[0]
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute("UPDATE keyring.keys SET wrapped = NULL, erased_at = now()")
    small.keyring._cache.clear()
    stayed = parking.redrive(letter.id)
    assert (stayed.status, stayed.status_why) == ("parked", "its seal does not open")
    assert parking.redrive_many(by="cli").stayed == 1
    assert parking.discard(letter.id, "its key is gone").status == "discarded"


def _die_in_the_second_step(dsn: str, log_url: str) -> None:
    """Redrive all, and kill ourselves between append and settling of the second transaction."""
    calls: list[datetime] = []

    def die() -> None:
        calls.append(datetime.now().astimezone())
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    keyring = Keyring(dsn, MasterKeys(MASTER))
    hasher = Hasher(keyring.hashing_key())
    log = open_log(log_url)
    publisher = Publisher(Catalogue(builtin()), Sealer(keyring, hasher), log)
    with ConnectionPool(dsn, min_size=1, kwargs={"autocommit": True}) as pool:
        parking = Parking(
            pool,
            keyring,
            lambda: hasher,
            publisher=lambda: publisher,
            log=lambda: log,
            rights=lambda topic: MAIL,
            before_settle=die,
        )
        parking.redrive_many(by="cli", limit=1000)


if __name__ == "__main__":
    _die_in_the_second_step(*sys.argv[1:])
