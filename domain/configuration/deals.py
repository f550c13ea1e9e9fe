"""How does a deployment say how its deals go? Pipelines of stages, and what each stage asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.base import Code, Duration, Name, Path, Setting, Wrong, meant

__all__ = ["DEAL_FIELDS", "DealField", "Pipeline", "Stage", "TimedMove"]

DealField = Literal[
    "amount", "currency", "assignee", "team", "products", "next_step", "next_step_on", "expected_close", "title",
    "who",
]  # fmt: skip
DEAL_FIELDS: Final = DealField.__args__  # type: ignore[attr-defined]
"""Fields that a stage may ask for."""


class TimedMove(Setting):
    """A move that time makes."""

    after: Duration = Field(description="How long in this stage or state")
    to: Code = Field(description="Where it goes: a stage or state, or `lost`")
    reason: Code | None = Field(default=None, description="The reason of the move; needed for `lost`")


class Stage(Setting):
    """One stage of a pipeline."""

    code: Code
    name: Name | None = None
    probability: Annotated[float, Field(ge=0, le=100)] = Field(default=0, description="Per cent, for the forecast")
    requires: list[DealField] = Field(default=[], description="What a deal must have to be moved here")
    approval: Code | None = Field(default=None, description="The role that must approve a move here")
    moves: list[Code] | None = Field(
        default=None, description="Where a deal may go from here: stages, `won`, `lost`; left out: anywhere"
    )
    stalled_after: Duration | None = Field(default=None, description="How long until a deal here counts as stalled")
    timed: TimedMove | None = Field(default=None, description="A move that time makes")


class Pipeline(Setting):
    """The way of a deal, from its first stage to being won or lost."""

    name: Name | None = None
    stages: Annotated[list[Stage], Field(min_length=1, max_length=50)] = Field(description="In their order")
    won_requires: list[DealField] = Field(default=["amount"], description="What a deal must have to be won")
    lost_reasons: list[Code] = Field(default=[], description="Why a deal may be lost; empty: any code will do")
    reopen_within: Duration | None = Field(default=None, description="How long a closed deal may be reopened")
    reopen_roles: list[Code] = Field(default=[], description="Who may reopen one; empty: anybody")

    def stage(self, code: str | None) -> Stage | None:
        """The stage of that code; None for one that is not configured (any more)."""
        return next((one for one in self.stages if one.code == code), None)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its stages, in order."""
        return tuple(one.code for one in self.stages)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        Wrong.raise_any(self._troubles())
        return self

    def _troubles(self) -> Iterator[tuple[Path, str]]:
        for index, stage in enumerate(self.stages):
            where: Path = ("stages", index)
            if stage.code in self.codes[:index]:
                yield (*where, "code"), "is the code of a stage before it; give each its own"
            if stage.code in {"won", "lost"}:
                yield (*where, "code"), "is how a deal ends, and no stage; leave it out"
            ways = [((*where, "moves", number), to) for number, to in enumerate(stage.moves or ())]
            ways += [((*where, "timed", "to"), stage.timed.to)] if stage.timed else []
            for place, to in ways:
                if to not in {*self.codes, "won", "lost"}:
                    yield place, f"is no stage of this pipeline; {meant(to, [*self.codes, 'won', 'lost'])}"
            if stage.timed and stage.timed.to == "won":
                yield (*where, "timed", "to"), "wins deals by time; no deal is won by waiting"
            if stage.timed and stage.timed.to == "lost":
                yield from self._reason(stage.timed, (*where, "timed"))

    def _reason(self, timed: TimedMove, where: Path) -> Iterator[tuple[Path, str]]:
        if timed.reason is None:
            yield where, "loses deals by time without a reason; add reason"
        elif self.lost_reasons and timed.reason not in self.lost_reasons:
            yield (*where, "reason"), f"is none of the reasons; {meant(timed.reason, self.lost_reasons)}"
