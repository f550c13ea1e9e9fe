"""What does the history of a deal come to, however long, whatever was configured since, and of another system too?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.configuration import Configuration
from domain.deal import Deal, allowed_moves, broken
from domain.deal_rules import (
    DealNotStalled,
    DealPipelineUnknown,
)
from domain.deal_state import DealState, fold_deal, time_in_stages
from domain.identifiers import Identifier
from domain.stays import MOST_STAYS
from domain.work import Step
from tests.support.aggregates import configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ANNA = "user:anna"


def deal(rules: Configuration, **content: Any) -> Deal:
    return Deal.create(uuid4(), content, rules, at=START, actor=ANNA, who=(Identifier("email", "b@example.org"),))


def move(one: Deal, to: str, rules: Configuration, roles: frozenset[str] = frozenset(), **content: Any) -> None:
    one.move(to, content, rules, roles=roles, at=START + DAY, actor=ANNA)


def foreign(*steps: tuple[str, Mapping[str, Any]], rules: Configuration) -> tuple[DealState, list[list[str]]]:
    """The state of a foreign deal, a day between its steps, and the rules that each would have broken."""
    state, noted = None, []
    for number, (type_, content) in enumerate(steps):
        step = Step(type_, START + number * DAY, content, name=str(number))
        noted.append([one.rule for one in broken(state, step, rules)])
        state = fold_deal(state, step)
    assert state is not None
    return state, noted


def test_S13_a_deal_stalls_once_for_each_stay_and_never_early() -> None:
    rules = configured(stages=[{"code": "a", "stalled_after": "14d"}, {"code": "b"}])
    one = deal(rules)
    with pytest.raises(DealNotStalled):
        one.stall(rules, at=START + 14 * DAY - timedelta(seconds=1), actor=None)
    one.stall(rules, at=START + 14 * DAY, actor=None)
    assert steps_of(one)[-1].content["since"] == "2026-03-02T09:00:00Z"
    with pytest.raises(DealNotStalled):
        one.stall(rules, at=START + 15 * DAY, actor=None)
    move(one, "b", rules)
    with pytest.raises(DealNotStalled):
        one.stall(rules, at=START + 99 * DAY, actor=None)
    one.move("a", {}, rules, at=START + 20 * DAY, actor=ANNA)
    one.stall(rules, at=START + 34 * DAY, actor=None)


def test_S12_the_time_in_each_stage_is_known() -> None:
    rules = configured(pipeline={"won_requires": []})
    one = deal(rules)
    one.move("second", {}, rules, at=START + 2 * DAY, actor=ANNA)
    one.move("first", {}, rules, at=START + 3 * DAY, actor=ANNA)
    one.move("won", {}, rules, at=START + 7 * DAY, actor=ANNA)
    one.reopen(None, rules, at=START + 50 * DAY, actor=ANNA)
    spent = time_in_stages(one.state, START + 51 * DAY)
    day = 86_400
    assert {one.place: one.seconds / day for one in spent} == {"first": 2 + 4 + 1, "second": 1}
    assert [(stay.place, stay.until) for stay in one.state.stays][-1] == ("first", None)


def test_however_often_a_deal_moves_its_state_stays_small() -> None:
    rules = configured()
    one = deal(rules)
    for number in range(MOST_STAYS + 50):
        to = "first" if number % 2 else "second"
        one.move(to, {}, rules, at=START + (number + 1) * DAY, actor=ANNA)
    assert len(one.state.stays) == MOST_STAYS
    assert sum(spent.seconds for spent in one.state.spent) == (MOST_STAYS + 50) * 86_400


def test_a_stage_that_is_gone_holds_nobody() -> None:
    one = deal(configured())
    rules = configured(stages=[{"code": "x"}, {"code": "y"}], pipeline={"won_requires": []})
    assert [move.to for move in allowed_moves(one.state, rules)] == ["x", "y", "won", "lost"]
    one.move("lost", {"reason": "price"}, rules, at=START, actor=ANNA)
    one.reopen(None, rules, at=START, actor=ANNA)
    assert one.state.stage == "x", "where it was there is nothing any more, so it begins again"


def test_a_pipeline_that_is_gone_lets_its_deals_go() -> None:
    rules = configured(pipelines={"renewals": {"stages": [{"code": "a"}]}})
    one, two, three = deal(configured()), deal(configured()), deal(configured())
    assert [move.to for move in allowed_moves(one.state, rules)] == ["won", "lost"]
    with pytest.raises(DealPipelineUnknown):
        move(one, "second", rules)
    move(one, "won", rules)
    one.reopen(None, rules, at=START, actor=ANNA)
    assert (one.state.pipeline, one.state.stage) == ("sales", "first")
    move(two, "lost", rules, reason="price")
    three.transfer("renewals", None, rules, at=START, actor=ANNA)
    assert three.state.stage == "a"


def test_a_foreign_deal_is_never_refused_and_its_violations_are_noted() -> None:
    rules = configured(
        stages=[{"code": "a", "moves": ["b"]}, {"code": "b"}, {"code": "c", "approval": "manager"}],
        pipeline={"lost_reasons": ["price"]},
    )
    state, noted = foreign(
        ("deal.created", {"stage": "a", "title": "Chairs", "amount": "-5"}),
        ("deal.stage_changed", {"stage": "c"}),
        ("deal.stage_changed", {"stage": "c"}),
        ("deal.lost", {"reason": "weather"}),
        ("deal.assigned", {"assignee": "bert"}),
        ("deal.reopened", {}),
        ("deal.reopened", {}),
        ("deal.stage_changed", {"stage": "z"}),
        ("deal.won", {}),
        rules=rules,
    )
    assert noted == [
        ["deal-amount-negative", "deal-currency-missing"],
        ["deal-move-forbidden", "deal-not-approved"],
        ["deal-same-stage"],
        ["deal-reason-unknown"],
        ["deal-closed"],
        [],
        ["deal-open"],
        ["deal-stage-unknown"],
        [],
    ]
    assert (state.status, state.stage, state.assignee) == ("won", "z", "bert")


def test_texts_that_an_erasure_took_are_no_violation() -> None:
    rules = configured(stages=[{"code": "a", "requires": ["title", "who", "amount"]}])
    _, noted = foreign(("deal.created", {"stage": "a"}), rules=rules)
    assert noted == [["deal-fields-missing"]]
    found = broken(None, Step("deal.created", START, {"stage": "a"}), rules)
    assert found[0].missing == ("amount",)


def test_each_event_of_a_native_deal_says_where_it_is_and_which_change_it_is() -> None:
    rules = configured(pipeline={"won_requires": []})
    one = Deal.create(UUID(int=7), {}, rules, at=START, actor=ANNA)
    move(one, "second", rules)
    move(one, "won", rules)
    one.reopen(None, rules, at=START, actor=ANNA)
    steps = steps_of(one)
    assert [step.content["revision"] for step in steps] == [1, 2, 3, 4]
    assert [(step.content["pipeline"], step.content["stage"]) for step in steps] == [
        ("sales", "first"), ("sales", "second"), ("sales", "second"), ("sales", "second"),
    ]  # fmt: skip
