"""Does the log keep its word when brokers die? Three of them, of which one and then two are killed."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import Misconfigured, Unavailable
from eventlog.opening import open_log
from eventlog.port import Entry, Log
from tests.conftest import start_or_skip
from tests.support.kafka_cluster import KafkaCluster
from tests.support.logs import MakeLog, read_all

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster(server_directory: Path) -> Iterator[KafkaCluster]:
    with start_or_skip(KafkaCluster.start, server_directory / "kafka-cluster") as started:
        yield started


class Writer:
    """Appends one record after the other in a thread, and keeps which were acknowledged and which may be there."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.acknowledged: list[bytes] = []
        self.unsure: list[bytes] = []
        self._stop = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait_for_more(self, number: int, seconds: float = 60) -> None:
        """Return once so many more are acknowledged."""
        with self._moved:
            wanted = len(self.acknowledged) + number
            assert self._moved.wait_for(lambda: len(self.acknowledged) >= wanted, seconds), "it does not go on"

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            number += 1
            value = b"%d" % number
            try:
                self._log.append([Entry(b"customer-%d" % (number % 7), value)])
            except Unavailable:
                self.unsure.append(value)
                continue
            with self._moved:
                self.acknowledged.append(value)
                self._moved.notify_all()


def test_what_was_acknowledged_outlives_one_broker_then_two_and_goes_on_by_itself(
    cluster: KafkaCluster, make_log: MakeLog
) -> None:
    url = f"kafka://{cluster.bootstrap}/t-{uuid.uuid4().hex[:8]}?partitions=3&replication=3&min_isr=2"
    log = make_log(url)
    assert log.doubts == []  # type: ignore[attr-defined]
    writer = Writer(log)
    try:
        writer.wait_for_more(200)
        cluster.kill(0)
        writer.wait_for_more(200)
        assert writer.unsure == [], "one broker of three is not missed"
        cluster.kill(1)
        with pytest.raises(Unavailable):
            make_log(url).append([Entry(b"customer-1", b"nobody takes it")])
        cluster.restart(0, wait=False)
        cluster.restart(1)
        writer.wait_for_more(200)
    finally:
        writer.stop()
    found = [record.value for record in read_all(log)]
    assert len(set(found)) == len(found), "nothing is there twice"
    assert set(writer.acknowledged) <= set(found), "what was acknowledged is there"
    assert set(found) <= {*writer.acknowledged, *writer.unsure, b"nobody takes it"}
    assert log.append([Entry(b"customer-1", b"and on it goes")])


def test_more_copies_than_brokers_cannot_be_had(cluster: KafkaCluster) -> None:
    with pytest.raises(Misconfigured, match="replication=4"):
        open_log(f"kafka://{cluster.bootstrap}/t-{uuid.uuid4().hex[:8]}?replication=4")


def test_a_topic_weaker_than_stated_raises_doubts_and_one_that_loses_history_is_refused(
    cluster: KafkaCluster, make_log: MakeLog
) -> None:
    topic = f"t-{uuid.uuid4().hex[:8]}"
    make_log(f"kafka://{cluster.bootstrap}/{topic}?partitions=1&replication=2&min_isr=1")
    doubts = make_log(f"kafka://{cluster.bootstrap}/{topic}?replication=3&min_isr=2").doubts  # type: ignore[attr-defined]
    assert [doubt for doubt in doubts if "replication=3" in doubt]
    assert [doubt for doubt in doubts if "min_isr=2" in doubt]
    cluster.configure(topic, {"unclean.leader.election.enable": "true"})
    with pytest.raises(Misconfigured, match=r"unclean\.leader\.election\.enable"):
        open_log(f"kafka://{cluster.bootstrap}/{topic}")
