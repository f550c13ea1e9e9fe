"""How do pydantic's errors read for a person? As our problems: which field, what trouble, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from domain.errors import Problem

__all__ = ["field_path", "problems_of"]

_MOST: Final = 20
_SEE: Final = "See the type's schema for what is allowed."

# pydantic's error type: (trouble, way out); braces stand for what the rule says, never for what was sent.
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("is missing.", "Add it."),
    "extra_forbidden": ("is no field here.", "Leave it out, or see the type's schema for the fields it has."),
    "string_type": ("is not a text.", "Send a JSON string."),
    "string_unicode": ("holds half a surrogate pair.", "Send valid Unicode."),
    "string_too_long": ("is longer than {max_length} characters.", "Shorten it, or refer to it as an attachment."),
    "string_too_short": ("is too short.", "Send at least {min_length} characters; leave it out where it is empty."),
    "literal_error": ("is none of the known values.", "Send {expected}."),
    "bool_type": ("is not true or false.", "Send true or false."),
    "bool_parsing": ("is not true or false.", "Send true or false."),
    "int_type": ("is not a whole number.", "Send a number such as 3."),
    "int_parsing": ("is not a whole number.", "Send a number such as 3."),
    "int_parsing_size": ("is too large a number.", _SEE),
    "int_from_float": ("is not a whole number.", "Send a number such as 3."),
    "decimal_type": ("is not a number.", "Send a number such as 139.12."),
    "decimal_parsing": ("is not a number.", "Send a number such as 139.12."),
    "decimal_max_digits": ("has more than {max_digits} digits.", "Send a number with fewer digits."),
    "decimal_max_places": ("has more than {decimal_places} decimals.", "Round it."),
    "decimal_whole_digits": ("has more than {whole_digits} digits before the point.", "Send a smaller number."),
    "finite_number": ("is not a finite number.", "Send a number such as 139.12."),
    "greater_than_equal": ("is less than {ge}.", "Send {ge} or more."),
    "less_than_equal": ("is more than {le}.", "Send {le} or less."),
    "too_long": ("has more than {max_length} items.", "Send at most {max_length}."),
    "too_short": ("has fewer than {min_length} items.", "Send at least {min_length}."),
    "list_type": ("is not a list.", "Send a JSON array."),
    "dict_type": ("is not an object.", "Send a JSON object."),
    "model_type": ("is not an object.", "Send a JSON object."),
    "timezone_aware": ("is a time without offset.", "Add Z or an offset such as +01:00."),
    "invalid_key": ("has a key that is not a text.", "Send a JSON object."),
}
_TIMES: Final = ("is not an RFC 3339 time.", "Send a time such as 2026-03-01T09:30:00+01:00.")
_DATES: Final = ("is not a date.", "Send a date such as 2026-03-01.")
_PATTERNS: Final[Mapping[str, tuple[str, str]]] = {
    r"^[A-Z]{3}$": ("is not an ISO 4217 code.", "Send three capital letters such as GBP."),
    r"^[^@\x00-\x1f\x7f]+$": (
        "is not a code.",
        "Send a code without @ and control characters; it stands in clear, so never an address.",
    ),
    r"^[^\x00-\x1f\x7f]*$": ("holds a control character.", "Leave the character out."),
    r"^[^\x00-\x20\x7f]*$": ("holds a blank or control character.", "Send a URI reference such as shop/web."),
    r"^[^\x00]*$": ("holds a NUL character.", "Leave the character out."),
    r"^[a-z0-9_.-]*$": ("is not right.", "Use small letters, digits, dot, hyphen and underscore."),
    r"^[a-z0-9_.-]+$": ("is not right.", "Use small letters, digits, dot, hyphen and underscore."),
}


def problems_of(error: ValidationError, prefix: str) -> list[Problem]:
    """pydantic's errors as our problems, at most 20; never the value."""
    found = []
    for item in error.errors(include_url=False, include_context=True, include_input=False)[:_MOST]:
        trouble, way_out = _in_words(item["type"], item.get("ctx", {}))
        found.append(Problem(field_path(prefix, item["loc"]), trouble, way_out))
    return found


def field_path(prefix: str, parts: tuple[int | str, ...]) -> str:
    """`data.who[0].value`; names that were sent are cut, because they may be long."""
    path = prefix
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:64]}"
    return path.removeprefix(".") or "event"


def _in_words(kind: str, context: Mapping[str, Any]) -> tuple[str, str]:
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return _PATTERNS.get(pattern, ("does not have the form that is asked for.", f"Send what matches {pattern}"))
    if kind == "value_error":
        return f"is not right: {context['error']}.", "Send what is asked for."
    if kind.startswith("datetime_"):
        return _TIMES
    if kind.startswith("date_"):
        return _DATES
    words = _WORDS.get(kind)
    if words is None:
        return "is not right.", _SEE
    return words[0].format(**context), words[1].format(**context)
