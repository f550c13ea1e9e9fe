"""Is an operator told how it is, and what to do about it? Story S92."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaProducer
from prometheus_client import CollectorRegistry

from consumers.inbox_topics import InboxTopics
from consumers.projector import Projector
from projections.positions import Positions
from projections.rebuild import Rebuild
from projections.registry import MODELS
from projections.status import Status, read_status
from storyline.cli import main
from tests.support.api import RunningApi, running_api
from tests.support.logs import until_it_fails
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment
from tests.support.story import Story, event, story
from tests.support.truncation import cut_embedded


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=4") as made:
        yield made


def look(small: Story, **options: float) -> Status:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        return read_status(connection, small.log, **options)  # type: ignore[arg-type]


def test_S92_where_all_is_well_nothing_is_to_be_done(small: Story) -> None:
    assert look(small).well
    small.publish(*[event(number) for number in range(30)])
    small.project()
    found = look(small)
    assert (found.well, found.troubles, found.lag, found.behind, found.inbox) == (True, [], 0, None, None)
    assert sum(one.next_offset for one in found.partitions) == 30
    assert [(one.name, one.changed) for one in found.read_models] == [(model.name, False) for model in MODELS]


def test_S92_records_that_wait_for_a_projector_that_is_not_there(small: Story) -> None:
    small.publish(*[event(number) for number in range(30)])
    found = look(small)
    assert found.lag == 30
    assert any("start `storyline projector`" in trouble for trouble in found.troubles)
    small.project()
    small.publish(event("later"))
    found = look(small)
    assert found.lag == 1
    assert found.behind is not None


def test_S92_members_and_what_they_hold_and_one_that_is_frozen(small: Story) -> None:
    registry, stop = CollectorRegistry(), threading.Event()
    work = Projector(small.dsn, small.log_url, small.log, lambda *_: None, registry, small.reading)
    thread = threading.Thread(target=lambda: work.run(stop))
    thread.start()
    try:
        until_true(lambda: [one.partitions for one in look(small).members] == [[0, 1, 2, 3]])
        found = look(small)
        assert found.well
        assert all(one.held for one in found.partitions)
        small.rows("UPDATE storyline.seats SET seen_at = seen_at - interval '1 hour' RETURNING 1")
        frozen = look(small, lease=10.0)
        assert not frozen.members or any("has not been seen" in trouble for trouble in frozen.troubles)
    finally:
        stop.set()
        thread.join()
    assert look(small).members == []


def until_true(true: Callable[[], bool]) -> None:
    def fails_when_true() -> None:
        if true():
            raise StopIteration

    with pytest.raises(StopIteration):
        until_it_fails(fails_when_true)


def test_S92_a_projector_that_stands_still_with_records_to_come(small: Story) -> None:
    small.publish(event(1))
    small.project()
    small.publish(event(2))
    small.rows(
        "WITH seat AS (INSERT INTO storyline.seats (member, consumer, session_key, host, process) "
        "VALUES (gen_random_uuid(), 'live', 1, 'a', 1) RETURNING member) "
        "UPDATE storyline.positions SET holder = member, moved_at = now() - interval '2 h' FROM seat RETURNING 1"
    )
    assert any("have not moved for 2 h" in trouble for trouble in look(small).troubles)


def test_S92_dead_letters_rebuilds_and_changed_read_models(small: Story) -> None:
    small.publish(*[event(number) for number in range(30)])
    small.project()

    def cut(applied: int, total: int) -> None:
        if applied >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Rebuild(small.dsn, small.log_url, small.log, lambda *_: None, small.reading, batch=5, told=cut).run()
    [rebuild] = look(small).rebuilds
    assert (rebuild.name, rebuild.total) == ("rebuild all", 30)
    assert 0 < rebuild.applied < 30
    assert rebuild.percent > 0
    assert look(small).well
    small.rows("UPDATE storyline.positions SET moved_at = now() - interval '5 min' RETURNING 1")
    small.rows("UPDATE storyline.rebuild_parts SET moved_at = now() - interval '5 min' RETURNING 1")
    small.rows("UPDATE storyline.rebuilds SET run_at = now() - interval '5 min' RETURNING 1")
    small.rows("UPDATE storyline.read_models SET sql_hash = 'another' RETURNING 1")
    small.rows(
        "INSERT INTO storyline.dead_letters (id, consumer, reason, detail, origin, parked_at, key_id, sealed) VALUES "
        "(gen_random_uuid(), 'projector', 'poison', 'x', 'y', now() - interval '3 d', gen_random_uuid(), 'z') "
        "RETURNING 1"
    )
    troubles = look(small).troubles
    assert len(troubles) == 3
    assert "1 dead letters of projector wait (poison), the oldest for 3 d" in troubles[0]
    assert "The tables of timeline, identity, customers, directory, work, figures, segments are not" in troubles[1]
    assert "`storyline rebuild all`" in troubles[1]
    assert "has not moved for 5 min" in troubles[2]


def test_S92_an_inbox_that_is_not_there(small: Story) -> None:
    small.rows(
        "INSERT INTO storyline.positions (consumer, log_id, log_partition) VALUES ('inbox', 'a topic', 0) RETURNING 1"
    )
    found = look(small)
    assert found.inbox is not None
    assert (found.inbox.partitions, found.inbox.held) == (1, 0)
    assert any("start `storyline inbox`" in trouble for trouble in found.troubles)


def test_S92_a_damaged_log_comes_first(small: Story) -> None:
    small.publish(*[event(number) for number in range(30)])
    small.project()
    cut_embedded(small.dsn, dict.fromkeys(range(4), 0))
    found = look(small)
    assert (found.damaged, found.well) == (True, False)
    assert "are lost" in found.troubles[0]
    assert any("storyline log repair" in trouble for trouble in found.troubles)
    small.publish(*[event(number) for number in range(100, 150)])
    assert look(small).lag
    assert not any("start `storyline projector`" in trouble for trouble in look(small).troubles), "it would refuse"


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command in this process, which is quicker: its exit code and all that it printed."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capfd.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, printed.out + printed.err


def test_S92_the_command_shows_it_and_its_exit_code_says_it(
    small: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in clean_environment(
        tmp_path, LOG_URL=small.log_url, DATABASE_URL=small.dsn, KEYS_URL=small.dsn
    ).items():
        monkeypatch.setenv(name, value)
    small.publish(*[event(number) for number in range(30)])
    code, printed = run(capfd, "status")
    assert code == 5
    assert "To be done:" in printed
    assert "start `storyline projector`" in printed
    small.project()
    assert run(capfd, "status")[1].rstrip().endswith("All is well.")
    code, printed = run(capfd, "status", "--json")
    assert (code, json.loads(printed)["well"]) == (0, True)
    code, printed = run(capfd, "log", "check", "--json")
    assert (code, json.loads(printed)["damaged"]) == (0, False)
    cut_embedded(small.dsn, dict.fromkeys(range(4), 0))
    assert run(capfd, "status")[0] == 8
    assert run(capfd, "log", "check")[0] == 8
    for command in ("api", "projector"):
        code, printed = run(capfd, command)
        assert code == 8
        assert "storyline log repair" in printed
    code, printed = run(capfd, "log", "repair", "--dry-run")
    assert (code, "Would put back 30 events" in printed) == (0, True)
    code, printed = run(capfd, "log", "repair", "--yes")
    assert (code, "Put back 30 events out of the timeline" in printed) == (0, True)
    assert run(capfd, "log", "check")[0] == 0


@pytest.mark.kafka
def test_S92_messages_that_wait_in_inbox_topics_are_counted(
    kafka: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tag = uuid.uuid4().hex[:8]
    topic, log_url = f"inbox.{tag}", f"kafka://{kafka}/log-{tag}?partitions=2"
    channels = tmp_path / "channels.json"
    channels.write_text(json.dumps({"channels": [{"channel": tag, "sources": ["shop/*"], "types": ["*"]}]}))
    settings = {"LOG_URL": log_url, "DATABASE_URL": database, "KEYS_URL": database}
    (tmp_path / "data").mkdir()
    environment = clean_environment(tmp_path, STORYLINE_CHANNELS_FILE=str(channels), **settings)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, printed = run(capfd, "status", "--json")
    assert (code, json.loads(printed.splitlines()[0])["inbox"]) == (0, None)
    with InboxTopics.open(log_url, [topic], 7) as topics, psycopg.connect(database, autocommit=True) as connection:
        Positions("inbox", topics.ids[topic]).begin(connection, topics.partitions[topic])
    producer = KafkaProducer(bootstrap_servers=kafka)
    for number in range(5):
        producer.send(topic, b"{}", partition=number % 2)
    producer.close()
    code, printed = run(capfd, "status", "--json")
    inbox = json.loads(printed.splitlines()[0])["inbox"]
    assert (code, inbox["lag"], inbox["held"]) == (5, 5, 0)
    assert "No inbox is at work" in printed


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


def test_S92_the_route_tells_operators_the_same(api: RunningApi) -> None:
    with api.client("operate") as client, api.client("read") as other:
        assert other.get("/v1/status").status_code == 403
        api.story.publish(event("seen over HTTP"))
        waiting = client.get("/v1/status").json()
        assert waiting["well"] is False
        assert waiting["lag"] == 1
        api.project()
        well = client.get("/v1/status").json()
        assert (well["well"], well["troubles"], well["log_id"]) == (True, [], api.story.log.log_id)
