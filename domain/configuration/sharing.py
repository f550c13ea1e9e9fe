"""How does a deployment say who gets what comes in? Rules that assign leads, deals and tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.automation import Condition
from domain.configuration.base import Code, Setting, Wrong, listed

__all__ = ["AssignmentRule"]

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "lead": ("country", "industry", "product", "campaign", "origin"),
    "deal": ("pipeline", "origin", "currency"),
    "ticket": ("queue", "category", "product", "channel", "priority"),
}
"""By what a territory may go, for each kind."""


class AssignmentRule(Setting):
    """Who gets what comes in without an assignee. The first rule that fits holds."""

    code: Code
    of: Literal["lead", "deal", "ticket"]
    when: Condition | None = Field(default=None, description="Left out: all of them")
    by: Literal["round_robin", "territory", "load"] = Field(
        description="In turn, by where they are, or to whoever has least open"
    )
    users: list[Code] = Field(default=[], description="Colleagues, by code, in their turn")
    team: Code | None = Field(default=None, description="And all of a team")
    field: Literal[
        "country", "industry", "product", "campaign", "origin", "pipeline", "currency", "queue", "category",
        "channel", "priority",
    ] = Field(default="country", description="With territory: what decides")  # fmt: skip
    territories: Annotated[dict[str, Code], Field(max_length=1000)] = Field(
        default={}, description="With territory: value and colleague; `*` for all others"
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if self.by == "territory":
            if not self.territories:
                raise ValueError("goes by territory and has none; add territories")
            if self.field not in _PLACES[self.of]:
                told = f"is nothing that a {self.of} goes by; there are {listed(_PLACES[self.of])}"
                raise Wrong((("field",), told))
        elif not (self.users or self.team):
            raise ValueError("names nobody; add users or a team")
        if self.when is not None:
            astray = sorted(name for name in self.when.names() if not name.startswith(f"{self.of}."))
            Wrong.raise_any((("when",), f"asks for {name}; only {self.of}.… is known here") for name in astray)
        return self
