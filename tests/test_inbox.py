"""Does the inbox move what channels publish straight to Kafka? Every good event, none twice, none held up."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, KafkaAdminClient
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from commands.channels import Channel, Channels
from commands.parking import Parking
from consumers.inbox import Inbox
from domain.errors import Misconfigured, Unavailable
from eventlog.kafka_address import KafkaAddress
from eventlog.kafka_contact import Contact
from eventlog.kafka_errors import as_ours
from eventlog.record import decode
from tests.support.letters import parking_of
from tests.support.logs import read_all
from tests.support.served import clean_environment, run_cli
from tests.support.story import Story, event, story
from tests.support.waiting import eventually

pytestmark = pytest.mark.kafka

STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
BATCH = [("content-type", b"application/cloudevents-batch+json")]


@dataclass
class Post:
    """A small system with one channel and its inbox."""

    small: Story
    servers: str
    channels: Channels
    topic: str
    parking: Parking

    def send(self, *messages: tuple[list[tuple[str, bytes]], bytes | None]) -> None:
        self.send_packed(None, *messages)

    def send_packed(self, codec: str | None, *messages: tuple[list[tuple[str, bytes]], bytes | None]) -> None:
        """As a producer does whose batches are compressed by a codec of Kafka's."""
        producer = KafkaProducer(
            bootstrap_servers=self.servers, acks="all", metrics_enabled=False, compression_type=codec
        )
        for headers, value in messages:
            producer.send(self.topic, value, key=uuid.uuid4().bytes, headers=headers)
        producer.flush(20)
        producer.close()

    def inbox(self, **more: Any) -> Inbox:
        return Inbox(
            self.small.dsn,
            f"kafka://{self.servers}/any",
            self.channels,
            self.small.publisher,
            self.parking,
            CollectorRegistry(),
            **more,
        )

    @contextmanager
    def running(self, inbox: Inbox | None = None) -> Iterator[Inbox]:
        made = inbox or self.inbox()
        stop = threading.Event()
        thread = threading.Thread(target=made.run, args=(stop,))
        thread.start()
        try:
            yield made
        finally:
            stop.set()
            thread.join(30)

    def logged(self) -> list[str]:
        """Ids of the events on the log, by opening them."""
        return [decode(record.value).head.public.get("mailbox", "") for record in read_all(self.small.log)]

    def until(self, true: Callable[[], bool]) -> None:
        eventually(true)

    def moved(self) -> int:
        return sum(self.small.log.ends().values())


@pytest.fixture
def post(database: str, kafka: str) -> Iterator[Post]:
    topic = f"inbox.t-{uuid.uuid4().hex[:10]}"
    channels = Channels([Channel("mail", ("test/*",), ("email.*",), topic)])
    with story(database, database) as small, parking_of(small, rights=channels.rights_of) as parking:
        yield Post(small, kafka, channels, topic, parking)


def mail(number: int, **changes: Any) -> dict[str, Any]:
    return event(number, data={"content": {"subject": "s", "mailbox": str(number)}}, **changes)


def structured(raw: Any) -> tuple[list[tuple[str, bytes]], bytes]:
    return STRUCTURED, json.dumps(raw).encode()


def binary(raw: dict[str, Any]) -> tuple[list[tuple[str, bytes]], bytes]:
    headers = [(f"ce_{name}", value.encode()) for name, value in raw.items() if name != "data"]
    return [*headers, ("content-type", b"application/json")], json.dumps(raw["data"]).encode()


def test_S60_structured_batch_and_binary_messages_reach_the_timeline(post: Post) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        batch = (BATCH, json.dumps([mail(2), mail(3)]).encode())
        post.send(structured(mail(1)), batch, binary(mail(4)))
        post.until(lambda: post.moved() == 4)
    assert sorted(post.logged()) == ["1", "2", "3", "4"]
    post.small.project()
    assert post.small.rows("SELECT count(*) FROM timeline.events") == [(4,)]
    assert post.parking.count() == 0


def test_S60_a_channel_may_compress_by_any_codec_of_kafka(post: Post) -> None:
    codecs = ("gzip", "snappy", "lz4", "zstd")
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        for number, codec in enumerate(codecs):
            headers, value = structured(mail(number))
            post.send_packed(codec, (headers, value + b" " * 5000))  # what does not get smaller goes as it is
        post.until(lambda: post.moved() == len(codecs))
    assert sorted(post.logged()) == ["0", "1", "2", "3"]


def test_many_bad_events_at_once_are_one_line_in_the_log(post: Post) -> None:
    batch = [mail(number, type="no.such_type") for number in range(50)]
    with capture_logs() as lines, post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send((BATCH, json.dumps(batch).encode()))
        post.until(lambda: post.parking.count() == 50)
        post.until(lambda: any(line["event"] == "inbox.parked" for line in lines))
    assert [line["count"] for line in lines if line["event"] == "inbox.parked"] == [50]


