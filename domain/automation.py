"""Which rules does an event set off, when, and what do their conditions and texts see?

Rules see what is public: an event's type, channel and public fields, the state of the deal, ticket, task or lead
that it is about, and of its customer what is known. What a rule does may set off other rules, in a chain of bounded
length, and never the rule itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from domain.conditions import holds
from domain.configuration import Action, Condition, Rule
from domain.consents import EVERY_CHANNEL, Standing

__all__ = [
    "MOST_DEPTH",
    "OWN_SOURCE",
    "WORK_KINDS",
    "Happening",
    "Item",
    "Occasion",
    "allows",
    "assignee_of",
    "due_at",
    "filled",
    "needs_customer",
    "rule_hash",
    "sets_off",
    "subject_of",
    "texts_of",
]

OWN_SOURCE: Final = "storyline/automation"
"""The source of what automation itself publishes; it sets off nothing."""
MOST_DEPTH: Final = 5
"""How many rules may set off each other in a row."""
WORK_KINDS: Final = ("ticket", "deal", "lead", "task")
"""Kinds of items that a rule may look at and act on; the first that an event names counts, unless its type says."""
_PLACE: Final = re.compile(r"\{(event\.[a-z]+(?:\.[a-z0-9_]+)*)\}")
_MOST_FILLED: Final = 200
"""Most letters that one place in a text is filled with."""
_ACTS: Final = "automation:"


@dataclass(frozen=True, slots=True)
class Happening:
    """What of an event is in clear. name: `SOURCE#HASH`. refs: `kind[/namespace]:value`. public: its fields."""

    name: str
    source: str
    type: str
    happened_at: datetime
    recorded_at: datetime
    channel: str | None = None
    direction: str | None = None
    actor: str | None = None
    refs: tuple[str, ...] = ()
    public: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A deal, ticket, lead or task that an event is about. native: it is kept here, so it can be acted on. values:
    its state, by field."""

    kind: str
    id: UUID
    native: bool
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Occasion:
    """All that a rule sees when it is to act. customer: whose event it is, None where it names nobody. known: what is
    known of the customer: `facts`, `profile`, `consents`. items: what the event is about, by kind."""

    happening: Happening
    customer: UUID | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    items: Mapping[str, Item] = field(default_factory=dict)
    standing: tuple[Standing, ...] = ()

    def value(self, name: str) -> Any:
        """What a name such as `event.content.amount` or `deal.stage` stands for; None where that is not known."""
        section, _, rest = name.partition(".")
        if section == "event":
            return _event_value(self.happening, rest)
        if section == "customer":
            return _walk(self.known, rest)
        item = self.items.get(section)
        return None if item is None else _walk(item.values, rest)


def _event_value(happening: Happening, rest: str) -> Any:
    if rest.startswith("content."):
        return _walk(happening.public, rest.removeprefix("content."))
    simple = {
        "type": happening.type, "channel": happening.channel, "direction": happening.direction,
        "source": happening.source, "actor": happening.actor, "time": happening.happened_at,
    }  # fmt: skip
    return simple.get(rest)


def _walk(values: Any, path: str) -> Any:
    """The value at a path, where a name may hold dots itself."""
    if not isinstance(values, Mapping):
        return None
    if path in values:
        return values[path]
    first, _, rest = path.partition(".")
    return _walk(values.get(first), rest) if rest else None


def rule_hash(rule: Rule) -> str:
    """What tells a rule from another of the same code: a rule that says something else begins anew."""
    return blake2b(rule.model_dump_json().encode(), digest_size=16).hexdigest()


def sets_off(rule: Rule, happening: Happening, since: datetime, depth: int) -> bool:
    """Does an event set off a rule, as far as it can tell by itself?

    since: from when on the rule holds: what happened, or became known, before is the past. depth: how many rules led
    to the event, 0 if somebody or something else did it.
    """
    return (
        rule.enabled
        and happening.type in rule.on
        and happening.source != OWN_SOURCE
        and happening.actor != f"{_ACTS}{rule.code}"
        and depth < MOST_DEPTH
        and min(happening.happened_at, happening.recorded_at) >= since
        and (rule.when is None or _settled(rule.when, Occasion(happening)) is not False)
    )


def _settled(condition: Condition, occasion: Occasion) -> bool | None:
    """Whether a condition holds, as far as the event alone says; None where more has to be known. What the event
    settles never changes, so that most events need not be kept until the rest is known."""
    if condition.field is not None:
        return holds(condition, occasion.value) if condition.field.startswith("event.") else None
    joined = [_settled(one, occasion) for one in condition.all or condition.any or condition.none or ()]
    if condition.all is not None:
        return False if False in joined else None if None in joined else True
    some = True if True in joined else None if None in joined else False
    return some if condition.any is not None or some is None else not some


def due_at(rule: Rule, happening: Happening) -> datetime:
    """When a rule acts about an event."""
    return happening.happened_at + rule.after if rule.after is not None else happening.happened_at


def needs_customer(rule: Rule) -> bool:
    """Does a rule ask for more of a customer than who it is?"""
    if rule.purpose is not None:
        return True
    return rule.when is not None and any(name.startswith("customer.") for name in rule.when.names())


def allows(standing: tuple[Standing, ...], purpose: str, channel: str | None) -> bool:
    """Did a customer consent to this? What stands for the channel counts, else what stands for all of them. Without a
    channel none may be withdrawn, since nobody knows which it will be. Who never said anything did not consent."""
    granted = {one.channel: one.granted for one in standing if one.purpose == purpose}
    every = granted.get(EVERY_CHANNEL, False)
    return granted.get(channel, every) if channel else every and all(granted.values())


def subject_of(occasion: Occasion) -> Item | None:
    """What an action that names nothing acts on: what the event's type is about, else the first thing it names."""
    family = occasion.happening.type.partition(".")[0]
    family = {"target": "ticket"}.get(family, family)
    kinds = [family, *WORK_KINDS] if family in WORK_KINDS else WORK_KINDS
    return next((occasion.items[kind] for kind in kinds if kind in occasion.items), None)


def assignee_of(named: str | None, occasion: Occasion) -> str | None:
    """The colleague that an action names: `event.assignee` is whoever has what the event is about."""
    if named != "event.assignee":
        return named
    given = _walk(occasion.happening.public, "assignee")
    if isinstance(given, str):
        return given
    subject = subject_of(occasion)
    has = None if subject is None else subject.values.get("assignee")
    return has if isinstance(has, str) else None


def filled(text: str, happening: Happening, most: int) -> str:
    """A text with its places filled: `{event.type}`, `{event.content.NAME}` (public fields alone). What is not known
    leaves its place empty. At most `most` letters."""

    def fill(match: re.Match[str]) -> str:
        value = _event_value(happening, match[1].removeprefix("event."))
        return "" if value is None or isinstance(value, Mapping) else str(value)[:_MOST_FILLED]

    return _PLACE.sub(fill, text)[:most]


def texts_of(action: Action, happening: Happening) -> tuple[str, str]:
    """The title and the text of an action, filled."""
    return filled(action.title or "", happening, 500), filled(action.text or "", happening, 10_000)
