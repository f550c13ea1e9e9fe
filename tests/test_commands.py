"""Is a command carried out once, on what the caller saw, for somebody who works here, and wholly or not at all?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from commands.working import Done, Key, New, Working
from domain.deal import Deal
from domain.errors import BadInput, NotFound, Refused, Stale
from domain.identifiers import Identifier
from domain.lead import Lead
from domain.task import Task
from tests.support.commanding import ANNA, MANAGER, at_once, working_of
from tests.support.story import Story, story

ANN = (Identifier("email", "ann@example.org"),)


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def working(whole: Story) -> Iterator[Working]:
    with psycopg.connect(whole.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM storyline.owned; DELETE FROM storyline.people; DELETE FROM eventstore.events")
    with working_of(whole) as made:
        yield made


def register(working: Working, *codes: str, **content: Any) -> None:
    for code in codes:
        working.register_user(code, content, actor=MANAGER)


def key(value: str = "", request: bytes = b"a request") -> Key:
    return Key("test", value or uuid4().hex, request)


def events(working: Working, done: Done) -> int:
    return len(working.desk.store.records(done.id))


def test_what_is_sent_twice_under_one_key_is_done_once(working: Working) -> None:
    same = key()
    first = working.create_deal({"title": "A roof"}, who=ANN, actor=ANNA, key=same)
    again = working.create_deal({"title": "A roof"}, who=ANN, actor=ANNA, key=same)
    assert not first.repeated
    assert again == first._replace(repeated=True, state=None, who=False, refs=())
    assert first.notification is not None
    assert events(working, first) == 1


def test_a_key_stands_for_one_request(working: Working) -> None:
    same = key("one", b"this")
    working.create_deal({"title": "A roof"}, actor=ANNA, key=same)
    with pytest.raises(BadInput, match="another request"):
        working.create_deal({"title": "A wall"}, actor=ANNA, key=same._replace(request=b"that"))


def test_of_fifty_at_once_under_one_key_one_is_carried_out(working: Working, whole: Story) -> None:
    same = key()
    done = at_once(lambda _: working.create_deal({"title": "A roof"}, actor=ANNA, key=same), 50)
    assert len({one.id for one in done}) == 1
    assert sorted(one.repeated for one in done) == [False] + [True] * 49
    assert len({(one.revision, one.notification) for one in done}) == 1


def test_a_change_is_sent_twice_and_its_rules_are_asked_once(working: Working) -> None:
    deal = working.create_deal({"amount": "10", "currency": "GBP"}, actor=ANNA)
    same = key()
    won = working.move_deal(deal.id, "won", actor=ANNA, key=same)
    assert working.move_deal(deal.id, "won", actor=ANNA, key=same).revision == won.revision == 2
    with pytest.raises(Refused):
        working.move_deal(deal.id, "won", actor=ANNA, key=key())


def test_who_changes_what_somebody_else_changed_is_told_what(working: Working) -> None:
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)
    working.change_deal(deal.id, {"amount": "10", "currency": "GBP"}, actor=MANAGER, expected=1)
    with pytest.raises(Stale) as told:
        working.change_deal(deal.id, {"amount": "12", "currency": "GBP"}, actor=ANNA, expected=1)
    assert told.value.revision == 2
    [change] = told.value.changes
    assert (change["revision"], change["type"], change["actor"]) == (2, "deal.value_changed", "user:maria")
    assert change["line"].startswith("Deal value changed")


def test_of_many_at_once_on_one_revision_one_is_carried_out(working: Working) -> None:
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)

    def change(number: int) -> bool:
        try:
            working.change_deal(deal.id, {"title": f"Roof {number}"}, actor=ANNA, expected=1)
        except Stale:
            return False
        return True

    assert sum(at_once(change, 20)) == 1
    assert working.load("deal", deal.id).version == 2


def test_without_a_revision_everybody_is_carried_out_one_after_the_other(working: Working) -> None:
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)
    at_once(lambda n: working.change_deal(deal.id, {"title": f"{n}"}, actor=ANNA), 8)
    assert working.load("deal", deal.id).version == 9


def test_nothing_is_given_to_somebody_who_does_not_work_here(working: Working) -> None:
    with pytest.raises(BadInput, match="assignee"):
        working.create_deal({"title": "A roof", "assignee": "nobody"}, actor=ANNA)
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)
    with pytest.raises(BadInput, match="assignee"):
        working.assign_deal(deal.id, "nobody", actor=ANNA)
    register(working, "anna")
    assert working.assign_deal(deal.id, "anna", actor=ANNA).revision == 2


def test_several_are_made_together_or_not_at_all(working: Working, whole: Story) -> None:
    made = working.create_deals([New({"title": f"{n}"}, ANN) for n in range(100)], actor=ANNA)
    assert [one.revision for one in made] == [1] * 100
    [(before,)] = whole.rows("SELECT count(*) FROM eventstore.events")
    with pytest.raises(Refused, match=r"Item 1: .*currency"):
        working.create_deals([New({}), New({"amount": "1"})], actor=ANNA)
    assert whole.rows("SELECT count(*) FROM eventstore.events") == [(before,)]


def test_a_refusal_tells_what_each_move_asks_for(working: Working) -> None:
    deal = working.create_deal({"title": "A roof"}, actor=ANNA)
    with pytest.raises(Refused) as told:
        working.move_deal(deal.id, "negotiation", actor=ANNA)
    assert told.value.missing == ("amount", "currency", "expected_close")
    assert told.value.lacks["qualified"] == ("assignee",)
    assert told.value.lacks["lost"] == ("reason",)


def test_S04_a_lead_becomes_a_deal_of_the_same_customer_in_one_step(working: Working) -> None:
    register(working, "anna")
    lead = working.capture_lead(
        {"title": "A roof", "origin": "website", "product": "roof", "assignee": "anna"}, who=ANN, actor=ANNA
    )
    done = working.convert_lead(lead.id, {"amount": "900", "currency": "GBP"}, actor=ANNA)
    deal, before = working.load("deal", done.id), working.load("lead", lead.id)
    assert isinstance(deal, Deal)
    assert isinstance(before, Lead)
    assert (deal.state.title, deal.state.assignee, deal.state.products) == ("A roof", "anna", ("roof",))
    assert deal.who == ANN
    assert (before.state.status, before.state.deal) == ("converted", done.id.hex)


def test_who_leaves_has_nothing_any_more(working: Working, whole: Story) -> None:
    register(working, "anna", "bert")
    deal = working.create_deal({"assignee": "anna", "amount": "1", "currency": "GBP"}, actor=ANNA)
    won = working.create_deal({"assignee": "anna", "amount": "1", "currency": "GBP"}, actor=ANNA)
    working.move_deal(won.id, "won", actor=ANNA)
    ticket = working.open_ticket({"subject": "Leak", "assignee": "anna"}, actor=ANNA)
    resolved = working.open_ticket({"subject": "Drip", "assignee": "anna"}, actor=ANNA)
    working.move_ticket(resolved.id, "resolved", actor=ANNA)
    task = working.create_task({"title": "Call", "assignee": "anna"}, actor=ANNA)
    lead = working.capture_lead({"title": "A wall", "assignee": "anna"}, actor=ANNA)
    working.leave_user("anna", to="bert", actor=MANAGER)
    for kind, one in (("deal", deal), ("ticket", ticket), ("ticket", resolved), ("task", task), ("lead", lead)):
        assert working.load(kind, one.id).state.assignee == "bert", kind
    assert working.load("deal", won.id).state.assignee == "anna"
    assert whole.rows("SELECT * FROM storyline.owned WHERE assignee = 'anna'") == []
    with pytest.raises(BadInput, match="assignee"):
        working.assign_task(task.id, "anna", actor=MANAGER)
    working.reopen_deal(won.id, actor=MANAGER)
    assert working.load("deal", won.id).state.assignee is None
    working.return_user("anna", actor=MANAGER)
    working.assign_task(task.id, "anna", actor=MANAGER)


def test_someone_leaves_while_twenty_give_them_more_and_nothing_stays(working: Working, whole: Story) -> None:
    register(working, "anna", "bert")
    tasks = [working.create_task({"title": f"{n}"}, actor=ANNA).id for n in range(100)]

    def give(number: int) -> int:
        given = 0
        for id in tasks[number * 5 : number * 5 + 5]:
            try:
                working.assign_task(id, "anna", actor=ANNA)
                given += 1
            except BadInput:
                pass
        return given

    def leave(number: int) -> int:
        if number < 20:
            return give(number)
        return -working.leave_user("anna", to="bert", actor=MANAGER).revision

    given = at_once(leave, 21)
    assert whole.rows("SELECT * FROM storyline.owned WHERE assignee = 'anna'") == []
    states = [working.load("task", id).state.assignee for id in tasks]
    assert "anna" not in states
    assert states.count("bert") == sum(one for one in given if one > 0)


def test_a_reminder_is_for_the_moment_that_is_set(working: Working) -> None:
    task = working.create_task({"title": "Call", "remind_at": "2026-03-01T09:00:00Z"}, actor=ANNA)
    state = working.load("task", task.id).state
    with pytest.raises(Refused, match="another reminder"):
        working.remind_task(task.id, state.created_at, actor=ANNA)
    working.remind_task(task.id, state.remind_at, actor=ANNA)
    assert isinstance(working.load("task", task.id), Task)
    with pytest.raises(NotFound):
        working.finish_task(uuid4(), actor=ANNA)


def test_of_many_equal_moves_at_once_all_are_answered_alike(working: Working) -> None:
    deal = working.create_deal({"amount": "10", "currency": "GBP"}, actor=ANNA)
    same = key()
    done = at_once(lambda _: working.move_deal(deal.id, "won", actor=ANNA, key=same, expected=1), 20)
    assert {(one.id, one.revision) for one in done} == {(deal.id, 2)}
    assert working.load("deal", deal.id).version == 2
