"""Does Storyline reach a Kafka that lets nobody in unasked, and does it say what is wrong? One real broker."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
import re
import shlex
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaProducer
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from commands.channels import Channel, Channels
from commands.publishing import Publisher
from consumers.inbox import Inbox
from consumers.inbox_topics import InboxTopics
from domain.errors import Misconfigured, StorylineError, Unavailable
from eventlog.kafka_address import client_settings
from eventlog.opening import open_log
from eventlog.port import Entry, Log
from tests.conftest import start_or_skip
from tests.support.kafka_secure import Authority, SecureKafka, Tokens
from tests.support.letters import parking_of
from tests.support.logs import MakeLog, read_all
from tests.support.served import clean_environment, run_cli
from tests.support.story import Story, event, story

pytestmark = pytest.mark.kafka
DOCUMENT = (Path(__file__).parent.parent / "docs" / "kafka.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def broker(server_directory: Path) -> Iterator[SecureKafka]:
    with start_or_skip(SecureKafka.start, server_directory / "kafka-secure") as started:
        yield started


@pytest.fixture
def topic(broker: SecureKafka) -> str:
    """The name of a topic that is there, and that nobody has a right to yet."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    open_log(f"kafka://{broker.admin}/{name}?partitions=2").close()
    return name


def allow(broker: SecureKafka, user: str, topic: str, *rights: str) -> None:
    operations = [word for right in rights for word in ("--operation", right)]
    broker.acl("--add", "--allow-principal", f"User:{user}", *operations, "--topic", topic)


def refusal(act: Callable[[], object], kind: type[StorylineError] = Misconfigured) -> str:
    """The sentence of what is refused."""
    with pytest.raises(kind) as caught:
        act()
    return caught.value.detail


def logged_refusal(act: Callable[[], object]) -> str:
    """What the operators' log lines say, where callers are told no more than that it is unavailable."""
    with capture_logs() as lines:
        told = refusal(act, Unavailable)
    assert told == "The log refuses this service; the operators find the reason in its log lines."
    [line] = [one for one in lines if one["event"] == "kafka.refused"]
    return str(line["detail"])


def commands_for(process: str) -> Iterator[list[str]]:
    """The kafka-acls commands of docs/kafka.md for one process."""
    for line in re.findall(r"^ +kafka-acls .*$", DOCUMENT.replace("\\\n", " "), re.MULTILINE):
        words = shlex.split(line)[1:]
        if f"User:{process}" in words:
            yield words


def test_the_rights_that_the_document_gives_are_enough_for_each_process(
    broker: SecureKafka, database: str, make_log: MakeLog
) -> None:
    for process in ("operator", "api", "projector", "inbox"):
        commands = list(commands_for(process))
        assert commands, process
        for words in commands:
            broker.acl(*words)
    make_log(broker.url("storyline", "operator"))
    with InboxTopics.open(broker.url("storyline", "operator"), ["inbox.shop"], 7):
        pass
    with story(database, broker.url("storyline", "api")) as told:
        told.publish(event(1), event(2))
        assert len(read_all(told.log)) == 2
        alone = replace(told, log_url=broker.url("storyline", "projector"), _staying=None)
        try:
            alone.project()
        finally:
            alone.rest()
        assert told.rows("SELECT count(*) FROM timeline.events") == [(2,)]
        _inbox_moves_one(broker, replace(told, log_url=broker.url("storyline", "inbox", mechanism="SCRAM-SHA-256")))


def _inbox_moves_one(broker: SecureKafka, told: Story) -> None:
    """From its topic onto the log, both under the rights of the inbox."""
    channels = Channels([Channel("shop", ("test/*",), ("email.*",), "inbox.shop")])
    log = open_log(told.log_url)
    producer = KafkaProducer(bootstrap_servers=broker.admin, acks="all", metrics_enabled=False)
    headers = [("content-type", b"application/cloudevents+json")]
    producer.send("inbox.shop", json.dumps(event(3)).encode(), headers=headers)
    producer.flush(20)
    producer.close()
    with parking_of(told, log=lambda: log, rights=channels.rights_of) as parking:
        publisher = Publisher(told.catalogue, told.sealer, log)
        work = Inbox(told.dsn, told.log_url, channels, publisher, parking, CollectorRegistry())
        stop = threading.Event()
        thread = threading.Thread(target=work.run, args=(stop,))
        thread.start()
        try:
            deadline = time.monotonic() + 60
            while sum(log.ends().values()) < 3:
                assert time.monotonic() < deadline, "the inbox did not move it in a minute"
                time.sleep(0.1)
        finally:
            stop.set()
            thread.join()
            log.close()


def test_each_missing_right_is_named(broker: SecureKafka, topic: str, make_log: MakeLog) -> None:
    user, missing = "nobody", f"missing-{topic}"
    told = refusal(lambda: open_log(broker.url(topic, user)))
    assert f"User:{user}" in told
    assert f"Describe on topic {topic}" in told
    allow(broker, user, missing, "Describe")
    assert f"Create on topic {missing}" in refusal(lambda: open_log(broker.url(missing, user)))
    allow(broker, user, topic, "Describe")
    assert f"DescribeConfigs on topic {topic}" in refusal(lambda: open_log(broker.url(topic, user)))
    allow(broker, user, topic, "DescribeConfigs")
    log = make_log(broker.url(topic, user))
    assert f"Write on topic {topic}" in logged_refusal(lambda: log.append([Entry(b"k", b"v")]))
    assert f"Read on topic {topic}" in logged_refusal(lambda: _read_some(log))
    allow(broker, user, topic, "Write", "Read")
    assert log.append([Entry(b"k", b"v")]), "it goes on without a restart"
    assert [record.value for record in read_all(log)] == [b"v"]


