"""How does a deployment say who gets what comes in? Rules that assign leads, deals and tickets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.automation import Condition
from domain.configuration.base import Code, Setting

__all__ = ["AssignmentRule"]


class AssignmentRule(Setting):
    """Who gets what comes in without an assignee. The first rule that fits holds."""

    code: Code
    of: Literal["lead", "deal", "ticket"]
    when: Condition | None = Field(default=None, description="Left out: all of them")
    by: Literal["round_robin", "territory", "load"] = Field(
        description="In turn, by where they are, or to whoever has least open"
    )
    users: list[Code] = Field(default=[], description="Colleagues, by code, in their turn")
    team: Code | None = Field(default=None, description="Or all of a team")
    field: Literal["country", "industry", "product", "campaign", "origin", "queue", "category"] = Field(
        default="country", description="With territory: what decides"
    )
    territories: Annotated[dict[str, Code], Field(max_length=1000)] = Field(
        default={}, description="With territory: value and colleague; `*` for all others"
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.by == "territory" and not self.territories:
            raise ValueError(f"assignment {self.code} goes by territory and has none; add territories")
        if self.by != "territory" and not (self.users or self.team):
            raise ValueError(f"assignment {self.code} names nobody; add users or a team")
        return self
