"""What may be done with a deal? Each method asks the rules, raises the error of the one that is broken, and only then
says what happened.

The state is in `deal_state.py`, the rules are in `deal_rules.py`; both hold for foreign deals too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from domain.configuration import Configuration, Stage
from domain.deal_rules import (
    DealIsClosed,
    DealNotStalled,
    allowed_moves,
    approval_needed,
    broken,
    pipeline_of,
    value_refusals,
)
from domain.deal_state import DealState, fold_deal
from domain.fields import only
from domain.identifiers import Identifier, Ref
from domain.work import Move, Step, Work, raise_first

__all__ = ["Deal", "DealState", "Move", "allowed_moves", "broken"]

_DETAILS: Final = frozenset(
    {"title", "products", "expected_close", "next_step", "next_step_on", "origin", "reason", "comment"}
)
_VALUE: Final = frozenset({"amount", "currency", "probability"})
_GIVEN: Final = frozenset({"assignee", "team"})
_MOVED: Final = _DETAILS | _VALUE | _GIVEN
_CREATED: Final = _MOVED | {"pipeline", "stage"}
_WAY_OUT: Final = "Leave it out; moving, assigning, approving and reopening are steps of their own."


def _likely(stage: Stage | None) -> dict[str, Any]:
    return {} if stage is None else {"probability": f"{stage.probability:.4f}".rstrip("0").rstrip(".")}


class Deal(Work):
    """What somebody may buy, on its way through a pipeline."""

    KIND: ClassVar[str] = "deal"
    STATE: ClassVar[type] = DealState
    PERSONAL: ClassVar[tuple[str, ...]] = ("title", "next_step")

    @classmethod
    def fold(cls, state: DealState | None, step: Step) -> DealState:
        """The state after a step."""
        return fold_deal(state, step)

    @classmethod
    def create(
        cls, id: UUID, content: Mapping[str, Any], rules: Configuration, *, at: datetime, actor: str | None,
        who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (), roles: frozenset[str] = frozenset(),
    ) -> Self:  # fmt: skip
        """A new deal, in the stage that is given or the first one. content: fields of `deal.created`. Raises
        DealPipelineUnknown, DealStageUnknown, DealFieldsMissing, DealNotApproved, DealAmountNegative,
        DealCurrencyMissing."""
        given = only(content, _CREATED, _WAY_OUT)
        code = given.get("pipeline") or rules.default_pipeline
        pipeline = rules.pipelines.get(code)
        stage = given.get("stage") or (pipeline.codes[0] if pipeline is not None else None)
        likely = _likely(pipeline.stage(stage)) if pipeline is not None else {}
        given = {**likely, **given, "pipeline": code, "stage": stage}
        step = Step("deal.created", at, given, actor, 1)
        raise_first(broken(None, step, rules, roles=roles, who=bool(who)))
        return cls.begin(id, step.type, given, at=at, actor=actor, who=who, refs=refs)

    def change(self, content: Mapping[str, Any], *, at: datetime, actor: str | None) -> None:
        """Change its value or details. Raises DealIsClosed, DealAmountNegative, DealCurrencyMissing."""
        given = only(content, _DETAILS | _VALUE, _WAY_OUT)
        self._must_be_open()
        value = {name: one for name, one in given.items() if name in _VALUE}
        details = {name: one for name, one in given.items() if name not in _VALUE}
        if value and not details.keys() - {"reason", "comment"}:
            value, details = given, {}
        step = Step("deal.value_changed", at, value, actor, self.version + 1)
        raise_first(value_refusals(fold_deal(self.state, step), step))
        if value:
            self.happen(step.type, value, at=at, actor=actor)
        if details:
            self.happen("deal.changed", details, at=at, actor=actor)

    def move(
        self, to: str, content: Mapping[str, Any], rules: Configuration, *,
        roles: frozenset[str] = frozenset(), at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        """Move it to a stage, or to `won` or `lost`; content: what the move asks for, and a `reason`. Who has the
        role that a stage asks for approves it by moving. Raises DealIsClosed, DealPipelineUnknown, DealStageUnknown,
        DealSameStage, DealMoveForbidden, DealFieldsMissing, DealNotApproved, DealReasonMissing, DealReasonUnknown,
        DealAmountNegative, DealCurrencyMissing."""
        given = only(content, _MOVED, _WAY_OUT)
        if to in {"won", "lost"}:
            ended = {"probability": "100" if to == "won" else "0", "pipeline": self.state.pipeline}
            self._decide(f"deal.{to}", {**given, **ended, "stage": self.state.stage}, rules, roles, at, actor)
        else:
            self._move(self.state.pipeline, to, given, rules, roles, at, actor)

    def transfer(
        self, pipeline: str, stage: str | None, rules: Configuration, *,
        roles: frozenset[str] = frozenset(), at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        """Move it to another pipeline, to the stage that is given or the first. Raises what `move` does."""
        found = rules.pipelines.get(pipeline)
        to = stage or (found.codes[0] if found is not None else self.state.stage)
        self._move(pipeline, to, {}, rules, roles, at, actor)

    def approve(
        self, stage: str, rules: Configuration, *, roles: frozenset[str], at: datetime, actor: str | None,
        comment: str | None = None,
    ) -> None:  # fmt: skip
        """Approve that it moves to a stage. Raises DealIsClosed, DealStageUnknown, DealApprovalNeedless,
        DealNotApproved."""
        pipeline = pipeline_of(self.state, rules)
        found = pipeline.stage(stage) if pipeline is not None else None
        content = {"approved": stage, "role": found.approval if found is not None else None}
        said = {"comment": comment} if comment else {}
        self._decide("deal.approved", {**content, **said}, rules, roles, at, actor)

    def assign(self, *, assignee: str | None, team: str | None, at: datetime, actor: str | None) -> None:
        """Give it to somebody else, a team, or nobody. Raises DealIsClosed."""
        self._must_be_open()
        self.happen("deal.assigned", {"assignee": assignee, "team": team}, at=at, actor=actor)

    def reopen(
        self, to: str | None, rules: Configuration, *, roles: frozenset[str] = frozenset(),
        at: datetime, actor: str | None, reason: str | None = None,
    ) -> None:  # fmt: skip
        """Take it up again in the stage that it was in, or in another that it could move to from there. Raises
        DealIsOpen, DealReopenTooLate, DealReopenForbidden, and what `move` does."""
        pipeline = pipeline_of(self.state, rules)
        stage = to or self.state.stage
        if to is None and pipeline is not None and pipeline.stage(stage) is None:
            stage = pipeline.codes[0]
        likely = _likely(pipeline.stage(stage)) if pipeline is not None else {}
        content = {**likely, "pipeline": self.state.pipeline, "stage": stage, "reason": reason}
        self._decide("deal.reopened", content, rules, roles, at, actor)

    def stall(self, rules: Configuration, *, at: datetime, actor: str | None) -> None:
        """Note that it has been in its stage for longer than the pipeline allows for, once for each stay. Raises
        DealIsClosed, DealNotStalled."""
        self._must_be_open()
        state: DealState = self.state
        pipeline = pipeline_of(state, rules)
        stage = pipeline.stage(state.stage) if pipeline is not None else None
        if stage is None or stage.stalled_after is None or state.stage_since is None:
            raise DealNotStalled("Deals do not stall in this stage.")
        if state.stalled_since == state.stage_since:
            raise DealNotStalled("That the deal stalls was noted before.")
        if at - state.stage_since < stage.stalled_after:
            raise DealNotStalled("The deal has not been in its stage for so long.")
        content = {"stage": state.stage, "since": state.stage_since.isoformat(), "assignee": state.assignee}
        self.happen("deal.stalled", content, at=at, actor=actor)

    def _move(
        self, pipeline: str | None, to: str | None, given: Mapping[str, Any], rules: Configuration,
        roles: frozenset[str], at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        found = rules.pipelines.get(pipeline or rules.default_pipeline)
        stage = found.stage(to) if found is not None else None
        content = {
            **_likely(stage), **given, "pipeline": pipeline, "stage": to, "previous": self.state.stage,
        }  # fmt: skip
        self._check("deal.stage_changed", content, rules, roles, at, actor)
        here = stage is not None and pipeline_of(self.state, rules) is found
        role = approval_needed(self.state, stage) if here and stage is not None else None
        if role is not None:  # who moves it has the role: the history shall say that they approved
            self.happen("deal.approved", {"approved": to, "role": role}, at=at, actor=actor)
        self.happen("deal.stage_changed", content, at=at, actor=actor)

    def _decide(
        self, type_: str, content: Mapping[str, Any], rules: Configuration, roles: frozenset[str],
        at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        self._check(type_, content, rules, roles, at, actor)
        self.happen(type_, content, at=at, actor=actor)

    def _check(
        self, type_: str, content: Mapping[str, Any], rules: Configuration, roles: frozenset[str],
        at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        step = Step(type_, at, content, actor, self.version + 1)
        raise_first(broken(self.state, step, rules, roles=roles, who=bool(self.who)))

    def _must_be_open(self) -> None:
        if self.state.status != "open":
            raise DealIsClosed(f"The deal is {self.state.status}; reopen it first.", allowed=("reopen",))
