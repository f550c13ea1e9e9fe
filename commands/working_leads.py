"""Which commands are there on leads?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from commands.working_desk import Actor, Deed, Done, Key, New
from commands.working_part import WorkingPart
from domain.deal import Deal
from domain.identifiers import Identifier, Ref
from domain.lead import Lead
from domain.work import Work

__all__ = ["LeadCommands"]


class LeadCommands(WorkingPart):
    """Commands on leads. Each raises the error of the rule that forbids it (`domain/lead.py`), NotFound, Stale where
    `expected` is not the revision that it has, and BadInput."""

    def capture_lead(
        self, content: Mapping[str, Any], *, who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
        actor: Actor, key: Key | None = None,
    ) -> Done:  # fmt: skip
        """A new lead. content: fields of `lead.captured`; without an assignee it gets one by rule."""

        def make(id: UUID, new: New, content: dict[str, Any]) -> Work:
            return Lead.capture(id, content, at=self.desk.clock(), actor=actor.code, who=new.who, refs=new.refs)

        return self._create("lead", [New(content, who, refs)], make, key)[0]

    def change_lead(
        self,
        id: UUID,
        content: Mapping[str, Any],
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """More that became known of it."""

        def act(lead: Lead) -> None:
            lead.change(content, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Lead, id, act, key, expected)

    def assign_lead(
        self, id: UUID, assignee: str | None = None, team: str | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Give it to a colleague, a team, or (both None) nobody."""

        def act(lead: Lead) -> None:
            lead.assign(assignee=assignee, team=team, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Lead, id, act, key, expected)

    def convert_lead(
        self, id: UUID, content: Mapping[str, Any] | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """It becomes a deal, both saved together. content: fields of `deal.created`; what it leaves out comes from
        the lead. Gives what was done of the deal."""

        def deed() -> Deed:
            lead = self.desk.load(Lead, id, expected)
            at, deal_id = self.desk.clock(), self.desk.fresh()
            lead.convert(deal_id, at=at, actor=actor.code)
            about = tuple(one for one in lead.refs if one.kind not in {"lead", "deal"})
            deal = Deal.create(
                deal_id, {**_known(lead), **(content or {})}, self.rules, at=at, actor=actor.code, who=lead.who,
                refs=(Ref("lead", id.hex), *about), roles=actor.roles,
            )  # fmt: skip
            return Deed((lead, deal), (deal,))

        return self.desk.carry_out(deed, key)[0]

    def disqualify_lead(
        self, id: UUID, reason: str | None, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """Give it up; reason: why, by code."""

        def act(lead: Lead) -> None:
            lead.disqualify(reason, at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Lead, id, act, key, expected)

    def reopen_lead(self, id: UUID, *, actor: Actor, key: Key | None = None, expected: int | None = None) -> Done:
        """Take up again what was given up."""

        def act(lead: Lead) -> None:
            lead.reopen(at=self.desk.clock(), actor=actor.code)

        return self.desk.change(Lead, id, act, key, expected)


def _known(lead: Lead) -> dict[str, Any]:
    """What a deal takes over from its lead."""
    state = lead.state
    found = {"title": state.title, "origin": state.origin, "assignee": state.assignee, "team": state.team}
    found["products"] = [state.product] if state.product else None
    return {name: value for name, value in found.items() if value}
