"""Can people ask for what they work on? Boards, queues, lists and histories, out of the rows of `work`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool

from domain.errors import BadInput
from eventlog.record import ref_hash
from projections.work.reader import DealFilter, LeadFilter, TaskFilter, TicketFilter, WorkReader
from projections.work.rows import DealRow, LeadRow, TaskRow, TicketRow
from tests.support.stage import Stage, stage
from tests.support.story import START, event

ANN = [{"kind": "email", "value": "ann@example.org"}]
BOB = [{"kind": "email", "value": "bob@example.org"}]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def small(whole: Stage) -> Stage:
    whole.begin()
    return whole


@pytest.fixture
def ask(small: Stage) -> Ask:
    """`ask("deals", …)`: what the reader's method of that name answers."""

    def asking(method: str, *asked: Any, **more: Any) -> Any:
        async def answer() -> Any:
            async with AsyncConnectionPool(small.story.dsn, min_size=1, max_size=2, open=False) as pool:
                return await getattr(WorkReader(pool), method)(*asked, **more)

        return asyncio.run(answer())

    return asking


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def step(number: int, type_: str, item: str, **content: Any) -> dict[str, Any]:
    """An event of another system about an item; `who`, `refs` and `actor` are taken out of the content."""
    kind = type_.partition(".")[0]
    data = {
        "who": content.pop("who", ANN),
        "refs": [{"kind": kind, "value": item}, *content.pop("refs", [])],
        "actor": {"code": content.pop("actor", "rep-1")},
        "content": content,
    }
    raw = event(number, source=content.pop("source", "crm/x"), type=type_)
    return {**raw, "data": data}


def own(number: int, type_: str, item: str, **content: Any) -> dict[str, Any]:
    """The same, published by Storyline about an item of its own."""
    return step(number, type_, item * 32, source=f"storyline/{type_.partition('.')[0]}", **content)


def publish(small: Stage, *raw: dict[str, Any]) -> None:
    small.feed(small.publish([(one, 60) for one in raw]))


def test_a_board_sums_open_deals_by_stage_and_currency(small: Stage, ask: Ask) -> None:
    publish(
        small,
        step(1, "deal.created", "A", pipeline="sales", stage="new", amount="100", currency="GBP", probability="10"),
        step(2, "deal.created", "B", pipeline="sales", stage="new", amount="50.50", currency="GBP", assignee="anna"),
        step(3, "deal.created", "C", stage="new", amount="7", currency="EUR"),
        step(4, "deal.created", "D", pipeline="sales", stage="offer", amount="9", currency="GBP"),
        step(5, "deal.created", "E", pipeline="sales", stage="offer", amount="9", currency="GBP"),
        step(6, "deal.won", "E"),
        step(7, "deal.created", "F", pipeline="other", stage="new"),
    )
    stays = {"new": minute(2)}
    named = ask("board", DealFilter("sales", stays=stays))
    assert [tuple(one) for one in named] == [
        ("new", "GBP", 2, Decimal("150.50"), Decimal(10), 1),
        ("offer", "GBP", 1, Decimal(9), Decimal(0), 0),
    ]
    both = ask("board", DealFilter("sales", unnamed=True))
    assert [(one.stage, one.currency, one.deals) for one in both] == [
        ("new", "EUR", 1), ("new", "GBP", 2), ("offer", "GBP", 1),
    ]  # fmt: skip
    stalled = ask("deals", DealFilter("sales", statuses=["open"], stays=stays), None, 10)
    assert [row.ref for row in stalled.rows] == ["deal:A"]
    mine = ask("deals", DealFilter(assignee="anna"), None, 10)
    assert [row.ref for row in mine.rows] == ["deal:B"]


