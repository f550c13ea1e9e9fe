"""Which commands are there on tickets?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from commands.working_deals import MovedOn, lacks_of
from commands.working_desk import Actor, Deed, Done, Key, New
from commands.working_part import WorkingPart
from domain.configuration import Escalation
from domain.errors import Refused
from domain.identifiers import Identifier, Ref
from domain.ticket import Target, Ticket, allowed_moves, escalations_of, kind_of, may_reopen
from domain.work import Work

__all__ = ["TicketCommands"]

_KEPT: Final = ("subject", "priority", "queue", "category", "product", "channel", "assignee", "team")
_MOST_FOLDED: Final = 20


class TicketCommands(WorkingPart):
    """Commands on tickets. Each raises the error of the rule that forbids it (`domain/ticket_rules.py`), NotFound,
    Stale where `expected` is not the revision that it has, and BadInput."""

    def open_ticket(
        self, content: Mapping[str, Any], *, who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
        actor: Actor, key: Key | None = None,
    ) -> Done:  # fmt: skip
        """A new ticket. content: fields of `ticket.opened`; without an assignee it gets one by rule."""
        return self.open_tickets([New(content, who, refs)], actor=actor, key=key)[0]

    def open_tickets(self, news: Sequence[New], *, actor: Actor, key: Key | None = None) -> list[Done]:
        """New tickets, all or none, in one save."""

        def make(id: UUID, new: New, content: dict[str, Any]) -> Work:
            at = self.desk.clock()
            return Ticket.open(
                id, content, self.rules, self.zone, at=at, actor=actor.code, who=new.who, refs=new.refs
            )

        return self._create("ticket", news, make, key)

    def change_ticket(
        self,
        id: UUID,
        content: Mapping[str, Any],
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """Other details, or another priority."""

        def act(ticket: Ticket, at: datetime) -> None:
            ticket.change(content, self.rules, self.zone, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def move_ticket(
        self, id: UUID, to: str, content: Mapping[str, Any] | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """To another state; content: what the state asks for may come with it."""

        def act(ticket: Ticket, at: datetime) -> None:
            ticket.move(to, content or {}, self.rules, self.zone, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def assign_ticket(
        self, id: UUID, assignee: str | None = None, team: str | None = None, queue: str | None = None, *,
        actor: Actor, key: Key | None = None, expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Give it to a colleague, a team, or (both None) nobody; with `queue` to another queue, too."""

        def act(ticket: Ticket, at: datetime) -> None:
            ticket.assign(self.rules, self.zone, assignee=assignee, team=team, queue=queue, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def comment_ticket(
        self, id: UUID, text: str, by: str = "company", internal: bool = False, *, actor: Actor,
        key: Key | None = None, expected: int | None = None,
    ) -> Done:  # fmt: skip
        """What somebody wrote into it. by: `company` or `customer`; internal: for colleagues only."""

        def act(ticket: Ticket, at: datetime) -> None:
            content = {"comment": text, "by": by, "internal": internal}
            ticket.comment(content, self.rules, self.zone, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def answer_ticket(
        self, id: UUID, text: str, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """The customer answered: what waited goes on, what was closed is reopened; too late for that, a new ticket
        follows it. Of one that was folded, the one that goes on for it. Gives what was done of that ticket."""

        def deed() -> Deed:
            ticket, at = self._going_on(self.desk.load(Ticket, id, expected)), self.desk.clock()
            reopens = may_reopen(ticket.state, self.rules, at, bool(ticket.who))
            if kind_of(ticket.state, self.rules) == "closed" and not reopens:
                ticket = self._following(ticket, text, at, actor)
            else:
                content = {"comment": text, "by": "customer"}
                ticket.comment(content, self.rules, self.zone, at=at, actor=actor.code)
            self.desk.let_go(ticket)
            return Deed((ticket,), (ticket,))

        return self.desk.carry_out(deed, key)[0]

    def link_ticket(
        self, id: UUID, other: UUID, relation: str = "related", *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Link it to another ticket. relation: how they are related, by code."""

        def act(ticket: Ticket, at: datetime) -> None:
            self.desk.load(Ticket, other)
            ticket.link(other, relation, self.rules, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def unlink_ticket(
        self, id: UUID, other: UUID, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """Take a link away."""

        def act(ticket: Ticket, at: datetime) -> None:
            ticket.unlink(other, self.rules, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def fold_ticket(
        self, id: UUID, into: UUID, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """Fold it into another ticket, which goes on for both and is linked to it."""

        def deed() -> Deed:
            ticket, at = self.desk.load(Ticket, id, expected), self.desk.clock()
            other = self.desk.load(Ticket, into)
            ticket.fold_into(into, other.state, self.rules, self.zone, at=at, actor=actor.code)
            if any(one.other == id.hex for one in other.state.links):
                other.unlink(id, self.rules, at=at, actor=actor.code)
            # Always a change of the other one, too: so of two that are folded into each other at once one is refused.
            other.link(id, "folded", self.rules, at=at, actor=actor.code)
            return Deed((ticket, other), (ticket,))

        return self.desk.carry_out(deed, key)[0]

    def escalate_ticket(
        self,
        id: UUID,
        content: Mapping[str, Any],
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """Hand it up; content: to which `team` or `assignee`, `reason`, `comment`."""

        def act(ticket: Ticket, at: datetime) -> None:
            ticket.escalate(content, self.rules, at=at, actor=actor.code)

        return self._change_ticket(id, act, key, expected)

    def warn_target(self, id: UUID, target: Target, due: datetime, *, actor: Actor, key: Key | None = None) -> Done:
        """Note that a target is near. due: the moment to warn; raises MovedOn where that is another one by now."""
        return self._tell(id, target, "warn", due, actor, key)

    def breach_target(self, id: UUID, target: Target, due: datetime, *, actor: Actor, key: Key | None = None) -> Done:
        """Note that a target was missed. due: when it was due; raises MovedOn where that is another moment by now."""
        return self._tell(id, target, "by", due, actor, key)

    def _tell(self, id: UUID, target: Target, moment: str, due: datetime, actor: Actor, key: Key | None) -> Done:
        def act(ticket: Ticket, at: datetime) -> None:
            name = "respond" if target == "first_response" else "resolve"
            if getattr(ticket.state, f"{name}_{moment}") != due:
                raise MovedOn("The target is due at another time by now, or met.")
            tell = ticket.breach if moment == "by" else ticket.warn
            follows = escalations_of(ticket.state, self.rules, "breach" if moment == "by" else "warning", target)
            tell(target, self.rules, self.zone, at=at, actor=actor.code, absent=self._absent(follows))

        return self._change_ticket(id, act, key, None)

    def _absent(self, escalations: Sequence[Escalation]) -> frozenset[str]:
        """Whom they would give a ticket to, but who does not work here: that it is late is noted all the same."""
        named = {one.assignee for one in escalations if one.assignee is not None}
        return frozenset(named - self.desk.people(named).keys()) if named else frozenset()

    def _change_ticket(
        self, id: UUID, act: Callable[[Ticket, datetime], None], key: Key | None, expected: int | None
    ) -> Done:
        """Have it changed by `act`. What is refused tells what each move that is allowed still asks for."""

        def asked(ticket: Ticket) -> None:
            at = self.desk.clock()
            try:
                act(ticket, at)
            except Refused as error:
                moves = allowed_moves(ticket.state, self.rules, at, bool(ticket.who))
                error.lacks = {move.to: lacks_of(move) for move in moves}
                raise

        return self.desk.change(Ticket, id, asked, key, expected)

    def _going_on(self, ticket: Ticket) -> Ticket:
        for _ in range(_MOST_FOLDED):
            if ticket.state.folded_into is None:
                break
            ticket = self.desk.load(Ticket, UUID(hex=ticket.state.folded_into))
        return ticket

    def _following(self, before: Ticket, text: str, at: datetime, actor: Actor) -> Ticket:
        """A new ticket that follows a closed one, about the same, for whoever had that one."""
        state = before.state
        known = {name: getattr(state, name) for name in _KEPT if getattr(state, name)}
        if known.get("assignee") and not self.desk.people([known["assignee"]]):
            del known["assignee"]
        tickets = self.rules.tickets
        if known.get("priority") not in tickets.priorities:  # what is configured no more refuses no answer
            known.pop("priority", None)
        if "queue" in known and tickets.queues and known["queue"] not in tickets.queues:
            known = {name: value for name, value in known.items() if name not in {"queue", "team"}}
        content = {**known, "follows": before.id.hex, "comment": text}
        earlier = Ref("ticket", state.follows or "")
        return Ticket.open(
            self.desk.fresh(), content, self.rules, self.zone, at=at, actor=actor.code, who=before.who,
            refs=(Ref("ticket", before.id.hex), *[one for one in before.refs[1:] if one != earlier]),
        )  # fmt: skip
