"""What may be done with a ticket? Each method asks the rules, raises the error of the one that is broken, and only
then says what happened, with what is due when from then on.

The state is in `ticket_state.py`, the rules are in `ticket_rules.py`; both hold for foreign tickets too. `zone` is
the deployment's time zone, for calendars that name none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self
from uuid import UUID
from zoneinfo import ZoneInfo

from domain.configuration import Configuration, Escalation
from domain.errors import Refused
from domain.fields import only
from domain.identifiers import Identifier, Ref
from domain.service_levels import TicketFacts, clock_of, clock_runs
from domain.ticket_rules import (
    HANDOVER,
    TicketFoldsInCircle,
    TicketFoldsIntoFolded,
    TicketTargetNotDue,
    TicketTargetTold,
    allowed_moves,
    broken,
    kind_of,
    may_reopen,
)
from domain.ticket_state import ABSENT, ESCALATION, Target, TicketState, Told, fold_ticket
from domain.work import Move, Step, Work, raise_first

__all__ = [
    "HANDOVER",
    "Move",
    "Target",
    "Ticket",
    "TicketState",
    "allowed_moves",
    "broken",
    "escalations_of",
    "kind_of",
    "may_reopen",
]

_DETAILS: Final = frozenset({"subject", "category", "product", "reason", "comment"})
_MOVED: Final = _DETAILS | {"assignee", "team"}
_OPENED: Final = _MOVED | {"priority", "queue", "channel", "follows", "attachments"}
_WRITTEN: Final = frozenset({"comment", "by", "internal", "attachments"})
_ESCALATED: Final = frozenset({"assignee", "team", "level", "reason", "comment"})
_FACTS: Final = frozenset({"queue", "category", "product", "priority"})
_ENDED: Final = frozenset({"resolved", "closed"})
_WAY_OUT: Final = "Leave it out; moving, assigning, linking and folding are steps of their own."
_MOMENTS: Final = ("respond_by", "respond_warn", "resolve_by", "resolve_warn")


def _clock(before: TicketState | None, step: Step, rules: Configuration, zone: ZoneInfo) -> dict[str, Any]:
    """What is due when after a step, as fields of its event."""
    after = fold_ticket(before, step)
    facts, kind = _facts(after), kind_of(after, rules)
    before = before or TicketState()
    clock = clock_of(
        rules,
        zone,
        facts,
        opened_at=after.opened_at or step.at,
        responded_at=_responded(before) or after.responded_at,
        clock_s=before.clock_s or 0,
        running_since=_running_since(before, rules),
        at=step.at,
        runs=clock_runs(rules, facts, kind),
        ended=kind in _ENDED,
        counted_by=before.service_level,
        due=(before.resolve_by, before.resolve_warn),
    )
    moments = {name: _text(getattr(clock, name)) for name in _MOMENTS}
    counted = {"clock_s": clock.clock_s} if clock.service_level or before.service_level else {}
    return {"service_level": clock.service_level, **moments, **counted}


def _running_since(state: TicketState, rules: Configuration) -> datetime | None:
    """Up to when its clock was counted, if it runs; before it was ever counted, since it was opened."""
    runs = clock_runs(rules, _facts(state), kind_of(state, rules))
    return (state.clock_at or state.opened_at) if runs else None


def _facts(state: TicketState) -> TicketFacts:
    return TicketFacts(*(getattr(state, name) for name in TicketFacts._fields))


def _responded(state: TicketState) -> datetime | None:
    """When nobody waited for a first response any more: it was given, or the ticket was resolved without one."""
    reopened = state.opened_at if state.reopened else None
    return state.responded_at or state.resolved_at or state.closed_at or reopened


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def escalations_of(
    state: TicketState, rules: Configuration, on: Literal["warning", "breach"], target: Target
) -> tuple[Escalation, ...]:
    """What its service level does when a target is near, or was missed."""
    level = rules.service_levels.get(state.service_level or "")
    found = level.escalations if level is not None else []
    return tuple(one for one in found if one.on == on and one.target in {target, "any"})


def _handed(one: Escalation, absent: Collection[str]) -> dict[str, Any]:
    """To whom an escalation hands a ticket. In place of a colleague who is absent to the team; where it names none,
    whoever has the ticket keeps it."""
    team = {"team": one.team} if one.team else {}
    if one.assignee not in absent:
        return {"assignee": one.assignee, "reason": ESCALATION, **team}
    return {"reason": ABSENT, **({"assignee": None, **team} if team else {})}


class Ticket(Work):
    """A question or trouble of a customer, until it is closed."""

    KIND: ClassVar[str] = "ticket"
    STATE: ClassVar[type] = TicketState
    PERSONAL: ClassVar[tuple[str, ...]] = ("subject",)

    @classmethod
    def fold(cls, state: TicketState | None, step: Step) -> TicketState:
        """The state after a step."""
        return fold_ticket(state, step)

    @classmethod
    def open(
        cls, id: UUID, content: Mapping[str, Any], rules: Configuration, zone: ZoneInfo, *, at: datetime,
        actor: str | None, who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
    ) -> Self:  # fmt: skip
        """A new ticket, in the initial state. content: fields of `ticket.opened`. Raises TicketFieldsMissing,
        TicketPriorityUnknown, TicketQueueUnknown."""
        tickets = rules.tickets
        given = {**only(content, _OPENED, _WAY_OUT), "state": tickets.initial}
        if given.get("priority") is None:  # no ticket is without one
            given["priority"] = tickets.priority
        if tickets.queue is not None:
            given.setdefault("queue", tickets.queue)
        if given.get("queue") in tickets.queues and not given.get("team"):
            given["team"] = tickets.queues[given["queue"]].team
        step = Step("ticket.opened", at, given, actor, 1, id.hex)
        raise_first(broken(None, step, rules, who=bool(who)))
        given |= _clock(None, step, rules, zone)
        return cls.begin(id, step.type, given, at=at, actor=actor, who=who, refs=refs)

    def change(
        self, content: Mapping[str, Any], rules: Configuration, zone: ZoneInfo, *, at: datetime, actor: str | None
    ) -> None:
        """Change its details or priority. Raises TicketIsClosed, TicketIsFolded, TicketPriorityUnknown."""
        given = only(content, _DETAILS | {"priority"}, _WAY_OUT)
        details = {name: one for name, one in given.items() if name != "priority"}
        told = not details.keys() - {"reason", "comment"}
        if "priority" in given:
            raised = {**(details if told else {}), "priority": given["priority"], "previous": self.state.priority}
            self._check("ticket.priority_changed", raised, rules, at, actor)
        if details and not ("priority" in given and told):
            self._decide("ticket.changed", details, rules, zone, at, actor, reckon=bool(details.keys() & _FACTS))
        if "priority" in given:
            self._decide("ticket.priority_changed", raised, rules, zone, at, actor, reckon=True)

    def move(
        self, to: str, content: Mapping[str, Any], rules: Configuration, zone: ZoneInfo, *,
        at: datetime, actor: str | None,
    ) -> None:  # fmt: skip
        """Move it to another state; content: what that asks for, and a `reason`. Raises TicketIsFolded,
        TicketIsClosed, TicketReopenTooLate, TicketStateUnknown, TicketSameState, TicketMoveForbidden,
        TicketFieldsMissing."""
        given = only(content, _MOVED, _WAY_OUT)
        self._decide(*self._moved(to, given, rules, at), rules, zone, at, actor, reckon=True)

    def assign(
        self, rules: Configuration, zone: ZoneInfo, *, assignee: str | None, team: str | None, at: datetime,
        actor: str | None, queue: str | None = None, reason: str | None = None,
    ) -> None:  # fmt: skip
        """Give it to somebody else, a team, or nobody. queue: another queue than before; reason: HANDOVER where
        whoever had it left. Raises TicketIsClosed, TicketIsResolved, TicketIsFolded, TicketQueueUnknown."""
        content: dict[str, Any] = {"assignee": assignee, "team": team}
        if queue is not None:
            known = rules.tickets.queues.get(queue)
            content |= {"queue": queue, "team": team or (known.team if known is not None else None)}
        if reason is not None:
            content["reason"] = reason
        self._decide("ticket.assigned", content, rules, zone, at, actor, reckon=queue is not None)

    def comment(
        self, content: Mapping[str, Any], rules: Configuration, zone: ZoneInfo, *, at: datetime, actor: str | None
    ) -> None:
        """Write into it; content: `comment`, `by` (customer, company), `internal`, `attachments`. A customer's answer
        reopens a ticket that is resolved or, within the time for it, closed, and sets one that waits for it going;
        our answer is the first response. Raises TicketIsFolded, TicketIsClosed, TicketReopenTooLate."""
        given = only(content, _WRITTEN, _WAY_OUT)
        outwards = given.get("internal") is not True
        if given.get("by") == "customer" and outwards:
            self._answered(rules, zone, at, actor)
        first = given.get("by") == "company" and outwards and self.state.responded_at is None
        met = {"respond_by": None, "respond_warn": None} if first else {}
        self._decide("ticket.commented", {**given, **met}, rules, zone, at, actor)
        if given.get("by") == "company" and outwards and kind_of(self.state, rules) == "new":
            self._go(rules.tickets.on_answer, rules, zone, at, actor)

    def link(self, other: UUID, relation: str, rules: Configuration, *, at: datetime, actor: str | None) -> None:
        """Link it to another ticket. Raises TicketLinksToItself, TicketLinkedAlready, TicketIsFolded."""
        self._check("ticket.linked", {"other": other.hex, "relation": relation}, rules, at, actor)
        self.happen("ticket.linked", {"other": other.hex, "relation": relation}, at=at, actor=actor)

    def unlink(self, other: UUID, rules: Configuration, *, at: datetime, actor: str | None) -> None:
        """Take a link away. Raises TicketNotLinked, TicketIsFolded."""
        self._check("ticket.unlinked", {"other": other.hex}, rules, at, actor)
        self.happen("ticket.unlinked", {"other": other.hex}, at=at, actor=actor)

    def fold_into(
        self, into: UUID, other: TicketState, rules: Configuration, zone: ZoneInfo, *, at: datetime, actor: str | None
    ) -> None:
        """Fold it into another ticket, which goes on for both; other: the state of that one. Raises
        TicketFoldsIntoItself, TicketFoldsInCircle, TicketFoldsIntoFolded, TicketIsClosed, TicketIsFolded."""
        if other.folded_into == self.id.hex:
            raise TicketFoldsInCircle("The other ticket was folded into this one.")
        if other.folded_into is not None:
            raise TicketFoldsIntoFolded("The other ticket was folded itself; fold this one into where it goes on.")
        content = {"into": into.hex, "state": rules.tickets.of_kind("closed")[0].code}
        self._decide("ticket.folded", content, rules, zone, at, actor, reckon=True)

    def escalate(self, content: Mapping[str, Any], rules: Configuration, *, at: datetime, actor: str | None) -> None:
        """Hand it up, to `team` or `assignee` if they are given. Raises TicketIsClosed, TicketIsResolved,
        TicketIsFolded."""
        given = {"level": (self.state.level or 0) + 1, **only(content, _ESCALATED, _WAY_OUT)}
        self._check("ticket.escalated", given, rules, at, actor)
        self.happen("ticket.escalated", given, at=at, actor=actor)

    def warn(
        self, target: Target, rules: Configuration, zone: ZoneInfo, *, at: datetime, actor: str | None,
        absent: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Note that a target is near, and do what the service level says. absent: colleagues whom it names, but who
        do not work here. Raises TicketTargetNotDue, TicketTargetTold."""
        self._tell("warned", target, rules, zone, at, actor, absent)

    def breach(
        self, target: Target, rules: Configuration, zone: ZoneInfo, *, at: datetime, actor: str | None,
        absent: Collection[str] = (),
    ) -> None:  # fmt: skip
        """Note that a target was missed, and do what the service level says. absent: as of `warn`. Raises
        TicketTargetNotDue, TicketTargetTold."""
        self._tell("breached", target, rules, zone, at, actor, absent)

    def _tell(
        self, what: Literal["warned", "breached"], target: Target, rules: Configuration, zone: ZoneInfo,
        at: datetime, actor: str | None, absent: Collection[str],
    ) -> None:  # fmt: skip
        state: TicketState = self.state
        name = "respond" if target == "first_response" else "resolve"
        due, warn = getattr(state, f"{name}_by"), getattr(state, f"{name}_warn")
        moment = due if what == "breached" else warn
        if moment is None or due is None or at < moment or kind_of(state, rules) in _ENDED:
            raise TicketTargetNotDue(f"The target {target} is not {'missed' if what == 'breached' else 'near'} now.")
        if {Told("breached", target), Told(what, target)} & {*state.told}:
            raise TicketTargetTold(f"That the target {target} was {what} was noted before.")
        policy, assignee = state.service_level, state.assignee
        content = {"target": target, "policy": policy, "due": due.isoformat(), "assignee": assignee}
        self.happen(f"target.{what}", content, at=at, actor=actor)
        on: Literal["warning", "breach"] = "warning" if what == "warned" else "breach"
        for one in escalations_of(state, rules, on, target):
            self._escalated(one, rules, zone, at, actor, absent)

    def _escalated(
        self, one: Escalation, rules: Configuration, zone: ZoneInfo, at: datetime, actor: str | None,
        absent: Collection[str],
    ) -> None:  # fmt: skip
        ranks = rules.tickets.priorities
        here = ranks.index(self.state.priority) if self.state.priority in ranks else -1
        if one.priority in ranks and ranks.index(one.priority) > here:
            raised = {"priority": one.priority, "previous": self.state.priority, "reason": ESCALATION}
            self._decide("ticket.priority_changed", raised, rules, zone, at, actor, reckon=True)
        if one.team or one.assignee:
            self.escalate(_handed(one, absent), rules, at=at, actor=actor)

    def _answered(self, rules: Configuration, zone: ZoneInfo, at: datetime, actor: str | None) -> None:
        """The customer answered: a ticket that is closed must be reopened for it, one that waits is set going."""
        kind = kind_of(self.state, rules)
        if kind == "closed":
            self._decide(*self._moved(rules.tickets.reopened, {}, rules, at), rules, zone, at, actor, reckon=True)
        elif kind == "resolved":
            self._go(rules.tickets.reopened, rules, zone, at, actor)
        elif kind == "pending":
            self._go(rules.tickets.on_reply, rules, zone, at, actor)

    def _go(self, to: str | None, rules: Configuration, zone: ZoneInfo, at: datetime, actor: str | None) -> None:
        """Move it if the rules allow for it: what somebody wrote is never refused because of a state."""
        if to is None:
            return
        type_, content = self._moved(to, {}, rules, at)
        if not self._refusals(type_, content, rules, at, actor):
            self._decide(type_, content, rules, zone, at, actor, reckon=True)

    def _moved(
        self, to: str, given: Mapping[str, Any], rules: Configuration, at: datetime
    ) -> tuple[str, dict[str, Any]]:
        """The type of a move, by what the states mean, and its content."""
        state: TicketState = self.state
        known = rules.tickets.state(to)
        content = {"reason": None, **given, "state": to}
        if known is not None and known.kind in _ENDED:
            seconds = int((at - state.opened_at).total_seconds()) if state.opened_at is not None else 0
            return f"ticket.{known.kind}", {**content, "duration_s": max(0, seconds)}
        if kind_of(state, rules) in _ENDED:
            return "ticket.reopened", content
        return "ticket.state_changed", {**content, "previous": state.state}

    def _decide(
        self, type_: str, content: Mapping[str, Any], rules: Configuration, zone: ZoneInfo, at: datetime,
        actor: str | None, reckon: bool = False,
    ) -> None:  # fmt: skip
        """Let it happen, if no rule is broken. reckon: what is due when changes with it."""
        self._check(type_, content, rules, at, actor)
        clock = _clock(self.state, self._step(type_, content, at, actor), rules, zone) if reckon else {}
        self.happen(type_, {**content, **clock}, at=at, actor=actor)

    def _check(
        self, type_: str, content: Mapping[str, Any], rules: Configuration, at: datetime, actor: str | None
    ) -> None:
        raise_first(self._refusals(type_, content, rules, at, actor))

    def _refusals(
        self, type_: str, content: Mapping[str, Any], rules: Configuration, at: datetime, actor: str | None
    ) -> list[Refused]:
        return broken(self.state, self._step(type_, content, at, actor), rules, who=bool(self.who))

    def _step(self, type_: str, content: Mapping[str, Any], at: datetime, actor: str | None) -> Step:
        return Step(type_, at, content, actor, self.version + 1, self.id.hex)
