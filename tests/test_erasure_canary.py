"""Is an erased person readable in any byte that a real system left behind, a rebuild and a restore included?"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from storyline.embedded import EmbeddedPostgres
from tests.support.erasing import dump, restore
from tests.support.kafka import KafkaBroker
from tests.support.served import Served, run_cli, served
from tests.test_canary import CANARY, CONTROL, canary_event, files_with, send_to_inbox, spellings, wait_for

WHO = {"kind": "email", "value": f"{CANARY}.1@example.org"}


def publish(system: Served) -> None:
    """Mails with a canary in every personal place, one of which clashes and is parked; a profile; Bob's mail."""
    person = canary_event(1)["data"]["who"]
    name = {"who": person, "content": {"name": f"Ann {CANARY}", "address": {"city": CANARY}}}
    profile = canary_event(2, type="profile.updated", data=name)
    spent = {"who": person, "content": {"amount": 1250, "currency": "GBP"}}
    bob = {
        "who": [{"kind": "email", "value": "bob@example.org"}],
        "content": {"subject": "Bob's", "mailbox": CONTROL},
    }
    bob["parties"] = [{"role": "cc", "who": person}]
    clash = canary_event(1)
    clash["data"]["content"]["subject"] = f"Another {CANARY}"
    clash["data"]["who"] = [person[0]]
    events = [canary_event(1), profile, canary_event(3, type="purchase.made", data=spent), canary_event(4, data=bob)]
    events[3]["id"], events[3]["region"] = "bobs", "none"
    for one in (events[0], clash):
        del one["data"]["parties"]  # somebody else, with a canary of their own
    assert system.publish(*events).status_code == 202
    assert system.publish(clash).status_code == 202


def customer(client: httpx.Client) -> str:
    found: list[dict[str, str]] = []

    def look() -> bool:
        found[:] = client.post("/v1/lookup", json=WHO).json()["customers"]
        return bool(found)

    wait_for(look)
    return found[0]["id"]


def erase(system: Served) -> tuple[str, dict[str, Any]]:
    """Erase the person of the canary; gives the id and the facts of before."""
    with system.client() as client:
        ann = customer(client)
        wait_for(lambda: client.get(f"/v1/customers/{ann}").json()["facts"]["orders"] == 1)
        wait_for(lambda: len(client.get("/v1/dead-letters").json()["letters"]) >= 1)
        before = client.get(f"/v1/customers/{ann}").json()
        assert CANARY in json.dumps(before)
        done = client.post(f"/v1/customers/{ann}/erase", json={"why": "asked for it"})
        assert done.status_code == 200, done.text
        assert done.json()["certificate"]["letters"] >= 1
        return ann, before["facts"]


@contextlib.contextmanager
def database(system: Served) -> Iterator[str]:
    """The DSN of the embedded server, which is started if nobody else has."""
    with EmbeddedPostgres.start(system.data_dir) as server:
        yield server.dsn


def holds(raw: bytes, word: str = CANARY) -> bool:
    return any(needle in raw for needle in spellings(word))


def check_erased(system: Served, ann: str, facts: dict[str, Any]) -> None:
    """Counts and revenue as before; no canary in a dump, in what was printed, in the ledger."""
    with system.client() as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        shown = client.get(f"/v1/customers/{ann}").json()
        assert shown["erased"] is True
        assert shown["facts"] == facts
        assert CANARY not in json.dumps([shown, client.get(f"/v1/customers/{ann}/timeline").json()])
        assert client.get("/v1/dead-letters").json()["letters"] == []
    with database(system) as dsn:
        plain = dump(dsn)
        assert holds(plain, CONTROL), "the search finds what is public"
        assert not holds(plain)
    assert not holds(system.output.read_bytes())
    assert not holds((system.data_dir / "erasures.ledger").read_bytes())


def test_S83_an_erased_person_is_in_no_byte_also_after_a_rebuild_and_a_restore(server_directory: Path) -> None:
    directory = server_directory / "erased-embedded"
    directory.mkdir(mode=0o755)
    kept = directory / "kept.dump"
    with served(directory, STORYLINE_LOG_FORMAT="json", STORYLINE_LOG_LEVEL="debug") as system:
        publish(system)
        with system.client() as client:
            customer(client)
            wait_for(lambda: len(client.get("/v1/dead-letters").json()["letters"]) >= 1)
        with database(system) as dsn:
            kept.write_bytes(dump(dsn, "--format=custom"))
            assert holds(dump(dsn))
        ann, facts = erase(system)
        check_erased(system, ann, facts)
        assert run_cli(system.env, "rebuild").returncode == 0
        check_erased(system, ann, facts)
    with database(system) as dsn:
        put_back(dsn, kept)
        assert holds(dump(dsn)), "the backup knows everything"
    with served(directory, STORYLINE_LOG_FORMAT="json", STORYLINE_LOG_LEVEL="debug") as system:
        check_erased(system, ann, facts)


def put_back(dsn: str, kept: Path) -> None:
    """Replace all that the database holds by a backup."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(
            r"SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'"
        )
        for (schema,) in rows.fetchall():
            connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        connection.execute("CREATE SCHEMA public")
    restore(kept.read_bytes(), dsn)


@pytest.mark.kafka
def test_S83_an_erased_person_is_in_no_byte_of_the_broker(server_directory: Path, kafka_broker: KafkaBroker) -> None:
    directory = server_directory / "erased-kafka"
    directory.mkdir(mode=0o755)
    bound = {"channel": "mail", "sources": ["test/*"], "types": ["email.*"], "topic": "inbox.erased"}
    (directory / "channels.json").write_text(json.dumps({"channels": [bound]}))
    settings = {
        "LOG_URL": f"kafka://{kafka_broker.bootstrap}/erased-log?partitions=2&replication=1&min_isr=1",
        "STORYLINE_CHANNELS_FILE": str(directory / "channels.json"),
    }
    with served(directory, **settings) as system:
        publish(system)
        bad = canary_event(1, id="bad")
        bad["data"]["content"]["mailbox"] = {"no": CANARY}
        send_to_inbox(kafka_broker.bootstrap, bad, topic="inbox.erased")
        with system.client() as client:
            wait_for(lambda: len(client.get("/v1/dead-letters").json()["letters"]) == 2)
        ann, facts = erase(system)
        check_erased(system, ann, facts)
        [done] = [one for one in erasures(system) if one["customer"] == ann]
        [inbox] = [one for one in done["certificate"]["remains"] if "inbox" in one["what"]]
        assert inbox["until"] > done["at"], "the inbox topic holds what the channel wrote, for its retention"
    if kafka_broker.log_dirs is not None:
        skip = "inbox."
        assert files_with(CANARY, kafka_broker.log_dirs, lambda path: path.parent.name.startswith(skip)) == []
        assert files_with("email.received", kafka_broker.log_dirs), "the search finds what is public"


def erasures(system: Served) -> list[dict[str, Any]]:
    with system.client() as client:
        found: list[dict[str, Any]] = client.get("/v1/erasures").json()["erasures"]
    return found
