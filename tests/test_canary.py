"""Is what is personal readable anywhere but through the door? A canary goes into every personal place of events that
are published to a real system; then every byte that it left behind is searched. Of all tables only the directory's
hold readable data: what a person is found by. What an erasure leaves of it `test_erasure_canary.py` asks."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from kafka import KafkaProducer
from psycopg import sql

from storyline.embedded import EmbeddedPostgres
from tests.support.kafka import KafkaBroker
from tests.support.served import Served, served

CANARY = "zqcanaryzq"
SECRET = f"{CANARY}secret"
"""A canary where nobody is found by it: in texts, subjects, extensions, ids. It is readable in no table at all."""
CONTROL = "PublicControlCode"
"""A public code, which must be found: so the search itself works."""


def canary_event(number: int, **changes: Any) -> dict[str, Any]:
    """A mail with a canary in every personal place, and the control in a public one."""
    person = f"{CANARY}.{number}@example.org"
    return {
        "specversion": "1.0",
        "source": "test/mail",
        "id": f"id-{SECRET}-{number}",
        "type": "email.received",
        "time": "2026-03-01T09:30:00Z",
        "region": f"extension {SECRET}",
        "data": {
            "who": [
                {"kind": "email", "value": person},
                {"kind": "phone", "value": f"+44 {CANARY} {number}"},
                {"kind": "cookie", "value": f"{CANARY}-cookie-{number}"},
            ],
            "parties": [{"role": "cc", "who": [{"kind": "email", "value": f"cc.{person}"}]}],
            "refs": [{"kind": "conversation", "value": f"<thread-{SECRET}@example.org>"}],
            "content": {
                "subject": f"About {SECRET}",
                "text": f"The text says {SECRET}. " * 50,
                "message_id": f"<{SECRET}@example.org>",
                "mailbox": CONTROL,
            },
        },
        **changes,
    }


def spellings(word: str) -> list[bytes]:
    """The word as bytes might hold it: plain, as hex of a bytea, as UTF-16."""
    plain = [word, word.upper(), word.encode().hex(), word.encode().hex().upper()]
    return [*[one.encode() for one in plain], word.encode("utf-16-le"), word.encode("utf-16-be")]


def files_with(word: str, folder: Path, skip: Callable[[Path], bool] = lambda path: False) -> list[Path]:
    """The files below a folder that hold a word in some spelling."""
    needles = spellings(word)
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not skip(path):
            held = path.read_bytes()
            if any(needle in held for needle in needles):
                found.append(path)
    return found


def tables_with(word: str, dsn: str) -> list[str]:
    """The tables that hold a word, in text or in bytes; values are read through SQL, so compression hides none."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables "
            r"WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND schemaname NOT LIKE 'pg\_temp%'"
        ).fetchall()
        for schema, table in tables:
            name = sql.Identifier(schema, table)
            [[rows]] = connection.execute(
                sql.SQL("SELECT coalesce(string_agg(t::text, ' '), '') FROM {} AS t").format(name)
            ).fetchall()
            if any(needle.decode("latin-1") in rows for needle in spellings(word)[:4]):
                found.append(f"{schema}.{table}")
    return found


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come about in a minute"
        time.sleep(0.1)


def use_every_route(system: Served) -> None:
    """Publish good, bad, repeated and clashing events; look the person up; read and misread the story."""
    assert system.publish(canary_event(1), canary_event(2)).status_code == 202
    assert system.publish(canary_event(1)).status_code == 202
    clash = canary_event(1)
    clash["data"]["content"]["subject"] = f"Another {CANARY}"
    last = system.publish(clash)
    assert last.status_code == 202
    bad = canary_event(3)
    bad["data"]["content"]["nonsense"] = CANARY
    bad["time"] = f"half past {CANARY}"
    assert system.publish(bad).status_code == 422
    assert system.publish(canary_event(4, source="storyline/self")).status_code in {202, 403}
    with system.client() as client:
        asked = {"kind": "email", "value": f"{CANARY}.1@example.org"}
        wait_for(lambda: bool(client.post("/v1/lookup", json=asked).json()["customers"]))
        found = client.post("/v1/lookup", json=asked).json()["customers"]
        story = client.get(f"/v1/customers/{found[0]['id']}/timeline", params={"q": CANARY})
        assert CANARY in story.text, "who has the right to see it reads it"
        client.get(f"/v1/customers/{CANARY}/timeline")
        client.get(f"/v1/refs/conversation/thread-{CANARY}/timeline")
        client.get(f"/{CANARY}", params={CANARY: CANARY})
        client.post("/v1/events", content=f"{{{CANARY}", headers={"Content-Type": "application/cloudevents+json"})
        client.post("/v1/events", content=CANARY, headers={"Content-Type": f"text/{CANARY}"})
        client.get("/v1/log", headers={"Authorization": f"Bearer {CANARY}"})
        wait_for(lambda: bool(client.get("/v1/dead-letters").json()["letters"]))


