"""Kafka's tail truncated behind our back: is it noticed and said, is nothing quietly wrong, and is it mended?"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import httpx
import psycopg
import pytest

from domain.errors import LogDamaged, Unavailable
from eventlog.opening import open_log
from eventlog.port import Entry, Log
from projections.checking import LogCheck, check_log, refuse_damaged_log
from projections.rebuild import Rebuild
from projections.repair import Repair
from tests.conftest import start_kafka
from tests.support.asking import get
from tests.support.kafka import KafkaBroker
from tests.support.logs import delete_topic, read_all, topic_of, until_it_fails
from tests.support.served import Served, served
from tests.support.story import Story, event, story
from tests.support.truncation import cut_segments
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def broker(server_directory: Path) -> Iterator[KafkaBroker]:
    """A broker of our own: it is stopped, and its files are cut."""
    with start_kafka(server_directory / "kafka-to-cut") as made:
        if not made.ours:
            pytest.skip("the broker of STORYLINE_TEST_KAFKA is not ours to cut")
        yield made


@pytest.fixture
def small(broker: KafkaBroker, database: str) -> Iterator[Story]:
    with story(database, f"kafka://{broker.bootstrap}/cut-{uuid.uuid4().hex[:8]}?partitions=2") as made:
        yield made


def mail(number: int | str) -> dict[str, object]:
    """A mail of one of many people, so that both partitions get some."""
    who = [{"kind": "email", "value": f"p{crc32(str(number).encode()) % 200}@example.org"}]
    return event(number, data={"who": who})


def check(small: Story) -> LogCheck:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        return check_log(connection, small.log)


def reopened(small: Story) -> Log:
    """The log as a process that starts now sees it."""
    small.log.close()
    small.log = open_log(small.log_url)
    small.publisher._log = small.log
    return small.log


def truncate(small: Story, broker: KafkaBroker, keep: float = 0.5) -> dict[int, int]:
    """Stop the broker, cut the end of each partition's segment away, start it again; gives the ends."""
    assert broker.log_dirs is not None
    ends = small.log.ends()
    broker.stop()
    cut = cut_segments(broker.log_dirs, topic_of(small.log_url), {p: int(end * keep) for p, end in ends.items()})
    broker.restart()
    assert reopened(small).ends() == cut
    assert all(cut[partition] < end for partition, end in ends.items())
    return cut


def fill(small: Story, number: int, tag: str = "") -> None:
    """Published a few at a time, so that there are several batches to cut between."""
    for start in range(0, number, 10):
        small.publish(*[mail(f"{tag}{one}") for one in range(start, min(number, start + 10))])


def projector_is_refused(small: Story) -> None:
    runner = small.runner()
    try:
        runner.start()
        with pytest.raises(LogDamaged, match=r"log (repair|check)"):
            until_it_fails(runner.step)
    finally:
        runner.close()


def is_whole(small: Story, values: set[bytes], hashes: dict[str, object] | None = None) -> None:
    """The log holds every event, the check finds nothing, live rows are as they were, and a rebuild equals them."""
    small.project()
    assert check(small).troubles == []
    held = {(record.partition, record.offset): record.value for record in read_all(small.log)}
    assert values <= set(held.values())
    assert hashes is None or small.hashes() == hashes
    assert Rebuild(small.dsn, small.log_url, small.log, lambda *_: None, small.reading).run().same is True
    for partition, offset, record in small.rows("SELECT log_partition, log_offset, record FROM timeline.events"):
        assert held[partition, offset] == bytes(record)


def everything(small: Story) -> set[bytes]:
    return {record.value for record in read_all(small.log)}


def test_a_cut_tail_that_grew_again_beyond_our_positions_is_noticed_and_put_back(
    small: Story, broker: KafkaBroker
) -> None:
    fill(small, 100)
    small.project()
    values = everything(small)
    truncate(small, broker)
    fill(small, 200, "later-")
    assert min(one.behind for one in check(small).standings) > 0
    assert {one.anchor for one in check(small).standings} == {"another record"}
    projector_is_refused(small)
    values |= everything(small)
    Repair(small.dsn, small.log).run()
    is_whole(small, values)
    assert small.rows("SELECT count(*) FROM timeline.events") == [(300,)]


