"""Which rules has a deal, and where may it go? Asked before a native step, and noted of a foreign one.

Two things are known of a native step alone: who asks for it (`roles`), and whether somebody stands in `who`. Where
they are not given, as of a foreign step, nothing is judged by them, nor by texts, which may have been erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from domain.configuration import Configuration, Pipeline, Stage
from domain.deal_state import DealState, fold_deal
from domain.errors import Refused
from domain.work import Move, Step

__all__ = [
    "DealAmountNegative",
    "DealApprovalNeedless",
    "DealCurrencyMissing",
    "DealFieldsMissing",
    "DealIsClosed",
    "DealIsOpen",
    "DealMoveForbidden",
    "DealNotApproved",
    "DealNotStalled",
    "DealPipelineUnknown",
    "DealReasonMissing",
    "DealReasonUnknown",
    "DealReopenForbidden",
    "DealReopenTooLate",
    "DealSameStage",
    "DealStageUnknown",
    "allowed_moves",
    "approval_needed",
    "broken",
    "pipeline_of",
    "value_refusals",
]


class DealPipelineUnknown(Refused):
    """There is no such pipeline (any more)."""

    rule = "deal-pipeline-unknown"


class DealStageUnknown(Refused):
    """The pipeline has no such stage (any more)."""

    rule = "deal-stage-unknown"


class DealSameStage(Refused):
    """The deal is in that stage already."""

    rule = "deal-same-stage"


class DealMoveForbidden(Refused):
    """No move leads from the stage of the deal to that one."""

    rule = "deal-move-forbidden"


class DealFieldsMissing(Refused):
    """The stage, or winning, asks for what the deal does not have."""

    rule = "deal-fields-missing"


class DealNotApproved(Refused):
    """The stage needs the approval of a role."""

    rule = "deal-not-approved"


class DealApprovalNeedless(Refused):
    """The stage needs no approval, or has it."""

    rule = "deal-approval-needless"


class DealReasonMissing(Refused):
    """A deal is lost for a reason."""

    rule = "deal-reason-missing"


class DealReasonUnknown(Refused):
    """The pipeline does not know the reason."""

    rule = "deal-reason-unknown"


class DealIsClosed(Refused):
    """The deal is won or lost; reopen it first."""

    rule = "deal-closed"


class DealIsOpen(Refused):
    """The deal is open, so there is nothing to reopen."""

    rule = "deal-open"


class DealReopenTooLate(Refused):
    """The time within which a closed deal may be reopened is over."""

    rule = "deal-reopen-too-late"


class DealReopenForbidden(Refused):
    """Only some roles may reopen a closed deal."""

    rule = "deal-reopen-forbidden"


class DealAmountNegative(Refused):
    """No deal is worth less than nothing."""

    rule = "deal-amount-negative"


class DealCurrencyMissing(Refused):
    """An amount without a currency says nothing."""

    rule = "deal-currency-missing"


class DealNotStalled(Refused):
    """The deal does not stall, or that was noted before."""

    rule = "deal-not-stalled"


Roles = frozenset[str] | None
_PERSONAL: Final = frozenset({"title", "next_step", "who"})
_CLOSING: Final = frozenset({"deal.won", "deal.lost", "deal.reopened", "deal.created"})


def pipeline_of(state: DealState, rules: Configuration) -> Pipeline | None:
    """The pipeline of a deal; None for one that is not configured (any more)."""
    return rules.pipelines.get(state.pipeline or rules.default_pipeline)


def _missing(state: DealState, fields: Iterable[str], who: bool | None) -> tuple[str, ...]:
    def there(field: str) -> bool:
        if field in _PERSONAL and who is None:
            return True
        value: Any = who if field == "who" else getattr(state, field)
        return value is not None and value is not False and value not in ((), "")  # an amount of 0 is one

    return tuple(field for field in dict.fromkeys(fields) if not there(field))


def approval_needed(state: DealState, stage: Stage, elsewhere: bool = False) -> str | None:
    """The role whose approval a move to the stage needs and has not got. elsewhere: it is one of another pipeline,
    for which nothing was approved yet."""
    role, given = stage.approval, () if elsewhere else state.approvals
    if role is None or any(one.stage == stage.code and one.role in {None, role} for one in given):
        return None
    return role


def _leads(stage: Stage | None, to: str) -> bool:
    return stage is None or stage.moves is None or to in stage.moves


def allowed_moves(state: DealState, rules: Configuration, roles: Roles = None, who: bool = True) -> tuple[Move, ...]:
    """Where a deal may go, with what each move still asks for. roles: of whoever asks. A closed deal goes nowhere."""
    if state.status != "open":
        return ()
    pipeline = pipeline_of(state, rules)
    if pipeline is None:
        return Move("won"), Move("lost", ("reason",))
    here = pipeline.stage(state.stage)
    moves = []
    for stage in pipeline.stages:
        if stage.code != state.stage and _leads(here, stage.code):
            role = approval_needed(state, stage)
            approval = None if roles is not None and role in roles else role
            moves.append(Move(stage.code, _missing(state, stage.requires, who), approval))
    if _leads(here, "won"):
        moves.append(Move("won", _missing(state, pipeline.won_requires, who)))
    if _leads(here, "lost"):
        moves.append(Move("lost", ("reason",)))
    return tuple(moves)


def broken(
    state: DealState | None, step: Step, rules: Configuration, *, roles: Roles = None, who: bool | None = None
) -> list[Refused]:
    """Which rules would a step break? The most telling first; none for a step that is fine.

    state: before the step, None for its first one. roles: of whoever asks for a native step; who: whether the deal is
    about somebody.
    """
    if step.type == "deal.stalled":
        return []
    after = fold_deal(state, step)
    asked = _Asked(rules, roles, who)
    if state is None:
        return [*asked.arriving(DealState(), after), *value_refusals(after, step)]
    if state.status != "open" and step.type != "deal.reopened":
        return [DealIsClosed(f"The deal is {state.status}; reopen it first.", allowed=("reopen",))]
    found: list[Refused] = []
    if step.type == "deal.won":
        found += asked.winning(state, after)
    elif step.type == "deal.lost":
        found += asked.losing(state, step)
    elif step.type == "deal.reopened":
        found += asked.reopening(state, after, step)
    elif step.type == "deal.stage_changed" or (after.pipeline, after.stage) != (state.pipeline, state.stage):
        found += asked.moving(state, after, step)
    elif step.type == "deal.approved":
        found += asked.approving(state, step)
    return [*found, *value_refusals(after, step)]


def value_refusals(after: DealState, step: Step) -> list[Refused]:
    """What is wrong with the amount that a step gives."""
    found: list[Refused] = []
    if not {"amount", "currency"} & step.content.keys() or after.amount is None:
        return found
    if after.amount < 0:
        found.append(DealAmountNegative("The amount is negative; give what the deal is worth."))
    if after.currency is None:
        told = "The amount has no currency; give one, such as GBP."
        found.append(DealCurrencyMissing(told, missing=("currency",)))
    return found


class _Asked(NamedTuple):
    """What a step is judged by."""

    rules: Configuration
    roles: Roles
    who: bool | None

    def moving(self, state: DealState, after: DealState, step: Step) -> Iterator[Refused]:
        """To another stage, or another pipeline."""
        if (after.pipeline, after.stage) == (state.pipeline, state.stage):
            if step.content.get("stage") is not None:
                yield DealSameStage(f"The deal is in the stage {state.stage} already.", allowed=self._allowed(state))
            return
        yield from self._led(state, after)
        yield from self.arriving(state, after)

    def arriving(self, before: DealState, after: DealState) -> Iterator[Refused]:
        """In a stage: it is known, and the deal has what it asks for. before: with the approvals."""
        pipeline = pipeline_of(after, self.rules)
        if pipeline is None:
            known = tuple(self.rules.pipelines)
            yield DealPipelineUnknown(f"There is no pipeline {after.pipeline}.", allowed=known)
            return
        if after.stage is None:
            return
        stage = pipeline.stage(after.stage)
        if stage is None:
            yield DealStageUnknown(f"The pipeline has no stage {after.stage}.", allowed=pipeline.codes)
            return
        yield from self._having(before, after, f"The stage {stage.code}", stage.requires)
        # One that is new, reopened, or of another pipeline could not be approved before: whoever brings it here has
        # the role, which is not known of a step that is only read.
        elsewhere = pipeline_of(before, self.rules) is not pipeline
        role = approval_needed(before, stage, elsewhere)
        approvable = before.created_at is not None and before.status == "open" and not elsewhere
        judged = self.roles is not None or approvable
        if role is not None and judged and role not in (self.roles or ()):
            told = f"The stage {stage.code} needs the approval of a {role}."
            yield DealNotApproved(told, missing=(f"approval:{role}",), allowed=self._allowed(before))

    def winning(self, state: DealState, after: DealState) -> Iterator[Refused]:
        """The stage leads there, and the deal has what winning asks for."""
        pipeline = pipeline_of(state, self.rules)
        if pipeline is not None:
            yield from self._ending(state, pipeline, "won")
            yield from self._having(state, after, "Winning", pipeline.won_requires)

    def losing(self, state: DealState, step: Step) -> Iterator[Refused]:
        """The stage leads there, and there is a reason, one of those that the pipeline knows."""
        pipeline = pipeline_of(state, self.rules)
        if pipeline is not None:
            yield from self._ending(state, pipeline, "lost")
        known = tuple(pipeline.lost_reasons) if pipeline is not None else ()
        reason = step.content.get("reason")
        if not reason:
            yield DealReasonMissing("A deal is lost for a reason; give it.", missing=("reason",), allowed=known)
        elif known and reason not in known:
            yield DealReasonUnknown(f"The reason is none of {', '.join(known)}.", missing=("reason",), allowed=known)

    def reopening(self, state: DealState, after: DealState, step: Step) -> Iterator[Refused]:
        """It is closed, not for too long, and whoever asks may do it; another stage than before is a move."""
        if state.status == "open":
            yield DealIsOpen("The deal is open already.", allowed=self._allowed(state))
            return
        pipeline = pipeline_of(state, self.rules)
        if pipeline is not None:
            yield from self._reopenable(state, pipeline, step)
        if (after.pipeline, after.stage) != (state.pipeline, state.stage):
            yield from self._led(state, after)
            yield from self.arriving(state, after)

    def _reopenable(self, state: DealState, pipeline: Pipeline, step: Step) -> Iterator[Refused]:
        within = pipeline.reopen_within
        if within is not None and state.closed_at is not None and step.at - state.closed_at > within:
            yield DealReopenTooLate(f"The deal was closed more than {within} ago; create another one.")
        may = frozenset(pipeline.reopen_roles)
        if may and self.roles is not None and not may & self.roles:
            told = f"Only {' or '.join(pipeline.reopen_roles)} may reopen a deal."
            yield DealReopenForbidden(told, missing=tuple(f"role:{one}" for one in pipeline.reopen_roles))

    def approving(self, state: DealState, step: Step) -> Iterator[Refused]:
        """The stage asks for it, and whoever approves has the role."""
        pipeline, to = pipeline_of(state, self.rules), step.content.get("approved")
        stage = pipeline.stage(to) if pipeline is not None and isinstance(to, str) else None
        if self.roles is None:
            return
        if pipeline is None or stage is None:
            known = pipeline.codes if pipeline is not None else ()
            yield DealStageUnknown(f"The pipeline has no stage {to}.", allowed=known)
            return
        role = approval_needed(state, stage)
        if role is None or stage.code == state.stage:
            yield DealApprovalNeedless(f"A move to the stage {stage.code} needs no approval now.")
        elif role not in self.roles:
            told = f"Only a {role} may approve the stage {stage.code}."
            yield DealNotApproved(told, missing=(f"approval:{role}",))

    def _led(self, state: DealState, after: DealState) -> Iterator[Refused]:
        pipeline = pipeline_of(state, self.rules)
        if pipeline is None or after.pipeline != state.pipeline or after.stage is None:
            return
        if pipeline.stage(after.stage) is not None and not _leads(pipeline.stage(state.stage), after.stage):
            yield self._forbidden(state, after.stage)

    def _ending(self, state: DealState, pipeline: Pipeline, to: str) -> Iterator[Refused]:
        if not _leads(pipeline.stage(state.stage), to):
            yield self._forbidden(state, to)

    def _forbidden(self, state: DealState, to: str) -> Refused:
        return DealMoveForbidden(f"No move leads from {state.stage} to {to}.", allowed=self._allowed(state))

    def _having(self, state: DealState, after: DealState, what: str, fields: Iterable[str]) -> Iterator[Refused]:
        missing = _missing(after, fields, self.who)
        if missing:
            told = f"{what} asks for {', '.join(missing)}."
            yield DealFieldsMissing(told, missing=missing, allowed=self._allowed(state))

    def _allowed(self, state: DealState) -> tuple[str, ...]:
        return tuple(move.to for move in allowed_moves(state, self.rules, self.roles))