def test_an_event_is_the_same_event_in_each_mode(post: Post) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send(structured(mail(1)), binary(mail(1)), (BATCH, json.dumps([mail(1)]).encode()))
        post.until(lambda: post.moved() == 3)
    heads = [decode(record.value).head for record in read_all(post.small.log)]
    assert len({(head.name, head.digest) for head in heads}) == 1


def test_S70_one_bad_event_of_a_hundred_is_parked_and_99_go_on(post: Post) -> None:
    batch = [mail(number) for number in range(100)]
    batch[37]["data"]["content"]["mailbox"] = {"not": "a code"}
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send((BATCH, json.dumps(batch).encode()))
        post.until(lambda: post.parking.count() == 1)
    assert post.moved() == 99
    [letter] = post.parking.list()[0]
    assert (letter.consumer, letter.reason, letter.origin) == ("inbox", "bad-input", post.topic)
    assert "mailbox" in post.parking.show(letter.id, unseal=True).detail


@pytest.mark.parametrize(
    ("headers", "value", "reason"),
    [
        (STRUCTURED, b"{broken", "bad-input"),
        (STRUCTURED, b"\xff\xfe", "bad-input"),
        (STRUCTURED, None, "bad-input"),
        (STRUCTURED, b"[" * 5000, "bad-input"),
        (STRUCTURED, b"[]", "bad-input"),
        (BATCH, b"{}", "bad-input"),
        (BATCH, b"[" + b"1," * 1000 + b"1]", "too-large"),
        ([], b"{}", "wrong-media-type"),
        ([("content-type", b"text/html")], b"<p>", "wrong-media-type"),
        ([("ce_specversion", b"1.0"), ("content-type", b"text/plain")], b"x", "wrong-media-type"),
        ([("ce_specversion", b"\xff"), ("content-type", b"application/json")], b"{}", "bad-input"),
        (*structured(mail(1, source="other/shop")), "forbidden"),
        (*structured(mail(1, source="storyline/self")), "forbidden"),
        (*structured(mail(1, type="purchase.made")), "bad-input"),
    ],
)
def test_S70_what_is_no_event_of_the_channel_is_parked_and_the_next_one_goes_on(
    post: Post, headers: list[tuple[str, bytes]], value: bytes | None, reason: str
) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send((headers, value), structured(mail(2)))
        post.until(lambda: post.moved() == 1)
        post.until(lambda: post.parking.count() == 1)
    [letter] = post.parking.list()[0]
    assert letter.reason == reason


def test_an_event_that_is_too_large_when_sealed_is_parked(post: Post) -> None:
    large = event(1, type="email.received", data={"content": {"subject": "s", "text": "x" * 200_000}})
    large["region"] = "y" * 580_000
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send(structured(mail(2)), structured(large), structured(mail(3)))
        post.until(lambda: post.moved() == 2)
        post.until(lambda: post.parking.count() == 1)


def test_after_a_crash_between_append_and_position_nothing_is_lost_and_repeats_are_harmless(post: Post) -> None:
    class CrashError(Exception):
        pass

    def crash() -> None:
        raise CrashError

    with post.running() as inbox:
        post.until(lambda: inbox.ready)
    post.send(structured(mail(1)), structured(mail(2)))
    with pytest.raises(CrashError):
        post.inbox(before_move=crash).run(threading.Event())
    assert post.moved() == 2
    with post.running():
        post.until(lambda: post.moved() == 4)
    post.small.project()
    assert post.small.rows("SELECT count(*) FROM timeline.events") == [(2,)]


def test_what_a_channel_took_back_in_a_transaction_is_not_moved(post: Post) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        producer = KafkaProducer(
            bootstrap_servers=post.servers, transactional_id=uuid.uuid4().hex, metrics_enabled=False
        )
        producer.init_transactions()
        for number in (1, 2):
            producer.begin_transaction()
            headers, value = structured(mail(number))
            producer.send(post.topic, value, key=b"k", headers=headers).get(20)
            if number == 1:
                producer.abort_transaction()
            else:
                producer.commit_transaction()
        producer.close()
        post.until(lambda: post.moved() >= 1)
        time.sleep(0.5)
    assert post.logged() == ["2"]


def test_a_second_start_goes_on_where_the_first_was_stopped(post: Post) -> None:
    for number in (1, 2):
        with post.running() as inbox:
            post.until(lambda: inbox.ready)
            post.send(structured(mail(number)))
            post.until(lambda number=number: post.moved() == number)  # type: ignore[misc]
    assert sorted(post.logged()) == ["1", "2"]


def _shares(*inboxes: Inbox) -> list[int]:
    return [sum(map(len, inbox.held.values())) for inbox in inboxes]


