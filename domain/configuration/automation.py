"""How does a deployment say what happens by itself? Rules: when, if, then."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, HttpUrl, model_validator

from domain.configuration.base import Code, Duration, Setting

__all__ = ["Action", "Condition", "Rule"]

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "in", "not in", "known", "unknown", "contains"]


class Condition(Setting):
    """One comparison, or several joined: give `field`, `is` and `value`, or one of `all`, `any`, `none`.

    Fields: `event.type`, `event.channel`, `event.direction`, `event.source`, `event.actor`, `event.content.NAME`
    (public fields alone), `customer.facts.NAME`, `customer.profile.NAME`, `customer.consents.PURPOSE`, `deal.NAME`,
    `ticket.NAME`, `lead.NAME`, `task.NAME` of what the event is about.
    """

    field: Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z0-9_]+)+$", max_length=200)] | None = None
    is_: Operator = Field(default="=", alias="is")
    value: Any = None
    all: Annotated[list[Condition], Field(min_length=1, max_length=50)] | None = None
    any: Annotated[list[Condition], Field(min_length=1, max_length=50)] | None = None
    none: Annotated[list[Condition], Field(min_length=1, max_length=50)] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("field", "all", "any", "none") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a condition is one comparison (field, is, value), or one of all, any, none")
        if self.field is not None and self.is_ in {"in", "not in"} and not isinstance(self.value, list):
            raise ValueError(f"`{self.is_}` needs a list as its value")
        return self


class Action(Setting):
    """What a rule does. `do` says which of the others it needs."""

    do: Literal["open_ticket", "create_task", "capture_lead", "assign", "move", "notify", "webhook"]
    title: str | None = Field(default=None, max_length=500, description="Of a ticket, task or lead")
    text: str | None = Field(default=None, max_length=10_000, description="Of a ticket, a task or a message")
    queue: Code | None = None
    priority: Code | None = None
    category: Code | None = None
    pipeline: Code | None = None
    assignee: Code | None = Field(default=None, description="A colleague, by code; `event.assignee` for whose it is")
    team: Code | None = None
    due: Duration | None = Field(default=None, description="Of a task: how long after the event")
    remind: Duration | None = Field(default=None, description="Of a task: how long before it is due")
    to: Code | None = Field(default=None, description="With move: the stage or state")
    reason: Code | None = Field(default=None, description="With move: why")
    user: Code | None = Field(default=None, description="With notify: who is told; left out: whose it is")
    url: HttpUrl | None = Field(default=None, description="With webhook")
    secret: Code | None = Field(default=None, description="With webhook: which secret signs it, by its name")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs: dict[str, tuple[str, ...]] = {
            "create_task": ("title",), "move": ("to",), "webhook": ("url", "secret"), "open_ticket": ("title",),
        }  # fmt: skip
        for name in needs.get(self.do, ()):
            if getattr(self, name) is None:
                raise ValueError(f"{self.do} needs {name}")
        if self.do == "assign" and not (self.assignee or self.team):
            raise ValueError("assign needs assignee or team")
        return self


class Rule(Setting):
    """When something happens, and something holds, do something: once for each event, and never for the past."""

    code: Code
    on: Annotated[list[str], Field(min_length=1, max_length=50)] = Field(description="Types of events")
    after: Duration | None = Field(default=None, description="Wait so long, and look at the conditions then")
    when: Condition | None = Field(default=None, description="Left out: always")
    then: Annotated[list[Action], Field(min_length=1, max_length=20)]
    purpose: Code | None = Field(
        default=None, description="The consent that this needs, such as marketing; left out: it reaches no customer"
    )
    channel: Code | None = Field(default=None, description="The channel that the consent is for")
    enabled: bool = True
