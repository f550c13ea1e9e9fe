"""Of which parts are the models of the configuration made? Codes, durations, and what all of them share."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

__all__ = ["Code", "Duration", "Name", "Setting"]

_DURATION: Final = re.compile(r"(\d{1,5})\s*(s|m|h|d|w|seconds?|minutes?|hours?|days?|weeks?)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
"""A code of the configuration: small letters, digits, `_`, `.` and `-`. It stands in clear on the log."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("is no duration; write a number and a unit, such as 30m, 4h or 14d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2][0]])


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    WithJsonSchema({"type": "string", "pattern": rf"^{_DURATION.pattern}$", "examples": ["30m", "4h", "14d"]}),
]
"""A length of time: `30m`, `4h`, `14d`."""


class Setting(BaseModel):
    """A part of the configuration. What it does not know is refused, since it is most often misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid")
