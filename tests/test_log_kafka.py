"""What must the Kafka log do beyond the port? A killed broker, topics made anew, forgetful or trimmed."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.opening import open_log
from eventlog.port import Entry
from tests.conftest import start_kafka
from tests.support.logs import (
    MakeLog,
    delete_topic,
    in_threads,
    log_ends_of,
    read_all,
    topic_of,
    until_it_fails,
)


@pytest.mark.kafka
def test_a_topic_made_anew_is_another_log(kafka: str, kafka_log_url: str, make_log: MakeLog) -> None:
    first = make_log(kafka_log_url)
    first.append([Entry(str(n).encode(), b"v") for n in range(40)])
    remembered = first.ends()
    first.close()
    delete_topic(kafka, topic_of(kafka_log_url))
    second = make_log(kafka_log_url)
    assert second.log_id != first.log_id
    with pytest.raises(LogDamaged):
        second.read(remembered, 10, 1)


@pytest.mark.kafka
def test_a_topic_that_forgets_is_refused(kafka: str) -> None:
    topic = f"forgetful-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics({topic: {"configs": {"cleanup.policy": "compact"}}}, wait_for_metadata=True)
    admin.close()
    with pytest.raises(Misconfigured, match=r"retention\.ms|cleanup\.policy"):
        open_log(f"kafka://{kafka}/{topic}")


@pytest.mark.kafka
def test_records_deleted_below_the_cursor_are_noticed(kafka: str, kafka_log_url: str, make_log: MakeLog) -> None:
    from kafka import TopicPartition

    log = make_log(kafka_log_url)
    [position, *_] = log.append([Entry(b"k", str(n).encode()) for n in range(10)])
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic_of(kafka_log_url), position.partition): 5})
    admin.close()
    with pytest.raises(LogDamaged):
        until_it_fails(lambda: log.read({position.partition: 0}, 10, 1))


@pytest.mark.kafka
def test_an_acknowledged_append_outlives_a_kill_of_the_broker(server_directory: Path) -> None:
    with start_kafka(server_directory / "kafka-to-kill") as broker:
        if not broker.ours:
            pytest.skip("the broker of STORYLINE_TEST_KAFKA is not ours to kill")
        log = open_log(f"kafka://{broker.bootstrap}/to-kill?partitions=2")
        log.append([Entry(b"k", b"acknowledged")])
        assert [r.value for r in read_all(log)] == [b"acknowledged"]
        broker.kill()
        asked: list[Callable[[], object]] = [
            lambda: log.append([Entry(b"k", b"nobody there")]),
            log.ends,
            lambda: until_it_fails(lambda: log.read(log_ends_of([b"k"], 2), 10, 0.5)),
        ]

        def is_unavailable(index: int) -> None:
            with pytest.raises(Unavailable):
                asked[index]()

        in_threads(is_unavailable, len(asked))
        broker.restart()
        log.append([Entry(b"k", b"and on it goes")])
        assert [r.value for r in read_all(log)][:: len(read_all(log)) - 1] == [b"acknowledged", b"and on it goes"]
        log.close()


@pytest.mark.kafka
def test_no_broker_at_all_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        open_log("kafka://127.0.0.1:1/nothing")
