"""Which rules has a ticket, and where may it go? Asked before a native step, and noted of a foreign one.

Another system has states, queues and priorities of its own. A state that the configuration does not know counts as
the first one of its kind, which goes by the type of the step that led there; unknown queues and priorities are let
be. Texts may have been erased, so nothing is judged by them where `who` is not given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple, get_args

from domain import configuration
from domain.configuration import Configuration, StateKind
from domain.errors import Refused
from domain.ticket_state import MOVES, TicketState, fold_ticket
from domain.work import Move, Step

__all__ = [
    "HANDOVER",
    "TicketFieldsMissing",
    "TicketFoldsInCircle",
    "TicketFoldsIntoFolded",
    "TicketFoldsIntoItself",
    "TicketIsClosed",
    "TicketIsFolded",
    "TicketIsOpen",
    "TicketIsResolved",
    "TicketLinkedAlready",
    "TicketLinksToItself",
    "TicketMoveForbidden",
    "TicketNotLinked",
    "TicketPriorityUnknown",
    "TicketQueueUnknown",
    "TicketReopenTooLate",
    "TicketSameState",
    "TicketStateUnknown",
    "TicketTargetNotDue",
    "TicketTargetTold",
    "allowed_moves",
    "broken",
    "kind_of",
    "may_reopen",
]


class TicketStateUnknown(Refused):
    """The configuration has no such state (any more)."""

    rule = "ticket-state-unknown"


class TicketSameState(Refused):
    """The ticket is in that state already."""

    rule = "ticket-same-state"


class TicketMoveForbidden(Refused):
    """No move leads from the state of the ticket to that one."""

    rule = "ticket-move-forbidden"


class TicketFieldsMissing(Refused):
    """The state asks for what the ticket does not have."""

    rule = "ticket-fields-missing"


class TicketIsClosed(Refused):
    """The ticket is closed; reopen it first."""

    rule = "ticket-closed"


class TicketIsResolved(Refused):
    """The ticket is resolved; whoever works on it again reopens it first."""

    rule = "ticket-resolved"


class TicketIsOpen(Refused):
    """The ticket is neither resolved nor closed, so there is nothing to reopen."""

    rule = "ticket-open"


class TicketIsFolded(Refused):
    """The ticket was folded into another one, which goes on for both."""

    rule = "ticket-folded"


class TicketReopenTooLate(Refused):
    """The time within which a closed ticket may be reopened is over; open one that follows it."""

    rule = "ticket-reopen-too-late"


class TicketPriorityUnknown(Refused):
    """There is no such priority."""

    rule = "ticket-priority-unknown"


class TicketQueueUnknown(Refused):
    """There is no such queue."""

    rule = "ticket-queue-unknown"


class TicketLinksToItself(Refused):
    """A ticket is not linked to itself."""

    rule = "ticket-links-to-itself"


class TicketLinkedAlready(Refused):
    """The tickets are linked already."""

    rule = "ticket-linked-already"


class TicketNotLinked(Refused):
    """The tickets are not linked."""

    rule = "ticket-not-linked"


class TicketFoldsIntoItself(Refused):
    """A ticket is not folded into itself."""

    rule = "ticket-folds-into-itself"


class TicketFoldsIntoFolded(Refused):
    """The other ticket was folded into one that goes on; fold it into that one."""

    rule = "ticket-folds-into-folded"


class TicketFoldsInCircle(Refused):
    """The other ticket was folded into this one."""

    rule = "ticket-folds-in-circle"


class TicketTargetNotDue(Refused):
    """The target is not near, or not missed, at this moment."""

    rule = "ticket-target-not-due"


class TicketTargetTold(Refused):
    """That the target is near, or was missed, was noted before."""

    rule = "ticket-target-told"


HANDOVER: Final = "handover"
"""The reason of an assignment by which nobody takes the ticket in charge: whoever had it left."""
_KINDS: Final = frozenset(get_args(StateKind))
_ENDED: Final = frozenset({"resolved", "closed"})
_BY_TYPE: Final[dict[str | None, StateKind]] = {
    "ticket.resolved": "resolved", "ticket.closed": "closed", "ticket.folded": "closed",
}  # fmt: skip
_PERSONAL: Final = frozenset({"subject", "who"})
_LINKING: Final = frozenset({"ticket.linked", "ticket.unlinked"})


def kind_of(state: TicketState, rules: Configuration) -> StateKind:
    """What its state means: resolved and closed by the type that led there, else as configured, else by its name."""
    by_type = _BY_TYPE.get(state.moved_by)
    if by_type is not None:
        return by_type
    known = rules.tickets.state(state.state)
    if known is not None:
        return known.kind
    if state.state in _KINDS:
        return state.state  # type: ignore[return-value]
    return "new" if state.moved_by in {None, "ticket.opened"} else "open"


def _configured(state: TicketState, rules: Configuration) -> configuration.TicketState | None:
    """Its state as configured, or the first one of its kind."""
    known = rules.tickets.state(state.state)
    return known or next(iter(rules.tickets.of_kind(kind_of(state, rules))), None)


def _leads(here: configuration.TicketState | None, to: str) -> bool:
    return here is None or here.moves is None or here.code == to or to in here.moves


def _missing(state: TicketState, fields: Iterable[str], who: bool | None, reason: Any) -> tuple[str, ...]:
    def there(field: str) -> bool:
        if field in _PERSONAL and who is None:
            return True
        value: Any = {"who": who, "reason": reason}[field] if field in {"who", "reason"} else getattr(state, field)
        return bool(value)

    return tuple(field for field in dict.fromkeys(fields) if not there(field))


def _too_late(state: TicketState, rules: Configuration, at: datetime) -> bool:
    closed_at = state.closed_at or state.state_since
    return closed_at is not None and at - closed_at > rules.tickets.reopen_within


def may_reopen(state: TicketState, rules: Configuration, at: datetime, who: bool | None = None) -> bool:
    """Whether the customer's answer reopens a closed ticket; if not, it opens another one. who: it is about somebody;
    None: not to be judged."""
    closed = kind_of(state, rules) == "closed" and state.folded_into is None
    if not closed or _too_late(state, rules, at):
        return False
    there = rules.tickets.state(rules.tickets.reopened)
    lacks = _missing(state, there.requires if there is not None else (), who, None)
    return not lacks and _leads(_configured(state, rules), rules.tickets.reopened)


def allowed_moves(
    state: TicketState, rules: Configuration, at: datetime | None = None, who: bool = True
) -> tuple[Move, ...]:
    """Where a ticket may go, with what each move still asks for. at: when; None leaves the time for reopening out."""
    if state.folded_into is not None:
        return ()
    closed = kind_of(state, rules) == "closed"
    if closed and at is not None and _too_late(state, rules, at):
        return ()
    here = _configured(state, rules)
    return tuple(
        Move(one.code, _missing(state, one.requires, who, None))
        for one in rules.tickets.states
        if one.code != state.state and _leads(here, one.code) and not (closed and one.kind in _ENDED)
    )


def broken(state: TicketState | None, step: Step, rules: Configuration, *, who: bool | None = None) -> list[Refused]:
    """Which rules would a step break? The most telling first; none for a step that is fine.

    state: before the step, None for its first one. who: of a native step, whether the ticket is about somebody.
    """
    if not step.type.startswith("ticket."):
        return []
    asked = _Asked(state, fold_ticket(state, step), step, rules, who)
    if state is None:
        return [*asked.arriving(), *asked.naming()]
    if state.folded_into is not None:
        return [TicketIsFolded("The ticket was folded into another one; go on there.")]
    return [*asked.working(state), *asked.moving(state), *asked.naming(), *asked.linking(state)]


class _Asked(NamedTuple):
    """What is judged: a step, with the ticket before and after it."""

    before: TicketState | None
    after: TicketState
    step: Step
    rules: Configuration
    who: bool | None

    def working(self, state: TicketState) -> Iterator[Refused]:
        """Nobody goes on with a ticket that is closed, nor takes one in charge that is resolved."""
        kind, type_ = kind_of(state, self.rules), self.step.type
        if kind == "closed" and type_ not in {"ticket.reopened", *_LINKING} and not self._internal():
            yield TicketIsClosed("The ticket is closed; reopen it first.", allowed=self._allowed(state))
        taken = type_ in {"ticket.assigned", "ticket.escalated"} and self.step.content.get("reason") != HANDOVER
        if taken and kind in _ENDED and state.resolved_at is not None:
            yield TicketIsResolved("The ticket is resolved; reopen it first.", allowed=self._allowed(state))

    def moving(self, state: TicketState) -> Iterator[Refused]:
        """To another state: one leads there, and the ticket has what it asks for."""
        type_, kind = self.step.type, kind_of(state, self.rules)
        if (type_ not in MOVES and self.after.state == state.state) or type_ == "ticket.folded":
            return
        if kind == "closed" and type_ != "ticket.reopened":
            return  # that it is closed says it all
        if type_ == "ticket.reopened" and kind not in _ENDED:
            yield TicketIsOpen("The ticket is open already.", allowed=self._allowed(state))
        elif self.after.state == state.state and kind == kind_of(self.after, self.rules):
            if self.step.content.get("state") is not None or type_ != "ticket.state_changed":
                told = f"The ticket is in the state {state.state} already."
                yield TicketSameState(told, allowed=self._allowed(state))
            return
        if kind == "closed" and _too_late(state, self.rules, self.step.at):
            within = self.rules.tickets.reopen_within
            yield TicketReopenTooLate(f"The ticket was closed more than {within} ago; open one that follows it.")
        yield from self._led(state)
        yield from self.arriving()

    def arriving(self) -> Iterator[Refused]:
        """In a state: it is known, and the ticket has what it asks for."""
        tickets, code = self.rules.tickets, self.after.state
        if self._native() and tickets.state(code) is None:
            yield TicketStateUnknown(f"There is no state {code}.", allowed=tickets.codes)
            return
        there = _configured(self.after, self.rules) if code is not None else None
        asks = there.requires if there is not None else []
        missing = _missing(self.after, asks, self.who, self.step.content.get("reason"))
        if missing:
            told = f"The state {code} asks for {', '.join(missing)}."
            yield TicketFieldsMissing(told, missing=missing, allowed=self._allowed(self.before))

    def naming(self) -> Iterator[Refused]:
        """Priorities and queues of a native ticket are those of the configuration."""
        tickets, content = self.rules.tickets, self.step.content
        if not self._native():
            return
        if "priority" in content and content["priority"] not in tickets.priorities:
            known = tuple(tickets.priorities)
            yield TicketPriorityUnknown(f"There is no such priority; there are {', '.join(known)}.", allowed=known)
        queue = content.get("queue")
        if queue is not None and tickets.queues and queue not in tickets.queues:
            known = tuple(tickets.queues)
            yield TicketQueueUnknown(f"There is no such queue; there are {', '.join(known)}.", allowed=known)

    def linking(self, state: TicketState) -> Iterator[Refused]:
        """Links go to another ticket, once; and no ticket is folded into itself."""
        type_, other = self.step.type, self.step.content.get("other")
        linked = any(one.other == other for one in state.links)
        if type_ == "ticket.linked" and other == self.step.name:
            yield TicketLinksToItself("A ticket is not linked to itself.")
        elif type_ == "ticket.linked" and linked:
            yield TicketLinkedAlready("The tickets are linked already.")
        elif type_ == "ticket.unlinked" and not linked:
            yield TicketNotLinked("The tickets are not linked.")
        elif type_ == "ticket.folded" and self.step.content.get("into") == self.step.name:
            yield TicketFoldsIntoItself("A ticket is not folded into itself.")

    def _led(self, state: TicketState) -> Iterator[Refused]:
        here, there = _configured(state, self.rules), _configured(self.after, self.rules)
        if self._native() and self.rules.tickets.state(self.after.state) is None:
            return  # there is no such state, which says it all
        if state.state is not None and there is not None and not _leads(here, there.code):
            told = f"No move leads from {state.state} to {self.after.state}."
            yield TicketMoveForbidden(told, allowed=self._allowed(state))

    def _allowed(self, state: TicketState | None) -> tuple[str, ...]:
        if state is None:
            return ()
        return tuple(move.to for move in allowed_moves(state, self.rules, self.step.at))

    def _internal(self) -> bool:
        return self.step.type == "ticket.commented" and self.step.content.get("internal") is True

    def _native(self) -> bool:
        return self.step.revision > 0
