"""Is it told once that a customer entered or left a segment, on the customer's timeline, whoever dies over it; and do
rules of automation hear of it?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commands.announcing import Announced, Announcing
from commands.segments import NewSegment, Segments
from domain.configuration.rfm import Rfm
from domain.segment_limits import Known
from domain.segment_text import read_rule
from eventlog.record import decode
from projections.segments.backfilling import Backfiller
from projections.segments.waking import Waker
from tests.support.announcers import announcers
from tests.support.automating import Automated, automated, rules_of
from tests.support.erasing import erasing_of
from tests.support.segmented import made
from tests.support.story import Story, story
from tests.support.waiting import eventually

BUYERS = "exists(purchase.made)"


def define(small: Story, code: str, rule: str, **more: Any) -> None:
    """A segment that serves, by the command that people use."""
    with ConnectionPool(small.dsn, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
        segments = Segments(pool, Known(small.catalogue, Rfm()))
        segments.create(NewSegment(code, "dynamic", rule=read_rule(rule), **more), "anna", None)
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        Backfiller(small.reading.facing).run(connection)


def announce(small: Story) -> Announced:
    """Announce all that waits, and let it be seen."""
    told, skipped = 0, 0
    announcing = Announcing(small.publisher, small.keyring)
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        while any(found := announcing.step(connection)):
            told, skipped = told + found.told, skipped + found.skipped
    small.project()
    return Announced(told, skipped)


def look(small: Story) -> None:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        waker = Waker(small.reading.facing)
        while waker.take_calls(connection) or waker.look(connection):
            pass


def news(small: Story) -> list[tuple[str, str, dict[str, Any]]]:
    """(a customer's id, type, public content) of what was announced, the earliest first."""
    rows = small.rows(
        "SELECT h.customer, e.record FROM timeline.events AS e JOIN identity.evidences AS h USING (evidence) "
        "WHERE e.type LIKE 'segment.%%' ORDER BY e.recorded_at, e.log_partition, e.log_offset"
    )
    heads = [(customer, decode(bytes(record)).head) for customer, record in rows]
    return [(customer.hex, head.type, dict(head.public)) for customer, head in heads]


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database, master=os.urandom(32)) as made_:
        yield made_


def test_S32_entering_and_leaving_stand_on_the_customers_timeline_with_the_reason(small: Story) -> None:
    define(small, "buyers", BUYERS)
    small.publish(made("purchase.made", "ann", "#1"), made("email.received", "bob"))
    small.project()
    assert announce(small) == (1, 0)
    [(ann,)] = small.rows("SELECT customer FROM segments.memberships")
    assert news(small) == [(ann.hex, "segment.entered", {"segment": "buyers", "version": 1, "because": "event"})]
    assert announce(small) == (0, 0)


def test_what_is_announced_is_no_touchpoint_and_makes_nobody_new(small: Story) -> None:
    define(small, "buyers", BUYERS)
    small.publish(made("purchase.made", "ann", "#1"))
    small.project()
    before = small.hashes()
    announce(small)
    after = small.hashes()
    assert {name: after[name] for name in after if name != "timeline"} == {
        name: before[name] for name in before if name != "timeline"
    }


def test_who_is_named_as_a_party_alone_is_told_of_too(small: Story) -> None:
    define(small, "known", 'identifier.email = "ann@example.org"')
    party = [{"role": "cc", "who": [{"kind": "email", "value": "ann@example.org"}]}]
    small.publish(made("email.received", "bob", parties=party))
    small.project()
    assert announce(small) == (1, 0)
    [(ann,)] = small.rows("SELECT customer FROM segments.memberships")
    assert [customer for customer, *_ in news(small)] == [ann.hex]


def test_a_segment_that_is_not_announced_is_kept_without_a_word(small: Story) -> None:
    define(small, "buyers", BUYERS, announce=False)
    small.publish(made("purchase.made", "ann"))
    small.project()
    assert small.rows("SELECT entered, announce FROM storyline.segment_changes") == [(True, False)]
    assert announce(small) == (0, 0)


def test_the_loser_of_a_merge_leaves_on_the_timeline_of_the_winner(small: Story) -> None:
    define(small, "buyers", BUYERS)
    small.publish(made("purchase.made", "ann"), made("purchase.made", "bob", day=1))
    small.project()
    announce(small)
    small.publish(made("email.received", "ann", "bob", day=2))
    small.project()
    assert announce(small) == (1, 0)
    [(ann,)] = small.rows("SELECT DISTINCT customer FROM identity.evidences")
    *_, (customer, type, content) = news(small)
    assert (customer, type, content["because"]) == (ann.hex, "segment.left", "merged")


def test_of_who_was_erased_nothing_is_told(small: Story, tmp_path: Path) -> None:
    define(small, "named", 'profile.name = "Ann"')
    small.publish(made("profile.updated", "ann", content={"name": "Ann"}))
    small.project()
    assert announce(small) == (1, 0)
    [(ann,)] = small.rows("SELECT customer FROM segments.memberships")
    with erasing_of(small, tmp_path / "ledger") as erasing:
        erasing.erase(ann.hex, why="asked to", by="cli")
    look(small)
    assert small.rows("SELECT count(*) FROM segments.memberships") == [(0,)]
    assert announce(small) == (0, 1)
    assert small.rows("SELECT because, skipped FROM storyline.segment_changes ORDER BY id") == [
        ("event", None), ("erased", "erased"),
    ]  # fmt: skip


@pytest.mark.timeout(180)
def test_S32_each_change_is_told_once_whoever_dies_over_it(database: str) -> None:
    master = os.urandom(32)
    with story(database, database, master=master) as small:
        define(small, "buyers", BUYERS)
        small.publish(*(made("purchase.made", f"u{number}") for number in range(250)))
        small.project()
        deaths = 0
        with announcers(database, master) as process:
            while not process(1.0 if deaths == 0 else 0.5 if deaths < 4 else 0.0):
                deaths += 1
        assert deaths > 0
        small.project()
        assert small.rows("SELECT count(*), count(announced_at) FROM storyline.segment_changes") == [(250, 250)]
        assert len(news(small)) == 250
        assert len({customer for customer, *_ in news(small)}) == 250
        assert sum(small.log.ends().values()) > 250 + 250, "nobody died between the log and the note"
        assert small.parked == []


@contextmanager
def _automated(dsn: str, rule: dict[str, Any]) -> Iterator[Automated]:
    with automated(dsn, rules_of(rule), master=os.urandom(32)) as work:
        yield work


def test_a_rule_of_automation_hears_who_entered_which_segment(database: str) -> None:
    rule = {
        "code": "greet",
        "on": ["segment.entered"],
        "when": {"field": "event.content.segment", "value": "buyers"},
        "then": [{"do": "create_task", "title": "Greet {event.content.segment}", "assignee": "anna"}],
    }
    with _automated(database, rule) as work:
        small = work.story
        define(small, "buyers", BUYERS)
        define(small, "callers", "exists(call.ended)")
        now = {"time": work.clock().isoformat()}
        work.publish({**made("purchase.made", "ann"), **now}, {**made("call.ended", "bob"), **now})
        work.settle()
        with psycopg.connect(small.dsn, autocommit=True) as connection:
            assert Announcing(small.publisher, small.keyring).step(connection) == (2, 0)
        work.act(deliver=False)
        eventually(lambda: work.runs("greet") == [("done", None)], 10)
        [task] = work.heads("task.created", "automation:greet")
        assert task.public["assignee"] == "anna"
