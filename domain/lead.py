"""What may be done with a lead, from its capture to the deal that it becomes?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self
from uuid import UUID

from domain.errors import Refused
from domain.fields import CODE, TEXT, Reading, only, read_fields
from domain.identifiers import Identifier, Ref
from domain.work import Step, Work, raise_first

__all__ = [
    "Lead",
    "LeadIsConverted",
    "LeadIsDisqualified",
    "LeadIsOpen",
    "LeadReasonMissing",
    "LeadState",
    "broken",
]


class LeadIsConverted(Refused):
    """The lead became a deal; go on there."""

    rule = "lead-converted"


class LeadIsDisqualified(Refused):
    """The lead was given up; reopen it first."""

    rule = "lead-disqualified"


class LeadIsOpen(Refused):
    """The lead is open, so there is nothing to reopen."""

    rule = "lead-open"


class LeadReasonMissing(Refused):
    """A lead is given up for a reason."""

    rule = "lead-reason-missing"


LeadStatus = Literal["open", "converted", "disqualified"]


@dataclass(frozen=True, slots=True)
class LeadState:
    """What is known of a lead. deal: the id of the deal that it became; assigned_by: the rule that assigned it."""

    status: LeadStatus = "open"
    title: str = ""
    message: str = ""
    origin: str | None = None
    campaign: str | None = None
    product: str | None = None
    country: str | None = None
    industry: str | None = None
    assignee: str | None = None
    team: str | None = None
    assigned_by: str | None = None
    reason: str | None = None
    deal: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    closed_at: datetime | None = None


_KNOWN: Final = ("origin", "campaign", "product", "country", "industry")
_FIELDS: Final[Mapping[str, Reading]] = {
    **dict.fromkeys((*_KNOWN, "assignee", "team", "assigned_by", "reason", "deal"), CODE),
    **dict.fromkeys(("title", "message"), TEXT),
}
_STATUS: Final[Mapping[str, LeadStatus]] = {
    "lead.converted": "converted", "lead.disqualified": "disqualified", "lead.reopened": "open",
}  # fmt: skip
_CHANGED: Final = frozenset({*_KNOWN, "title", "message", "reason"})
_CAPTURED: Final = _CHANGED | {"assignee", "team", "assigned_by"}
_WAY_OUT: Final = "Leave it out; assigning, converting and giving up are steps of their own."


def broken(state: LeadState | None, step: Step) -> list[Refused]:
    """Which rules would a step break? state: before it, None for the first one."""
    found: list[Refused] = []
    if state is not None and state.status == "converted":
        found.append(LeadIsConverted("The lead became a deal; go on there."))
    elif state is not None and state.status == "disqualified" and step.type != "lead.reopened":
        found.append(LeadIsDisqualified("The lead was given up; reopen it first.", allowed=("reopen",)))
    elif state is not None and state.status == "open" and step.type == "lead.reopened":
        found.append(LeadIsOpen("The lead is open already.", allowed=("change", "assign", "convert", "disqualify")))
    if step.type == "lead.disqualified" and not step.content.get("reason"):
        found.append(LeadReasonMissing("A lead is given up for a reason; give it.", missing=("reason",)))
    return found


class Lead(Work):
    """Somebody who may become a customer, or whose interest may become a deal."""

    KIND: ClassVar[str] = "lead"
    STATE: ClassVar[type] = LeadState
    PERSONAL: ClassVar[tuple[str, ...]] = ("title", "message")

    @classmethod
    def fold(cls, state: LeadState | None, step: Step) -> LeadState:
        """The state after a step."""
        if state is None:
            state = LeadState(created_at=step.at)
        changed = read_fields(step.content, _FIELDS)
        status = _STATUS.get(step.type)
        if status is not None:
            changed |= {"status": status, "closed_at": None if status == "open" else step.at}
        return replace(state, **changed, changed_at=step.at)

    @classmethod
    def capture(
        cls, id: UUID, content: Mapping[str, Any], *, at: datetime, actor: str | None,
        who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
    ) -> Self:  # fmt: skip
        """A new lead. content: fields of `lead.captured`."""
        given = only(content, _CAPTURED, _WAY_OUT)
        return cls.begin(id, "lead.captured", given, at=at, actor=actor, who=who, refs=refs)

    def change(self, content: Mapping[str, Any], *, at: datetime, actor: str | None) -> None:
        """More became known of it. Raises LeadIsConverted, LeadIsDisqualified."""
        self._decide("lead.changed", only(content, _CHANGED, _WAY_OUT), at, actor)

    def assign(
        self, *, assignee: str | None, team: str | None, at: datetime, actor: str | None, rule: str | None = None
    ) -> None:
        """Give it to somebody else, a team, or nobody. rule: the one that says so. Raises LeadIsConverted,
        LeadIsDisqualified."""
        self._decide("lead.assigned", {"assignee": assignee, "team": team, "assigned_by": rule}, at, actor)

    def convert(self, deal: UUID, *, at: datetime, actor: str | None) -> None:
        """It became a deal. Raises LeadIsConverted, LeadIsDisqualified."""
        self._decide("lead.converted", {"deal": deal.hex}, at, actor)

    def disqualify(self, reason: str | None, *, at: datetime, actor: str | None) -> None:
        """It is given up, for a reason. Raises LeadReasonMissing, LeadIsConverted, LeadIsDisqualified."""
        self._decide("lead.disqualified", {"reason": reason}, at, actor)

    def reopen(self, *, at: datetime, actor: str | None) -> None:
        """Take it up again. Raises LeadIsConverted, LeadIsOpen."""
        self._decide("lead.reopened", {"reason": None}, at, actor)

    def _decide(self, type_: str, content: Mapping[str, Any], at: datetime, actor: str | None) -> None:
        raise_first(broken(self.state, Step(type_, at, content, actor, self.version + 1)))
        self.happen(type_, content, at=at, actor=actor)
