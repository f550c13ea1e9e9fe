"""Does an operator see what waits by kind, since when, why and what to do, however many letters there are?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from commands.letters import REASONS, REMEDIES
from commands.messages import STRUCTURED
from commands.parking import Letter, Parking
from commands.parking_shelf import SQL
from commands.publishing import Rights
from domain.errors import Erased, NotFound
from storyline.metrics import LetterWatch, ParkedCollector, watching
from tests.support.letters import parking_of
from tests.support.story import Story, event, story

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AS_STRUCTURED = (("content-type", STRUCTURED.encode()),)
MAIL = Rights(("test/*",), ("email.*", "course.*"))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def small(database: str, log_url: str) -> Iterator[Story]:
    with story(database, log_url) as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parking(small: Story, clock: Clock) -> Iterator[Parking]:
    with parking_of(small, rights=lambda topic: MAIL, clock=clock) as made:
        yield made


def message(offset: int, raw: Any, reason: str = "bad-input", topic: str = "inbox.mail") -> Letter:
    value = json.dumps(raw).encode()
    return Letter("inbox", reason, "data.x: is wrong.", "message", topic, 0, offset, value, headers=AS_STRUCTURED)


def test_S92_kinds_say_how_many_since_when_why_and_what_to_do(parking: Parking, clock: Clock) -> None:
    parking.park_many([message(1, event(1)), message(2, event(2))])
    clock.now += timedelta(hours=30)
    parking.park_many(
        [message(3, event(3)), message(4, event(4), "forbidden"), message(5, event(5), topic="inbox.x")]
    )
    kinds, more = parking.kinds()
    assert more is None
    assert [(kind.reason, kind.origin, kind.type, kind.letters, kind.overdue) for kind in kinds[:1]] == [
        ("bad-input", "inbox.mail", "email.received", 3, 2)
    ]
    assert {(kind.reason, kind.origin, kind.letters, kind.overdue) for kind in kinds[1:]} == {
        ("forbidden", "inbox.mail", 1, 0),
        ("bad-input", "inbox.x", 1, 0),
    }
    first = kinds[0]
    assert (first.oldest, first.newest) == (NOON, clock.now)
    assert (first.detail, first.remedy) == (REASONS["bad-input"], REMEDIES["bad-input"])
    assert [one.offset for one in parking.list(kind=first.id)[0]] == [1, 2, 3]
    assert {one.kind for one in parking.list(kind=first.id)[0]} == {first.id}
    with pytest.raises(NotFound):
        parking.list(kind="nonsense")


def test_kinds_go_on_by_cursor_and_each_comes_once(parking: Parking) -> None:
    parking.park_many([message(n, event(n), topic=f"inbox.c{n}") for n in range(23)])
    seen: list[str] = []
    cursor: str | None = None
    while True:
        kinds, cursor = parking.kinds(5, cursor)
        seen += [kind.origin for kind in kinds]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"inbox.c{n}" for n in range(23))


def test_each_reason_has_a_sentence_and_a_remedy() -> None:
    assert REASONS.keys() == REMEDIES.keys()


@pytest.mark.parametrize(
    ("raw", "source", "type_"),
    [
        (event(1), "test/mail", "email.received"),
        (event(1, type="course.enrolled"), "test/mail", "course.enrolled"),
        (event(1, type="made.up", source="elsewhere/x"), None, None),
        (event(1, type="course.ann@example.org", source="test/ann@example.org"), None, None),
        (event(1, type={"no": "text"}, source=7), None, None),
        ("no event", None, None),
    ],
)
def test_only_a_known_source_and_type_stand_in_clear(
    parking: Parking, raw: Any, source: str | None, type_: str | None
) -> None:
    parking.park_many([message(1, raw)])
    [letter] = parking.list()[0]
    assert (letter.source, letter.type) == (source, type_)


def fill(dsn: str, number: int) -> None:
    """So many letters of forty kinds; one in eight was discarded."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO storyline.dead_letters (id, consumer, reason, detail, origin, type, parked_at, key_id,
                   sealed, status)
               SELECT gen_random_uuid(), 'inbox', CASE mod(n, 4) WHEN 0 THEN 'forbidden' ELSE 'bad-input' END, 'x',
                   'inbox.c' || mod(n, 10), 'a.b', %(at)s + n * interval '1 second', gen_random_uuid(),
                   CASE mod(n, 8) WHEN 7 THEN NULL ELSE decode(repeat('00', 600), 'hex') END,
                   CASE mod(n, 8) WHEN 7 THEN 'discarded' ELSE 'parked' END
               FROM generate_series(1, %(number)s) AS n""",
            {"at": NOON, "number": number},
        )
        connection.execute("VACUUM ANALYZE storyline.dead_letters")


def test_S92_no_list_walks_over_all_letters(parking: Parking, small: Story) -> None:
    fill(small.dsn, 30_000)
    kind = UUID(parking.kinds()[0][0].id)
    [[letter_id]] = small.rows("SELECT id FROM storyline.dead_letters ORDER BY parked_at, id OFFSET 9000 LIMIT 1")
    nothing = {"kind": None, "reason": None}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("kinds", {"after": UUID(int=0), "limit": 100, "most": 100_000, "overdue": NOON}),
        ("remaining", {"kind": kind, "reason": None, "most": 100_000}),
    ]
    for status in ("parked", "discarded", None):
        asked.append(("page", {"status": status, **nothing, "after": letter_id, "limit": 100}))
    for wanted in ({"kind": kind, "reason": None}, {"kind": None, "reason": "forbidden"}, nothing):
        asked.append(("page", {"status": "parked", **wanted, "after": letter_id, "limit": 100}))
        taken = {**wanted, "after_at": NOON, "after_id": letter_id, "until": NOON + timedelta(days=9), "limit": 100}
        asked.append(("take", taken))
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        for name, values in asked:
            rows = connection.execute(b"EXPLAIN " + SQL[name].encode(), values, prepare=False).fetchall()
            plan = "\n".join(row[0] for row in rows)
            assert "Seq Scan on dead_letters" not in plan, f"{name} {values}:\n{plan}"
            assert "Sort" not in plan, f"{name} {values}:\n{plan}"


def test_metrics_count_what_waits_and_what_is_overdue(parking: Parking, clock: Clock) -> None:
    clock.now = datetime.now(UTC) - timedelta(hours=30)
    parking.park_many([message(1, event(1)), message(2, event(2), "forbidden")])
    clock.now = datetime.now(UTC)
    parking.park_many([message(3, event(3))])
    ticks = [0.0]
    registry = CollectorRegistry()
    registry.register(ParkedCollector(parking, lambda: ticks[0]))
    text = generate_latest(registry).decode()
    assert 'storyline_dead_letters{consumer="inbox",reason="bad-input"} 2.0' in text
    assert 'storyline_dead_letters_overdue{consumer="inbox",reason="bad-input"} 1.0' in text
    assert 'storyline_dead_letters_overdue{consumer="inbox",reason="forbidden"} 1.0' in text
    assert "storyline_dead_letters_oldest_seconds 108000" in text
    parking.park_many([message(4, event(4))])
    assert generate_latest(registry).decode().splitlines()[:4] == text.splitlines()[:4], "counted a moment ago"
    ticks[0] = 60.0
    assert 'storyline_dead_letters{consumer="inbox",reason="bad-input"} 3.0' in generate_latest(registry).decode()


def test_what_is_overdue_is_told_once_an_hour_with_the_remedy(parking: Parking, clock: Clock) -> None:
    parking.park_many([message(1, event(1)), message(2, event(2), "forbidden")])
    ticks = [0.0]
    watch = LetterWatch(parking, lambda: ticks[0])
    told = []
    for hours, seconds in ((23, 0), (25, 60), (25, 120), (26, 3700)):
        clock.now, ticks[0] = NOON + timedelta(hours=hours), float(seconds)
        with capture_logs() as lines:
            watch.look()
        told.append(sorted(line["reason"] for line in lines))
    assert told == [[], ["bad-input", "forbidden"], [], ["bad-input", "forbidden"]]
    assert {line["detail"] for line in lines} == {REMEDIES["bad-input"], REMEDIES["forbidden"]}


def test_a_watch_goes_on_when_the_database_is_gone(parking: Parking) -> None:
    parking._pool.close()
    with capture_logs() as lines, watching(parking, 0.01):
        while not lines:
            pass
    assert lines[0]["event"] == "dead_letters.not_looked_at"


def test_the_key_of_a_day_goes_when_nothing_of_that_day_waits(parking: Parking, clock: Clock, small: Story) -> None:
    parking.park_many([message(1, event(1)), message(2, event(2))])
    ids = [letter.id for letter in parking.list()[0]]
    clock.now += timedelta(days=1)
    parking.park_many([message(3, event(3))])
    parking.discard(ids[0], "a test")
    clock.now += timedelta(days=3)
    assert parking.forget_days() == 0, "one of each day waits"
    parking.discard(ids[1], "a test")
    assert parking.forget_days() == 1
    assert parking.forget_days() == 0
    assert small.rows("SELECT count(*) FROM keyring.keys WHERE wrapped IS NULL") == [(1,)]
    [waiting] = parking.list()[0]
    assert parking.show(waiting.id, unseal=True).content


def test_the_key_of_yesterday_is_spared(parking: Parking, clock: Clock) -> None:
    parking.park_many([message(1, event(1))])
    parking.discard(parking.list()[0][0].id, "a test")
    clock.now += timedelta(days=1)
    assert parking.forget_days() == 0
    parking.park_many([message(2, event(2))])
    clock.now += timedelta(days=1)
    assert parking.forget_days() == 1


def test_purge_forgets_what_was_settled_long_ago_and_nothing_that_waits(parking: Parking, clock: Clock) -> None:
    parking.park_many([message(n, event(n)) for n in range(3)])
    ids = [letter.id for letter in parking.list()[0]]
    parking.discard(ids[0], "a test")
    clock.now += timedelta(days=2)
    parking.discard(ids[1], "a test")
    assert parking.purge(NOON + timedelta(days=1)) == 1
    with pytest.raises(NotFound):
        parking.show(ids[0])
    assert [one.id for one in parking.list("discarded")[0]] == [ids[1]]
    assert parking.purge(NOON + timedelta(days=9)) == 1
    assert [one.id for one in parking.list(None)[0]] == [ids[2]]


def test_a_settled_letter_keeps_that_it_was_there_and_none_of_its_content(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, event(1)), message(2, event(2))])
    ids = [letter.id for letter in parking.list()[0]]
    parking.discard(ids[0], "a test", by="0123456789ab")
    parking.redrive(ids[1])
    for letter_id in ids:
        shown = parking.show(letter_id)
        assert shown.status != "parked"
        assert shown.content is None
        with pytest.raises(Erased, match="went with that"):
            parking.show(letter_id, unseal=True)
    assert small.rows("SELECT count(*) FROM storyline.dead_letters WHERE sealed IS NOT NULL") == [(0,)]
    assert parking.show(ids[0]).status_by == "0123456789ab"


def test_who_unsealed_and_settled_a_letter_stands_in_its_history(parking: Parking, small: Story) -> None:
    parking.park_many([message(1, event(1), "forbidden")])
    [letter] = parking.list()[0]
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO storyline.api_keys (key_id, secret_hash, label, scopes, sources, types) "
            "VALUES ('abc', '\\x00', 'Olga', '{operate}', '{}', '{}')"
        )
    with capture_logs() as lines:
        parking.show(letter.id, unseal=True, by="abc")
    assert [(line["event"], line["id"], line["by"]) for line in lines] == [
        ("dead_letters.unsealed", letter.id, "abc")
    ]
    parking.show(letter.id)
    parking.redrive(letter.id)
    history = parking.show(letter.id).history
    assert [(step.did, step.by, step.label) for step in history] == [
        ("unsealed", "abc", "Olga"),
        ("redriven", "cli", None),
    ]
    assert history[1].why is not None
    assert history[1].why.startswith("published at")
