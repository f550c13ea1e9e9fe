"""How does a deployment say what happens by itself? Rules: when, if, then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, HttpUrl, model_validator

from domain.configuration.base import Code, Duration, Path, Setting, Wrong, meant

__all__ = ["FIELDS", "Action", "Condition", "Rule"]

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "in", "not in", "known", "unknown", "contains"]
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "event": ("type", "time", "channel", "direction", "source", "actor"),
    "deal": (
        "status", "pipeline", "stage", "amount", "currency", "probability", "assignee", "team", "products",
        "expected_close", "next_step_on", "origin", "reason", "stage_since", "created_at", "closed_at",
    ),
    "ticket": (
        "status", "state", "kind", "priority", "queue", "category", "product", "channel", "service_level", "assignee",
        "team", "level", "reason", "reopened", "state_since", "opened_at", "responded_at", "resolved_at", "closed_at",
    ),
    "lead": ("status", "origin", "campaign", "product", "country", "industry", "assignee", "team", "reason"),
    "task": ("status", "kind", "priority", "assignee", "team", "due"),
}  # fmt: skip
"""What a condition may ask for, by what it belongs to; beside `event.content.NAME` and `customer.….NAME`."""
_NESTED: Final = {"event": ("content",), "customer": ("facts", "profile", "consents")}
_ORDERED: Final = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d\d-\d\d([T ].*)?")


class Condition(Setting):
    """One comparison, or several joined: give `field`, `is` and `value`, or one of `all`, `any`, `none`.

    Fields: `event.type`, `event.channel`, `event.direction`, `event.source`, `event.actor`, `event.content.NAME`
    (public fields alone), `customer.facts.NAME`, `customer.profile.NAME`, `customer.consents.PURPOSE`, `deal.NAME`,
    `ticket.NAME`, `lead.NAME`, `task.NAME` of what the event is about; `FIELDS` has the names.
    """

    field: Annotated[str, Field(max_length=200)] | None = None
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
        if self.field is None:
            astray = {"is": self.is_ != "=", "value": self.value is not None}
            Wrong.raise_any(
                ((name,), "belongs to a comparison; add field") for name, is_so in astray.items() if is_so
            )
        else:
            Wrong.raise_any([*_name_astray(self.field), *_value_astray(self.is_, self.value)])
        return self

    def names(self) -> Iterator[str]:
        """All fields that it asks for."""
        if self.field is not None:
            yield self.field
        for one in [*(self.all or ()), *(self.any or ()), *(self.none or ())]:
            yield from one.names()


def _name_astray(field: str) -> Iterator[tuple[Path, str]]:
    first, _, rest = field.partition(".")
    known = [f"{kind}.{name}" for kind, names in FIELDS.items() for name in names]
    further = [f"{kind}.{name}" for kind, names in _NESTED.items() for name in names]
    if field in known:
        return
    part, _, name = rest.partition(".")
    if part in _NESTED.get(first, ()):
        if not re.fullmatch(r"[a-z0-9_-]+", name):
            yield ("field",), f"does not end in a name such as {first}.{part}.something"
        return
    choices = [one for one in known if one.startswith(f"{first}.")] or known
    choices += [f"{one}.NAME" for one in further if one.startswith(f"{first}.") or first not in {*FIELDS, *_NESTED}]
    yield ("field",), f"is nothing that a condition can ask for; {meant(field, choices)}"


def _value_astray(is_: Operator, value: Any) -> Iterator[tuple[Path, str]]:
    if is_ in {"known", "unknown"}:
        if value is not None:
            yield ("value",), f"has no place beside `{is_}`; leave it out"
    elif is_ in {"in", "not in"}:
        if not isinstance(value, list) or not value or not all(map(_is_plain, value)):
            yield ("value",), f"is no list; `{is_}` needs one of texts, numbers or days"
    elif not _is_plain(value):
        yield ("value",), "is no single text, number or day; for what is not there write `is: unknown`"
    elif is_ in {">", ">=", "<", "<="} and not (
        isinstance(value, date | float | int) or (isinstance(value, str) and _ORDERED.fullmatch(value))
    ):
        yield ("value",), f"is no number and no day, and `{is_}` compares nothing else"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | date)


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
                raise ValueError(f"does {self.do} without {name}; add {name}")
        if self.do == "assign" and not (self.assignee or self.team):
            raise ValueError("does assign without assignee or team; add one")
        if self.do == "move" and self.to == "lost" and self.reason is None:
            raise ValueError("loses deals without a reason; add reason")
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
