"""Which steps of a foreign item would the rules have refused? Noted when its history is read.

Nobody's past is refused. The same fold and the same rules as for what is kept here, by the configuration of today.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain import lead as leads
from domain.configuration import Configuration
from domain.deal import Deal
from domain.deal_rules import broken as broken_by_deal
from domain.errors import Refused
from domain.lead import Lead
from domain.task import Task
from domain.ticket import Ticket
from domain.ticket_rules import broken as broken_by_ticket
from domain.work import Step
from projections.work.rows import HistoryRow

__all__ = ["Noted", "note", "steps_of"]

_Broken = Callable[[Any, Step, Configuration], list[Refused]]
_Fold = Callable[[Any, Step], Any]
_NOTHING: Final[Mapping[UUID, Mapping[str, Any]]] = {}
_FOLDS: Final[dict[str, _Fold]] = {"deal": Deal.fold, "ticket": Ticket.fold, "task": Task.fold, "lead": Lead.fold}
_RULES: Final[dict[str, _Broken]] = {
    "deal": broken_by_deal,
    "ticket": broken_by_ticket,
    "task": lambda state, step, rules: [],
    "lead": lambda state, step, rules: leads.broken(state, step),
}


class Noted(NamedTuple):
    """What became of an item (DealState, TicketState …; None without a step), and of each of its steps which rules it
    would have broken; none of what is kept here, which was asked before."""

    state: Any
    broken: tuple[tuple[Refused, ...], ...]


def steps_of(
    rows: Iterable[HistoryRow], contents: Mapping[UUID, Mapping[str, Any]] = _NOTHING
) -> list[Step]:  # fmt: skip
    """Steps out of the rows of a history. contents: what could be opened of their events, by name; the public part
    is that of the row."""
    return [
        Step(row.type, row.happened_at, {**contents.get(row.name, {}), **row.public}, row.actor, row.revision,
             row.name.hex)
        for row in rows
    ]  # fmt: skip


def note(
    rows: Sequence[HistoryRow], rules: Configuration, contents: Mapping[UUID, Mapping[str, Any]] = _NOTHING
) -> Noted:
    """Fold the whole history of one item, in its order, and note what the rules would have refused."""
    state: Any = None
    found = []
    for row, step in zip(rows, steps_of(rows, contents), strict=True):
        found.append(() if row.native else tuple(_RULES[row.kind](state, step, rules)))
        state = _FOLDS[row.kind](state, step)
    return Noted(state, tuple(found))
