"""How does a comparison of a rule stand in SQL, for each kind of thing that is compared?

As `domain/conditions.py` compares: what is not known is equal, greater and smaller to nothing; numbers are decimals,
however they are written; a day and a moment are compared by their days. Text is compared as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.sql import Composable

from domain.segment_parts import ANNIVERSARY, DAY, RELATIVE, Comparison, is_moment, length_of
from projections.segments.compiling_parts import NO, Building, Verdict, either, fragment, least

__all__ = ["count", "day", "json", "listing", "moment", "number", "text"]

_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
_OPERATORS: Final[dict[str, LiteralString]] = {">": ">", ">=": ">=", "<": "<", "<=": "<="}
_TEXTS: Final = {"contains": "text_contains", "starts with": "text_starts", "ends with": "text_ends"}
_Equal = Callable[[Any], Composable]


def _not(condition: Composable) -> Composable:
    return sql.SQL("NOT {}").format(condition)


def _plainly(is_: str, value: Any, equal: _Equal, known: Composable) -> Composable | None:
    """What all kinds have in common; None where the kind has to say it."""
    match is_:
        case "known":
            return known
        case "unknown":
            return _not(known)
        case "=":
            return equal(value)
        case "!=":
            return _not(equal(value))
        case "in":
            return either(*[equal(one) for one in value])
        case "not in":
            return _not(either(*[equal(one) for one in value]))
    return None


def _ordered(x: Composable, is_: str, wanted: Composable) -> Composable:
    return fragment("ordered", x=x, operator=sql.SQL(_OPERATORS[is_]), wanted=wanted)


def number(building: Building, x: Composable, compared: Comparison) -> Composable:
    """Of a number, null where it is unknown."""

    def wanted(value: Any) -> Composable:
        return building.parameter(Decimal(str(value)), "numeric")

    is_, value = compared.is_, compared.value
    found = _plainly(
        is_, value, lambda one: fragment("equal", x=x, wanted=wanted(one)), fragment("known", x=x)
    )  # fmt: skip
    return found if found is not None else _ordered(x, is_, wanted(value))


count = number
"""Of a count, which is never unknown."""


def text(building: Building, x: Composable, compared: Comparison) -> Composable:
    """Of a text, null where it is unknown."""

    def equal(value: Any) -> Composable:
        return fragment("equal", x=x, wanted=building.text(value))

    is_, value = compared.is_, compared.value
    if is_ in {"in", "not in"}:
        among = fragment("among", x=x, wanted=building.parameter(list(value), "text[]"))
        return among if is_ == "in" else _not(among)
    found = _plainly(is_, value, equal, fragment("text_known", x=x))
    return found if found is not None else fragment(_TEXTS[is_], x=x, wanted=building.text(value))


def listing(building: Building, x: Composable, compared: Comparison) -> Composable:
    """Of a list of texts: one fulfils it; with `!=` and `not in` none is it."""
    if compared.is_ in {"known", "unknown"}:
        known = fragment("list_known", x=x)
        return known if compared.is_ == "known" else _not(known)
    negated = {"!=": "=", "not in": "in"}
    plain = compared.model_copy(update={"is_": negated.get(compared.is_, compared.is_)})
    holds = fragment("any_of", x=x, holds=text(building, sql.Identifier("one", "value"), plain))
    return _not(holds) if compared.is_ in negated else holds


def moment(building: Building, x: Composable, compared: Comparison) -> Verdict:
    """Of a moment that is one by itself, null where it is unknown: its day is that where the deployment is."""
    is_, value = compared.is_, compared.value
    if is_ in RELATIVE:
        return _relative(building, x, is_, value)

    def sides(value: Any) -> tuple[Composable, Composable]:
        if DAY.fullmatch(value):
            return fragment("day_of", x=x), building.parameter(date.fromisoformat(value), "date")
        return x, building.parameter(datetime.fromisoformat(value), "timestamptz")

    def equal(value: Any) -> Composable:
        found, wanted = sides(value)
        return fragment("equal", x=found, wanted=wanted)

    found = _plainly(is_, value, equal, fragment("known", x=x))
    if found is not None:
        return Verdict(found)
    one, other = sides(value)
    return Verdict(_ordered(one, is_, other))


def day(building: Building, x: Composable, compared: Comparison) -> Verdict:
    """Of a day without a time, null where it is unknown."""
    is_, value = compared.is_, compared.value
    if is_ in RELATIVE:
        return _relative(building, fragment("midnight", x=x), is_, value)

    def wanted(value: Any) -> Composable:
        return building.parameter(datetime.fromisoformat(value).date(), "date")

    found = _plainly(is_, value, lambda one: fragment("equal", x=x, wanted=wanted(one)), fragment("known", x=x))
    return Verdict(found if found is not None else _ordered(x, is_, wanted(value)))


def _relative(building: Building, x: Composable, is_: str, value: Any) -> Verdict:
    """Of a moment and now, with when that changes."""
    span = building.length(length_of(value))
    name = {"within last": "within_last", "more than ago": "more_than_ago", "within next": "within_next"}[is_]
    turns: list[Composable] = [sql.SQL("({} + {})").format(x, span)]
    if is_ == "within next":
        turns = [sql.SQL("({} - {})").format(x, span)]
    if is_ != "more than ago":
        turns.append(x)
    return Verdict(fragment(name, x=x, length=span), tuple([fragment("later", x=one) for one in turns]))


def json(building: Building, x: Composable, compared: Comparison) -> Verdict:
    """Of any JSON value, null where it is unknown."""
    is_, value = compared.is_, compared.value
    string = fragment("json_text", x=x)
    if is_ in RELATIVE:
        told = least([fragment("text_moment", x=string), fragment("midnight", x=fragment("text_only_day", x=string))])
        return _relative(building, told, is_, value)
    if is_ == ANNIVERSARY:
        return _anniversary(building, fragment("text_only_day", x=string), value)
    if is_ in {"starts with", "ends with"}:
        return Verdict(text(building, string, compared))
    if is_ == "contains":
        has = _json_equal(building, sql.Identifier("one", "value"), value)
        otherwise = text(building, string, compared) if isinstance(value, str) else NO
        return Verdict(fragment("json_list_has", x=x, holds=has, otherwise=otherwise))
    found = _plainly(is_, value, lambda one: _json_equal(building, x, one), fragment("json_known", x=x))
    return Verdict(found if found is not None else _json_ordered(building, x, is_, value))


def _json_equal(building: Building, x: Composable, value: Any) -> Composable:
    if isinstance(value, bool):
        return fragment("equal", x=x, wanted=sql.SQL("'true'::jsonb" if value else "'false'::jsonb"))
    if isinstance(value, int | float):
        wanted = building.parameter(Decimal(str(value)), "numeric")
        return fragment("equal", x=fragment("json_number", x=x), wanted=wanted)
    as_text = fragment("equal", x=fragment("json_text", x=x), wanted=building.text(value))
    if not _NUMBER.fullmatch(value):
        return as_text
    wanted = building.parameter(Decimal(value), "numeric")
    return either(as_text, fragment("equal", x=fragment("json_only_number", x=x), wanted=wanted))


def _json_ordered(building: Building, x: Composable, is_: str, value: Any) -> Composable:
    if not isinstance(value, str):
        return _ordered(fragment("json_number", x=x), is_, building.parameter(Decimal(str(value)), "numeric"))
    string, operator = fragment("json_text", x=x), sql.SQL(_OPERATORS[is_])
    found: Composable = fragment("text_ordered", x=string, operator=operator, wanted=building.text(value))
    ways: list[tuple[Composable, Composable]] = []
    if _NUMBER.fullmatch(value):
        ways = [(fragment("json_number", x=x), building.parameter(Decimal(value), "numeric"))]
    elif is_moment(value):
        told = datetime.fromisoformat(value)
        on = building.parameter(told.date(), "date")
        if DAY.fullmatch(value):
            ways = [(fragment("text_day", x=string), on)]
        else:
            at = building.parameter(told, "timestamptz")
            ways = [(fragment("text_only_day", x=string), on), (fragment("text_moment", x=string), at)]
    for read, wanted in ways:
        found = fragment("first_known", x=read, holds=_ordered(read, is_, wanted), otherwise=found)
    return found


def _anniversary(building: Building, x: Composable, value: str) -> Verdict:
    returns = building.column("derived", fragment("next_return", day=x))
    begins = fragment("midnight", x=returns)
    filled = {"begins": begins, "length": building.length(length_of(value))}
    ends = fragment("midnight", x=fragment("day_after", day=returns))
    return Verdict(fragment("returns", **filled), (fragment("returns_at", ends=ends, **filled),))
