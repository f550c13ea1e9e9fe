"""What may be done with a lead, and what is refused?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import BadInput
from domain.lead import Lead, LeadIsConverted, LeadIsDisqualified, LeadIsOpen, LeadReasonMissing, broken
from domain.work import Step
from tests.support.aggregates import steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANNA = "user:anna"
DEAL = UUID(int=5)


def lead() -> Lead:
    content = {"title": "A new roof", "message": "How much?", "origin": "website", "campaign": "spring"}
    return Lead.capture(uuid4(), content, at=START, actor=None)


def test_S10_a_lead_is_captured_assigned_by_a_rule_and_becomes_a_deal() -> None:
    one = lead()
    one.assign(assignee="anna", team=None, rule="by-country", at=START, actor="automation:assignment")
    one.change({"country": "GB", "industry": "roofs"}, at=START, actor=ANNA)
    one.convert(DEAL, at=START + timedelta(days=1), actor=ANNA)
    assert [step.type for step in steps_of(one)] == [
        "lead.captured", "lead.assigned", "lead.changed", "lead.converted",
    ]  # fmt: skip
    assert (one.state.origin, one.state.campaign, one.state.assigned_by) == ("website", "spring", "by-country")
    assert (one.state.status, one.state.deal) == ("converted", DEAL.hex)
    assert one.state.closed_at == START + timedelta(days=1)


def test_a_lead_that_became_a_deal_does_nothing_more() -> None:
    one = lead()
    one.convert(DEAL, at=START, actor=ANNA)
    tries: list[Callable[[], None]] = [
        lambda: one.convert(DEAL, at=START, actor=ANNA),
        lambda: one.assign(assignee="bert", team=None, at=START, actor=ANNA),
        lambda: one.change({"title": "x"}, at=START, actor=ANNA),
        lambda: one.disqualify("price", at=START, actor=ANNA),
        lambda: one.reopen(at=START, actor=ANNA),
    ]
    for attempt in tries:
        with pytest.raises(LeadIsConverted):
            attempt()


def test_a_lead_is_given_up_for_a_reason_and_may_be_taken_up_again() -> None:
    one = lead()
    with pytest.raises(LeadIsOpen):
        one.reopen(at=START, actor=ANNA)
    with pytest.raises(LeadReasonMissing) as refused:
        one.disqualify(None, at=START, actor=ANNA)
    assert refused.value.missing == ("reason",)
    one.disqualify("no-budget", at=START, actor=ANNA)
    assert (one.state.status, one.state.reason) == ("disqualified", "no-budget")
    with pytest.raises(LeadIsDisqualified):
        one.convert(DEAL, at=START, actor=ANNA)
    one.reopen(at=START, actor=ANNA)
    assert (one.state.status, one.state.reason, one.state.closed_at) == ("open", None, None)


def test_what_has_a_step_of_its_own_is_not_changed_in_passing() -> None:
    with pytest.raises(BadInput):
        lead().change({"assignee": "bert"}, at=START, actor=ANNA)


def test_the_rules_are_noted_of_foreign_leads() -> None:
    state = Lead.fold(None, Step("lead.disqualified", START, {}))
    assert [one.rule for one in broken(None, Step("lead.disqualified", START, {}))] == ["lead-reason-missing"]
    assert [one.rule for one in broken(state, Step("lead.converted", START, {}))] == ["lead-disqualified"]
    assert broken(state, Step("lead.reopened", START, {})) == []
