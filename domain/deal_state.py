"""What became of a deal? The fold of its steps, one for deals that are kept here and for foreign ones.

Whatever a step holds, its fold does not fail, and asks for no configuration: so a configuration that changed breaks
no deal, and the rows of the read model are the same fold in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from domain.fields import CODE, CODES, DAY, NUMBER, TEXT, Reading, read_fields
from domain.stays import Spent, Stay, move_on, time_spent
from domain.work import Step

__all__ = ["Approval", "DealState", "Status", "fold_deal", "time_in_stages"]

_MOST_APPROVALS: Final = 50

Status = Literal["open", "won", "lost"]


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved that the deal moves to a stage. It is used up by the next move, whichever it is."""

    stage: str
    role: str | None
    by: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class DealState:
    """What is known of a deal. stage_since: since when it is in its stage, or when it was last reopened there;
    stalled_since: the `stage_since` for which it was noted that the deal stalls."""

    status: Status = "open"
    pipeline: str | None = None
    stage: str | None = None
    stage_since: datetime | None = None
    amount: Decimal | None = None
    currency: str | None = None
    probability: Decimal | None = None
    assignee: str | None = None
    team: str | None = None
    products: tuple[str, ...] = ()
    expected_close: date | None = None
    next_step_on: date | None = None
    origin: str | None = None
    reason: str | None = None
    title: str = ""
    next_step: str = ""
    created_at: datetime | None = None
    changed_at: datetime | None = None
    closed_at: datetime | None = None
    approvals: tuple[Approval, ...] = ()
    stays: tuple[Stay, ...] = ()
    spent: tuple[Spent, ...] = ()
    stalled_since: datetime | None = None


_FIELDS: Final[Mapping[str, Reading]] = {
    **dict.fromkeys(("pipeline", "stage", "currency", "assignee", "team", "origin", "reason"), CODE),
    **dict.fromkeys(("amount", "probability"), NUMBER),
    **dict.fromkeys(("expected_close", "next_step_on"), DAY),
    **dict.fromkeys(("title", "next_step"), TEXT),
    "products": CODES,
}
_STATUS: Final[Mapping[str, Status]] = {"deal.won": "won", "deal.lost": "lost", "deal.reopened": "open"}
_APPROVAL: Final[Mapping[str, Reading]] = {"approved": CODE, "role": CODE}


def fold_deal(state: DealState | None, step: Step) -> DealState:
    """The state after a step; `state` is None before the first. Won and lost end it until it is reopened; nothing
    else changes its status."""
    if state is None:
        state = DealState(created_at=step.at)
    if step.type == "deal.stalled":
        return replace(state, stalled_since=state.stage_since)
    changed: dict[str, Any] = read_fields(step.content, _FIELDS)
    status = _STATUS.get(step.type)
    if status is not None:
        changed |= {"status": status, "closed_at": None if status == "open" else step.at}
    after = replace(state, **changed, changed_at=step.at)
    if (after.pipeline, after.stage, after.status) != (state.pipeline, state.stage, state.status):
        after = _moved(state, after, step.at)
    return _approved(after, step) if step.type == "deal.approved" else after


def _moved(before: DealState, after: DealState, at: datetime) -> DealState:
    """It came to another stage or status: the stay that went on ends, another one may begin."""
    to = (after.stage, after.pipeline) if after.status == "open" and after.stage is not None else None
    stays, spent = move_on(before.stays, before.spent, to, at)
    elsewhere = (after.pipeline, after.stage) != (before.pipeline, before.stage)
    since = at if elsewhere or after.status == "open" else before.stage_since
    return replace(
        after,
        stays=stays,
        spent=spent,
        stage_since=since if after.stage is not None else None,
        approvals=(),
        stalled_since=None,
    )


def _approved(state: DealState, step: Step) -> DealState:
    read = read_fields(step.content, _APPROVAL)
    stage, role = read.get("approved"), read.get("role")
    if stage is None:
        return state
    others = [one for one in state.approvals if (one.stage, one.role) != (stage, role)]
    return replace(state, approvals=(*others, Approval(stage, role, step.actor, step.at))[-_MOST_APPROVALS:])


def time_in_stages(state: DealState, at: datetime) -> tuple[Spent, ...]:
    """How long the deal was in each stage by then, with the stay that goes on."""
    return time_spent(state.stays, state.spent, at)
