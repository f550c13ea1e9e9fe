"""What outlived an erasure, and what kept one from its end? Found by trying to break it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from commands.erasing import Erasure
from commands.parking import Parking
from commands.proposals import Merges
from commands.proposing import Proposing
from projections.directory.asking import asked
from projections.directory.reader import DirectoryReader, Found
from tests.support.erasing import ADA, BOB, CANARY, Told, erasing_of, erasing_with, node_of, told, who
from tests.support.letters import message, parking_of
from tests.support.postgres import PostgresServer
from tests.support.story import Story, event
from tests.support.waiting import eventually

WHY = "asked for it by letter"


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


@pytest.fixture
def parking(small: Story) -> Iterator[Parking]:
    with parking_of(small) as made:
        yield made


def run(small: Story, query: str) -> None:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute(query)


def test_what_postgres_sampled_for_its_plans_goes_with_an_erased_person(small: Story, ledger: Path) -> None:
    known = f"SELECT count(*) FROM pg_stats WHERE schemaname = 'directory' AND pg_stats::text ILIKE '%{CANARY}%'"
    run(small, "ANALYZE directory.claims, directory.identifiers, directory.terms, directory.words")
    assert small.rows(known.replace("%", "%%")) != [(0,)]
    with erasing_of(small, ledger) as erasing:
        assert erasing.erase(node_of(small, "#17"), WHY, by="cli").certificate
    assert small.rows(known.replace("%", "%%")) == [(0,)]


@pytest.mark.parametrize("state", ["open", "rejected"])
def test_what_a_steward_wrote_about_an_erased_person_goes_with_her(small: Story, ledger: Path, state: str) -> None:
    a, b = sorted((node_of(small, "#17"), node_of(small, "#18")))
    words = f"the sister of {CANARY}"
    decided = (state, words, [a], [b]) if state == "rejected" else (state, None, None, None)
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO storyline.proposals"
            " (id, a, b, score, reasons, found_at, seen_at, decided_at, state, why, nodes_a, nodes_b)"
            " VALUES (gen_random_uuid(), %s, %s, 0.9, '[]', now(), now(),"
            " CASE WHEN %s = 'rejected' THEN now() END, %s, %s, %s::uuid[], %s::uuid[])",
            (a, b, state, *decided),
        )
    with erasing_of(small, ledger) as erasing:
        erasing.erase(node_of(small, "#17"), WHY, by="cli")
    assert small.rows("SELECT count(*) FROM storyline.proposals") == [(0,)]


def test_a_dead_letter_that_does_not_open_keeps_no_erasure_from_its_end(
    small: Story, ledger: Path, parking: Parking
) -> None:
    parking.park_many([message(0, b"{ broken"), message(1, {**event(1), "data": {"who": who(ADA)}})])
    run(
        small,
        "UPDATE storyline.dead_letters SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)"
        " WHERE origin_offset = 0",
    )
    found: list[Erasure] = []
    with erasing_of(small, ledger) as erasing:
        at_work = threading.Thread(
            target=lambda: found.append(erasing.erase(node_of(small, "#17"), WHY, by="cli")), daemon=True
        )
        at_work.start()
        at_work.join(20)
    [done] = found
    assert done.certificate is not None
    assert done.certificate["letters"] == 1


def test_erasures_that_wait_for_another_one_hold_up_nobody_else(small: Story, ledger: Path, parking: Parking) -> None:
    with (
        psycopg.connect(small.dsn, autocommit=True) as other,
        ConnectionPool(small.dsn, min_size=1, max_size=4, timeout=2, kwargs={"autocommit": True}) as pool,
        ThreadPoolExecutor(4) as threads,
    ):
        other.execute("SELECT pg_advisory_lock(7053081021)")
        erasing = erasing_with(small, pool, parking, ledger)
        waiting = [threads.submit(erasing.erase, node_of(small, "#17"), WHY, by="cli") for _ in range(4)]
        try:
            eventually(lambda: pool.get_stats().get("requests_num", 0) >= 8, 10)
            with pool.connection(timeout=2) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        finally:
            other.execute("SELECT pg_advisory_unlock(7053081021)")
        assert len({one.result(60).id for one in waiting}) == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_whom_an_erasure_takes_is_read_at_one_moment_while_nobody_resolves(
    small: Story, ledger: Path, dry_run: bool
) -> None:
    """She becomes one with somebody else just when her erasure begins: all of the two goes, or it would be certified
    that nothing was there."""
    ada, bob = node_of(small, "#17"), node_of(small, "#18")
    with (
        erasing_of(small, ledger) as erasing,
        ThreadPoolExecutor(1) as threads,
        psycopg.connect(small.dsn) as resolving,
    ):
        resolving.execute("SELECT pg_advisory_xact_lock(7053081010)")
        for table in ("nodes", "evidences"):
            resolving.execute(f"UPDATE identity.{table} SET customer = %s WHERE customer = %s", (bob, ada))
        done: Future[Any] = (
            threads.submit(erasing.foresee, ada) if dry_run else threads.submit(erasing.erase, ada, WHY, by="cli")
        )
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: done.done() or small.rows(waits) == [(1,)], 20)
        resolving.commit()
        told = done.result(60)
    found = told if isinstance(told, dict) else told.certificate
    assert found is not None
    assert (found["customer"], found["identifiers"]) == (UUID(bob).hex, 4)


def test_an_erased_identifier_in_an_event_of_somebody_else_is_not_shown_as_theirs(small: Story, ledger: Path) -> None:
    """Bob's event says Ada's address, by a disputed link: it is in his event, and is not his."""
    small.publish(event(30, data={"who": who("#18", BOB, ADA)}), event(31, data={"who": who("carl@example.org")}))
    small.project()
    with erasing_of(small, ledger) as erasing:
        done = erasing.erase(node_of(small, "#17"), WHY, by="cli")
    assert done.certificate is not None and done.certificate["elsewhere"]["count"] == 1
    [hit] = asyncio.run(searched(small, BOB)).customers
    assert {value for _, value, _ in hit.identifiers} == {BOB, "18"}
    a, b = sorted((node_of(small, "#18"), node_of(small, "carl@example.org")))
    with ConnectionPool(small.dsn, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        with pool.connection() as connection:
            connection.execute(
                "INSERT INTO storyline.proposals (id, a, b, score, reasons, found_at, seen_at)"
                " VALUES (%s, %s, %s, 0.9, '[]', now(), now())",
                (UUID(int=1), a, b),
            )
        _, sides = Proposing(pool, _nobody_merges).show(UUID(int=1).hex)
    assert {one.value for side in sides for one in side.identifiers} == {BOB, "18", "carl@example.org"}


async def searched(small: Story, text: str) -> Found:
    async with AsyncConnectionPool(small.dsn, min_size=1, open=False, kwargs={"autocommit": True}) as pool:
        return await DirectoryReader(pool).search(asked(text, "GB"), 5)


def _nobody_merges() -> Merges:
    raise AssertionError("nothing is merged here")
