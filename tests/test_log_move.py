"""Does a history move to another log while everything runs, and does the new log alone take anything afterwards?

Killed at any point, the next start goes on; until the switch it can be undone, and what fails undoes the closing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.vectors import read_place, write_place, write_vector
from domain.errors import BadInput, LogDamaged, Misconfigured, NotFound, Unavailable
from eventlog.embedded import EmbeddedLog
from eventlog.opening import open_log
from eventlog.port import Closable, Entry, Log
from eventlog.record import decode
from projections.moves import standing
from projections.moving import POINTS, MoveDiffers, abort
from projections.rebuild import Rebuild
from projections.runner import Parked
from storyline.turn import wait_for_turn
from tests.support.letters import parking_of
from tests.support.logs import MakeLog, in_threads, read_all
from tests.support.moving import killed_at, move, projecting
from tests.support.postgres import PostgresServer
from tests.support.story import ALL, Story, event, story
from tests.support.waiting import eventually

MakeEmbedded = Callable[[int], str]
KILLED_AT = ("copied", "compared", "closed", "tail applied", "switching", "switched")


@pytest.fixture
def another(postgres: PostgresServer) -> MakeEmbedded:
    """`another(partitions)` is the URL of one more embedded log."""
    return lambda partitions: f"{postgres.dsn_of(postgres.create_database())}&partitions={partitions}"


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=3") as made:
        yield made


def person(number: int) -> dict[str, Any]:
    """An event of one of many people, so that all partitions get some."""
    return event(number, data={"who": [{"kind": "email", "value": f"p{number % 23}@example.org"}]})


def names_on(log: Log) -> set[str]:
    return {decode(record.value).head.name for record in read_all(log)}


def rebuilt(small: Story, log: Log, url: str) -> bool | None:
    """Whether a rebuild from this log finds the rows that live has."""
    with projecting(small, url=url):
        return Rebuild(small.dsn, url, log, lambda connection, parked: None, small.reading).run().same


def test_a_closed_log_refuses_whoever_still_appends_and_opens_again(another: MakeEmbedded, make_log: MakeLog) -> None:
    url = another(4)
    log, forgotten = make_log(url), make_log(url)
    assert isinstance(log, Closable)
    entries = [Entry(str(n).encode(), b"x") for n in range(8)]
    forgotten.append(entries)
    log.close_for("kafka:elsewhere")
    for one in (log, forgotten, make_log(url)):
        with pytest.raises(Unavailable, match="kafka:elsewhere takes its place") as refused:
            one.append(entries[:1])
        assert refused.value.retry_after > 0
        assert len(read_all(one)) == 8
    log.close_for(None)
    forgotten.append(entries)
    assert len(read_all(log)) == 16


def test_nothing_is_appended_behind_the_end_that_closing_found(another: MakeEmbedded, make_log: MakeLog) -> None:
    url = another(4)
    log = make_log(url)
    assert isinstance(log, Closable)
    taken: list[int] = []

    def append(number: int) -> None:
        own = make_log(url)
        try:
            for turn in range(100_000):
                taken.append(len(own.append([Entry(b"%d.%d" % (number, turn), b"x")])))
        except Unavailable:
            return

    closing = threading.Timer(0.3, log.close_for, ["b"])
    closing.start()
    in_threads(append, 4)
    closing.join()
    assert sum(log.ends().values()) == len(taken) == len(read_all(log))


def test_a_log_of_the_release_before_can_be_closed_too(another: MakeEmbedded) -> None:
    url = another(2)
    first = open_log(url)
    first.append([Entry(b"k", b"v")])
    first.close()
    dsn = url.partition("&partitions")[0]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE log.partitions DROP COLUMN closed")
        connection.execute("ALTER TABLE log.identity DROP COLUMN successor")
    with pytest.raises(Misconfigured, match="db upgrade"):
        EmbeddedLog(dsn)
    again = open_log(url)
    assert isinstance(again, Closable)
    again.append([Entry(b"k", b"w")])
    again.close_for("b")
    with pytest.raises(Unavailable):
        again.append([Entry(b"k", b"x")])
    assert len(read_all(again)) == 2
    again.close()


def test_a_move_switches_to_equal_rows_and_to_the_new_log(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(5)
    target = make_log(url)
    small.publish(*[person(number) for number in range(300)], person(7))
    seen: list[str] = []

    def reached(point: str) -> None:
        seen.append(point)
        if point == "copied":
            small.publish(*[person(number) for number in range(300, 400)])

    with projecting(small):
        done = move(small, target, url, tmp_path / "map", reached)
    assert tuple(seen) == POINTS
    assert (done.records, done.compared) == (401, 2)
    assert names_on(target) == names_on(small.log)
    assert small.hashes()["timeline"] == small.hashes("_previous")["timeline"] == done.hashes["timeline"]
    places = small.rows("SELECT log_partition, log_offset FROM timeline.events")
    assert set(places) <= {(record.partition, record.offset) for record in read_all(target)}
    with pytest.raises(Unavailable, match="takes its place"):
        small.publish(person(1))
    target.append(small.seal([person(1000)], datetime.now(UTC)))
    with projecting(small, url=url):
        eventually(lambda: small.rows("SELECT count(*) FROM timeline.events") == [(401,)])
    assert rebuilt(small, target, url) is True
    assert small.rows("SELECT to_regnamespace('timeline_move')") == [(None,)]
    assert small.rows("SELECT count(*) FROM storyline.positions WHERE consumer = 'move'") == [(0,)]


def test_a_move_that_is_killed_at_every_point_goes_on_and_loses_nothing(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url, accepted, number = another(4), list[str](), 0
    target = make_log(url)
    with projecting(small):
        for point in KILLED_AT:
            fresh = [person(one) for one in range(number, number + 60)]
            number += 60
            try:
                accepted += [receipt.name for receipt in small.publish(*fresh)]
            except Unavailable:
                assert KILLED_AT.index(point) > KILLED_AT.index("closed"), f"refused before {point}"
            assert killed_at(point, small, url, tmp_path / "map") == -9, point
            if point == "closed":
                with pytest.raises(Unavailable):
                    small.publish(person(0))
        done = move(small, target, url, tmp_path / "map")
    assert len(accepted) == 60 * (KILLED_AT.index("closed") + 1)
    assert names_on(target) == set(accepted) == names_on(small.log)
    assert small.rows("SELECT count(*) FROM timeline.events") == [(len(accepted),)]
    assert small.hashes() == small.hashes("_previous")
    assert done.to_log_id == target.log_id
    assert rebuilt(small, target, url) is True


def test_a_move_is_given_up_after_closing_and_made_later(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    target = make_log(url)
    small.publish(*[person(number) for number in range(100)])
    with projecting(small):
        with pytest.raises(NotFound):
            abort(small.dsn, small.log)
        assert killed_at("tail applied", small, url, tmp_path / "map") == -9
        before = small.hashes()
        abort(small.dsn, small.log)
        small.publish(person(100))
        eventually(lambda: small.rows("SELECT count(*) FROM timeline.events") == [(101,)])
        assert small.hashes() != before
        assert standing(small.dsn, target.log_id) == "alone"
        assert small.rows("SELECT to_regnamespace('timeline_move')") == [(None,)]
        with pytest.raises(Misconfigured, match="empty"):
            move(small, target, url, tmp_path / "another-map")
        assert move(small, target, url, tmp_path / "map").records == 101
        with pytest.raises(Misconfigured, match="done"):
            abort(small.dsn, small.log)


@pytest.mark.parametrize("point", ["closed", "tail applied", "switching"])
def test_what_fails_after_closing_opens_the_old_log_again(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path, point: str
) -> None:
    url = another(3)
    target = make_log(url)
    small.publish(*[person(number) for number in range(50)])

    def reached(now: str) -> None:
        if now == point:
            with pytest.raises(Unavailable):
                small.publish(person(1))
            raise KeyboardInterrupt

    with projecting(small):
        with pytest.raises(KeyboardInterrupt):
            move(small, target, url, tmp_path / "map", reached)
        small.publish(person(50))
        assert move(small, target, url, tmp_path / "map").records == 51
    assert small.rows("SELECT count(*) FROM timeline.events") == [(51,)]


def test_rows_that_differ_are_not_switched_in(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    target = make_log(url)
    small.publish(*[person(number) for number in range(50)])
    with projecting(small):
        eventually(lambda: small.rows("SELECT count(*) FROM timeline.events") == [(50,)])
        small.rows("DELETE FROM identity.evidences RETURNING 1")
        with pytest.raises(MoveDiffers):
            move(small, target, url, tmp_path / "map")
        small.publish(person(51))
    assert standing(small.dsn, small.log.log_id) == "alone"


def test_without_a_projector_nothing_is_closed(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.moving._PATIENCE", 0.5)
    url = another(3)
    target = make_log(url)
    small.publish(*[person(number) for number in range(600)])
    with pytest.raises(Unavailable, match="Start a projector"):
        move(small, target, url, tmp_path / "map", batch=10)
    small.publish(person(1))


def test_a_process_waits_for_the_log_that_is_filled_and_refuses_the_one_that_was_left(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    target = make_log(url)
    small.publish(person(1))
    waited: list[str] = []

    def wait() -> None:
        wait_for_turn(small.dsn, target.log_id)
        waited.append(standing(small.dsn, target.log_id))

    waiting = threading.Thread(target=wait)

    def reached(point: str) -> None:
        if point == "begun":
            waiting.start()
        if point == "switching":
            assert waited == []
            wait_for_turn(small.dsn, small.log.log_id)

    with projecting(small):
        move(small, target, url, tmp_path / "map", reached)
    waiting.join(10)
    assert waited == ["took over"]
    with pytest.raises(Misconfigured, match="was moved"):
        wait_for_turn(small.dsn, small.log.log_id)
    with pytest.raises(Misconfigured, match=target.log_id):
        Rebuild(small.dsn, small.log_url, small.log, lambda connection, parked: None, small.reading).run()
    with pytest.raises(Misconfigured, match="was moved"):
        move(small, make_log(another(1)), url, tmp_path / "third")


def test_whoever_waited_for_a_move_that_is_given_up_is_told(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    target = make_log(url)
    told: list[str] = []

    def wait() -> None:
        try:
            wait_for_turn(small.dsn, target.log_id)
        except Misconfigured as error:
            told.append(error.detail)

    waiting = threading.Thread(target=wait)
    with projecting(small):
        assert killed_at("compared", small, url, tmp_path / "map") == -9
        waiting.start()
        time.sleep(0.5)
        abort(small.dsn, small.log)
    waiting.join(10)
    assert told and "given up" in told[0]


@pytest.mark.kafka
def test_from_kafka_a_move_asks_whether_all_is_quiet(
    database: str, kafka_log_url: str, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    with story(database, kafka_log_url) as made, projecting(made):
        target = make_log(url)
        made.publish(*[person(number) for number in range(100)])
        with pytest.raises(Misconfigured, match="--quiet"):
            move(made, target, url, tmp_path / "map")

        over = threading.Event()
        more: list[Any] = []

        def go_on() -> None:
            while not over.wait(0.2):
                more.append(person(100 + len(more)))
                made.publish(more[-1])

        publishing = threading.Thread(target=go_on)

        def reached(point: str) -> None:
            if point == "closing":
                publishing.start()

        with pytest.raises(Misconfigured, match="still appends"):
            move(made, target, url, tmp_path / "map", reached, quiet=True)
        over.set()
        publishing.join()
        assert move(made, target, url, tmp_path / "map", quiet=True).records == 100 + len(more)
        assert made.hashes() == made.hashes("_previous")


def test_a_log_that_lost_what_was_copied_is_noticed(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(3)
    target = make_log(url)
    small.publish(*[person(number) for number in range(50)])
    with projecting(small):
        eventually(lambda: small.rows("SELECT count(*) FROM timeline.events") == [(50,)])
        assert killed_at("compared", small, url, tmp_path / "map") == -9
        with psycopg.connect(url.partition("&partitions")[0], autocommit=True) as connection:
            connection.execute("UPDATE log.partitions SET next_offset = 0")
            connection.execute("TRUNCATE log.records")
        with pytest.raises(LogDamaged):
            move(small, target, url, tmp_path / "map")
        small.publish(person(51))


def test_a_dead_letter_of_the_old_log_waits_once_and_is_redriven_onto_the_new_one(
    small: Story, another: MakeEmbedded, make_log: MakeLog, tmp_path: Path
) -> None:
    url = another(4)
    target = make_log(url)
    good = small.seal([person(1)], datetime.now(UTC))
    small.log.append([Entry(b"k", b"poison"), *good, Entry(b"k", b"more poison")])
    with parking_of(small, log=lambda: target, rights=lambda topic: ALL) as parking:
        with projecting(small, park=parking.for_log("projector", small.log.log_id)):
            eventually(lambda: parking.count() == 2)
            before, _ = parking.list()
            parking.discard(before[0].id, "it was a test", "cli")
            move(small, target, url, tmp_path / "map", park=parking.for_log("projector", target.log_id))
        [waiting], _ = parking.list()
        assert waiting.id == before[1].id
        park = parking.for_log("projector", target.log_id)
        with projecting(small, url=url, park=park):
            assert Rebuild(small.dsn, url, target, park, small.reading).run().same is True
        assert [one.id for one in parking.list()[0]] == [waiting.id]
        assert parking.redrive(waiting.id, "cli").status == "parked", "it is as unreadable as it was"
        [readable] = [one for one in read_all(small.log) if one.value == good[0].value]
        with psycopg.connect(small.dsn, autocommit=True) as connection:
            old_release = parking.for_log("projector", small.log.log_id)
            old_release(connection, [Parked("poison", "An older release could not read it.", *readable)])
        [letter] = [one for one in parking.list()[0] if one.id != waiting.id]
        assert parking.redrive(letter.id, "cli").status == "redriven"
        assert [one.value for one in read_all(target)].count(readable.value) == 2


def test_places_of_streams_name_their_log_and_plain_vectors_stay_what_they_were() -> None:
    vector = {0: 17, 3: -1}
    place = write_place("kafka:a", vector)
    assert read_place(place, "id", "kafka:a") == vector == read_place(write_vector(vector), "id", "kafka:a")
    assert read_place(place, "id", "kafka:b") is None
    for bad in ("@0:1", "x@0:1", "@", "abcdefgh@0:1", "0:1@", place + "@0:1"):
        with pytest.raises(BadInput):
            read_place(bad, "id", "kafka:a")
