"""Does a single event fulfil conditions, as rules of segments put them to events?

`content.currency = "GBP" and content.amount > 100`: each condition as after `where` in a rule (docs/segments.md), all
of which must hold; or as JSON, a list of `{"field": …, "is": …, "value": …}`. The category of a product is the one
that the event says itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from domain.configuration.wording import problems_of
from domain.errors import BadInput, Problem
from domain.segment_choosing import ChoiceParser
from domain.segment_parts import Where
from domain.segment_values import any_of, dug, holds_at

__all__ = ["Asked", "fulfils", "read_where"]

_MOST: Final = 10
_SEE: Final = "See docs/replay.md."
_WAY_OUT: Final = 'Write a list such as [{"field": "channel", "is": "=", "value": "web"}].'
_LONGEST: Final = 20_000
_conditions: Final[TypeAdapter[tuple[Where, ...]]] = TypeAdapter(tuple[Where, ...])
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
"""No condition on single events asks what time it is."""


class Asked(NamedTuple):
    """What an event is asked for. refs: `kind[/namespace]:value`. content: its public part."""

    source: str
    actor: str | None
    channel: str | None
    direction: str | None
    refs: Sequence[str]
    content: Mapping[str, Any]


def read_where(text: str) -> tuple[Where, ...]:
    """Conditions out of their text or JSON form. Raises BadInput with what is wrong where."""
    if len(text) > _LONGEST:
        raise BadInput([Problem("where", "is too long.", f"Keep it to {_LONGEST:,} characters.")])
    if not text.lstrip().startswith("["):
        return _checked(_read(_spelt(text)))
    try:
        return _checked(_read(json.loads(text)))
    except (ValueError, RecursionError):
        raise BadInput([Problem("where", "is no JSON.", _WAY_OUT)]) from None


def _spelt(text: str) -> Any:
    try:
        parser = ChoiceParser(text)
        found = parser.conditions(False)
        if not parser.at_end:
            raise parser.wrong("`and`, or the end")
    except BadInput as error:
        raise BadInput([replace(one, field="where") for one in error.problems]) from None
    return found


def _within(one: Problem) -> Problem:
    return replace(one, field=f"where{one.field}")


def _read(plain: Any) -> tuple[Where, ...]:
    try:
        return _conditions.validate_python(plain)
    except ValidationError as error:
        raise BadInput([_within(one) for one in problems_of(error, {}, _SEE)]) from None


def _checked(found: tuple[Where, ...]) -> tuple[Where, ...]:
    if not 1 <= len(found) <= _MOST:
        raise BadInput([Problem("where", "has no condition, or too many.", f"Write 1 to {_MOST}.")])
    return found


def fulfils(conditions: Sequence[Where], event: Asked) -> bool:
    """Whether all of them hold of an event."""
    return all(_holds(one, event) for one in conditions)


def _holds(condition: Where, event: Asked) -> bool:
    field = condition.field
    if field in _SEVERAL:
        return any_of(condition.is_, condition.value, list(_SEVERAL[field](event)), _NEVER, UTC)
    if field.startswith("content."):
        found = dug(event.content, field.removeprefix("content."))
    else:
        found = getattr(event, field)
    return holds_at(condition.is_, condition.value, found, _NEVER, UTC)


def _campaigns(event: Asked) -> Iterator[str]:
    for ref in event.refs:
        if _kind(ref) == "campaign":
            yield from (ref, ref.partition(":")[2])


def _products(event: Asked) -> Iterator[str]:
    yield from (ref.partition(":")[2] for ref in event.refs if _kind(ref) == "product")
    yield from _told(event.content, "product")


def _categories(event: Asked) -> Iterator[str]:
    yield from _told(event.content, "category")


def _kind(ref: str) -> str:
    return ref.partition(":")[0].partition("/")[0]


def _told(content: Mapping[str, Any], name: str) -> Iterator[str]:
    """What the content says by this name, and each of its lines."""
    lines = content.get("lines")
    for part in (content, *(lines if isinstance(lines, list) else ())):
        value = part.get(name) if isinstance(part, Mapping) else None
        if isinstance(value, str):
            yield value


_SEVERAL: Final = {"campaign": _campaigns, "product": _products, "category": _categories}
