"""Of which parts are the rules of segments made? Comparisons, windows, and choices of events.

Everything a rule says of itself is checked here; what it says of a deployment (its types of events, its segments) is
checked in `segment_limits.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from domain.configuration.base import Duration, Path, Setting, Wrong, meant
from domain.work import read_moment

__all__ = [
    "ANNIVERSARY",
    "CONTACT",
    "DAY",
    "KNOWN",
    "LISTED",
    "MOST_VALUES",
    "ORDER",
    "RELATIVE",
    "WHERE_FIELDS",
    "Bounds",
    "Comparison",
    "Count",
    "Kind",
    "Operator",
    "PlainText",
    "Selection",
    "Types",
    "Value",
    "Where",
    "Window",
    "comparison_astray",
    "field_astray",
    "is_moment",
    "length_of",
    "plain_text",
]

Operator = Literal[
    "=", "!=", ">", ">=", "<", "<=", "in", "not in", "contains", "starts with", "ends with", "known", "unknown",
    "within last", "more than ago", "within next", "anniversary",
]  # fmt: skip
Kind = Literal["any", "text", "number", "count", "moment", "list"]
"""What can be compared: any JSON value, a text, a number, a whole number, a moment, a list of texts."""

ORDER: Final = (">", ">=", "<", "<=")
KNOWN: Final = ("known", "unknown")
LISTED: Final = ("in", "not in")
RELATIVE: Final = ("within last", "more than ago", "within next")
ANNIVERSARY: Final = "anniversary"
_TEXTS: Final = ("contains", "starts with", "ends with")
_EQUAL: Final = ("=", "!=", *LISTED)
_OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    "any": (*_EQUAL, *ORDER, *_TEXTS, *KNOWN),
    "text": (*_EQUAL, *_TEXTS, *KNOWN),
    "number": (*_EQUAL, *ORDER, *KNOWN),
    "count": (*_EQUAL, *ORDER),
    "moment": (*_EQUAL, *ORDER, *KNOWN, *RELATIVE),
    "list": (*_EQUAL, *_TEXTS, *KNOWN),
}
CONTACT: Final = "contact"
"""Stands for every touchpoint, where types of events are named."""
WHERE_FIELDS: Final = ("channel", "direction", "source", "actor", "campaign", "product", "category")
"""What an event is asked for beside `content.NAME`; the last three may have several values."""
MOST_VALUES: Final = 1000
_LONGEST_TEXT: Final = 500
_LONGEST_WINDOW: Final = timedelta(days=3660)
DAY: Final = re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_CONTENT: Final = re.compile(r"content(\.[A-Za-z0-9_-]{1,100}){1,8}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_DIGITS: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,30})?")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_BEYOND: Final = 10**15
_EARLIEST: Final = 1000
_LATEST: Final = 9000


def is_moment(text: Any) -> bool:
    """Is it a day (`2026-01-31`) or a moment with an offset (`2026-01-31T09:00:00Z`), as rules write them?"""
    if not isinstance(text, str):
        return False
    if DAY.fullmatch(text):
        try:
            return _EARLIEST < date.fromisoformat(text).year < _LATEST
        except ValueError:
            return False
    read = read_moment(text) if _MOMENT.fullmatch(text) else None
    return read is not None and _EARLIEST < read.year < _LATEST


def _plain(value: Any) -> Any:
    """A number in its one spelling; raises ValueError for what is none."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        if not isfinite(value) or abs(value) >= _BEYOND or _DIGITS.fullmatch(f"{Decimal(repr(value)):f}") is None:
            raise ValueError(
                "is too large or too small a number, or none; write at most 15 digits, and 30 after the point"
            )
        return int(value) if value.is_integer() else value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _BEYOND * 1000:
        raise ValueError("is too large a number; write at most 18 digits")
    return plain_text(value) if isinstance(value, str) else value


def plain_text(value: str) -> str:
    """A text that can be kept and compared; raises ValueError for any other."""
    if len(value) > _LONGEST_TEXT or "\x00" in value or any("\ud800" <= one <= "\udfff" for one in value):
        raise ValueError(f"is too long a text, or has a character that is none; at most {_LONGEST_TEXT} characters")
    return value


PlainText = Annotated[str, AfterValidator(plain_text)]