def test_a_projector_at_work_notices_that_the_tail_was_cut_applies_nothing_more_and_it_is_put_back(
    small: Story, broker: KafkaBroker
) -> None:
    fill(small, 100)
    runner = small.runner()
    try:
        runner.start()
        while small.rows("SELECT count(*) FROM timeline.events") != [(100,)]:
            runner.step()
        hashes, values = small.hashes(), everything(small)
        truncate(small, broker)

        def step() -> None:
            try:
                runner.step()
            except Unavailable:  # the broker was away; the projector starts again, as it does by itself
                runner.start()

        with pytest.raises(LogDamaged):
            until_it_fails(step)
    finally:
        runner.close()
    assert small.hashes() == hashes
    assert len(check(small).troubles) == 2
    assert all("are lost" in trouble for trouble in check(small).troubles)
    with pytest.raises(LogDamaged):
        refuse_damaged_log(small.dsn, small.log)
    projector_is_refused(small)
    Repair(small.dsn, small.log).run()
    is_whole(small, values, hashes)


def test_a_beginning_that_was_deleted_is_noticed_and_a_new_topic_gets_all(small: Story, broker: KafkaBroker) -> None:
    from kafka import TopicPartition
    from kafka.admin import KafkaAdminClient

    fill(small, 60)
    small.project()
    hashes, values = small.hashes(), everything(small)
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.delete_records({TopicPartition(topic_of(small.log_url), 0): 5})
    admin.close()
    reopened(small)
    with pytest.raises(LogDamaged, match="lost its beginning"):
        Repair(small.dsn, small.log).plan()
    small.log_url = small.log_url.replace("?", "-anew?")
    reopened(small)
    with pytest.raises(LogDamaged, match="another log"):
        refuse_damaged_log(small.dsn, small.log)
    Repair(small.dsn, small.log, onto_another=True).run()
    is_whole(small, values, hashes)


def test_a_topic_made_anew_under_running_processes_stops_them_and_is_filled_again(
    broker: KafkaBroker, database: str, server_directory: Path
) -> None:
    directory = server_directory / "made-anew"
    (directory / "data").mkdir(parents=True)
    url, master = f"kafka://{broker.bootstrap}/made-anew?partitions=2", os.urandom(32)
    keys = {"KEYS_URL": database, "STORYLINE_MASTER_KEY": base64.b64encode(master).decode()}
    with served(directory, LOG_URL=url, DATABASE_URL=database, **keys) as system:
        assert system.publish(*[mail(number) for number in range(40)]).status_code == 202
        with system.client() as client:
            eventually(lambda: client.get("/v1/status").json()["lag"] == 0)
        delete_topic(broker.bootstrap, "made-anew")
        anew = open_log(url)
        anew.append([Entry(str(number).encode(), b"somebody else's") for number in range(100)])
        assert min(anew.ends().values()) > 20  # beyond what is remembered: no end tells that it is another topic
        anew.close()
        eventually(lambda: _is_refused(system), 90)
        eventually(lambda: not system.server.alive, 90)
    with story(database, url, master=master) as small:
        assert check(small).of_another_log
        work = Repair(small.dsn, small.log, onto_another=True)
        assert sum(one.rows for one in work.plan().losses) == 40
        assert work.run().put_back == 40
        is_whole(small, {bytes(row[0]) for row in small.rows("SELECT record FROM timeline.events")})


def _is_refused(system: Served) -> bool:
    """Whether the API takes nothing more, or is gone."""
    try:
        if system.publish(mail("late")).status_code < 500:
            return False
        return get(f"{system.url}/readyz").status_code == 503
    except httpx.TransportError:
        return True
