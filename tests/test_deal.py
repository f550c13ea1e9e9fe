"""What may be done with a deal, and what is refused? By example; `test_deal_machine.py` has any sequence of
commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from domain.configuration import Configuration, builtin_configuration
from domain.deal import Deal, Move, allowed_moves
from domain.deal_rules import (
    DealAmountNegative,
    DealApprovalNeedless,
    DealCurrencyMissing,
    DealFieldsMissing,
    DealIsClosed,
    DealIsOpen,
    DealMoveForbidden,
    DealNotApproved,
    DealPipelineUnknown,
    DealReasonMissing,
    DealReasonUnknown,
    DealReopenForbidden,
    DealReopenTooLate,
    DealSameStage,
    DealStageUnknown,
)
from domain.errors import BadInput, Refused
from domain.identifiers import Identifier, Ref
from domain.work import Step
from tests.support.aggregates import configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
ANNA = "user:anna"
MANAGER = frozenset({"manager"})


def deal(rules: Configuration, **content: Any) -> Deal:
    return Deal.create(uuid4(), content, rules, at=START, actor=ANNA, who=(Identifier("email", "b@example.org"),))


def move(one: Deal, to: str, rules: Configuration, roles: frozenset[str] = frozenset(), **content: Any) -> None:
    one.move(to, content, rules, roles=roles, at=START + DAY, actor=ANNA)


def told(steps: list[Step]) -> list[str]:
    return [step.type for step in steps]


def test_a_deal_begins_in_the_first_stage_with_its_probability() -> None:
    one = deal(builtin_configuration(), title="Garden chairs", amount=Decimal("1200.50"), currency="GBP")
    assert (one.state.pipeline, one.state.stage, one.state.probability) == ("sales", "new", 10)
    assert (one.state.amount, one.state.title, one.state.created_at) == (Decimal("1200.50"), "Garden chairs", START)
    assert one.refs == (Ref("deal", one.id.hex),)
    assert steps_of(one)[0].content["revision"] == 1


def test_a_deal_walks_through_its_stages_and_is_won() -> None:
    rules = builtin_configuration()
    one = deal(rules, title="Chairs", amount="10", currency="EUR")
    move(one, "qualified", rules, assignee="anna")
    move(one, "proposal", rules, probability="66.5")
    move(one, "negotiation", rules, expected_close=date(2026, 5, 1))
    move(one, "won", rules)
    assert told(steps_of(one)) == ["deal.created", *["deal.stage_changed"] * 3, "deal.won"]
    assert [step.content.get("previous") for step in steps_of(one)[1:4]] == ["new", "qualified", "proposal"]
    assert [step.content["probability"] for step in steps_of(one)] == ["10", "25", "66.5", "75", "100"]
    assert (one.state.status, one.state.stage, one.state.closed_at) == ("won", "negotiation", START + DAY)


def test_S11_a_move_says_all_that_it_asks_for() -> None:
    rules = configured(
        stages=[
            {"code": "new"},
            {"code": "offer", "requires": ["amount", "title", "products"], "approval": "manager"},
        ]
    )
    one = deal(rules)
    with pytest.raises(DealFieldsMissing) as refused:
        move(one, "offer", rules)
    assert refused.value.missing == ("amount", "title", "products", "approval:manager")
    assert refused.value.allowed == ("offer", "won", "lost")
    assert one.version == 1, "what is refused leaves no event"


def test_S11_what_a_stage_asks_for_may_come_with_the_move() -> None:
    rules = configured(stages=[{"code": "new"}, {"code": "offer", "requires": ["amount", "assignee"]}])
    one = deal(rules)
    move(one, "offer", rules, amount="5", currency="EUR", assignee="bert")
    assert (one.state.stage, one.state.amount, one.state.assignee) == ("offer", 5, "bert")


def test_an_amount_of_nothing_is_an_amount() -> None:
    rules = configured(stages=[{"code": "new"}, {"code": "offer", "requires": ["amount"]}])
    one = deal(rules, amount="0", currency="EUR")
    move(one, "offer", rules)
    assert one.state.stage == "offer"


def test_S11_a_stage_that_asks_for_somebody_is_not_reached_without() -> None:
    rules = configured(stages=[{"code": "new"}, {"code": "offer", "requires": ["who"]}])
    move(deal(rules), "offer", rules)
    nobody = Deal.create(uuid4(), {}, rules, at=START, actor=ANNA)
    assert allowed_moves(nobody.state, rules, who=False)[0] == Move("offer", ("who",))
    with pytest.raises(DealFieldsMissing) as refused:
        move(nobody, "offer", rules)
    assert refused.value.missing == ("who",)


def test_moves_go_where_the_stage_leads() -> None:
    rules = configured(stages=[{"code": "a", "moves": ["b", "lost"]}, {"code": "b"}, {"code": "c"}])
    one = deal(rules)
    assert [move.to for move in allowed_moves(one.state, rules)] == ["b", "lost"]
    for to in ("c", "won"):
        with pytest.raises(DealMoveForbidden) as refused:
            move(one, to, rules, amount="1", currency="EUR")
        assert refused.value.allowed == ("b", "lost")
    with pytest.raises(DealSameStage):
        move(one, "a", rules)
    with pytest.raises(DealStageUnknown):
        move(one, "z", rules)


def test_S11_an_approval_is_given_by_a_role_for_one_stage_and_used_up_by_moving() -> None:
    rules = configured(stages=[{"code": "a"}, {"code": "b", "approval": "manager"}, {"code": "c"}])
    one = deal(rules)
    assert allowed_moves(one.state, rules)[0] == Move("b", (), "manager")
    with pytest.raises(DealNotApproved):
        move(one, "b", rules)
    with pytest.raises(DealNotApproved) as refused:
        one.approve("b", rules, roles=frozenset(), at=START, actor=ANNA)
    assert refused.value.missing == ("approval:manager",)
    one.approve("b", rules, roles=MANAGER, at=START, actor="user:maria")
    assert [approval.by for approval in one.state.approvals] == ["user:maria"]
    move(one, "b", rules)
    move(one, "c", rules)
    with pytest.raises(DealNotApproved):
        move(one, "b", rules)


def test_S11_an_approval_is_not_taken_to_another_pipeline() -> None:
    stages = [{"code": "a"}, {"code": "b", "approval": "manager"}]
    rules = configured(pipelines={"sales": {"stages": stages}, "renewals": {"stages": stages}})
    one = deal(rules)
    one.approve("b", rules, roles=MANAGER, at=START, actor=ANNA)
    with pytest.raises(DealNotApproved):
        one.transfer("renewals", "b", rules, at=START, actor=ANNA)


def test_S11_whoever_has_the_role_approves_by_moving_and_the_history_says_so() -> None:
    rules = configured(stages=[{"code": "a"}, {"code": "b", "approval": "manager"}])
    one = deal(rules)
    assert allowed_moves(one.state, rules, MANAGER)[0] == Move("b")
    move(one, "b", rules, MANAGER)
    assert told(steps_of(one)) == ["deal.created", "deal.approved", "deal.stage_changed"]
    assert one.state.approvals == ()


def test_a_needless_approval_is_refused() -> None:
    rules = configured(stages=[{"code": "a"}, {"code": "b"}, {"code": "c", "approval": "manager"}])
    one = deal(rules)
    with pytest.raises(DealApprovalNeedless):
        one.approve("b", rules, roles=MANAGER, at=START, actor=ANNA)
    with pytest.raises(DealStageUnknown):
        one.approve("z", rules, roles=MANAGER, at=START, actor=ANNA)
    one.approve("c", rules, roles=MANAGER, at=START, actor=ANNA)
    with pytest.raises(DealApprovalNeedless):
        one.approve("c", rules, roles=MANAGER, at=START, actor=ANNA)


def test_S11_a_deal_is_lost_for_a_reason_that_the_pipeline_knows() -> None:
    rules = configured(pipeline={"lost_reasons": ["price", "rival"]})
    one = deal(rules)
    with pytest.raises(DealReasonMissing) as refused:
        move(one, "lost", rules)
    assert (refused.value.missing, refused.value.allowed) == (("reason",), ("price", "rival"))
    with pytest.raises(DealReasonUnknown):
        move(one, "lost", rules, reason="weather")
    move(one, "lost", rules, reason="price")
    assert (one.state.status, one.state.reason, one.state.probability) == ("lost", "price", 0)


def test_a_closed_deal_changes_no_more_until_it_is_reopened() -> None:
    rules = configured(pipeline={"won_requires": []})
    one = deal(rules)
    move(one, "won", rules)
    tries: list[Callable[[], None]] = [
        lambda: move(one, "second", rules),
        lambda: one.change({"title": "x"}, at=START, actor=ANNA),
        lambda: one.assign(assignee="bert", team=None, at=START, actor=ANNA),
        lambda: one.transfer("sales", None, rules, at=START, actor=ANNA),
        lambda: one.approve("second", rules, roles=MANAGER, at=START, actor=ANNA),
        lambda: one.stall(rules, at=START, actor=ANNA),
    ]
    for attempt in tries:
        with pytest.raises(DealIsClosed) as refused:
            attempt()
        assert refused.value.allowed == ("reopen",)
    assert allowed_moves(one.state, rules) == ()
    one.reopen(None, rules, at=START + 2 * DAY, actor=ANNA)
    assert (one.state.status, one.state.stage, one.state.stage_since) == ("open", "first", START + 2 * DAY)
    assert one.state.closed_at is None
    with pytest.raises(DealIsOpen):
        one.reopen(None, rules, at=START, actor=ANNA)


def test_reopening_is_bound_to_time_and_roles() -> None:
    rules = configured(pipeline={"won_requires": [], "reopen_within": "7d", "reopen_roles": ["manager"]})
    one = deal(rules)
    move(one, "won", rules)
    with pytest.raises(DealReopenForbidden) as refused:
        one.reopen(None, rules, at=START + 2 * DAY, actor=ANNA)
    assert refused.value.missing == ("role:manager",)
    with pytest.raises(DealReopenTooLate):
        one.reopen(None, rules, roles=MANAGER, at=START + 9 * DAY, actor=ANNA)
    one.reopen(None, rules, roles=MANAGER, at=START + 8 * DAY, actor=ANNA)


def test_reopening_is_no_way_around_a_stage() -> None:
    rules = configured(
        stages=[{"code": "a", "moves": ["b", "lost"]}, {"code": "b", "requires": ["amount"]}, {"code": "c"}]
    )
    one = deal(rules)
    move(one, "lost", rules, reason="price")
    with pytest.raises(DealMoveForbidden):
        one.reopen("c", rules, at=START, actor=ANNA)
    with pytest.raises(DealFieldsMissing):
        one.reopen("b", rules, at=START, actor=ANNA)
    one.reopen("a", rules, at=START, actor=ANNA)
    assert one.state.reason is None


def test_a_deal_goes_to_another_pipeline() -> None:
    pipelines = {
        "sales": {"stages": [{"code": "a", "moves": []}]},
        "renewals": {"stages": [{"code": "a", "probability": 40}, {"code": "b", "requires": ["amount"]}]},
    }
    rules = configured(pipelines=pipelines)
    one = deal(rules)
    with pytest.raises(DealPipelineUnknown) as refused:
        one.transfer("enrolments", None, rules, at=START, actor=ANNA)
    assert refused.value.allowed == ("sales", "renewals")
    with pytest.raises(DealFieldsMissing):
        one.transfer("renewals", "b", rules, at=START, actor=ANNA)
    one.transfer("renewals", None, rules, at=START + DAY, actor=ANNA)
    assert (one.state.pipeline, one.state.stage, one.state.probability) == ("renewals", "a", 40)
    assert one.state.stage_since == START + DAY, "the stage of another pipeline is another stage"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"amount": "-1", "currency": "EUR"}, DealAmountNegative),
        ({"amount": "1"}, DealCurrencyMissing),
        ({"pipeline": "other"}, DealPipelineUnknown),
        ({"stage": "other"}, DealStageUnknown),
    ],
)
def test_a_deal_is_not_created_against_the_rules(content: dict[str, Any], error: type[Refused]) -> None:
    with pytest.raises(error):
        deal(configured(), **content)


def test_a_deal_is_not_created_past_what_a_stage_asks_for() -> None:
    rules = configured(stages=[{"code": "a"}, {"code": "b", "requires": ["amount"], "approval": "manager"}])
    with pytest.raises(DealFieldsMissing):
        deal(rules, stage="b")
    with pytest.raises(DealNotApproved):
        deal(rules, stage="b", amount="1", currency="EUR")
    given = {"stage": "b", "amount": "1", "currency": "EUR"}
    assert Deal.create(uuid4(), given, rules, roles=MANAGER, at=START, actor=ANNA).state.stage == "b"


def test_value_and_details_are_told_apart() -> None:
    one = deal(configured(), title="Chairs")
    one.change({"amount": "5", "currency": "EUR", "comment": "by phone"}, at=START, actor=ANNA)
    one.change({"next_step": "Call", "next_step_on": date(2026, 4, 1)}, at=START, actor=ANNA)
    one.change({"probability": 12.5, "products": ["chair"]}, at=START, actor=ANNA)
    assert told(steps_of(one))[1:] == ["deal.value_changed", "deal.changed", "deal.value_changed", "deal.changed"]
    assert (one.state.next_step_on, one.state.products) == (date(2026, 4, 1), ("chair",))
    with pytest.raises(DealAmountNegative):
        one.change({"amount": "-5", "title": "x"}, at=START, actor=ANNA)
    with pytest.raises(DealCurrencyMissing):
        one.change({"currency": None}, at=START, actor=ANNA)
    one.change({"amount": None, "currency": None}, at=START, actor=ANNA)
    assert one.state.amount is None


@pytest.mark.parametrize("name", ["stage", "pipeline", "assignee", "status", "approved", "revision"])
def test_what_has_a_step_of_its_own_is_not_changed_in_passing(name: str) -> None:
    with pytest.raises(BadInput) as wrong:
        deal(configured()).change({name: "x"}, at=START, actor=ANNA)
    assert wrong.value.problems[0].field == name
