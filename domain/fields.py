"""What does the content of a step say, field by field? Values that make no sense count as left out, so that whatever
a foreign event holds, no fold fails.

What a native step is made of goes the other way: `plain` makes JSON values, `only` refuses fields that have no place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from domain.errors import BadInput, Problem
from domain.work import read_moment

__all__ = [
    "CODE",
    "CODES",
    "COUNT",
    "DAY",
    "FLAG",
    "LEFT_OUT",
    "MOMENT",
    "NUMBER",
    "TEXT",
    "Reading",
    "only",
    "plain",
    "read_code",
    "read_fields",
]

LEFT_OUT: Final = object()
"""What a reader answers for a value that makes no sense."""


class Reading(NamedTuple):
    """How a field is read. read: its value, or LEFT_OUT; empty: what null makes of it."""

    read: Callable[[Any], Any]
    empty: Any = None


def read_code(value: Any) -> Any:
    """A code: text that is not empty."""
    return value if isinstance(value, str) and value else LEFT_OUT


def _codes(value: Any) -> Any:
    return tuple(one for one in value if read_code(one) is one) if isinstance(value, list | tuple) else LEFT_OUT


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else LEFT_OUT


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return LEFT_OUT
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        return LEFT_OUT
    return number if number.is_finite() else LEFT_OUT


def _count(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else LEFT_OUT


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) else LEFT_OUT


def _moment(value: Any) -> Any:
    moment = read_moment(value)
    return LEFT_OUT if moment is None or moment.tzinfo is None else moment


def _day(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return LEFT_OUT
    try:
        return date.fromisoformat(value)
    except ValueError:
        return LEFT_OUT


CODE: Final = Reading(read_code)
CODES: Final = Reading(_codes, ())
TEXT: Final = Reading(_text, "")
NUMBER: Final = Reading(_number)
COUNT: Final = Reading(_count)
FLAG: Final = Reading(_flag)
MOMENT: Final = Reading(_moment)
DAY: Final = Reading(_day)


def read_fields(content: Mapping[str, Any], fields: Mapping[str, Reading]) -> dict[str, Any]:
    """The fields that a content says something of: their values, emptied where they are null."""
    found = {}
    for name in fields.keys() & content.keys():
        value = content[name]
        value = fields[name].empty if value is None else fields[name].read(value)
        if value is not LEFT_OUT:
            found[name] = value
    return found


def plain(value: Any) -> Any:
    """A value of a content as JSON: numbers with a point, days and moments as text, as the log has them."""
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, float) else value


def only(content: Mapping[str, Any], fields: Collection[str], way_out: str) -> dict[str, Any]:
    """A content as JSON values. Raises BadInput where it holds other fields than these: what has rules of its own is
    not changed in passing."""
    others = sorted(content.keys() - set(fields))
    if others:
        raise BadInput([Problem(name, "has no place in this step.", way_out) for name in others])
    return {name: plain(value) for name, value in content.items()}
