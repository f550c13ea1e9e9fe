"""How does the state of a deal, ticket, task, lead or colleague become what an answer tells?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from api import deal_shapes, step_shapes, task_shapes, ticket_shapes, work_shapes
from domain.configuration import Configuration
from domain.deal import DealState
from domain.deal import allowed_moves as deal_moves
from domain.deal_state import time_in_stages
from domain.lead import LeadState
from domain.person import PersonState
from domain.task import TaskState
from domain.ticket import TicketState
from domain.ticket import allowed_moves as ticket_moves
from domain.ticket_state import time_in_states
from domain.work import Move

__all__ = ["Named", "Rules", "deal_told", "lead_told", "missed_by", "task_told", "ticket_told", "user_told"]


class Named(NamedTuple):
    """What an item is called, whoever keeps it. customer: whose it is now; who: it is about somebody."""

    id: str
    native: bool
    ref: str
    revision: int
    customer: str | None = None
    who: bool = True


class Rules(NamedTuple):
    """By what an answer is reckoned: the configuration, who asks, when, and whether they may see what is personal."""

    rules: Configuration
    roles: frozenset[str]
    at: datetime
    personal: bool


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _moves(moves: Iterable[Move]) -> list[step_shapes.Move]:
    return [step_shapes.Move(one.to, list(one.missing), one.approval) for one in moves]


def _common(named: Named) -> dict[str, Any]:
    return {
        "id": named.id,
        "native": named.native,
        "ref": named.ref,
        "revision": named.revision,
        "customer": named.customer,
    }


def deal_told(state: DealState, named: Named, by: Rules) -> deal_shapes.DealShown:
    """A deal, with its moves and its time in each stage."""
    pipeline = by.rules.pipelines.get(state.pipeline or by.rules.default_pipeline)
    stage = pipeline.stage(state.stage) if pipeline is not None else None
    after = stage.stalled_after if stage is not None and state.status == "open" else None
    since = state.stage_since
    moves = deal_moves(state, by.rules, by.roles, named.who) if named.native else ()
    return deal_shapes.DealShown(
        **_common(named),
        status=state.status,
        pipeline=state.pipeline,
        stage=state.stage,
        stage_since=since,
        stalled=after is not None and since is not None and by.at - since >= after,
        title=state.title if by.personal else "",
        amount=_amount(state.amount),
        currency=state.currency,
        probability=_amount(state.probability),
        assignee=state.assignee,
        team=state.team,
        products=list(state.products),
        expected_close=state.expected_close,
        next_step=state.next_step if by.personal else "",
        next_step_on=state.next_step_on,
        origin=state.origin,
        reason=state.reason,
        created_at=state.created_at,
        changed_at=state.changed_at,
        closed_at=state.closed_at,
        moves=_moves(moves),
        approvals=[deal_shapes.Approval(one.stage, one.at, one.role, one.by) for one in state.approvals],
        stays=[deal_shapes.Stay(one.place, one.since, one.until, one.within) for one in state.stays],
        spent=[deal_shapes.Spent(one.place, one.seconds, one.within) for one in time_in_stages(state, by.at)],
    )


def ticket_told(state: TicketState, named: Named, by: Rules) -> ticket_shapes.TicketShown:
    """A ticket, with its moves, its time in each state, and which targets are near or were missed."""
    moves = ticket_moves(state, by.rules, by.at, named.who) if named.native else ()
    near, missed = missed_by(state, by.at)
    told = {one.target for one in state.told if one.what == "breached"}
    return ticket_shapes.TicketShown(
        **_common(named),
        state=state.state,
        state_since=state.state_since,
        subject=state.subject if by.personal else "",
        priority=state.priority,
        queue=state.queue,
        category=state.category,
        product=state.product,
        channel=state.channel,
        service_level=state.service_level,
        assignee=state.assignee,
        team=state.team,
        level=state.level,
        follows=state.follows,
        folded_into=state.folded_into,
        reason=state.reason,
        opened_at=state.opened_at,
        changed_at=state.changed_at,
        responded_at=state.responded_at,
        resolved_at=state.resolved_at,
        closed_at=state.closed_at,
        reopened=state.reopened,
        respond_by=state.respond_by,
        resolve_by=state.resolve_by,
        clock_s=state.clock_s,
        near=near,
        missed=sorted({*missed, *told}),
        moves=_moves(moves),
        links=[ticket_shapes.Link(one.other, one.relation) for one in state.links],
        stays=[ticket_shapes.StateStay(one.place, one.since, one.until) for one in state.stays],
        spent=[ticket_shapes.StateSpent(one.place, one.seconds) for one in time_in_states(state, by.at)],
    )


def missed_by(state: Any, at: datetime) -> tuple[list[str], list[str]]:
    """(targets that are near, targets that were missed) of a ticket that has them still, at a moment."""
    if state.resolved_at is not None or state.closed_at is not None:
        return [], []
    targets = [("resolution", state.resolve_warn, state.resolve_by)]
    if state.responded_at is None:
        targets.insert(0, ("first_response", state.respond_warn, state.respond_by))
    missed = [name for name, _, by in targets if by is not None and at >= by]
    near = [name for name, warn, _ in targets if warn is not None and at >= warn and name not in missed]
    return near, missed


def task_told(state: TaskState, named: Named, by: Rules, refs: Sequence[str] = ()) -> task_shapes.TaskShown:
    """A task. refs: what it is on, in clear."""
    return task_shapes.TaskShown(
        **_common(named),
        status=state.status,
        title=state.title if by.personal else "",
        text=state.text if by.personal else "",
        kind=state.kind,
        priority=state.priority,
        assignee=state.assignee,
        team=state.team,
        due=state.due,
        remind_at=state.remind_at,
        created_at=state.created_at,
        closed_at=state.closed_at,
        refs=list(refs),
    )


def lead_told(state: LeadState, named: Named, by: Rules) -> work_shapes.LeadShown:
    """A lead."""
    return work_shapes.LeadShown(
        **_common(named),
        status=state.status,
        title=state.title if by.personal else "",
        message=state.message if by.personal else "",
        origin=state.origin,
        campaign=state.campaign,
        product=state.product,
        country=state.country,
        industry=state.industry,
        assignee=state.assignee,
        team=state.team,
        assigned_by=state.assigned_by,
        deal=state.deal,
        reason=state.reason,
        created_at=state.created_at,
        changed_at=state.changed_at,
        closed_at=state.closed_at,
    )


def user_told(code: str, state: PersonState, revision: int) -> work_shapes.User:
    """A colleague."""
    return work_shapes.User(
        code=code,
        revision=revision,
        name=state.name,
        teams=list(state.teams),
        roles=list(state.roles),
        present=state.status == "here",
    )
