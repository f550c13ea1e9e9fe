"""Who gets a lead, a deal or a ticket that comes in without an assignee? The first rule that fits says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from domain.conditions import holds
from domain.configuration import AssignmentRule, Configuration

__all__ = ["Assigned", "assignee_of"]


class Assigned(NamedTuple):
    """Who gets it, by code, and by which rule."""

    rule: str
    assignee: str


def assignee_of(
    rules: Configuration,
    kind: Literal["lead", "deal", "ticket"],
    facts: Mapping[str, Any],
    members: Callable[[str], Sequence[str]],
    load: Mapping[str, int],
    turn: Callable[[str], int],
    present: Callable[[str], bool] = lambda code: True,
) -> Assigned | None:
    """Who gets it; None if no rule fits, or none finds anybody, so that it waits for a person to take it.

    facts: the public fields of its content; a condition's `lead.country` is `country` here. members: the colleagues
    of a team, by code. load: how many open ones of this kind each has; who is not in it has none. turn: which turn it
    is of a rule, 0 for the first; asked for at most once, of the rule that is then given, if it assigns in turn.
    present: whether a colleague may be given anything; a rule passes over who may not.
    """
    for rule in rules.assignment:
        if rule.of != kind or not holds(rule.when, lambda name: facts.get(name.removeprefix(f"{kind}."))):
            continue
        able = [one for one in _able(rule, facts, members) if present(one)]
        if able:
            return Assigned(rule.code, _chosen(rule, able, load, turn))
    return None


def _able(rule: AssignmentRule, facts: Mapping[str, Any], members: Callable[[str], Sequence[str]]) -> Sequence[str]:
    """Whom a rule may choose, in their order: as the rule lists them, then the rest of the team by code."""
    if rule.by == "territory":
        place = facts.get(rule.field)
        at_home = {name.casefold(): code for name, code in rule.territories.items()}
        named = at_home.get(place.casefold()) if isinstance(place, str) else None
        return [code for code in dict.fromkeys((named, rule.territories.get("*"))) if code is not None]
    team = sorted(members(rule.team)) if rule.team is not None else []
    return list(dict.fromkeys([*rule.users, *team]))


def _chosen(rule: AssignmentRule, able: Sequence[str], load: Mapping[str, int], turn: Callable[[str], int]) -> str:
    if rule.by == "round_robin":
        return able[turn(rule.code) % len(able)]
    if rule.by == "load":
        return min(able, key=lambda code: load.get(code, 0))
    return able[0]