def test_several_inboxes_share_the_partitions_and_take_over_what_one_leaves(post: Post) -> None:
    with post.running() as first:
        with post.running() as second:
            post.until(lambda: _shares(first, second) == [2, 2])
            post.send(*[structured(mail(number)) for number in range(40)])
            post.until(lambda: post.moved() == 40)
            time.sleep(0.5)
            assert post.moved() == 40
        post.until(lambda: _shares(first) == [4])
        post.send(*[structured(mail(number)) for number in range(40, 60)])
        post.until(lambda: post.moved() == 60)
    assert sorted(map(int, post.logged())) == list(range(60))


def test_an_inbox_that_froze_between_append_and_position_is_refused_and_rejoins(post: Post) -> None:
    """It wakes up after another took its partitions: its position is refused, and what it appended is a repeat."""
    woken = threading.Event()

    def freeze() -> None:
        if not woken.is_set():
            post.small.rows("UPDATE storyline.seats SET seen_at = seen_at - interval '1 hour' RETURNING 1")
            woken.wait(60)

    frozen = post.inbox(before_move=freeze, lease=3600)
    with post.running(frozen):
        post.until(lambda: _shares(frozen) == [4])
        heartbeat = frozen._heartbeat
        assert heartbeat is not None
        heartbeat._end.set()  # frozen as a whole: it does not beat either
        heartbeat._thread.join(10)
        post.send(*[structured(mail(number)) for number in range(8)])
        post.until(lambda: post.moved() >= 1)
        with post.running() as other:
            post.until(lambda: _shares(other) == [4])
            post.until(lambda: len(set(post.logged())) == 8)
            woken.set()
            post.until(lambda: _shares(frozen, other) == [2, 2])
    troubles = [one for one in frozen.registry.collect() if one.name == "storyline_inbox_troubles"]
    assert sum(sample.value for sample in troubles[0].samples if sample.name.endswith("_total")) > 0
    post.small.project()
    assert post.small.rows("SELECT count(*) FROM timeline.events") == [(8,)]


def test_a_new_inbox_topic_keeps_its_messages_for_seven_days(post: Post) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
    admin = KafkaAdminClient(bootstrap_servers=post.servers)
    asked = ConfigResource("topic", post.topic, configs={"retention.ms": None})
    settings = admin.describe_configs([asked], config_filter="all")["topic"][post.topic]
    admin.close()
    assert settings["retention.ms"]["value"] == str(7 * 24 * 3600 * 1000)


def test_a_topic_that_is_deleted_and_made_anew_otherwise_is_read_on_by_the_same_inbox(post: Post) -> None:
    admin = KafkaAdminClient(bootstrap_servers=post.servers)
    with capture_logs() as lines, post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send(structured(mail(1)))
        post.until(lambda: post.moved() == 1)
        admin.delete_topics([post.topic])
        post.until(lambda: post.topic not in admin.list_topics())
        admin.create_topics({post.topic: {"num_partitions": 7, "replication_factor": 1}})
        post.until(lambda: len(inbox.held.get(post.topic, [])) == 7)
        post.send(structured(mail(2)))
        post.until(lambda: post.moved() == 2)
    admin.close()
    held = [line["partitions"] for line in lines if line["event"] == "inbox.holds"]
    assert f"{post.topic}: 0,1,2,3,4,5,6" in held


def test_the_topic_of_the_log_is_no_inbox(kafka: str, database: str, tmp_path: Path) -> None:
    channels = tmp_path / "channels.json"
    channels.write_text('{"channels": [{"channel": "a", "sources": ["a/*"], "types": ["*"], "topic": "the-log"}]}')
    environment = clean_environment(
        tmp_path,
        LOG_URL=f"kafka://{kafka}/the-log?partitions=1",
        DATABASE_URL=database,
        KEYS_URL=database,
        STORYLINE_CHANNELS_FILE=str(channels),
        STORYLINE_INBOX_PORT="0",
    )
    done = run_cli(environment, "inbox")
    assert (done.returncode, "which is the log" in done.stderr) == (7, True), done.stderr


def test_what_kafka_python_raises_for_a_topic_that_is_gone_is_tried_again() -> None:
    contact = Contact(KafkaAddress.parse("kafka://127.0.0.1:1/any"))
    with pytest.raises(Unavailable), as_ours(contact, "User:x", "Read on topic any"):
        raise KeyError("a partition")


def test_a_parked_event_goes_through_once_its_channel_is_bound(post: Post) -> None:
    with post.running() as inbox:
        post.until(lambda: inbox.ready)
        post.send(structured(mail(1, source="web/new")))
        post.until(lambda: post.parking.count() == 1)
    [letter] = post.parking.list()[0]
    assert post.parking.redrive(letter.id).status == "parked"
    bound = Channels([Channel("mail", ("test/*", "web/*"), ("email.*",), post.topic)])
    post.parking._rights = bound.rights_of
    assert post.parking.redrive(letter.id).status == "redriven"
    assert post.moved() == 1


def test_two_channels_on_one_topic_are_refused() -> None:
    with pytest.raises(Misconfigured, match="one topic"):
        Channels([Channel("a", ("a/*",), ("*",), "inbox.x"), Channel("b", ("b/*",), ("*",), "inbox.x")])
