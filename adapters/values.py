"""How does a rule of a mapping make a value? The same for the cells of CSV and the attributes of XES."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from adapters.csv_mapping import Conversion, Shaping
from adapters.importing import Refusal

__all__ = ["Read", "RowRefused", "content_of", "data_of", "text_of", "time_of"]

Read = Callable[[str], str]
"""Gives the text of a column or attribute by its name, "" where there is none."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on", "ja", "j", "oui", "si", "sì", "sí", "x"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off", "nein", "non", "-"})


class RowRefused(Exception):
    """This row becomes no event."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(code, reason)


class _Named(Protocol):
    """A rule that names what it reads."""

    @property
    def names(self) -> list[str]: ...


class _TimeRule(_Named, Protocol):
    @property
    def format(self) -> str | None: ...
    @property
    def zone(self) -> str: ...


class _EventRule(Protocol):
    @property
    def who(self) -> Any: ...
    @property
    def parties(self) -> Any: ...
    @property
    def refs(self) -> Any: ...
    @property
    def channel(self) -> Any: ...


def text_of(rule: Any, read: Read) -> str | None:
    """The text that a rule (names and `Shaping`) finds, or None where it is empty."""
    names = rule.names
    if len(names) == 1:
        text = read(names[0]).strip() if rule.strip else read(names[0])
    else:
        texts = [read(name).strip() if rule.strip else read(name) for name in names]
        text = rule.join.join(text for text in texts if text)
    if rule.case is not None:
        text = text.lower() if rule.case == "lower" else text.upper()
    if not text:
        if rule.required and rule.default is None:
            raise RowRefused("empty", f"{_told(rule)} is empty, and the mapping requires it.")
        default: str | None = rule.default
        return default
    if rule.values is None:
        return text
    if text not in rule.values:
        raise RowRefused("value_unknown", f"{_told(rule)} holds a value that the mapping's table lacks.")
    known: str = rule.values[text]
    return known


def data_of(rule: _EventRule, read: Read) -> dict[str, Any]:
    """`data` but for its content: who, parties, refs and channel, without those that are empty."""
    data: dict[str, Any] = {}
    if who := _named(rule.who, read):
        data["who"] = who
    parties = [(party.role, _named(party.who, read)) for party in rule.parties]
    if known := [{"role": role, "who": others} for role, others in parties if others]:
        data["parties"] = known
    if refs := _named(rule.refs, read):
        data["refs"] = refs
    channel = text_of(rule.channel, read) if isinstance(rule.channel, Shaping) else rule.channel
    if channel:
        data["channel"] = channel
    return data


def _named(rules: Iterable[Any], read: Read) -> list[dict[str, str]]:
    """Identifiers or refs, without those that are empty."""
    found = []
    for rule in rules:
        value = text_of(rule, read)
        if value:
            space = {"namespace": rule.namespace} if rule.namespace else {}
            found.append({"kind": rule.kind, "value": value, **space})
    return found


def time_of(rule: _TimeRule, read: Read) -> datetime:
    """The time, with its offset."""
    text = " ".join(read(name).strip() for name in rule.names).strip()
    try:
        time = datetime.strptime(text, rule.format) if rule.format else datetime.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        form = rule.format or "ISO 8601"
        raise RowRefused("time", f"{' and '.join(rule.names)} holds no time of the form {form}.") from None
    return time.replace(tzinfo=ZoneInfo(rule.zone)) if time.tzinfo is None else time


def content_of(rule: Any, read: Read, decimal_comma: bool = False) -> Any:
    """The content's tree with its values in place of its rules; fields that are empty are left out."""
    if isinstance(rule, Conversion):
        return _value(rule, read, decimal_comma)
    if isinstance(rule, dict):
        made = {name: content_of(one, read, decimal_comma) for name, one in rule.items()}
        return {name: value for name, value in made.items() if value is not None}
    if isinstance(rule, list):
        return [value for one in rule if (value := content_of(one, read, decimal_comma)) not in (None, {})]
    return rule


def _value(rule: Conversion, read: Read, decimal_comma: bool) -> Any:
    text = text_of(rule, read)
    if text is None:
        return None
    if rule.split is None:
        return _converted(rule, text, decimal_comma)
    parts = (part.strip() for part in text.split(rule.split))
    return [_converted(rule, part, decimal_comma) for part in parts if part]


def _converted(rule: Conversion, text: str, decimal_comma: bool) -> Any:
    if rule.as_ == "text":
        return text
    if rule.as_ == "boolean":
        word = text.casefold()
        if word not in _TRUE | _FALSE:
            raise RowRefused("boolean", f"{_told(rule)} holds neither a yes nor a no.")
        return word in _TRUE
    number = _number(text, decimal_comma)
    if number is None or (rule.as_ == "integer" and number != number.to_integral_value()):
        kind = "whole number" if rule.as_ == "integer" else "decimal number"
        raise RowRefused("number", f"{_told(rule)} holds no {kind} as the mapping states it.")
    return int(number) if rule.as_ == "integer" else f"{number:f}"


def _number(text: str, decimal_comma: bool) -> Decimal | None:
    """A number with its thousands' marks left out; None for what is none, or is written the other way."""
    point, mark = (",", ".") if decimal_comma else (".", ",")
    plain = re.sub(r"[\s'\u00a0\u202f]", "", text)
    whole, _, fraction = plain.partition(point)
    if mark in fraction or (mark in whole and not re.fullmatch(rf"[+-]?\d{{1,3}}(\{mark}\d{{3}})+", whole)):
        return None
    plain = whole.replace(mark, "") + (f".{fraction}" if fraction else "")
    return Decimal(plain) if _NUMBER.fullmatch(plain) else None


def _told(rule: Any) -> str:
    return " and ".join(rule.names)