def _value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple([_plain(one) for one in value])
    return _plain(value)


Value = Annotated[
    Any,
    BeforeValidator(_value),
    PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value),
]


class Comparison(Setting):
    """`is` and `value`: what something is compared with. Durations (`30d`) are the values of the relative ones."""

    is_: Operator = Field(alias="is")
    value: Value = None

    def astray(self, kind: Kind, *, further: Iterable[str] = (), at: Path = ()) -> Iterator[tuple[Path, str]]:
        """What is wrong with it where something of this kind is compared. further: operators beside its usual."""
        for path, told in comparison_astray(self.is_, self.value, kind, further):
            yield (*at, *path), told


def comparison_astray(is_: str, value: Any, kind: Kind, further: Iterable[str] = ()) -> Iterator[tuple[Path, str]]:
    """What is wrong with comparing something of this kind so."""
    allowed = (*_OPERATORS[kind], *further)
    if is_ not in allowed:
        yield ("is",), f"does not go with this; there are {', '.join(allowed)}"
    elif is_ in KNOWN:
        if value is not None:
            yield ("value",), f"has no place beside `{is_}`; leave it out"
    elif is_ in RELATIVE or is_ == ANNIVERSARY:
        yield from _duration_astray(value)
    elif is_ in LISTED:
        yield from _list_astray(is_, value, kind)
    elif told := _one_astray(value, kind):
        yield ("value",), told
    elif kind == "any" and is_ in ORDER and not _is_ordered(value):
        yield ("value",), f"is no number and no day, and `{is_}` compares nothing else"
    elif is_ in _TEXTS and not isinstance(value, str):
        yield ("value",), f"is no text, and `{is_}` looks for one; put it in quotes"


def _duration_astray(value: Any) -> Iterator[tuple[Path, str]]:
    try:
        length = length_of(value)
    except ValueError as error:
        yield ("value",), str(error)
        return
    if length > _LONGEST_WINDOW:
        yield ("value",), "is too long; at most ten years (3660d)"


def _list_astray(is_: str, value: Any, kind: Kind) -> Iterator[tuple[Path, str]]:
    if not isinstance(value, tuple) or not value:
        yield ("value",), f"is no list; `{is_}` needs one, such as [1, 2]"
    elif len(value) > MOST_VALUES:
        yield ("value",), f"has {len(value)} values; at most {MOST_VALUES}: make a fixed segment of what is longer"
    else:
        for place, one in enumerate(value):
            if told := _one_astray(one, kind):
                yield ("value", place), told


def _one_astray(value: Any, kind: Kind) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "count" if not (isinstance(value, int) and is_number and value >= 0):
            return "is no whole number; write one from 0"
        case "number" if not (is_number or (isinstance(value, str) and _NUMBER.fullmatch(value))):
            return "is no number"
        case "moment" if not is_moment(value):
            return "is no day and no moment; write 2026-01-31, or 2026-01-31T09:00:00Z with an offset"
        case "text" | "list" if not isinstance(value, str):
            return "is no text; put it in quotes"
        case "any" if not isinstance(value, str | int | float):
            return "is no single text, number or truth; for what is not there use `unknown`"
    return None


def _is_ordered(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and (_NUMBER.fullmatch(value) is not None or is_moment(value))
    )


def length_of(value: Any) -> timedelta:
    """The length that a duration such as `30d` says. Raises ValueError with a sentence."""
    match = re.fullmatch(r"([0-9]{1,5})(s|m|h|d|w)", value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError("is no duration; write a number and a unit, such as 30m, 4h or 14d")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[match[2]]
    return timedelta(seconds=int(match[1]) * seconds)


Count = Annotated[int, Field(ge=0, le=10**9)]


class Where(Comparison):
    """A condition on one event: `field` is `channel`, `direction`, `source`, `actor`, `campaign`, `product`,
    `category`, or `content.NAME`, a public field (dots go down)."""

    field: Annotated[str, Field(max_length=300)]

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        found = list(field_astray(self.field))
        kind: Kind = "any" if self.field.startswith("content.") else "text"
        Wrong.raise_any([*found, *self.astray(kind)])
        return self


def field_astray(field: str) -> Iterator[tuple[Path, str]]:
    """What is wrong with the name of something that events are asked for."""
    if field not in WHERE_FIELDS and not _CONTENT.fullmatch(field):
        choices = [*WHERE_FIELDS, f"content.{field}" if _CONTENT.fullmatch(f"content.{field}") else "content.NAME"]
        yield ("field",), f"is nothing that an event can be asked for; {meant(field, choices)}"


def _types(value: Any) -> Any:
    if value == CONTACT:
        return (CONTACT,)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"is no list of types; write [purchase.made], or {CONTACT} for every touchpoint")
    if not all(
        isinstance(one, str) and len(one) <= 100 and (one == CONTACT or _TYPE.fullmatch(one)) for one in value
    ):
        raise ValueError("is no list of types; each is a text such as purchase.made")
    if len(set(value)) < len(value):
        raise ValueError("names a type twice; leave one out")
    if CONTACT in value and len(value) > 1:
        raise ValueError(f"names {CONTACT}, which is every touchpoint, beside others; leave those out")
    return tuple(value)


