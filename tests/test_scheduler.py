"""Is what time asks for done once, by however many schedulers, whoever dies, and however long nobody looked?"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import psycopg
import pytest

from consumers.scheduler import Due, Job, Scheduler
from domain.errors import BadInput, Problem, Refused, Stale, Unavailable
from storyline.database import upgrade
from tests.support.bells import hang, ringing, rung, scheduler_of, tried
from tests.support.postgres import PostgresServer
from tests.support.process import Server
from tests.support.served import clean_environment
from tests.support.waiting import eventually

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Make = Callable[..., Scheduler]


@pytest.fixture(scope="module")
def belfry(postgres: PostgresServer) -> Iterator[str]:
    """One database for all tests of this file."""
    name = postgres.create_database()
    upgrade(postgres.dsn_of(name))
    hang(postgres.dsn_of(name))
    yield postgres.dsn_of(name)
    postgres.drop_database(name)


@pytest.fixture
def bells(belfry: str) -> str:
    """Its DSN, with no bell hung yet."""
    with psycopg.connect(belfry) as connection:
        connection.execute("TRUNCATE bells, tries, rung, storyline.due")
    return belfry


@pytest.fixture
def make(bells: str) -> Iterator[Make]:
    made: list[Scheduler] = []

    def one(*jobs: Job, **more: object) -> Scheduler:
        made.append(scheduler_of(bells, *jobs, **more))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for scheduler in made:
        scheduler.pool.close()


def outcomes(dsn: str, job: str = "bell") -> dict[str, str | None]:
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute("SELECT item, outcome FROM storyline.due WHERE job = %s", [job]).fetchall())


def one_due(act: Callable[[Due, str, datetime], None], name: str = "bell") -> Job:
    """A job with one piece that is always due; its claim says when it may be tried."""
    return Job(name, 0.1, "late", lambda connection, now, limit: [Due("a", NOON)], act)


def test_what_is_due_is_done_once_and_nothing_before_its_time(bells: str, make: Make) -> None:
    hang(bells, [("early", NOON, None), ("late", NOON + MINUTE, None)])
    scheduler = make(ringing(bells))
    scheduler.tick(NOON - timedelta(microseconds=1))
    assert rung(bells) == []
    scheduler.tick(NOON)
    scheduler.tick(NOON)
    assert rung(bells) == ["early"]
    scheduler.tick(NOON + MINUTE)
    assert len(tried(bells)) == 2


def test_more_than_one_look_takes_is_done_all_the_same(bells: str, make: Make) -> None:
    hang(bells, [(f"{number:04}", NOON, None) for number in range(130)])
    make(ringing(bells)).tick(NOON)
    assert len(rung(bells)) == 130


def test_after_a_day_of_standstill_each_job_does_late_or_skips_as_it_says(bells: str, make: Make) -> None:
    hang(bells, [(f"{hour:02}", NOON + hour * HOUR, None) for hour in range(24)])
    make(ringing(bells, "late"), ringing(bells, "short", missed="skip", of_use=2 * HOUR)).tick(NOON + 23 * HOUR)
    assert outcomes(bells, "late") == {f"{hour:02}": "done" for hour in range(24)}
    short = outcomes(bells, "short")
    assert [item for item, outcome in short.items() if outcome == "done"] == ["21", "22", "23"]
    assert Counter(short.values()) == {"skipped": 21, "done": 3}


def test_what_is_overtaken_by_its_end_is_skipped(bells: str, make: Make) -> None:
    hang(bells, [("over", NOON, NOON + HOUR), ("near", NOON, NOON + 3 * HOUR)])
    make(ringing(bells, missed="skip")).tick(NOON + HOUR)
    assert outcomes(bells) == {"over": "skipped", "near": "done"}


def test_a_claim_of_one_who_died_is_taken_over_after_a_minute_and_not_before(bells: str, make: Make) -> None:
    hang(bells, [("a", NOON, None)])

    def die(due: Due, key: str, now: datetime) -> None:
        raise SystemExit  # ends the thread as a kill ends a process: nothing is said of the piece

    dead = make(Job("bell", 0.1, "late", ringing(bells).find, die))
    with pytest.raises(SystemExit):
        dead.tick(NOON)
    other = make(ringing(bells))
    other.tick(NOON + timedelta(seconds=59))
    assert outcomes(bells) == {"a": None}
    other.tick(NOON + timedelta(seconds=60))
    assert outcomes(bells) == {"a": "done"}


def test_who_lost_a_claim_cannot_say_what_became_of_it(bells: str, make: Make) -> None:
    slow, other = make(), make()

    def overtaken(due: Due, key: str, now: datetime) -> None:
        object.__setattr__(slow, "jobs", ())
        other.jobs = [one_due(lambda due, key, now: None)]
        other.tick(NOON + 2 * MINUTE)
        raise Unavailable("The store does not answer.")

    slow.jobs = [one_due(overtaken)]
    slow.tick(NOON)
    assert outcomes(bells) == {"a": "done"}


def test_a_broken_job_stops_no_other_and_is_tried_again_until_it_failed(bells: str, make: Make) -> None:
    hang(bells, [("good", NOON, None)])
    calls: list[str] = []

    def broken(due: Due, key: str, now: datetime) -> None:
        calls.append(key)
        raise ValueError("anna@example.org")

    def unreadable(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        raise psycopg.ProgrammingError("no such table")

    lost = Job("lost", 0.1, "late", unreadable, broken)
    scheduler = make(lost, one_due(broken, "broken"), ringing(bells))
    scheduler.tick(NOON)
    assert rung(bells) == ["good"]
    scheduler.tick(NOON + timedelta(seconds=4))
    assert len(calls) == 1, "it waits before it tries again"
    for hour in range(1, 20):
        scheduler.tick(NOON + hour * HOUR)
    assert len(calls) == 10 and len(set(calls)) == 1
    assert outcomes(bells, "broken") == {"a": "failed"}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Refused("A rule forbids it."), "refused"),
        (BadInput([Problem("at", "is wrong.", "Mend it.")]), "failed"),
        (Stale("It was changed.", revision=2), None),
        (Unavailable("It does not answer."), None),
    ],
)
def test_what_cannot_change_is_settled_at_once(bells: str, make: Make, error: Exception, outcome: str | None) -> None:
    def act(due: Due, key: str, now: datetime) -> None:
        raise error

    make(one_due(act)).tick(NOON)
    assert outcomes(bells) == {"a": outcome}


def test_an_error_is_logged_without_what_it_names(bells: str, make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    def act(due: Due, key: str, now: datetime) -> None:
        raise ValueError("anna@example.org")

    make(one_due(act)).tick(NOON)
    told = capsys.readouterr()
    assert "ValueError" in told.out + told.err
    assert "anna" not in told.out + told.err


def test_two_schedulers_at_once_do_nothing_twice(bells: str, make: Make) -> None:
    hang(bells, [(f"{number:03}", NOON, None) for number in range(120)])
    both = [make(ringing(bells)), make(ringing(bells))]
    threads = [threading.Thread(target=one.tick, args=[NOON]) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rung(bells)) == len(tried(bells)) == 120


def test_two_processes_of_which_one_is_killed_again_and_again_ring_each_bell_once(
    bells: str, server_directory: Path
) -> None:
    chance = Random(6)
    begin = datetime.now(UTC)
    hang(bells, [(f"{number:03}", begin + number * timedelta(milliseconds=15), None) for number in range(200)])

    def start(name: str) -> Server:
        argv = [sys.executable, "-m", "tests.support.bells", bells, "0.005"]
        return Server(argv, server_directory / f"bells-{name}.out", clean_environment(server_directory), None)

    running = [start("steady"), *[start(f"victim-{turn}") for turn in range(3)]]
    try:
        for victim in running[1:]:
            eventually(lambda: len(processes(bells)) == len(running) or len(rung(bells)) > 60, 20)
            threading.Event().wait(chance.random() * 0.2)
            victim.kill()
        eventually(lambda: len(rung(bells)) == 200, 30)
    finally:
        for server in running:
            server.kill()
    assert len(processes(bells)) > 1
    with psycopg.connect(bells) as connection:
        early = connection.execute("SELECT key FROM rung WHERE moment < at").fetchall()
    assert early == []


def processes(dsn: str) -> set[int]:
    """Those that have tried something."""
    return {process for _, process in tried(dsn)}


def test_by_the_clock_it_looks_by_itself_and_says_that_it_is_well(bells: str, make: Make) -> None:
    hang(bells, [("a", datetime.now(UTC) + timedelta(seconds=0.5), None)])
    scheduler, stop = make(ringing(bells)), threading.Event()
    assert not scheduler.ready
    thread = threading.Thread(target=scheduler.run, args=[stop])
    thread.start()
    try:
        eventually(lambda: rung(bells) == ["a"], 20)
        assert scheduler.ready and scheduler.shown()["jobs"]["bell"] < 10
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()
    settled = scheduler.registry.get_sample_value("storyline_due_settled_total", {"job": "bell", "outcome": "done"})
    assert settled == 1


def test_a_clock_that_is_set_back_by_a_day_stops_nothing(bells: str, make: Make) -> None:
    """What it leaves is a next look that is a day away."""
    scheduler, stop = make(ringing(bells)), threading.Event()
    thread = threading.Thread(target=scheduler.run, args=[stop])
    thread.start()
    try:
        eventually(lambda: scheduler.ready, 20)
        assert scheduler._clockwork is not None
        [job] = scheduler._clockwork.get_jobs()
        job.modify(next_run_time=datetime.now(UTC) + DAY)
        hang(bells, [("a", datetime.now(UTC), None)])
        eventually(lambda: rung(bells) == ["a"], 20)
    finally:
        stop.set()
        thread.join(20)
