"""With which exit code does the command line end? One table, explained in `docs/command-line.md`."""

from __future__ import annotations

from typing import Final

from domain.errors import (
    BadInput,
    Fenced,
    Forbidden,
    LogDamaged,
    Misconfigured,
    NotFound,
    Poison,
    Refused,
    SealError,
    Stale,
    StorylineError,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    WrongMediaType,
)

__all__ = ["CODES", "INTERRUPTED", "UNEXPECTED", "USAGE", "WRONG_FOR_GOOD", "exit_code"]

UNEXPECTED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

CODES: Final[dict[type[StorylineError], int]] = {
    BadInput: 3,
    TooLarge: 3,
    WrongMediaType: 3,
    NotFound: 4,
    Unavailable: 5,
    TooMany: 5,
    Unauthenticated: 6,
    Forbidden: 6,
    Misconfigured: 7,
    LogDamaged: 8,
    Poison: 8,
    SealError: 8,
    Fenced: 9,
    Refused: 10,
    Stale: 10,
}
"""Exit codes by class of error; a subclass ends with the code of its base."""

WRONG_FOR_GOOD: Final = frozenset({USAGE, 7, 8})
"""Codes after which starting the same process again is of no use."""


def exit_code(error: BaseException) -> int:
    """The exit code that an error ends with."""
    for base in type(error).__mro__:
        if base in CODES:
            return CODES[base]
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else UNEXPECTED
