"""How does a deployment say how its tickets go? States and moves, queues, service levels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.base import BusinessTime, Code, Duration, Name, Path, Setting, Wrong, meant
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
        Wrong.raise_any([*self._moves_astray(), *self._names_astray()])
        return self

    def _moves_astray(self) -> Iterator[tuple[Path, str]]:
        for index, state in enumerate(self.states):
            where: Path = ("states", index)
            if state.code in self.codes[:index]:
                yield (*where, "code"), "is the code of a state before it; give each its own"
            ways = [((*where, "moves", number), to) for number, to in enumerate(state.moves or ())]
            ways += [((*where, "timed", "to"), state.timed.to)] if state.timed else []
            for place, to in ways:
                if to not in self.codes:
                    yield place, f"is no state; {meant(to, self.codes)}"
        for kind in ("resolved", "closed"):
            if not any(state.kind == kind for state in self.states):
                yield ("states",), f"have none of kind {kind}; add one"

    def _names_astray(self) -> Iterator[tuple[Path, str]]:
        for name in ("initial", "reopened", "on_reply", "on_answer"):
            code = getattr(self, name)
            state = self.state(code)
            if code is not None and state is None:
                yield (name,), f"is no state; {meant(code, self.codes)}"
            elif state is not None and state.kind in {"resolved", "closed"} and name != "on_answer":
                yield (name,), f"is of kind {state.kind}; name a state in which a ticket is worked on"
        if self.priority not in self.priorities:
            yield ("priority",), f"is none of the priorities; {meant(self.priority, self.priorities)}"
        if len(set(self.priorities)) < len(self.priorities):
            yield ("priorities",), "name one twice"
        if self.queue is not None and self.queues and self.queue not in self.queues:
            yield ("queue",), f"is no queue; {meant(self.queue, self.queues)}"


class Targets(Setting):
    """How soon, in business hours."""

    first_response: BusinessTime | None = None
    resolution: BusinessTime | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.first_response is None and self.resolution is None:
            raise ValueError("promises nothing; give first_response, resolution, or both")
        return self


class Escalation(Setting):
    """What happens to a ticket whose target was missed, or is near."""

    on: Literal["warning", "breach"] = "breach"
    target: Literal["first_response", "resolution", "any"] = "any"
    priority: Code | None = Field(default=None, description="Raise it to this priority")
    team: Code | None = Field(default=None, description="Give it to this team")
    assignee: Code | None = Field(default=None, description="Give it to this colleague, by code")
    notify: list[Code] = Field(default=[], description="Colleagues who are told, by code")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.priority or self.team or self.assignee or self.notify):
            raise ValueError("does nothing; give priority, team, assignee or notify")
        return self


class ServiceLevel(Setting):
    """What was promised to whom. The first one in the file that fits a ticket holds."""

    name: Name | None = None
    calendar: Code = Field(description="In whose business hours")
    targets: Annotated[dict[Code, Targets], Field(min_length=1)] = Field(
        description="By priority; `any` for all others"
    )
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
