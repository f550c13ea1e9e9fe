"""How does a deployment say how its tickets go? States and moves, queues, service levels."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.base import Code, Duration, Name, Setting
from domain.configuration.deals import TimedMove

__all__ = [
    "TICKET_FIELDS",
    "Escalation",
    "Queue",
    "ServiceLevel",
    "StateKind",
    "Targets",
    "TicketField",
    "TicketState",
    "Ticketing",
]

StateKind = Literal["new", "open", "pending", "hold", "resolved", "closed"]
TicketField = Literal["assignee", "team", "queue", "priority", "category", "product", "subject", "who", "reason"]
TICKET_FIELDS: Final = TicketField.__args__  # type: ignore[attr-defined]
"""Fields that a state may ask for."""


class TicketState(Setting):
    """One state of a ticket. Its kind says what it means to service levels and lists."""

    code: Code
    name: Name | None = None
    kind: StateKind
    requires: list[TicketField] = Field(default=[], description="What a ticket must have to be moved here")
    moves: list[Code] | None = Field(default=None, description="Where a ticket may go from here; left out: anywhere")
    timed: TimedMove | None = Field(default=None, description="A move that time makes")


class Queue(Setting):
    """Where tickets wait for somebody."""

    name: Name | None = None
    team: Code | None = Field(default=None, description="The team that works on it")


class Ticketing(Setting):
    """States, queues and priorities of tickets."""

    states: Annotated[list[TicketState], Field(min_length=2, max_length=50)]
    initial: Code = Field(description="The state of a new ticket")
    reopened: Code = Field(description="The state of a ticket that was reopened")
    reopen_within: Duration = Field(description="How long after closing an answer reopens it; later it is a new one")
    priorities: Annotated[list[Code], Field(min_length=1)] = Field(
        default=["low", "normal", "high", "urgent"], description="From the least to the most urgent"
    )
    priority: Code = Field(default="normal", description="The priority where none is given")
    queues: dict[Code, Queue] = Field(default={}, description="By code; empty: any code will do")
    queue: Code | None = Field(default=None, description="The queue where none is given")
    on_reply: Code | None = Field(
        default=None, description="State that a waiting ticket goes to when the customer answers"
    )
    on_answer: Code | None = Field(default=None, description="State that a new ticket goes to when we answer")

    def state(self, code: str | None) -> TicketState | None:
        """The state of that code; None for one that is not configured (any more)."""
        return next((one for one in self.states if one.code == code), None)

    def of_kind(self, kind: StateKind) -> tuple[TicketState, ...]:
        """The states of a kind, in order."""
        return tuple(one for one in self.states if one.kind == kind)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of its states, in order."""
        return tuple(one.code for one in self.states)

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        known = set(self.codes)
        if len(known) < len(self.states):
            raise ValueError("has two states of one code; give each its own")
        named = [("initial", self.initial), ("reopened", self.reopened), ("on_reply", self.on_reply)]
        named += [("on_answer", self.on_answer)]
        for state in self.states:
            named += [(f"state {state.code}", to) for to in state.moves or []]
            named += [(f"timed of {state.code}", state.timed.to)] if state.timed else []
        for what, code in named:
            if code is not None and code not in known:
                raise ValueError(f"{what} names {code}, which is no state here; there are {', '.join(self.codes)}")
        if not self.of_kind("closed") or not self.of_kind("resolved"):
            raise ValueError("needs a state of kind resolved and one of kind closed")
        if self.priority not in self.priorities:
            raise ValueError(f"has the priority {self.priority}, which is none of {', '.join(self.priorities)}")
        if self.queue is not None and self.queues and self.queue not in self.queues:
            raise ValueError(f"has the queue {self.queue}, which is none of {', '.join(self.queues)}")
        return self


class Targets(Setting):
    """How soon, in business hours."""

    first_response: Duration | None = None
    resolution: Duration | None = None


class Escalation(Setting):
    """What happens to a ticket whose target was missed, or is near."""

    on: Literal["warning", "breach"] = "breach"
    target: Literal["first_response", "resolution", "any"] = "any"
    priority: Code | None = Field(default=None, description="Raise it to this priority")
    team: Code | None = Field(default=None, description="Give it to this team")
    assignee: Code | None = Field(default=None, description="Give it to this colleague, by code")
    notify: list[Code] = Field(default=[], description="Colleagues who are told, by code")


class ServiceLevel(Setting):
    """What was promised to whom. The first one in the file that fits a ticket holds."""

    name: Name | None = None
    calendar: Code = Field(description="In whose business hours")
    targets: dict[Code, Targets] = Field(description="By priority; `any` for all others")
    warn_at: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.8, description="Warn when this part of the time has passed"
    )
    pauses: list[Literal["pending", "hold"]] = Field(
        default=["pending"], description="Kinds of state in which the clock of the resolution stands still"
    )
    queues: list[Code] = Field(default=[], description="Tickets in these queues; empty: all")
    categories: list[Code] = Field(default=[], description="Tickets of these categories; empty: all")
    products: list[Code] = Field(default=[], description="Tickets about these products; empty: all")
    channels: list[Code] = Field(default=[], description="Tickets from these channels; empty: all")
    escalations: list[Escalation] = Field(default=[])
