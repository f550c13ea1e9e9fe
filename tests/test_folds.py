"""Does the fold of an aggregate take whatever foreign events hold, in any order, and come back from a snapshot?"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import deal, lead, ticket
from domain.catalogue import builtin
from domain.configuration import builtin_configuration
from domain.deal import Deal
from domain.lead import Lead
from domain.person import Person
from domain.task import Task
from domain.ticket import Ticket
from domain.work import Step, Work, in_order

KINDS: list[type[Work]] = [Deal, Ticket, Lead, Task, Person]
RULES = builtin_configuration()
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_TYPES = {kind: [one.name for one in builtin() if one.name.startswith(f"{kind.KIND}.")] for kind in KINDS}
_TYPES[Ticket] += ["target.warned", "target.breached"]
_CODES = st.sampled_from(["a", "new", "open", "closed", "resolved", "customer", "company", "won", "sales", "EUR"])
_GOOD = st.one_of(
    _CODES, st.none(), st.booleans(), st.integers(-5, 10**12), st.sampled_from(["12.50", "-1", "2026-03-01"]),
    st.sampled_from(["2026-03-02T09:00:00Z", "2026-03-02T10:00:00+02:00"]), st.lists(_CODES, max_size=3),
)  # fmt: skip
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["NaN", "1e999999", "0001"]),
    lambda within: st.lists(within, max_size=3) | st.dictionaries(st.text(max_size=3), within, max_size=3),
    max_leaves=5,
)


@cache
def _names(kind: type[Work]) -> list[str]:
    found = {name for one in builtin() if one.name in _TYPES[kind] for name in one.schema()["properties"]}
    return sorted(found)


@st.composite
def histories(draw: st.DrawFn, kind: type[Work], values: st.SearchStrategy[Any]) -> list[Step]:
    """Steps that another system may tell of a thing, several at a time."""
    content = st.dictionaries(st.sampled_from(_names(kind)), values, max_size=6)
    told = st.tuples(st.sampled_from(_TYPES[kind]), st.integers(0, 20), content)
    many = draw(st.lists(told, min_size=1, max_size=8))
    return [
        Step(type_, START + timedelta(hours=hours), values, name=f"{number:02}")
        for number, (type_, hours, values) in enumerate(many)
    ]


def folded(kind: type[Work], steps: list[Step]) -> Any:
    state = None
    for step in in_order(steps):
        state = kind.fold(state, step)
    return state


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_fold_and_no_rule_fails_whatever_a_foreign_step_holds(kind: type[Work], data: st.DataObject) -> None:
    state = None
    for step in in_order(data.draw(histories(kind, _JSON | _GOOD))):
        if kind is Deal:
            deal.broken(state, step, RULES)
        elif kind is Ticket:
            ticket.broken(state, step, RULES)
        elif kind is Lead:
            lead.broken(state, step)
        state = kind.fold(state, step)
        kind.state_to_plain(state)
        if kind is Deal:
            deal.allowed_moves(state, RULES)
        elif kind is Ticket:
            ticket.allowed_moves(state, RULES, step.at)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_state_is_the_same_in_any_order_of_delivery_and_after_a_snapshot(
    kind: type[Work], data: st.DataObject
) -> None:
    steps = data.draw(histories(kind, _GOOD))
    state = folded(kind, steps)
    Random(data.draw(st.integers(0, 99))).shuffle(steps)
    assert folded(kind, steps) == state
    public, personal = json.loads(json.dumps(kind.state_to_plain(state)))
    assert kind.state_from_plain(public, personal) == state
    assert not public.keys() & set(kind.PERSONAL)
    erased = kind.state_from_plain(public, None)
    assert kind.state_to_plain(erased) == (public, {})