Types = Annotated[
    tuple[str, ...],
    BeforeValidator(_types),
    PlainSerializer(lambda types: CONTACT if types == (CONTACT,) else list(types)),
    WithJsonSchema({"anyOf": [{"const": CONTACT}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Bounds(NamedTuple):
    """When events are chosen from: after `after` (left out itself), from `since` on, before `before`."""

    after: datetime | None = None
    since: datetime | None = None
    before: datetime | None = None

    def hold(self, at: datetime) -> bool:
        """Does a moment lie in it? What lies after now is nobody's concern: it does not exist."""
        return (
            (self.after is None or at > self.after)
            and (self.since is None or at >= self.since)
            and (self.before is None or at < self.before)
        )


class Window(Setting):
    """When events are chosen from: one of `last` (elapsed time until now), `since`, `before`, `between` (two days,
    both included, or two moments, the second left out)."""

    last: Duration | None = None
    since: str | None = None
    before: str | None = None
    between: tuple[str, str] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in ("last", "since", "before", "between") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("is no window; give one of last, since, before, between")
        if self.last is not None and self.last > _LONGEST_WINDOW:
            Wrong.raise_any([(("last",), "is too long; at most ten years (3660d)")])
        said = "is no day and no moment; write 2026-01-31, or 2026-01-31T09:00:00Z with an offset"
        told = [(name, getattr(self, name)) for name in ("since", "before")]
        Wrong.raise_any([((name,), said) for name, one in told if one is not None and not is_moment(one)])
        if self.between is not None:
            Wrong.raise_any(
                [(("between", place), said) for place, one in enumerate(self.between) if not is_moment(one)]
            )
            self._between_astray(*self.between)
        return self

    @staticmethod
    def _between_astray(first: str, last: str) -> None:
        if bool(DAY.fullmatch(first)) != bool(DAY.fullmatch(last)):
            raise Wrong((("between",), "has a day and a moment; write two days or two moments"))
        one, other = datetime.fromisoformat(first), datetime.fromisoformat(last)
        if other < one:
            raise Wrong((("between",), "ends before it begins; write the earlier one first"))

    def bounds(self, now: datetime, zone: tzinfo) -> Bounds:
        """What it comes to at a moment, days being those of `zone`."""
        if self.last is not None:
            return Bounds(after=now - self.last)
        if self.since is not None:
            return Bounds(since=_beginning(self.since, zone))
        if self.before is not None:
            return Bounds(before=_beginning(self.before, zone))
        first, last = self.between or ("", "")
        return Bounds(since=_beginning(first, zone), before=_end(last, zone))


def _beginning(text: str, zone: tzinfo) -> datetime:
    """A moment as it is, and 00:00 of a day."""
    if not DAY.fullmatch(text):
        return datetime.fromisoformat(text)
    day = date.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def _end(text: str, zone: tzinfo) -> datetime:
    """A moment as it is, and 24:00 of a day."""
    if not DAY.fullmatch(text):
        return datetime.fromisoformat(text)
    return _beginning((date.fromisoformat(text) + timedelta(days=1)).isoformat(), zone)


class Selection(Setting):
    """Events that are meant: of these types, fulfilling every condition."""

    types: Types
    where: Annotated[tuple[Where, ...], Field(max_length=10)] = ()
