"""What of an event's public content does the read model `work` take, and in which form?

The fields that folds read, by the readings of `domain/fields.py`, as far as Postgres has room for the value; so no
foreign event stops a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from domain.fields import CODE, CODES, COUNT, DAY, FLAG, LEFT_OUT, MOMENT, NUMBER, Reading
from projections.columns import LONGEST_CODE

__all__ = ["FIELDS", "MOST_CODES", "taken"]

MOST_CODES: Final = 100
"""As many codes of a list are taken."""
_LONGEST_NUMBER: Final = 100
_MOST_DIGITS: Final = 18
"""Before and after the point."""
_MOST_COUNT: Final = 10**12


def _fields(reading: Reading, *names: str) -> dict[str, Reading]:
    return dict.fromkeys(names, reading)


FIELDS: Final[Mapping[str, Mapping[str, Reading]]] = {
    "deal": {
        **_fields(CODE, "stage", "pipeline", "currency", "assignee", "team", "origin", "reason", "previous"),
        **_fields(CODE, "role", "approved"),
        **_fields(NUMBER, "amount", "probability"),
        **_fields(CODES, "products"),
        **_fields(DAY, "expected_close", "next_step_on"),
        **_fields(MOMENT, "since"),
    },
    "ticket": {
        **_fields(CODE, "state", "priority", "queue", "assignee", "team", "category", "product", "service_level"),
        **_fields(CODE, "channel", "follows", "previous", "by", "other", "relation", "into", "reason", "target"),
        **_fields(CODE, "policy"),
        **_fields(MOMENT, "respond_by", "respond_warn", "resolve_by", "resolve_warn", "due"),
        **_fields(COUNT, "clock_s", "level", "duration_s"),
        **_fields(FLAG, "internal"),
    },
    "task": {
        **_fields(CODE, "kind", "priority", "assignee", "team", "reason"),
        **_fields(MOMENT, "due", "remind_at"),
    },
    "lead": {
        **_fields(CODE, "origin", "campaign", "product", "country", "industry", "assignee", "team", "assigned_by"),
        **_fields(CODE, "reason", "deal"),
    },
    "user": {**_fields(CODE, "successor", "successor_team"), **_fields(CODES, "teams", "roles")},
}
"""By the kind of an item and the name of a field: how its value is read."""


def taken(kind: str, public: Mapping[str, Any]) -> dict[str, Any]:
    """What the read model keeps of a public content, as JSON values: numbers, days and moments as text, the moments
    in UTC; null where a field is emptied."""
    found = {}
    for name, reading in FIELDS[kind].items():
        if name in public:
            value = public[name]
            if value is not None:
                value = _plain(reading.read(value))
            if value is not LEFT_OUT:
                found[name] = value
    return found


def _plain(value: Any) -> Any:
    """A value as JSON, or LEFT_OUT where there is no room for it."""
    if isinstance(value, str):
        return value if _fits(value) else LEFT_OUT
    if isinstance(value, tuple):
        return [code for code in value if _fits(code)][:MOST_CODES]
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and value > _MOST_COUNT:
        return LEFT_OUT
    return value


def _fits(code: str) -> bool:
    try:
        return len(code.encode()) <= LONGEST_CODE and "\0" not in code
    except UnicodeEncodeError:
        return False


def _number(number: Decimal) -> Any:
    exponent = number.as_tuple().exponent
    small = isinstance(exponent, int) and exponent >= -_MOST_DIGITS and number.adjusted() < _MOST_DIGITS
    told = f"{number:f}" if small else ""
    return told if 0 < len(told) <= _LONGEST_NUMBER else LEFT_OUT


def _moment(moment: datetime) -> Any:
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError:
        return LEFT_OUT