def _read_some(log: Log) -> None:
    for _ in range(10):
        log.read(dict.fromkeys(range(log.partitions), 0), 10, 0.5)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_a_wrong_password_is_told_at_once_and_not_shown(broker: SecureKafka, mechanism: str) -> None:
    url = broker.url("t", "api", mechanism=mechanism, password="not-the-right-one")
    told = refusal(lambda: open_log(url))
    assert "STORYLINE_KAFKA_PASSWORD" in told
    assert "not-the-right-one" not in told
    with pytest.raises(Misconfigured, match="STORYLINE_KAFKA_PASSWORD"), InboxTopics.open(url, ["inbox.shop"], 7):
        pass


def test_a_password_that_is_changed_meanwhile_is_a_trouble_that_passes(
    broker: SecureKafka, topic: str, tmp_path: Path, make_log: MakeLog
) -> None:
    allow(broker, "api", topic, "Write", "DescribeConfigs")
    path = tmp_path / "password"
    path.write_text(broker.passwords["api"] + "\n")
    log = make_log(broker.url(topic, "api", password="", password_file=str(path)))
    path.write_text("the new one, too early")
    assert "STORYLINE_KAFKA_PASSWORD" in logged_refusal(lambda: log.append([Entry(b"k", b"v")]))
    path.write_text(broker.passwords["api"])
    assert log.append([Entry(b"k", b"v")])


def test_a_broker_that_cannot_prove_who_it_is_is_not_talked_to(broker: SecureKafka, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another-ca")
    assert "ca_file" in refusal(lambda: open_log(broker.url("t", "api", ca_file=str(other.ca_file))))
    by_number = broker.url("t", "api").replace("localhost", "127.0.0.1")
    assert "not made out to the host's name" in refusal(lambda: open_log(by_number))


def test_the_wrong_port_is_told_from_a_broker_that_is_down(broker: SecureKafka) -> None:
    ca_file = str(broker.ca.ca_file)
    assert "speaks TLS" in refusal(lambda: open_log(f"kafka://{broker.sasl}/t"))
    assert "speaks no TLS" in refusal(lambda: open_log(broker.url("t", "api").replace(broker.sasl, broker.admin)))
    assert "login" in refusal(
        lambda: open_log(f"kafka://{broker.sasl}/t?security=SSL&ca_file={ca_file}"), Unavailable
    )
    assert "login" in refusal(lambda: open_log(f"kafka://{broker.sasl_plain}/t"), Unavailable)


def test_a_clients_certificate_opens_the_door_and_its_absence_is_told(
    broker: SecureKafka, topic: str, make_log: MakeLog
) -> None:
    allow(broker, "api", topic, "Describe", "DescribeConfigs")
    certificate, key, _ = broker.ca.issue("api")
    url = f"kafka://{broker.tls}/{topic}?security=SSL&ca_file={broker.ca.ca_file}"
    make_log(f"{url}&cert_file={certificate}&key_file={key}")
    assert "cert_file" in refusal(lambda: open_log(url))
    assert "cannot be read" in refusal(lambda: open_log(f"{url}&cert_file={broker.ca.ca_file}"))


def test_a_token_opens_the_door_until_it_has_expired(
    broker: SecureKafka, topic: str, tmp_path: Path, make_log: MakeLog
) -> None:
    allow(broker, "api", topic, "Write", "DescribeConfigs")
    path = tmp_path / "token"
    url = broker.url(topic, mechanism="OAUTHBEARER", token_file=str(path))
    path.write_text(broker.tokens.sign("api"))
    assert make_log(url).append([Entry(b"k", b"v")])
    servers, settings = client_settings(url)
    assert servers == [broker.sasl]
    assert settings["sasl_oauth_token_provider"].token() == path.read_text()
    path.write_text(broker.tokens.sign("api", -60))
    assert "expired" in refusal(lambda: open_log(url), Unavailable)
    unseen = tmp_path / "unseen"
    for token in (Tokens(tmp_path).sign("api"), broker.tokens.sign("api", audience="another")):
        unseen.write_text(token)
        told = refusal(lambda: open_log(broker.url(topic, mechanism="OAUTHBEARER", token_file=str(unseen))))
        assert "does not accept the token" in told


def test_a_command_ends_with_one_sentence_and_the_code_of_a_wrong_setting(
    broker: SecureKafka, database: str, tmp_path: Path
) -> None:
    url = broker.url("t", "api", password="")
    environment = clean_environment(
        tmp_path, LOG_URL=url, DATABASE_URL=database, KEYS_URL=database, STORYLINE_KAFKA_PASSWORD="not-the-right-one"
    )
    done = run_cli(environment, "log", "tail")
    assert done.returncode == 7, done.stderr
    assert "STORYLINE_KAFKA_PASSWORD" in done.stderr.splitlines()[-1]
    assert "not-the-right-one" not in done.stdout + done.stderr
