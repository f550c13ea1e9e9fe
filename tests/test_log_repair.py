"""Is a log that lost records noticed, and does it get them back? (Kafka: test_truncated_log.py)"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from zlib import crc32

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commands.parking import Parking
from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.opening import open_log
from eventlog.port import Entry
from projections.checking import LogCheck, check_log, refuse_damaged_log
from projections.rebuild import Rebuild
from projections.repair import Repair
from tests.support.logs import read_all, until_it_fails
from tests.support.postgres import PostgresServer
from tests.support.story import ALL, START, Story, event, note, story
from tests.support.truncation import cut_embedded

_PEOPLE = 200
"""Enough that each partition gets its part, whatever the hashing key is."""


@pytest.fixture
def small(postgres: PostgresServer, database: str) -> Iterator[Story]:
    """A system whose log is in a database of its own, as one that is restored by itself has to be."""
    name = postgres.create_database()
    with story(database, f"{postgres.dsn_of(name)}&partitions=4") as made:
        yield made
    postgres.drop_database(name)


def mail(number: int | str, **changes: object) -> dict[str, object]:
    """A mail of one of many people, so that all partitions get some."""
    index = number if isinstance(number, int) else crc32(number.encode())
    who = [{"kind": "email", "value": f"p{index % _PEOPLE}@example.org"}]
    return event(number, data={"who": who}, **changes)


def cut(small: Story, ends: dict[int, int]) -> None:
    cut_embedded(small.log_url.replace("&partitions=4", ""), ends)


def halves(small: Story) -> dict[int, int]:
    return {partition: end // 2 for partition, end in small.log.ends().items()}


def check(small: Story) -> LogCheck:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        return check_log(connection, small.log)


def repair(small: Story, **options: bool) -> Repair:
    return Repair(small.dsn, small.log, **options)  # type: ignore[arg-type]


def projector_is_refused(small: Story) -> None:
    runner = small.runner()
    try:
        runner.start()
        with pytest.raises(LogDamaged, match="log repair"):
            until_it_fails(runner.step)
    finally:
        runner.close()


def is_whole(small: Story, hashes: dict[str, object], values: set[bytes]) -> None:
    """The log holds every event, the check finds nothing, live rows are as they were, and a rebuild equals them."""
    small.project()
    assert check(small).troubles == []
    assert values <= {record.value for record in read_all(small.log)}
    assert small.hashes() == hashes
    rebuild = Rebuild(
        small.dsn, small.log_url, small.log, lambda _, parked: small.parked.extend(parked), small.reading
    )
    assert rebuild.run().same is True
    places = {(record.partition, record.offset): record.value for record in read_all(small.log)}
    for partition, offset, record in small.rows("SELECT log_partition, log_offset, record FROM timeline.events"):
        assert places[partition, offset] == bytes(record)


def everything(small: Story) -> set[bytes]:
    return {record.value for record in read_all(small.log)}


def test_a_whole_log_needs_no_repair(small: Story) -> None:
    assert not check(small).damaged
    small.publish(*[mail(number) for number in range(50)], mail(3))
    assert not check(small).damaged
    small.project()
    found = check(small)
    assert found.troubles == []
    assert {one.anchor for one in found.standings if one.next_offset} == {"found"}
    assert repair(small).plan().losses == ()
    assert repair(small, every_record=True).run().losses == ()
    refuse_damaged_log(small.dsn, small.log)


def test_a_log_that_lost_its_end_is_refused_and_gets_it_back(small: Story) -> None:
    small.publish(*[mail(number) for number in range(100)])
    small.project()
    hashes, values = small.hashes(), everything(small)
    cut(small, halves(small))
    found = check(small)
    assert {one.anchor for one in found.standings} == {"missing"}
    assert all("are lost" in trouble for trouble in found.troubles)
    with pytest.raises(LogDamaged, match="log repair"):
        refuse_damaged_log(small.dsn, small.log)
    projector_is_refused(small)
    planned = repair(small).plan()
    assert {one.partition: one.floor for one in planned.losses} == small.log.ends()
    done = repair(small).run()
    assert done.put_back == sum(one.rows for one in planned.losses) == 100 - sum(one.floor for one in planned.losses)
    is_whole(small, hashes, values)
    assert repair(small).run().losses == ()


def test_a_log_that_grew_again_over_what_was_remembered_is_noticed_by_its_anchors(small: Story) -> None:
    small.publish(*[mail(number) for number in range(100)])
    small.project()
    values = everything(small)
    cut(small, halves(small))
    small.publish(*[mail(f"later-{number}") for number in range(300)])
    assert min(one.behind for one in check(small).standings) >= 0
    assert {one.anchor for one in check(small).standings} == {"another record"}
    projector_is_refused(small)
    assert repair(small).run().put_back > 0
    small.project()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(400,)]
    is_whole(small, small.hashes(), values)


def test_a_repair_that_is_cut_off_anywhere_goes_on(small: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.repair._PAGE", 7)
    monkeypatch.setattr("projections.repair._BYTES", 3000)
    small.publish(*[mail(number) for number in range(100)])
    small.project()
    hashes, values = small.hashes(), everything(small)
    cut(small, halves(small))
    small.publish(mail(0))  # a repeat, so that the rows stay what they are, and yet the log grew

    def stop_after(limit: int) -> Repair:
        work = repair(small)

        def told(done: int, total: int) -> None:
            if done >= limit:
                raise KeyboardInterrupt

        work.told = told
        return work

    for limit in (0, 9, 5, 20):
        with pytest.raises(KeyboardInterrupt):
            stop_after(limit).run()
        assert check(small).cut_off
        with pytest.raises(LogDamaged):
            refuse_damaged_log(small.dsn, small.log)
    assert repair(small).run().put_back > 0
    is_whole(small, hashes, values)


def test_what_was_appended_and_not_noted_before_a_kill_is_a_repeat(small: Story) -> None:
    """Killed between the log's acknowledgement and the commit of the rows' new places."""
    small.publish(*[mail(number) for number in range(40)])
    small.project()
    hashes, values = small.hashes(), everything(small)
    cut(small, dict.fromkeys(range(4), 0))
    rows = small.rows("SELECT record FROM timeline.events ORDER BY log_partition, log_offset LIMIT 15")
    small.log.append([Entry(json.loads(bytes(record))["owner"].encode(), bytes(record)) for (record,) in rows])
    repair(small).run()
    is_whole(small, hashes, values)


def test_while_a_repair_works_no_position_moves_and_a_second_repair_is_refused(small: Story) -> None:
    small.publish(*[mail(number) for number in range(40)])
    small.project()
    cut(small, halves(small))
    work, refused = repair(small), []

    def told(done: int, total: int) -> None:
        with pytest.raises(Unavailable, match="Another repair"):
            repair(small).run()
        with psycopg.connect(small.dsn) as connection, pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("SET lock_timeout = '50ms'")
            connection.execute("UPDATE storyline.positions SET epoch = epoch WHERE consumer = 'live'")
        refused.append(done)

    epochs = small.rows("SELECT log_partition, epoch FROM storyline.positions WHERE consumer = 'live' ORDER BY 1")
    work.told = told
    work.run()
    assert refused
    after = small.rows("SELECT log_partition, epoch FROM storyline.positions WHERE consumer = 'live' ORDER BY 1")
    assert [epoch for _, epoch in after] == [epoch + 1 for _, epoch in epochs]


def test_a_log_made_anew_is_filled_only_when_that_is_asked_for(small: Story, postgres: PostgresServer) -> None:
    small.publish(*[mail(number) for number in range(60)])
    small.project()
    hashes, values = small.hashes(), everything(small)
    other = f"{postgres.dsn_of(postgres.create_database())}&partitions=3"
    log = open_log(other)
    try:
        small.log.close()
        small.log, small.log_url = log, other
        assert check(small).of_another_log
        with pytest.raises(LogDamaged, match="another log"):
            refuse_damaged_log(small.dsn, log)
        with pytest.raises(Misconfigured, match="--onto-another-log"):
            repair(small).run()
        assert repair(small, onto_another=True).run().put_back == 60
        is_whole(small, hashes, values)
        assert check(small).others == ()
    finally:
        log.close()


def test_holes_in_the_middle_of_the_log_are_filled_in_place(small: Story) -> None:
    small.publish(*[mail(number) for number in range(60)], mail(1), mail(2))
    small.project()
    hashes, ends = small.hashes(), small.log.ends()
    with psycopg.connect(small.log_url.replace("&partitions=4", "")) as connection:
        connection.execute('DELETE FROM log.records WHERE "offset" BETWEEN 2 AND 4 OR "offset" > 9')
    with pytest.raises(LogDamaged):
        Rebuild(small.dsn, small.log_url, small.log, lambda *_: None, small.reading).run()
    done = repair(small).run()
    assert done.filled > 0
    assert small.log.ends() == ends
    rows = {bytes(record) for (record,) in small.rows("SELECT record FROM timeline.events")}
    assert rows <= everything(small)
    small.project()
    assert small.hashes() == hashes
    assert Rebuild(small.dsn, small.log_url, small.log, lambda *_: None, small.reading).run().same is True


def test_lost_records_without_a_row_are_told_and_dead_letters_counted(small: Story) -> None:
    small.publish(*[mail(number) for number in range(20)])
    small.publish(*[mail(number) for number in range(20)])
    small.log.append([Entry(b"k", b"unreadable")])
    small.project()
    before = small.hashes()
    cut(small, dict.fromkeys(range(4), 0))
    planned = repair(small).plan()
    assert sum(one.rows for one in planned.losses) == 20
    assert sum(one.passed for one in planned.losses) == 21
    repair(small).run()
    small.project()
    assert small.hashes() == before


def test_a_loss_of_nothing_but_repeats_is_noticed_too(small: Story) -> None:
    small.publish(*[mail(number) for number in range(20)])
    ends = small.log.ends()
    small.publish(*[mail(number) for number in range(20)])
    small.project()
    before = small.hashes()
    cut(small, ends)
    assert check(small).damaged
    small.publish(*[mail(f"new-{number}") for number in range(40)])
    assert check(small).damaged
    done = repair(small).run()
    assert done.put_back == 0
    assert {one.partition: one.floor for one in done.losses} == {part: end for part, end in ends.items() if end}
    small.project()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(60,)]
    assert before != small.hashes()
    assert not check(small).damaged


def test_a_repeat_that_is_kept_in_place_of_a_later_one_is_found_where_its_row_says(small: Story) -> None:
    raw = mail(1)
    late = small.seal([raw], START + timedelta(hours=5))
    early = small.seal([raw], START + timedelta(hours=2))
    small.log.append(late)
    small.project()
    small.log.append(early)
    small.publish(note(2, "goes on"))
    small.project()
    hashes = small.hashes()
    cut(small, dict.fromkeys(range(4), 0))
    repair(small).run()
    is_whole(small, hashes, {early[0].value})


def test_another_unreadable_record_where_a_lost_one_stood_is_parked_as_well(small: Story) -> None:
    """A dead letter is known by where its record stood, and by the record: a log that grew again has others there."""
    parking = Parking(
        ConnectionPool(small.dsn, open=False),
        small.keyring,
        lambda: small.hasher,
        publisher=lambda: small.publisher,
        log=lambda: small.log,
        rights=lambda topic: ALL,
    )
    park = parking.for_log("projector", small.log.log_id)
    small.publish(mail(1))
    kept = small.log.ends()
    for number in range(2):
        small.log.append([Entry(b"k", b"unreadable %d" % number)])
        small.project(park=park)
        cut(small, kept)
        repair(small).run()
    small.log.append([Entry(b"k", b"unreadable 0")])
    small.project(park=park)
    assert small.rows("SELECT count(*) FROM storyline.dead_letters") == [(2,)]