def files_of(schema: str, dsn: str) -> set[Path]:
    """The files of a schema's tables, their indexes and what is stored beside them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            "WITH own AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = to_regnamespace(%s)) "
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(oid) FROM own "
            "WHERE pg_relation_filepath(oid) IS NOT NULL UNION "
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(reltoastrelid) FROM own "
            "WHERE reltoastrelid <> 0",
            [schema],
        ).fetchall()
    return {Path(path).resolve() for (path,) in rows}


def search(system: Served) -> None:
    """By what a person is found stands in the directory, and on its way there in the write-ahead log; nothing else of
    it in any table, file or line of output."""
    with EmbeddedPostgres.start(system.data_dir) as postgres:
        assert tables_with(SECRET, postgres.dsn) == []
        assert set(tables_with(CANARY, postgres.dsn)) == {"directory.identifiers", "directory.terms"}
        assert "timeline.events" in tables_with(CONTROL, postgres.dsn)
        directory = files_of("directory", postgres.dsn)
        with psycopg.connect(postgres.dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
    system.stop()
    assert files_with(CONTROL, system.data_dir), "the search finds what is public"
    assert files_with(SECRET, system.data_dir) == []
    readable = {path.resolve() for path in files_with(CANARY, system.data_dir) if path.parent.name != "pg_wal"}
    assert readable & directory, "the search finds what is personal"
    assert readable - directory == set()
    assert CANARY not in system.printed().lower()


def test_a_canary_published_over_http_is_found_in_no_byte_but_the_directorys(server_directory: Path) -> None:
    directory = server_directory / "canary-embedded"
    directory.mkdir(mode=0o755)
    with served(directory, STORYLINE_LOG_FORMAT="json", STORYLINE_LOG_LEVEL="debug") as system:
        use_every_route(system)
        shown = system.run("dead-letters", "list", "--json")
        assert "name-clash" in shown.stdout
        assert CANARY not in shown.stdout + shown.stderr
        search(system)


@pytest.mark.kafka
def test_a_canary_sent_over_http_and_inbox_is_found_in_no_byte_of_the_broker(
    server_directory: Path, kafka_broker: KafkaBroker
) -> None:
    directory = server_directory / "canary-kafka"
    directory.mkdir(mode=0o755)
    bound = {"channel": "mail", "sources": ["test/*"], "types": ["email.*"], "topic": "inbox.canary"}
    channels = directory / "channels.json"
    channels.write_text(json.dumps({"channels": [bound]}))
    settings = {
        "LOG_URL": f"kafka://{kafka_broker.bootstrap}/canary-log?partitions=2&replication=1&min_isr=1",
        "STORYLINE_CHANNELS_FILE": str(channels),
        "STORYLINE_LOG_LEVEL": "debug",
    }
    with served(directory, **settings) as system:
        use_every_route(system)
        bad = canary_event(6)
        bad["data"]["content"]["mailbox"] = {"no": CANARY}
        send_to_inbox(kafka_broker.bootstrap, canary_event(5), bad)
        with system.client() as client:
            wait_for(lambda: "inbox" in {one["consumer"] for one in client.get("/v1/dead-letters").json()["letters"]})
            asked = {"kind": "email", "value": f"{CANARY}.5@example.org"}
            wait_for(lambda: bool(client.post("/v1/lookup", json=asked).json()["customers"]))
        search(system)
    if kafka_broker.log_dirs is not None:
        # The inbox topic holds what the channel wrote, as it wrote it, for its short retention.
        found = files_with(CANARY, kafka_broker.log_dirs, lambda path: path.parent.name.startswith("inbox."))
        assert found == []
        assert files_with("email.received", kafka_broker.log_dirs), "the search finds what is public"


def send_to_inbox(servers: str, *events: dict[str, Any], topic: str = "inbox.canary") -> None:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", metrics_enabled=False)
    for one in events:
        headers = [("content-type", b"application/cloudevents+json")]
        producer.send(topic, json.dumps(one).encode(), key=CANARY.encode(), headers=headers)
    producer.flush(20)
    producer.close()
