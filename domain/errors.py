"""Which errors are there? One hierarchy, mapped once to HTTP (`api/problems.py`) and once to exit codes
(`storyline/exits.py`).

    StorylineError
    ├── BadInput            what was sent is wrong: item, field, trouble, way out
    │   └── UnknownType     its type, or the version that it pins, is not in the catalogue
    ├── TooLarge            one request carries more than the stated limit
    ├── TooMany             more requests than the stated limit; come back after `retry_after` seconds
    ├── WrongMediaType      the content type is none that is understood
    ├── Unauthenticated     no key, or one that is unknown or revoked
    ├── Forbidden           the key is good, its rights are not enough
    ├── NotFound            there is no such thing
    ├── Refused             a rule of a deal, ticket, task or lead forbids this step: which, what is missing, what may
    │                       be done now; each rule has a class of its own, beside the rule (`domain/deal.py` …)
    ├── Stale               it was changed by somebody else since it was read: by whom, and what
    ├── Unavailable         a part that is needed does not answer; come back after `retry_after` seconds
    │   └── NotYet          the position that was asked for is not visible yet
    ├── Misconfigured       a setting is missing or wrong
    ├── Poison              a record on the log that cannot be read
    ├── SealError
    │   ├── Tampered        a blob or its record was altered, truncated or swapped
    │   ├── UnknownKey      the key of a blob is not in the key store (never taken for "erased")
    │   └── Erased          the key of a blob was destroyed
    ├── Fenced              another process took over these partitions
    └── LogDamaged          the log is not the one, or ends before the position, that we remember
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = [
    "BadInput",
    "Erased",
    "Fenced",
    "Forbidden",
    "LogDamaged",
    "Misconfigured",
    "NotFound",
    "NotYet",
    "Poison",
    "Problem",
    "Refused",
    "SealError",
    "Stale",
    "StorylineError",
    "Tampered",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
    "UnknownKey",
    "UnknownType",
    "WrongMediaType",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input.

    `field` is a path such as `data.who[0].value`; `item` is the index in a batch (None for a single event).
    `trouble` and `way_out` are sentences for a person; they never repeat the value, which may be personal.
    """

    field: str
    trouble: str
    way_out: str
    item: int | None = None


class StorylineError(Exception):
    """Base of all errors that are values of the product. `detail` is a sentence without personal data."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BadInput(StorylineError):
    """What was sent is wrong; `problems` says where, what and how to mend it."""

    def __init__(self, problems: list[Problem], detail: str | None = None) -> None:
        self.problems = tuple(problems)
        first = self.problems[0] if self.problems else None
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        told = f"{first.field}: {first.trouble} {first.way_out}{more}" if first else "The input is wrong."
        super().__init__(detail or told)


class UnknownType(BadInput):
    """The event's type, or the version of it that it pins, is not in the catalogue (yet)."""


class TooLarge(StorylineError):
    """One request carries more than the stated limit."""


class _ComeBack(StorylineError):
    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooMany(_ComeBack):
    """More requests than the stated limit; come back after `retry_after` seconds."""


class WrongMediaType(StorylineError):
    """The content type is none that is understood."""


class Unauthenticated(StorylineError):
    """No key, or one that is unknown or revoked."""


class Forbidden(StorylineError):
    """The key is good, its rights are not enough."""


class NotFound(StorylineError):
    """There is no such thing."""


class Refused(StorylineError):
    """A rule forbids this step. `rule`: its code; `missing`: fields, roles or reasons that it asks for; `allowed`:
    the moves that may be made now; `lacks`: what some of those still ask for, where it is known."""

    rule: str = "refused"
    lacks: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def __init__(self, detail: str, *, missing: tuple[str, ...] = (), allowed: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.missing, self.allowed = missing, allowed


class Stale(StorylineError):
    """It was changed since it was read. `revision`: what it has now; `changes`: what was done since, one mapping a
    step, as its history shows it."""

    def __init__(self, detail: str, *, revision: int = 0, changes: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(detail)
        self.revision, self.changes = revision, changes


class Unavailable(_ComeBack):
    """A part that is needed does not answer; come back after `retry_after` seconds."""


class NotYet(Unavailable):
    """The position that was asked for did not become visible within the bounded wait."""


class Misconfigured(StorylineError):
    """A setting is missing or wrong; the sentence names it and says what to do."""


class Poison(StorylineError):
    """A record on the log that cannot be read."""


class SealError(StorylineError):
    """A sealed part that cannot be opened."""


class Tampered(SealError):
    """A blob or the record around it was altered, truncated or swapped."""


class UnknownKey(SealError):
    """The key of a blob is not in the key store. Never taken for "erased"."""


class Erased(SealError):
    """The key of a blob was destroyed by an erasure."""


class Fenced(StorylineError):
    """Another process took over these partitions, or moved their positions."""


class LogDamaged(StorylineError):
    """The log is not the one that we remember, or ends before a position that we remember."""