def test_pages_go_on_where_they_ended_and_a_cursor_that_is_none_is_refused(small: Stage, ask: Ask) -> None:
    publish(small, *[step(number // 2, "deal.created", str(number), who=[]) | {"id": f"d-{number}"}
                     for number in range(7)])  # fmt: skip
    found, cursor = [], None
    while True:
        page = ask("deals", DealFilter(), cursor, 3)
        found += [row.ref for row in page.rows]
        cursor = page.after
        if cursor is None:
            break
    assert sorted(found) == [f"deal:{number}" for number in range(7)]
    assert found[0] == "deal:6"
    for wrong in ("", "x", "MjAyNg", "\N{SNOWMAN}"):
        with pytest.raises(BadInput, match="is not a cursor"):
            ask("tickets", TicketFilter(), wrong, 3)


def test_a_queue_shows_first_what_is_due_first(small: Stage, ask: Ask) -> None:
    publish(
        small,
        own(1, "ticket.opened", "a", state="new", queue="web", respond_by=minute(30).isoformat(), revision=1,
            resolve_by=minute(90).isoformat()),
        own(2, "ticket.opened", "b", state="new", queue="web", resolve_by=minute(60).isoformat(), revision=1),
        step(3, "ticket.opened", "T", queue="web", priority="high"),
        own(4, "ticket.opened", "c", state="new", queue="shop", revision=1),
        own(5, "ticket.commented", "a", by="company", revision=2),
        step(6, "ticket.resolved", "U"),
    )  # fmt: skip
    first = ask("tickets", TicketFilter(queue="web"), None, 2)
    assert [(row.item.hex[0], row.due) for row in first.rows] == [("b", minute(60)), ("a", minute(90))]
    rest = ask("tickets", TicketFilter(queue="web"), first.after, 2)
    assert [(row.ref, row.due, row.native) for row in rest.rows] == [("ticket:T", None, False)]
    assert rest.after is None
    late = ask("tickets", TicketFilter(due_by=minute(60)), None, 9)
    assert [row.item.hex[0] for row in late.rows] == ["b"]
    assert ask("states", TicketFilter()) == {"new": 4}
    done = ask("tickets", TicketFilter(statuses=["resolved"]), None, 9)
    assert [(row.ref, row.resolved_at) for row in done.rows] == [("ticket:U", minute(6))]


def test_tasks_are_found_by_whose_they_are_and_what_they_are_on(small: Stage, ask: Ask) -> None:
    deal = [{"kind": "deal", "value": "A"}]
    publish(
        small,
        own(1, "task.created", "a", title="Call", assignee="anna", due=minute(5).isoformat(), refs=deal, revision=1),
        own(2, "task.created", "b", title="Write", assignee="anna", revision=1),
        own(3, "task.created", "c", title="Send", assignee="ben", revision=1),
        own(4, "task.done", "c", revision=2),
    )
    mine = ask("tasks", TaskFilter(assignee="anna"), None, 9)
    assert [(row.item.hex[0], row.due) for row in mine.rows] == [("a", minute(5)), ("b", None)]
    about = TaskFilter(about=UUID(bytes=ref_hash("deal:A")))
    assert [row.item.hex[0] for row in ask("tasks", about, None, 9).rows] == ["a"]
    done = ask("tasks", TaskFilter(statuses=["done"]), None, 9)
    assert [(row.assignee, row.closed_at, row.revision) for row in done.rows] == [("ben", minute(4), 2)]


def test_a_colleague_is_told_of_what_others_did(small: Stage, ask: Ask) -> None:
    mention = step(5, "note.added", "A", text="Look", mentions=["anna", "ben"], actor="ben")
    mention["data"]["refs"] = [{"kind": "deal", "value": "a" * 32}]
    publish(
        small,
        own(1, "deal.created", "a", assignee="anna", actor="anna", revision=1),
        own(2, "deal.assigned", "a", assignee="anna", actor="ben", revision=2),
        own(3, "task.created", "b", title="Call", assignee="ben", actor="anna", revision=1),
        own(4, "task.reminded", "b", assignee="ben", actor="anna", revision=2),
        mention,
        step(6, "deal.assigned", "X", assignee="anna"),
    )
    told = ask("notices", "anna", None, 9).rows
    assert [(one.why, one.kind, one.item.hex[0]) for one in told] == [
        ("mentioned", "deal", "a"), ("assigned", "deal", "a"),
    ]  # fmt: skip
    page = ask("notices", "ben", None, 1)
    assert [(one.why, one.happened_at) for one in page.rows] == [("reminded", minute(4))]
    rest = ask("notices", "ben", page.after, 5)
    assert [one.why for one in rest.rows] == ["assigned"]


def test_what_is_of_a_customer_goes_along_when_she_is_merged_and_split(small: Stage, ask: Ask) -> None:
    sides = {"who": ANN, "parties": [{"role": "other", "who": BOB}], "content": {}}
    publish(
        small,
        step(1, "deal.created", "A"),
        step(2, "ticket.opened", "T", who=BOB),
        step(3, "lead.captured", "L", who=BOB),
        step(4, "lead.disqualified", "L", who=BOB),
        step(5, "task.created", "K", title="Call"),
    )
    [ann], [bob] = [
        small.story.rows("SELECT DISTINCT customer FROM work.deals JOIN identity.evidences USING (evidence)"),
        small.story.rows("SELECT DISTINCT customer FROM work.tickets JOIN identity.evidences USING (evidence)"),
    ]
    before = ask("of_customer", ann[0], 5)
    assert [len(kind) for kind in before] == [1, 0, 1, 0]
    publish(small, {**event(6, type="identity.merged"), "data": sides})
    for node in (ann[0], bob[0]):
        merged = ask("of_customer", node, 5, ["open", "disqualified"])
        assert [len(kind) for kind in merged] == [1, 1, 1, 1]
        assert merged.tickets[0].customer == merged.deals[0].customer
    publish(small, {**event(7, type="identity.split"), "data": sides})
    assert [len(kind) for kind in ask("of_customer", ann[0], 5)] == [1, 0, 1, 0]
    assert ask("of_customer", UUID(int=1), 5) is None


def test_a_history_is_read_as_of_a_moment_with_what_opens_its_titles(small: Stage, ask: Ask) -> None:
    wrong = step(3, "deal.value_changed", "A", amount="5", currency="GBP")
    about = [{"relation": "corrects", "source": "crm/x", "id": "e-3"}]
    content = {"type": "deal.value_changed", "content": {"amount": "50", "currency": "GBP"}}
    gone = step(4, "deal.lost", "A")
    back = [{"relation": "retracts", "source": "crm/x", "id": "e-4"}]
    publish(
        small,
        step(1, "deal.created", "A", title="A big one", stage="new"),
        step(2, "deal.stage_changed", "A", stage="offer"),
        wrong,
        gone,
        event(5, type="event.amended", data={"who": [], "about": about, "content": content}),
        event(6, type="event.retracted", data={"who": [], "about": back, "content": {}}),
    )
    [row] = ask("deals", DealFilter(), None, 9).rows
    assert (row.status, row.stage, row.amount, row.stage_since) == ("open", "offer", Decimal(50), minute(2))
    history = ask("history", row.item)
    assert [(one.type, one.public, one.amendment is None) for one in history] == [
        ("deal.created", {"stage": "new"}, True),
        ("deal.stage_changed", {"stage": "offer"}, True),
        ("deal.value_changed", {"amount": "50", "currency": "GBP"}, False),
    ]
    assert len(ask("history", row.item, happened_by=minute(2))) == 2
    assert ask("history", row.item, recorded_by=START) == []
    sealed = ask("records", row.titled)
    assert set(sealed) == {one.name for one in history}
    assert sealed[history[2].name].amendment == history[2].amendment
    assert ask("one", row.item) == row


@pytest.mark.parametrize(
    ("table", "row"), [("deals", DealRow), ("tickets", TicketRow), ("tasks", TaskRow), ("leads", LeadRow)]
)
def test_rows_are_read_in_the_order_of_their_columns(small: Stage, table: str, row: Any) -> None:
    columns = small.story.rows(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        f"work.{table}",
    )
    assert [*[name for (name,) in columns], "customer"] == list(row._fields)


def test_leads_are_listed_the_latest_first(small: Stage, ask: Ask) -> None:
    publish(small, *[step(number, "lead.captured", str(number), campaign="spring") for number in range(3)])
    publish(small, step(9, "lead.converted", "1", deal="A"))
    page = ask("leads", LeadFilter(campaign="spring"), None, 5)
    assert [row.ref for row in page.rows] == ["lead:2", "lead:0"]
    [row] = ask("leads", LeadFilter(statuses=["converted"]), None, 5).rows
    assert (row.deal, row.closed_at) == ("A", minute(9))
