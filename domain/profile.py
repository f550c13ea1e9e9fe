"""Which of the things that events claim of a person is shown, and which channel and hour does the person prefer?

Of each field one claim wins, by the field's rule; ties go to the later (happened_at, name, place). Pure: claims come
in any order. A claim that holds null clears the field; one that leaves it out says nothing of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.errors import Misconfigured

__all__ = [
    "FURTHER",
    "Claim",
    "FieldRule",
    "Preferred",
    "ProfileField",
    "ProfileRules",
    "Touch",
    "preferred",
    "profile_of",
    "read_profile_rules",
]

FURTHER: Final = "further"
"""The field whose parts win one by one, named `further.PART`; any other object wins or loses whole."""


class Claim(NamedTuple):
    """What one event claims of a person. `place`: 0 for its `who`, n for its nth party. `fields`: {field: value}."""

    name: UUID
    place: int
    evidence: UUID
    happened_at: datetime
    source: str
    fields: Mapping[str, Any]


class ProfileField(NamedTuple):
    """A field as it is shown, and who said so when. `name`: of the event that claims it."""

    field: str
    value: Any
    source: str
    happened_at: datetime
    name: UUID


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Who wins. `most_recent`: the latest claim. `most_frequent`: the value claimed most often, the latest of equals;
    null forgets what was claimed before. `source_priority`: the latest claim of the first of `sources` that has one;
    a source stands for those below it too (`crm` for `crm/uk`), and sources that are not named come last."""

    wins: Literal["most_recent", "most_frequent", "source_priority"] = "most_recent"
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """Rules by field or group; all others follow `default`. `groups`: {name: fields that win together}: the claim
    that wins gives them all, and one that it leaves out is empty. An address is one field, so it needs no group."""

    default: FieldRule = FieldRule()
    rules: Mapping[str, FieldRule] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def profile_of(claims: Iterable[Claim], rules: ProfileRules | None = None) -> tuple[ProfileField, ...]:
    """The fields that are known, in order of their names. Unknown and cleared ones are left out."""
    ruled = rules or ProfileRules()
    group_of = {member: group for group, members in ruled.groups.items() for member in members}
    told: dict[str, list[tuple[Claim, dict[str, Any]]]] = {}
    for claim in sorted(claims, key=lambda one: (one.happened_at, one.name, one.place), reverse=True):
        parts: dict[str, dict[str, Any]] = {}
        for name, value in _flat(claim.fields):
            parts.setdefault(group_of.get(name, name), {})[name] = value
        for subject, values in parts.items():
            told.setdefault(subject, []).append((claim, values))
    found = []
    for subject, newest_first in told.items():
        rule = ruled.rules.get(subject, ruled.default)
        won = _WINNERS[rule.wins](newest_first, rule)
        if won is not None:
            claim, values = won
            found += [
                ProfileField(name, value, claim.source, claim.happened_at, claim.name)
                for name, value in values.items()
                if value is not None
            ]
    return tuple(sorted(found, key=lambda one: one.field))


def _flat(fields: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in fields.items():
        if name == FURTHER and isinstance(value, Mapping):
            yield from ((f"{FURTHER}.{part}", one) for part, one in value.items())
        elif name != FURTHER:
            yield name, value


_Told = Sequence[tuple[Claim, dict[str, Any]]]
_Won = tuple[Claim, dict[str, Any]] | None


def _is_null(values: Mapping[str, Any]) -> bool:
    return all(value is None for value in values.values())


def _most_recent(newest_first: _Told, _rule: FieldRule) -> _Won:
    return None if _is_null(newest_first[0][1]) else newest_first[0]


def _most_frequent(newest_first: _Told, _rule: FieldRule) -> _Won:
    latest: dict[bytes, tuple[Claim, dict[str, Any]]] = {}
    often: Counter[bytes] = Counter()
    for claim, values in newest_first:
        if _is_null(values):
            break
        spelling = msgspec.json.encode(values, order="deterministic")
        latest.setdefault(spelling, (claim, values))
        often[spelling] += 1
    # `latest` is newest first, and max keeps the first of equals
    return latest[max(latest, key=lambda one: often[one])] if latest else None


def _source_priority(newest_first: _Told, rule: FieldRule) -> _Won:
    latest: dict[int, _Won] = {}
    for claim, values in newest_first:
        rank = next((place for place, one in enumerate(rule.sources) if _is_of(claim.source, one)), len(rule.sources))
        latest.setdefault(rank, None if _is_null(values) else (claim, values))
    return next((latest[rank] for rank in sorted(latest) if latest[rank] is not None), None)


def _is_of(source: str, prefix: str) -> bool:
    return source == prefix or source.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


_WINNERS: Final[Mapping[str, Callable[[_Told, FieldRule], _Won]]] = {
    "most_recent": _most_recent,
    "most_frequent": _most_frequent,
    "source_priority": _source_priority,
}


class _RuleShape(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    wins: Literal["most_recent", "most_frequent", "source_priority"]
    sources: tuple[str, ...] = ()


class _RulesShape(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    default: _RuleShape = _RuleShape("most_recent")
    fields: dict[str, _RuleShape] = {}
    groups: dict[str, tuple[str, ...]] = {}


def read_profile_rules(section: Any) -> ProfileRules:
    """Rules out of a section of a settings file, as TOML gives it. Raises Misconfigured.

    default = {wins = "most_recent"}
    fields.name = {wins = "source_priority", sources = ["crm", "shop"]}
    groups.work = ["organisation", "job_title"]
    """
    try:
        read = msgspec.convert(section, _RulesShape)
    except msgspec.ValidationError as error:
        raise Misconfigured(f"The profile's rules are not right: {error}. See docs/customers.md.") from None
    members = [member for group in read.groups.values() for member in group]
    twice = sorted(member for member, times in Counter(members).items() if times > 1)
    if twice:
        raise Misconfigured(f"The profile field {twice[0]} is in two groups; leave it in one.")
    for name, rule in [("default", read.default), *read.fields.items()]:
        if (rule.wins == "source_priority") != bool(rule.sources):
            raise Misconfigured(f"The profile's rule for {name} needs sources with source_priority, and only then.")
    return ProfileRules(_rule(read.default), {name: _rule(one) for name, one in read.fields.items()}, read.groups)


def _rule(shape: _RuleShape) -> FieldRule:
    return FieldRule(shape.wins, shape.sources)


class Touch(NamedTuple):
    """One touchpoint that came from the person."""

    channel: str
    happened_at: datetime


class Preferred(NamedTuple):
    """The channel that a person uses most, and the hour (0 to 23, by the person's clock) that they write or call in.
    None where nothing is known."""

    channel: str | None
    hour: int | None


def preferred(touches: Iterable[Touch], zone: tzinfo) -> Preferred:
    """The most frequent channel and the most frequent hour, each the latest of equals. Touches without a channel
    count for the hour."""
    newest_first = sorted(touches, key=lambda touch: (touch.happened_at, touch.channel), reverse=True)
    channels = Counter([touch.channel for touch in newest_first if touch.channel])
    hours = Counter([touch.happened_at.astimezone(zone).hour for touch in newest_first])
    # a Counter keeps the order of its first entries, and max the first of equals
    return Preferred(
        max(channels, key=lambda one: channels[one], default=None),
        max(hours, key=lambda one: hours[one], default=None),
    )
