"""Does a condition hold? A tree of comparisons over values that are asked for by name.

What is not known is smaller, greater and equal to nothing: `=`, `>`, `in`, `contains` do not hold, `!=` and `not in`
do. Numbers are compared as decimals, however they are written (`"250.00"` is 250), days and moments in their order; a
moment is compared with a day by the day that it is where it was told. Text is compared as it is, small letters and
capitals apart.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from domain.configuration import Condition
from domain.work import read_moment

__all__ = ["Leaf", "compare", "explain", "holds"]

Values = Callable[[str], Any]

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


class Leaf(NamedTuple):
    """One comparison of a condition: what was asked for, what was found, and whether it held by itself."""

    field: str
    comparison: str
    wanted: Any
    found: Any
    holds: bool


def holds(condition: Condition | None, values: Values) -> bool:
    """Whether a condition holds; none at all always does. values: gives what a name such as `deal.amount` stands for,
    a JSON value, None if it is not known; it is asked for no more than it takes."""
    if condition is None:
        return True
    if condition.all is not None:
        return all(holds(one, values) for one in condition.all)
    if condition.any is not None:
        return any(holds(one, values) for one in condition.any)
    if condition.none is not None:
        return not any(holds(one, values) for one in condition.none)
    return _compared(condition, values(condition.field or ""))


def explain(condition: Condition | None, values: Values) -> tuple[Leaf, ...]:
    """Every comparison of a condition, in order, with what was found; also those that made no difference."""
    return tuple(_leaves(condition, values)) if condition is not None else ()


def _leaves(condition: Condition, values: Values) -> Iterator[Leaf]:
    for one in [*(condition.all or ()), *(condition.any or ()), *(condition.none or ())]:
        yield from _leaves(one, values)
    if condition.field is not None:
        found = values(condition.field)
        yield Leaf(condition.field, condition.is_, condition.value, found, _compared(condition, found))


def _compared(condition: Condition, found: Any) -> bool:
    return compare(condition.is_, condition.value, found)


def compare(is_: str, wanted: Any, found: Any) -> bool:
    """Whether one comparison holds of what was found: `found is_ wanted`."""
    match is_:
        case "known":
            return not _unknown(found)
        case "unknown":
            return _unknown(found)
        case "=":
            return _equal(found, wanted)
        case "!=":
            return not _equal(found, wanted)
        case "in":
            return any(_equal(found, one) for one in wanted)
        case "not in":
            return not any(_equal(found, one) for one in wanted)
        case "contains":
            return _contains(found, wanted)
        case order:
            pair = _pair(found, wanted)
            return pair is not None and _ORDER[order](*pair)


def _unknown(value: Any) -> bool:
    """Nothing, or nothing in it; 0 and false are known."""
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    pair = _pair(left, right)
    return pair is not None and pair[0] == pair[1]


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, list | tuple):
        return any(_equal(one, wanted) for one in found)
    return isinstance(found, str) and isinstance(wanted, str) and wanted.casefold() in found.casefold()


def _pair(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Both as values of one kind, which can be compared; None if they are of no common kind."""
    if isinstance(left, bool) or isinstance(right, bool):
        return (left, right) if isinstance(left, bool) and isinstance(right, bool) else None
    for read in (_number, _moment, _text):
        one, other = read(left), read(right)
        if one is not None and other is not None:
            return _of_one_kind(one, other)
    return None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value))
        return number if number.is_finite() else None
    return Decimal(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _moment(value: Any) -> date | None:
    """A day, or a moment (which Python takes for a kind of day)."""
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return value
    if not isinstance(value, str):
        return None
    try:
        return date.fromisoformat(value) if _DATE.fullmatch(value) else read_moment(value)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _of_one_kind(one: Any, other: Any) -> tuple[Any, Any]:
    if isinstance(one, datetime) != isinstance(other, datetime):
        return (one.date() if isinstance(one, datetime) else one), (
            other.date() if isinstance(other, datetime) else other
        )
    return one, other
