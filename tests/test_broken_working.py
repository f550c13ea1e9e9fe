"""Do commands hold what they promise, however they are raced, and whatever became of the configuration since?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from commands.working import New
from domain.configuration import Configuration, read_configuration
from domain.errors import BadInput, Refused
from domain.identifiers import Identifier, Ref
from tests.support.aggregates import STATES
from tests.support.commanding import ANNA, MANAGER, at_once, working_of
from tests.support.story import START, Story, story

ANN = (Identifier("email", "ann@example.org"),)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


def rules(tickets: dict[str, Any] | None = None, **more: Any) -> Configuration:
    plain: dict[str, Any] = {
        "version": 1,
        "tickets": {**STATES, "states": [{**one, "requires": []} for one in STATES["states"]]},
    }
    plain["tickets"] |= tickets or {}
    stages = [{"code": "first"}, {"code": "second"}]
    return read_configuration({**plain, "pipelines": {"sales": {"stages": stages}}, **more})


def test_two_that_are_folded_into_each_other_at_once_do_not_both_end(whole: Story) -> None:
    with working_of(whole, rules()) as working:
        for _ in range(20):
            a, b = (working.open_ticket({"subject": "It leaks"}, actor=ANNA).id for _ in range(2))
            working.link_ticket(a, b, actor=ANNA)
            working.link_ticket(b, a, actor=ANNA)

            def fold(index: int, a: Any = a, b: Any = b) -> bool:
                try:
                    working.fold_ticket(*((a, b) if index else (b, a)), actor=ANNA)
                except Refused:
                    return False
                return True

            assert sorted(at_once(fold, 2)) == [False, True]
            assert [working.load("ticket", one).state.folded_into for one in (a, b)].count(None) == 1


def test_a_late_answer_opens_another_ticket_though_the_queue_and_the_priority_are_gone(whole: Story) -> None:
    clock = Clock()
    before = rules({"queues": {"old": {}, "new": {}}, "priorities": ["normal", "vip"]})
    with working_of(whole, before, clock) as working:
        ticket = working.open_ticket({"subject": "It leaks", "queue": "old", "priority": "vip"}, who=ANN, actor=ANNA)
        working.move_ticket(ticket.id, "closed", actor=ANNA)
    clock.now += timedelta(days=30)
    after = rules({"queues": {"new": {}}, "queue": "new", "priorities": ["normal"]})
    with working_of(whole, after, clock) as working:
        later = working.load("ticket", working.answer_ticket(ticket.id, "It leaks again", actor=ANNA).id)
    assert (later.state.follows, later.state.queue, later.state.priority) == (ticket.id.hex, "new", "normal")


def test_an_answer_is_taken_though_the_state_after_it_asks_for_something(whole: Story) -> None:
    states = [{**one, "requires": ["category"] if one["code"] == "open" else []} for one in STATES["states"]]
    with working_of(whole, rules({"states": states})) as working:
        ticket = working.open_ticket({"subject": "It leaks"}, who=ANN, actor=ANNA)
        working.move_ticket(ticket.id, "closed", actor=ANNA)
        answered = working.answer_ticket(ticket.id, "It leaks again", actor=ANNA)
        state = working.load("ticket", answered.id).state
    assert answered.id != ticket.id
    assert state.follows == ticket.id.hex


def test_tickets_that_follow_each_other_for_years_still_take_an_answer(whole: Story) -> None:
    clock = Clock()
    with working_of(whole, rules(), clock) as working:
        refs = tuple(Ref("order", f"W-{number}") for number in range(20))
        ticket = working.open_ticket({"subject": "It leaks"}, who=ANN, refs=refs, actor=ANNA)
        for _ in range(70):
            working.move_ticket(ticket.id, "closed", actor=ANNA)
            clock.now += timedelta(days=15)
            ticket = working.answer_ticket(ticket.id, "It leaks again", actor=ANNA)
        kept = working.load("ticket", ticket.id).refs
    assert set(refs) <= set(kept)
    assert [one.kind for one in kept].count("ticket") == 2


def test_a_batch_tells_which_item_has_an_assignee_who_does_not_work_here(whole: Story) -> None:
    news = [New({"title": "Kettles"}), New({"title": "Kettles", "assignee": "nobody"}), New({"title": "Kettles"})]
    with working_of(whole, rules()) as working, pytest.raises(BadInput) as caught:
        working.create_deals(news, actor=ANNA)
    assert [(one.item, one.field) for one in caught.value.problems] == [(1, "assignee")]


def test_a_deal_of_a_pipeline_that_is_gone_is_not_reopened_in_a_stage_that_nobody_knows(whole: Story) -> None:
    with working_of(whole, rules()) as working:
        deal = working.create_deal({"title": "Kettles"}, actor=MANAGER)
        working.move_deal(deal.id, "lost", {"reason": "price"}, actor=MANAGER)
    others: dict[str, Any] = {"pipelines": {"others": {"stages": [{"code": "only"}]}}}
    with working_of(whole, rules(**others)) as working:
        with pytest.raises(Refused, match="pipeline"):
            working.reopen_deal(deal.id, "nonsense", actor=MANAGER)
        assert working.reopen_deal(deal.id, actor=MANAGER).state.status == "open"
        assert working.transfer_deal(deal.id, "others", actor=MANAGER).state.stage == "only"


def test_an_approval_is_for_a_stage_of_its_own_pipeline(whole: Story) -> None:
    stages = [{"code": "first"}, {"code": "discount", "approval": "manager"}]
    both: dict[str, Any] = {
        "roles": ["manager"],
        "pipeline": "sales",
        "pipelines": {"sales": {"stages": stages}, "other": {"stages": stages}},
    }
    with working_of(whole, rules(**both)) as working:
        deal = working.create_deal({"title": "Kettles"}, actor=ANNA)
        working.approve_deal(deal.id, "discount", actor=MANAGER)
        with pytest.raises(Refused, match="approval"):
            working.transfer_deal(deal.id, "other", "discount", actor=ANNA)
        assert working.move_deal(deal.id, "discount", actor=ANNA).state.stage == "discount"


def test_nothing_is_an_amount_too(whole: Story) -> None:
    sales = {"sales": {"stages": [{"code": "first"}, {"code": "second", "requires": ["amount", "currency"]}]}}
    with working_of(whole, rules(pipelines=sales)) as working:
        deal = working.create_deal({"title": "A gift", "amount": "0", "currency": "GBP"}, actor=ANNA)
        assert working.move_deal(deal.id, "second", actor=ANNA).state.stage == "second"
        assert working.move_deal(deal.id, "won", actor=ANNA).state.status == "won"


def test_no_priority_is_the_one_of_the_configuration(whole: Story) -> None:
    with working_of(whole, rules()) as working:
        assert working.open_ticket({"subject": "It leaks", "priority": None}, actor=ANNA).state.priority == "normal"
