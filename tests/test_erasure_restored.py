"""Does a restored backup bring back nobody who was erased? And do ledger, database and key store mend each other?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from commands.ledger import Entry, Ledger
from domain.errors import LogDamaged
from eventlog.record import decode
from eventlog.sealing import keys_of, open_record
from tests.support.erasing import CANARY, Told, dump, erasing_of, found_in, node_of, restore, told, who
from tests.support.postgres import PostgresServer
from tests.support.story import Story, event, story

WHY = "asked for it"


@pytest.fixture(scope="module")
def once(postgres: PostgresServer) -> Iterator[Told]:
    with told(postgres) as made:
        yield made


@pytest.fixture
def small(once: Told) -> Iterator[Story]:
    with once.again() as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "erasures.ledger"


@contextmanager
def restored(once: Told, kept: bytes) -> Iterator[Story]:
    """A story on a database that was restored from a backup."""
    name = once.postgres.create_database("template0")
    dsn = once.postgres.dsn_of(name)
    restore(kept, dsn)
    try:
        with story(dsn, dsn, master=once.master) as made:
            yield made
    finally:
        once.postgres.drop_database(name)


def erase(small: Story, ledger: Path, value: str) -> None:
    with erasing_of(small, ledger) as erasing:
        erasing.erase(node_of(small, value), WHY, by="cli")


def opens(small: Story, word: str = CANARY) -> bool:
    """Does any record open and say the word?"""
    records = [decode(bytes(row[0])) for row in small.rows("SELECT record FROM timeline.events")]
    keys = small.keyring.keys(keys_of(records))
    return any(word in repr(open_record(record, keys)) for record in records)


def test_a_backup_from_before_the_erasure_brings_nothing_back_once_the_ledger_is_applied(
    small: Story, once: Told, ledger: Path
) -> None:
    kept = dump(small.dsn, "--format=custom")
    assert CANARY in dump(small.dsn).decode().lower()
    erase(small, ledger, "#17")
    assert CANARY not in dump(small.dsn).decode().lower()
    live = small.hashes()
    [(before,)] = small.rows("SELECT certificate FROM storyline.erasures")
    with restored(once, kept) as again, erasing_of(again, ledger) as erasing:
        assert found_in(again.dsn) != []
        assert opens(again)
        assert erasing.check()[2:4] == (2, 1), "the database lacks both entries, the key store one"
        assert erasing.apply() == 1
        assert CANARY not in dump(again.dsn).decode().lower()
        assert not opens(again)
        assert again.hashes() == live
        [done], _ = erasing.list()
        assert done.certificate == before, "the one that was given out"
        again.publish(event(20, data={"who": who("#17")}))
        again.project()
        assert again.rows("SELECT count(*) FROM identity.nodes WHERE node = %s", node_of(again, "#17", 1)) == [(1,)]


def test_a_key_store_that_alone_is_restored_is_brought_up_too(small: Story, ledger: Path) -> None:
    tables = "keyring.keys", "keyring.generations", "keyring.ledger"
    kept = {table: small.rows(f"SELECT * FROM {table}") for table in tables}
    erase(small, ledger, "#17")
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        for table, rows in kept.items():
            connection.execute(f"TRUNCATE {table}")
            with connection.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
    small.keyring._cache.clear()
    assert opens(small)
    with erasing_of(small, ledger) as erasing:
        assert erasing.check().keys_lack == 1
        erasing.apply()
        assert erasing.check().keys_lack == 0
    small.keyring._cache.clear()
    assert not opens(small)


def test_a_ledger_that_lost_its_end_gets_it_from_the_database(small: Story, ledger: Path) -> None:
    erase(small, ledger, "#17")
    whole = ledger.read_text()
    for left in ("", whole.splitlines()[0] + "\n", whole.splitlines()[0] + "\n{"):
        ledger.write_text(left)
        with erasing_of(small, ledger) as erasing:
            assert erasing.check().ledger_lacks == 2 - left.count("\n")
            assert erasing.apply() == 0
        assert ledger.read_text() == whole
    erase(small, ledger, "#18")
    assert ledger.read_text().startswith(whole)


def test_an_append_that_was_broken_off_is_told_and_destroyed_nothing(small: Story, ledger: Path) -> None:
    erase(small, ledger, "#17")
    with ledger.open("a") as file:
        file.write('{"v":1,"number":3')
    with erasing_of(small, ledger) as erasing:
        assert erasing.check() == (2, True, 0, 0, 0, 0)
        assert erasing.apply() == 0


def test_the_ledger_of_another_database_is_refused(small: Story, once: Told, ledger: Path, tmp_path: Path) -> None:
    erase(small, ledger, "#17")
    with once.again() as other:
        erase(other, tmp_path / "other", "#18")
    with erasing_of(small, tmp_path / "other") as erasing:
        for task in (erasing.apply, erasing.check):
            with pytest.raises(LogDamaged, match="STORYLINE_LEDGER names the ledger of another database"):
                task()


def test_a_ledger_that_was_altered_stops_everything_and_says_what_to_do(small: Story, ledger: Path) -> None:
    erase(small, ledger, "#17")
    ledger.write_text(ledger.read_text().replace(WHY, "asked for her"))
    with erasing_of(small, ledger) as erasing:
        for task in (erasing.apply, erasing.check, lambda: erasing.erase(node_of(small, "#18"), WHY, by="cli")):
            with pytest.raises(LogDamaged, match="Put a good copy"):
                task()
    assert opens(small, "bob@"), "nothing was destroyed that the ledger does not say"


def test_an_entry_of_a_later_release_is_refused_and_not_skipped(small: Story, ledger: Path) -> None:
    erase(small, ledger, "#17")
    book = Ledger(ledger)
    last = book.read()[-1].entry

    def strange(number: int, previous: str) -> Entry:
        kind: str = "oblivion"
        return Entry(number=number, kind=kind, erasure=last.erasure, at=last.at, previous=previous)  # type: ignore[arg-type]

    book.append(strange)
    with erasing_of(small, ledger) as erasing, pytest.raises(LogDamaged, match="no kind that this release knows"):
        erasing.apply()
