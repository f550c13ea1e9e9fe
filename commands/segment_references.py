"""Which segments do rules ask for? None that is not there, none that is archived, and never in a circle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import psycopg

from commands.segment_store import SQL
from domain.configuration.base import meant
from domain.errors import BadInput, Problem
from domain.segment_leaves import SegmentLeaf
from domain.segment_limits import cost_of
from domain.segment_verdict import place_of
from domain.segments import Rule, plain_rule

__all__ = ["MOST_CHAINED", "MOST_WRITTEN_OUT", "References", "check_references"]

MOST_CHAINED: Final = 10
"""How many segments may stand behind each other."""
MOST_WRITTEN_OUT: Final = 1000
"""What a rule may cost with all segments that it asks for written out, as it is asked in Postgres."""


class _Weight(NamedTuple):
    """How many segments stand behind each other, and what a rule costs with all of them written out."""

    depth: int
    cost: int


def _weigh(code: str, rules: Mapping[str, Sequence[Rule]], weighed: dict[str, _Weight]) -> _Weight:
    """Of one segment; of several versions the dearest. There are no circles."""
    if code not in weighed:
        depth = cost = 0
        for rule in rules.get(code, ()):
            others = [_weigh(asked, rules, weighed) for _, asked in _asked(rule)]
            depth = max([depth, *[1 + one.depth for one in others]])
            cost = max(cost, cost_of(rule) + sum(one.cost for one in others))
        weighed[code] = _Weight(depth, cost)
    return weighed[code]


@dataclass(frozen=True, slots=True)
class References:
    """kinds, states: of every segment, by its code. serving: of those that have a rule that serves, its version.
    rules: of the active ones, those that serve or are being found out, by their versions."""

    kinds: Mapping[str, str]
    states: Mapping[str, str]
    serving: Mapping[str, int]
    rules: Mapping[str, Mapping[int, Rule]]

    @classmethod
    def of(cls, connection: psycopg.Connection) -> Self:
        """As they stand."""
        rows = connection.execute(SQL["rules"]).fetchall()
        rules: dict[str, dict[int, Rule]] = {}
        for code, _, _, _, version, rule in rows:
            if version is not None:
                rules.setdefault(code, {})[version] = plain_rule(rule)
        kinds, states = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
        return cls(kinds, states, {row[0]: row[3] for row in rows if row[3] is not None}, rules)

    def counting(self) -> dict[str, Rule | None]:
        """What other rules find in the active segments: the rule that serves, None for a list. One that is being
        found out for the first time is left out, and so holds nobody."""
        found: dict[str, Rule | None] = {
            code: None for code, kind in self.kinds.items() if kind != "dynamic" and self.states[code] == "active"
        }
        serving = {code: self.rules.get(code, {}).get(version) for code, version in self.serving.items()}
        return found | {code: rule for code, rule in serving.items() if rule is not None}

    def reached(self, rule: Rule) -> dict[str, Rule | None]:
        """The same of those alone that a rule asks for, or that these ask for in their turn."""
        every, found, open_ = self.counting(), dict[str, Rule | None](), sorted(rule.references())
        while open_:
            code = open_.pop()
            if code in every and code not in found:
                found[code] = its = every[code]
                open_ += [] if its is None else sorted(its.references())
        return found

    def users_of(self, code: str) -> list[str]:
        """The segments whose rules ask for this one, in the order of their codes."""
        return sorted(
            one
            for one, rules in self.rules.items()
            if one != code and any(code in rule.references() for rule in rules.values())
        )

    def circle(self, rule: Rule, code: str) -> list[str] | None:
        """A way from this rule back to its own segment; None if there is none."""
        return self._way(sorted(rule.references()), code, [code], set())

    def too_much(self, rule: Rule, code: str) -> Problem | None:
        """What is too much about this rule, or about those that ask for it, each with all that it asks for written
        out; None: nothing is."""
        rules = {one: [*versions.values()] for one, versions in self.rules.items()}
        rules[code] = [*rules.get(code, []), rule]
        weighed: dict[str, _Weight] = {}
        for one in sorted(rules):
            weight = _weigh(one, rules, weighed)
            if weight.depth > MOST_CHAINED or weight.cost > MOST_WRITTEN_OUT:
                whose = "" if one == code else f"makes the rule of {one} too much: it "
                trouble = (
                    f"{whose}asks for segments that ask for segments, {weight.depth} deep, and costs {weight.cost} "
                    f"with all of them written out; at most {MOST_CHAINED} deep and {MOST_WRITTEN_OUT:,}."
                )
                return Problem("rule", trouble, "Ask for fewer segments, or for simpler ones; or take a snapshot.")
        return None

    def _way(self, asked: Sequence[str], code: str, way: list[str], seen: set[str]) -> list[str] | None:
        for one in asked:
            if one == code:
                return [*way, code]
            if one in seen:
                continue
            seen.add(one)
            further = sorted({two for rule in self.rules.get(one, {}).values() for two in rule.references()})
            found = self._way(further, code, [*way, one], seen)
            if found is not None:
                return found
        return None


def check_references(connection: psycopg.Connection, rule: Rule, code: str | None) -> References:
    """The segments as they stand, for a rule that may stand among them as that of `code`. Raises BadInput."""
    known = References.of(connection)
    problems = [problem for place, asked in _asked(rule) if (problem := _trouble(known, place, asked, code))]
    if problems:
        raise BadInput(problems)
    way = None if code is None else known.circle(rule, code)
    if way is not None:
        trouble = f"goes in a circle: {' asks for '.join(way)}."
        raise BadInput([Problem("rule", trouble, "Leave out one of these segments, or write out what it asks for.")])
    too_much = known.too_much(rule, code or "")
    if too_much is not None:
        raise BadInput([too_much])
    return known


def _asked(rule: Rule) -> list[tuple[str, str]]:
    """(place in the rule, code) of each segment that it asks for."""
    leaves = [(one.path, one.leaf) for one in rule.leaves()]
    return [(place_of(path), leaf.code) for path, leaf in leaves if isinstance(leaf, SegmentLeaf)]


def _trouble(known: References, place: str, asked: str, code: str | None) -> Problem | None:
    state = known.states.get(asked)
    if state == "active" or asked == code:
        return None
    field = f"rule.{place}.code"
    if state == "archived":
        return Problem(field, "names a segment that is archived, which holds nobody.", "Restore it, or leave it out.")
    actives = [one for one, its in known.states.items() if its == "active"]
    return Problem(field, "names no segment that there is.", f"Name an active one; {meant(asked, actives[:20])}.")
