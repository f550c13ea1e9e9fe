"""Which claim about a person is shown, in SQL? By the deployment's rules, as `domain/profile.py` has them.

A *subject* is a field, or a group of fields that win together. A claim that says nothing of it is passed over; one
that clears it may win, and then nothing is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql
from psycopg.sql import Composable

from domain.profile import FURTHER, FieldRule, ProfileRules
from projections.segments.compiling_parts import Building, both, either, fragment

__all__ = ["Profile"]


class Profile:
    """The profile in one query."""

    def __init__(self, building: Building, rules: ProfileRules) -> None:
        self.building, self._rules = building, rules
        self._group_of = {member: group for group, members in rules.groups.items() for member in members}

    def field(self, name: str) -> Composable:
        """What is shown of a field, or of a part of one, as JSON; null where nothing is."""
        first, _, rest = name.partition(".")
        field = name if first == FURTHER else first
        found = self._shown(field)
        if first != FURTHER:
            for part in rest.split(".") if rest else ():
                found = sql.SQL("({})").format(fragment("path", x=found, name=self.building.text(part)))
        return fragment("known_json", x=found)

    def _shown(self, field: str) -> Composable:
        subject = self._group_of.get(field, field)
        members = self._rules.groups.get(subject, (field,))
        rule = self._rules.rules.get(subject, self._rules.default)
        says = either(*[self._says(one) for one in members])
        if rule.wins == "most_frequent":
            return self._most_frequent(field, members, says)
        if rule.wins == "source_priority":
            return self._by_source(field, members, says, rule)
        return self._latest(field, says)

    def _latest(self, field: str, says: Composable) -> Composable:
        return self.building.column("claimed", fragment("claims_of", value=self._value(field), says=says))

    def _says(self, field: str) -> Composable:
        return fragment("says", field=self.building.text(field))

    def _value(self, field: str) -> Composable:
        return fragment("claimed_field", field=self.building.text(field))

    def _is_cleared(self, members: Sequence[str]) -> Composable:
        """A claim clears all of them that it says something of."""
        return both(*[fragment("is_cleared", value=self._value(one)) for one in members])

    def _by_source(self, field: str, members: Sequence[str], says: Composable, rule: FieldRule) -> Composable:
        """Of each source the latest claim, and the first of them that does not clear it."""
        ranked = [fragment("of_source", source=self.building.text(one.rstrip("/"))) for one in rule.sources]
        found: Composable = sql.SQL("NULL::jsonb")
        ranks = [*[both(*[_not(one) for one in ranked[:place]], own) for place, own in enumerate(ranked)]]
        ranks.append(both(*[_not(one) for one in ranked]))
        cleared = self._is_cleared(members)
        for of_rank in reversed(ranks):
            chosen = both(says, of_rank)
            gone = self.building.column("claimed", fragment("claims_of", value=cleared, says=chosen))
            value = self.building.column("claimed", fragment("claims_of", value=self._value(field), says=chosen))
            found = fragment("case", open=fragment("not_cleared", cleared=gone), first=value, second=found)
        return found

    def _most_frequent(self, field: str, members: Sequence[str], says: Composable) -> Composable:
        """Of what was claimed since it was cleared last what was claimed most often, the latest of equals."""
        parts = sql.SQL(", ").join([self._value(one) for one in members])
        filled = {"says": says, "cleared": self._is_cleared(members), "value": self._value(field), "parts": parts}
        found = fragment("where", chosen=self.building.gate(repr(members)), x=fragment("most_frequent", **filled))
        return self.building.column("frequent", found)


def _not(condition: Composable) -> Composable:
    return sql.SQL("NOT {}").format(condition)
