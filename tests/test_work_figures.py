"""Do the rows that figures of tickets and deals stand on say what the steps say? Are days and hours what clocks show?

The plain reading below goes step by step, and knows nothing of SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from eventlog.sql import load
from projections.insight.asking import Window
from projections.insight.pipeline import Deals, PipelineReader
from projections.insight.service import ServiceReader, Tickets
from projections.registry import MODELS
from tests.support import work_events
from tests.support.histories import deliver, one_event
from tests.support.insight import ask
from tests.support.stage import Stage, stage
from tests.support.story import START, event

ENDS = {"ticket.resolved", "ticket.closed", "ticket.folded"}
GOES_ON = {"ticket.opened", "ticket.state_changed", "ticket.reopened"}
STEPS = (
    "SELECT item, type, happened_at, public FROM work.steps WHERE folds AND kind = %s "
    "ORDER BY item, revision, happened_at, name"
)
TIMES = (
    "SELECT item, opened_at, responded_at, ended_at, closed_at, respond_due, resolve_due, promised, business, "
    "response, resolution FROM work.ticket_times"
)
WHATS = ("opened", "responded", "resolved", "closed", "reopened", "ended", "response_missed", "resolution_missed")
OF_TICKET = "team, assignee, queue, channel, priority, category, product, service_level"
NEVER = datetime.max.replace(tzinfo=UTC)
Said = Sequence[tuple[Any, str, datetime, dict[str, Any]]]


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def steps_of(small: Stage, kind: str) -> dict[Any, Said]:
    with psycopg.connect(small.story.dsn) as connection:
        rows = connection.execute(STEPS.encode(), [kind]).fetchall()
    return {item: list(steps) for item, steps in groupby(rows, lambda row: row[0])}


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def ticket_of(steps: Said) -> tuple[tuple[Any, ...], list[tuple[datetime, bool]]]:
    """(its times, its turns), as `ticket_times` and `ticket_turns` have them."""
    last = {name: value for step in steps for name, value in step[3].items()}
    opened, turns, ended = steps[0][2], [], False
    responded = resolved = closed = None
    for _, type_, at, public in steps:
        if responded is None and type_ == "ticket.commented" and public.get("by") == "company":
            responded = at if public.get("internal") is not True else None
        if type_ in ENDS | GOES_ON and (type_ in ENDS) != ended:
            ended = not ended
            turns.append((at, ended))
        if type_ == "ticket.resolved":
            resolved, closed = at, None
        elif type_ in ENDS:
            closed = at
        elif type_ in GOES_ON:
            resolved = closed = None
    done = resolved or closed
    respond_due = resolve_due = None
    promised = False
    if any(last.get(name) is not None for name in ("service_level", "respond_by", "resolve_by")):
        for _, type_, at, public in steps:
            if public.get("respond_by") is not None and at <= (responded or done or NEVER):
                respond_due = moment(public["respond_by"])
            before = at <= (done or NEVER) and not (at == done and type_ in ENDS)
            if "resolve_by" in public and before:
                resolve_due = moment(public["resolve_by"])
                promised = promised or resolve_due is not None
    business = None if done is None or last.get("clock_s") is None else float(last["clock_s"])
    took = [None if at is None else (at - opened).total_seconds() for at in (responded, done)]
    return (opened, responded, done, closed, respond_due, resolve_due, promised, business, *took), turns


def stays_of(steps: Said) -> list[tuple[Any, ...]]:
    """(pipeline, stage, since, until, where it went) of each stay of a deal."""
    ends = {"deal.won": "won", "deal.lost": "lost", "deal.reopened": "open"}
    held: tuple[Any, Any, str] = (None, None, "open")
    changes = []
    for _, type_, at, public in steps:
        now = (public.get("pipeline", held[0]), public.get("stage", held[1]), ends.get(type_, held[2]))
        if now != held:
            changes.append((at, *now))
        held = now
    found = []
    for (at, pipeline, place, status), after in zip(changes, [*changes[1:], None], strict=False):
        if status == "open" and place is not None:
            went = None if after is None else after[2] if after[3] == "open" else after[3]
            found.append((pipeline, place, at, after and after[0], went))
    return found


@pytest.mark.parametrize("seed", range(8))
def test_times_turns_and_stays_are_those_of_the_steps_however_they_came(whole: Stage, seed: int) -> None:
    pick = Random(seed)
    types = [*(work_events.TYPES["ticket"] + work_events.TYPES["deal"]) * 3, "event.retracted", "event.retracted"]
    raws = [(one_event(pick, number, 150, types), pick.choice([3, 60, 61])) for number in range(150)]
    whole.begin()
    whole.apply(deliver(pick, [one.value for one in whole.publish(raws)]))
    tickets = {item: ticket_of(steps) for item, steps in steps_of(whole, "ticket").items()}
    assert {row[0]: row[1:] for row in whole.story.rows(TIMES)} == {item: one[0] for item, one in tickets.items()}
    turns = whole.story.rows("SELECT item, at, ended FROM work.ticket_turns")
    assert sorted(turns) == sorted((item, *turn) for item, one in tickets.items() for turn in one[1])
    of = f"SELECT item, {OF_TICKET} FROM work"
    assert sorted(whole.story.rows(f"{of}.ticket_times"), key=str) == sorted(
        whole.story.rows(f"{of}.tickets"), key=str
    )
    stays = whole.story.rows("SELECT item, pipeline, stage, since, until, went FROM work.deal_stays")
    expected = [(item, *stay) for item, steps in steps_of(whole, "deal").items() for stay in stays_of(steps)]
    assert sorted(stays, key=str) == sorted(expected, key=str)
    assert expected or turns  # otherwise nothing is shown


def test_a_deal_counts_once_in_a_stage_whether_its_pipeline_is_named_or_not(whole: Stage) -> None:
    """Which pipeline those are in that name none is a matter of the configuration, when it is read."""
    told: list[dict[str, Any]] = []

    def tell(at: int, type_: str, **content: Any) -> None:
        raw = event(len(told), source="crm/x", type=type_, time=(START + timedelta(minutes=at)).isoformat())
        told.append({**raw, "data": {"refs": [{"kind": "deal", "value": "A"}], "content": content}})

    tell(0, "deal.created", stage="new")
    tell(1, "deal.stage_changed", stage="offer")
    tell(2, "deal.stage_changed", stage="new", pipeline="sales")
    tell(3, "deal.stage_changed", stage="offer")
    tell(4, "deal.stage_changed", stage="new")
    tell(5, "deal.won")
    whole.begin()
    whole.feed(whole.publish([(one, 60) for one in told]))
    window = Window(START, START + timedelta(days=1), "UTC", START + timedelta(days=1))

    def won(unnamed: str) -> dict[tuple[str, str], int]:
        stages, _ = ask(whole.story.dsn, lambda pool: PipelineReader(pool).stages(window, Deals(unnamed)))
        return {(one.pipeline, one.stage): one.won for one in stages}

    assert won("sales") == {("sales", "new"): 1, ("sales", "offer"): 1}
    assert won("other") == dict.fromkeys([(one, two) for one in ("sales", "other") for two in ("new", "offer")], 1)


# Havana puts its clocks back from one o'clock to midnight, St. John's did at a minute past it to the day before; Lord
# Howe by half an hour; Apia left a whole day out.
CLOCKS = [
    ("Europe/London", datetime(2026, 10, 24, 9, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2013, 2, 16, 9, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2012, 10, 20, 9, tzinfo=UTC)),
    ("America/Havana", datetime(2025, 10, 31, 9, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 6, 9, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 3, 9, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 28, 9, 0, 30, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 4, 3, 9, 7, tzinfo=UTC)),
]


@pytest.mark.parametrize(("zone", "start"), CLOCKS, ids=lambda one: str(one)[:20])
@pytest.mark.parametrize("by", ["day", "week", "month", "hour", "weekday"])
def test_each_moment_is_in_the_one_range_that_its_clock_says(
    whole: Stage, zone: str, start: datetime, by: str
) -> None:
    """Told of tickets that are opened every few minutes."""
    end = start + timedelta(days=4)
    opened = [start + timedelta(minutes=7 * number) for number in range(825)]
    whole.begin()
    with psycopg.connect(whole.story.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO work.ticket_times (item, opened_at, promised, counts_until) "
            "SELECT gen_random_uuid(), at, false, 'infinity' FROM unnest(%s::timestamptz[]) AS at",
            [opened],
        )
    shown = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "hour": "%H", "weekday": "%u"}[by]
    expected: dict[str, int] = {}
    for at in opened:
        if at < end:
            key = at.astimezone(ZoneInfo(zone)).strftime(shown)
            expected[key] = expected.get(key, 0) + 1
    window = Window(start, end, zone, end)
    total, groups, _ = ask(whole.story.dsn, lambda pool: ServiceReader(pool).groups(window, Tickets(), by))
    assert {str(one.key): one.opened for one in groups} == expected
    assert [one.key for one in groups] == sorted(expected)
    assert total.opened == sum(expected.values())
    if by == "day":
        days = ask(whole.story.dsn, lambda pool: ServiceReader(pool).backlog(window, Tickets()))
        assert {f"{one.day:%Y-%m-%d}": one.opened for one in days if one.opened} == expected


def test_rows_of_figures_follow_from_others_and_are_not_compared(whole: Stage) -> None:
    """What is a function of steps alone needs no hash of its own; what is not in this list does."""
    work = next(one for one in MODELS if one.name == "work")
    found = whole.story.rows(
        "SELECT relname FROM pg_class WHERE relnamespace = 'work'::regnamespace AND relkind = 'r'"
    )
    with psycopg.connect(whole.story.dsn, autocommit=True) as connection:
        hashed = set(work.hashes(connection))
    assert {row[0] for row in found} - hashed == {"items", "ticket_times", "ticket_turns", "deal_stays"}


def test_figures_of_a_period_read_indexes_of_moments_alone(whole: Stage) -> None:
    """Of a desk of many years the tickets of a month are found without a look at the others."""
    with psycopg.connect(whole.story.dsn, autocommit=True) as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_material = off")
        connection.execute("SET LOCAL enable_bitmapscan = off")
        for what in WHATS:
            queries = load("projections.insight", "service.sql")
            facts = sql.SQL(queries[what]).format(times=sql.Identifier("work", "ticket_times"))
            one = sql.SQL(
                "EXPLAIN SELECT key, count(*) FROM (VALUES ('a', now(), now())) AS ranges (key, lo, hi) "
                "JOIN ({facts}) AS facts ON at >= lo AND at < hi GROUP BY key"
            )
            plan = "\n".join(row[0] for row in connection.execute(one.format(facts=facts), {"now": START}))
            assert "Index Only Scan" in plan and " on steps" not in plan, f"{what}\n{plan}"
