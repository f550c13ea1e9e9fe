"""Do the hashes of `work` cover what is declared, and is what is due found, once and in time?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from eventlog.sql import load
from projections.registry import MODELS, use
from projections.work import due
from tests.support.stage import Stage, stage
from tests.support.story import START, event

WORK = next(one for one in MODELS if one.name == "work")
OTHER = {"uuid": "gen_random_uuid()", "text": "'other'", "boolean": "NOT {}", "date": "'2031-01-01'",
         "timestamp with time zone": "'2031-01-01Z'", "jsonb": "'{\"other\": 1}'", "text[]": "'{other}'",
         "uuid[]": "ARRAY[gen_random_uuid()]"}  # fmt: skip


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def small(whole: Stage) -> Stage:
    whole.begin()
    return whole


@pytest.fixture
def session(small: Stage) -> Iterator[psycopg.Connection]:
    with psycopg.connect(small.story.dsn, autocommit=True) as connection:
        yield connection


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def own(number: int, type_: str, item: str, **content: Any) -> dict[str, Any]:
    """An event of Storyline's own about one of its items."""
    kind = type_.partition(".")[0]
    raw = event(number, source=f"storyline/{kind}", type=type_)
    return {**raw, "data": {"refs": [{"kind": kind, "value": item * 32}], "content": content}}


def publish(small: Stage, *raw: dict[str, Any]) -> None:
    small.feed(small.publish([(one, 60) for one in raw]))


def test_a_hash_covers_each_column_of_each_table(small: Stage, session: psycopg.Connection) -> None:
    publish(
        small,
        own(1, "deal.created", "a", assignee="anna"),
        own(2, "ticket.opened", "b"),
        own(3, "task.created", "c", title="Call"),
        own(4, "lead.captured", "d"),
    )
    before = WORK.hashes(session)
    assert set(before) == {"steps", "deals", "tickets", "tasks", "leads", "notices"}
    for table in before:
        columns = session.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            [f"work.{table}"],
        ).fetchall()
        for column, type_ in columns:
            value = OTHER.get(type_, "coalesce({}, 0) + 7").replace("{}", column)
            change = f"UPDATE work.{table} SET {column} = {value}"
            with session.transaction(force_rollback=True):
                session.execute(sql.SQL(change))
                assert WORK.hashes(session)[table] != before[table], f"{table}.{column}"


@pytest.mark.parametrize("table", ["deals", "tickets", "tasks", "leads"])
def test_a_fold_reads_no_steps_but_those_of_its_items(session: psycopg.Connection, table: str) -> None:
    with session.transaction(force_rollback=True):
        use(session)
        session.execute("SET LOCAL enable_seqscan = off")
        fold = "EXPLAIN " + load("projections.work", "apply.sql")[f"fold_{table}"]
        plan = [row[0] for row in session.execute(sql.SQL(fold), {"items": [UUID(int=7)]}).fetchall()]
    scans = [place for place, line in enumerate(plan) if "Scan" in line and " on steps" in line]
    assert len(scans) >= 2
    assert [plan[place] for place in scans if "Index Cond: (item" not in plan[place + 1]] == []


def test_what_is_due_of_a_ticket_is_found_until_it_is_done_or_needless(
    small: Stage, session: psycopg.Connection
) -> None:
    publish(
        small,
        own(1, "ticket.opened", "a", state="new", revision=1, respond_warn=minute(20).isoformat(),
            respond_by=minute(30).isoformat(), resolve_by=minute(50).isoformat()),
        own(2, "ticket.opened", "b", state="new", revision=1, respond_by=minute(40).isoformat()),
        own(3, "ticket.opened", "c", state="new", revision=1, respond_by=minute(10).isoformat()),
        own(4, "ticket.commented", "c", by="company", revision=2),
    )  # fmt: skip

    def found(target: due.Target, at: int, limit: int = 9) -> list[tuple[str, datetime]]:
        return [(one.item.hex[0], one.at) for one in due.targets(session, "job", target, minute(at), limit)]

    assert found("respond_by", 29) == []
    assert found("respond_by", 40) == [("a", minute(30)), ("b", minute(40))]
    assert found("respond_by", 40, 1) == [("a", minute(30))]
    assert found("respond_warn", 20) == [("a", minute(20))]
    assert found("resolve_by", 50) == [("a", minute(50))]
    session.execute(
        "INSERT INTO storyline.due (job, item, at, claimed_at, again_at, outcome) "
        "VALUES ('job', %s, %s, now(), now(), 'done')",
        ["a" * 32, minute(30)],
    )
    assert found("respond_by", 40) == [("b", minute(40))]
    publish(small, own(5, "ticket.resolved", "a", state="resolved", revision=2))
    assert found("resolve_by", 50) == []
    session.execute("DELETE FROM storyline.due")


def test_stays_and_reminders_are_due_after_their_time(small: Stage, session: psycopg.Connection) -> None:
    foreign = event(9, type="deal.created", data={"refs": [{"kind": "deal", "value": "X"}]})
    foreign["data"]["content"] = {"pipeline": "sales", "stage": "new"}
    publish(
        small,
        own(1, "deal.created", "a", pipeline="sales", stage="new", revision=1),
        own(2, "deal.created", "b", pipeline="sales", stage="new", revision=1),
        own(3, "deal.won", "b", revision=2),
        own(4, "ticket.resolved", "c", state="resolved", revision=1),
        own(5, "task.created", "d", title="Call", remind_at=minute(30).isoformat(), revision=1),
        foreign,
    )
    ten = timedelta(minutes=10)
    stays = due.deal_stays(session, "job", "sales", "new", ten, minute(11), 9)
    assert [(one.item.hex[0], one.at) for one in stays] == [("a", minute(11))]
    assert due.deal_stays(session, "job", "sales", "new", ten, minute(10), 9) == []
    tickets = due.ticket_stays(session, "job", "resolved", ten, minute(14), 9)
    assert [(one.item.hex[0], one.at) for one in tickets] == [("c", minute(14))]
    reminders = due.reminders(session, "job", minute(30), 9)
    assert [(one.item.hex[0], one.at) for one in reminders] == [("d", minute(30))]
