"""What became of a ticket? The fold of its steps, one for tickets that are kept here and for foreign ones.

Whatever a step holds, its fold does not fail, and asks for neither configuration nor calendar: what is due when was
reckoned when the step was made, and stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal

from domain.fields import CODE, COUNT, MOMENT, TEXT, Reading, read_code, read_fields
from domain.stays import Spent, Stay, move_on, time_spent
from domain.work import Step

__all__ = ["ABSENT", "ESCALATION", "MOVES", "Link", "Target", "TicketState", "Told", "fold_ticket", "time_in_states"]

Target = Literal["first_response", "resolution"]
_MOST_LINKS: Final = 200
ESCALATION: Final = "escalation"
"""The reason of what an escalation of the service level changes."""
ABSENT: Final = "absent"
"""The reason of one that names a colleague who does not work here."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another ticket, by its id, and how it is related."""

    other: str
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """That a target is near, or was missed, is known already."""

    what: Literal["warned", "breached"]
    target: str


@dataclass(frozen=True, slots=True)
class TicketState:
    """What is known of a ticket.

    state: its code, which the configuration need not know; moved_by: the type of the step that led there. clock_s:
    business seconds that the clock of the resolution had run at `clock_at`. reopened: how often. A moment is None
    where nothing is due.
    """

    state: str | None = None
    state_since: datetime | None = None
    moved_by: str | None = None
    priority: str | None = None
    queue: str | None = None
    category: str | None = None
    product: str | None = None
    channel: str | None = None
    service_level: str | None = None
    assignee: str | None = None
    team: str | None = None
    level: int | None = None
    follows: str | None = None
    reason: str | None = None
    folded_into: str | None = None
    links: tuple[Link, ...] = ()
    subject: str = ""
    opened_at: datetime | None = None
    changed_at: datetime | None = None
    responded_at: datetime | None = None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    respond_by: datetime | None = None
    respond_warn: datetime | None = None
    resolve_by: datetime | None = None
    resolve_warn: datetime | None = None
    clock_s: int | None = None
    clock_at: datetime | None = None
    told: tuple[Told, ...] = ()
    stays: tuple[Stay, ...] = ()
    spent: tuple[Spent, ...] = ()


MOVES: Final[Mapping[str, str | None]] = {
    "ticket.opened": "new",
    "ticket.state_changed": None,
    "ticket.resolved": "resolved",
    "ticket.closed": "closed",
    "ticket.reopened": "open",
    "ticket.folded": "closed",
}
"""Types by which a ticket comes to another state, and the state where a foreign one names none."""
_FIELDS: Final[Mapping[str, Reading]] = {
    **dict.fromkeys(("priority", "queue", "category", "product", "channel", "service_level", "assignee"), CODE),
    **dict.fromkeys(("team", "follows", "reason"), CODE),
    **dict.fromkeys(("respond_by", "respond_warn", "resolve_by", "resolve_warn"), MOMENT),
    **dict.fromkeys(("clock_s", "level"), COUNT),
    "subject": TEXT,
}
_TOLD: Final[Mapping[str, Literal["warned", "breached"]]] = {"target.warned": "warned", "target.breached": "breached"}
_LINK: Final[Mapping[str, Reading]] = {"other": CODE, "relation": CODE, "into": CODE}


def fold_ticket(state: TicketState | None, step: Step) -> TicketState:
    """The state after a step; `state` is None before the first."""
    if state is None:
        state = TicketState(opened_at=step.at)
    if step.type in _TOLD:
        target = step.content.get("target")
        told = Told(_TOLD[step.type], target) if isinstance(target, str) else None
        return state if told is None or told in state.told else replace(state, told=(*state.told, told)[-10:])
    changed = read_fields(step.content, _FIELDS)
    if "clock_s" in changed:
        changed["clock_at"] = step.at
    if step.type == "ticket.commented" and state.responded_at is None and _answers(step):
        changed["responded_at"] = step.at
    changed |= _links(state, step) | _moved(state, step) | _untold(state, step, changed)
    after = replace(state, **changed, changed_at=step.at)
    if _place(after) != _place(state):
        stays, spent = move_on(state.stays, state.spent, _place(after), step.at)
        after = replace(after, stays=stays, spent=spent)
    return after


def _place(state: TicketState) -> tuple[str, None] | None:
    """Where its time is counted: in its state, but not while it is closed."""
    return (state.state, None) if state.state is not None and state.closed_at is None else None


def time_in_states(state: TicketState, at: datetime) -> tuple[Spent, ...]:
    """How long the ticket was in each state by then, with the stay that goes on."""
    return time_spent(state.stays, state.spent, at)


def _answers(step: Step) -> bool:
    return step.content.get("by") == "company" and step.content.get("internal") is not True


def _moved(state: TicketState, step: Step) -> dict[str, Any]:
    """Where a step leads. A state may stand in any step; what it means to be resolved or closed goes by the type."""
    said = read_code(step.content.get("state"))
    to = said if isinstance(said, str) else MOVES.get(step.type)
    changed: dict[str, Any] = {}
    if to is not None and to != state.state:
        changed |= {"state": to, "state_since": step.at, "moved_by": step.type}
    if step.type in MOVES:
        ended = {"ticket.resolved": "resolved_at", "ticket.closed": "closed_at", "ticket.folded": "closed_at"}
        name = ended.get(step.type)
        if name != "closed_at":
            changed |= {"closed_at": None, "resolved_at": None}
        if name is not None:
            changed[name] = step.at
        changed["moved_by"] = step.type
    if step.type == "ticket.reopened":
        changed["reopened"] = state.reopened + 1
    return changed


def _links(state: TicketState, step: Step) -> dict[str, Any]:
    read = read_fields(step.content, _LINK)
    other = read.get("other")
    if step.type == "ticket.folded" and read.get("into") is not None:
        return {"folded_into": read["into"]}
    if other is None or step.type not in {"ticket.linked", "ticket.unlinked"}:
        return {}
    links = tuple(one for one in state.links if one.other != other)
    if step.type == "ticket.linked":
        links = (*links, Link(other, read.get("relation")))
    return {"links": links[-_MOST_LINKS:]}


def _untold(state: TicketState, step: Step, changed: Mapping[str, Any]) -> dict[str, Any]:
    """Reopened, or with another promise, a ticket is to be warned of anew; not so because an escalation raised it.
    What was missed once stays missed."""
    names = ("priority", "service_level")
    promised = any(name in changed and changed[name] != getattr(state, name) for name in names)
    if step.type == "ticket.reopened" or (promised and step.content.get("reason") != ESCALATION):
        return {"told": tuple(one for one in state.told if one.what == "breached")}
    return {}
