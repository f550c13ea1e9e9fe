"""Of which parts are the models of the configuration made? Codes, durations, and what all of them share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

__all__ = ["CODE", "BusinessTime", "Code", "Duration", "Name", "Path", "Setting", "Wrong", "listed", "meant"]

CODE: Final = r"^[a-z0-9][a-z0-9_.-]*$"
_UNITS: Final = "s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?"
_DURATION: Final = re.compile(rf"(\d{{1,5}}) ?({_UNITS})")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Path = tuple[str | int, ...]
"""Where something stands: names, and the numbers of list items from 0."""
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=CODE)]
"""A code of the configuration: small letters, digits, `_`, `.` and `-`. It stands in clear on the log."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Wrong(ValueError):
    """What a model finds wrong with itself: where, from the model on, and a sentence for each."""

    def __init__(self, *found: tuple[Path, str]) -> None:
        super().__init__("; ".join(told for _, told in found))
        self.found = found

    @classmethod
    def raise_any(cls, found: Iterable[tuple[Path, str]]) -> None:
        """Raise it, if anything was found."""
        if told := list(found):
            raise cls(*told)


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("is no duration; write a number and a unit, such as 30m, 4h or 14d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2][0]])


def _business_time(value: Any) -> Any:
    length = _duration(value)
    if isinstance(value, str) and value.strip().rstrip("aeksy")[-1:] in {"d", "w"}:
        raise ValueError("is told in days or weeks; business time is counted in hours, such as 16h for two days of 8")
    if length > timedelta(hours=10_000):
        raise ValueError("is too long; at most 10000h")
    return length


def _written(length: timedelta, units: str = "dhms") -> str:
    seconds = length // timedelta(seconds=1)
    unit = next(unit for unit in units if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(_written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_DURATION.pattern}$", "examples": ["30m", "4h", "14d"]}),
]
"""A length of time: `30m`, `4h`, `14d`."""
BusinessTime = Annotated[
    timedelta,
    BeforeValidator(_business_time),
    PlainSerializer(lambda length: _written(length, "hms"), return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{1,5} ?(s|m|h|seconds?|minutes?|hours?)$",
            "examples": ["30m", "4h", "40h"],
        }
    ),
]
"""A length of business time: `30m`, `40h`. Not in days, which would be taken for working days."""


def listed(known: Iterable[str]) -> str:
    """What there is, for a sentence."""
    return ", ".join(known) or "none"


def meant(word: str, known: Iterable[str]) -> str:
    """What somebody meant who wrote `word`, and else what there is: the end of a sentence."""
    known = list(known)
    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else f"there are {listed(known)}"


class Setting(BaseModel):
    """A part of the configuration. What it does not know is refused, since it is most often misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_its_names(cls, value: Any) -> Any:
        names = [field.alias or name for name, field in cls.model_fields.items()]
        if isinstance(value, dict):
            unknown = [str(one) for one in value if one not in names]
            Wrong.raise_any(((one,), f"is not known here; {meant(one, names)}") for one in unknown)
        return value
