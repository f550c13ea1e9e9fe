"""How do people write a rule, and how is one shown to them? Text to rule, and rule to text, to and fro without loss.

    count(purchase.made where content.currency = "GBP" in last 90d) >= 2 and no(contact in last 30d)
        and consent.marketing.email granted and not in segment staff

docs/segments.md tells the whole language.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from pydantic import ValidationError

from domain.configuration.wording import found_in, path_of
from domain.errors import BadInput, Problem
from domain.segment_parsing import RuleParser
from domain.segment_parts import CONTACT, DAY, Selection, Where, is_moment
from domain.segments import GROUPS, WAY_OUT, WORK, Rule, plain_rule

__all__ = ["MOST_TEXT", "print_rule", "read_conditions", "read_rule"]

MOST_TEXT: Final = 20_000
_BARE_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)

_BARE: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")
Plain = Mapping[str, Any]


def read_rule(spelling: Any) -> Rule:
    """A rule out of its text, or of its JSON. Raises BadInput: where, what was met, what was expected."""
    if not isinstance(spelling, str):
        return plain_rule(spelling)
    if len(spelling) > MOST_TEXT:
        told = f"has {len(spelling):,} characters; at most {MOST_TEXT:,}."
        raise BadInput([Problem("rule", told, "Make segments of its parts, and ask for those by `in segment CODE`.")])
    parser = RuleParser(spelling)
    plain = parser.whole()
    try:
        return Rule.model_validate(plain)
    except ValidationError as error:
        raise BadInput(
            [
                Problem(path_of(("rule", *path)), f"{told} ({parser.place_of(plain, path)}).", WAY_OUT)
                for path, told in found_in(error)
            ]
        ) from None


def read_conditions(text: str) -> tuple[Where, ...]:
    """Conditions on one event, joined by `and`, as they stand after `where` in a rule. Raises BadInput."""
    parser = RuleParser(text)
    plain = parser.conditions(timed=False)
    if not parser.at_end:
        raise parser.wrong("`and`, or the end")
    try:
        return Selection.model_validate({"types": CONTACT, "where": plain}).where
    except ValidationError as error:
        found = [(path[1:], told) for path, told in found_in(error)]
        raise BadInput(
            [
                Problem(path_of(("where", *path)), f"{told} ({parser.place_of(plain, path)}).", WAY_OUT)
                for path, told in found
            ]
        ) from None


def print_rule(rule: Rule) -> str:
    """The text of a rule, on one line; `read_rule` makes the same rule of it."""
    return _rule(rule.plain())


def _rule(plain: Plain) -> str:
    (key, inner), *_ = plain.items()
    if key == "none":
        return f"not {_negated(inner)}"
    if key in GROUPS:
        if len(inner) == 1:
            return f"{key}({_rule(inner[0])})"
        joined = "and" if key == "all" else "or"
        return f" {joined} ".join([_within(one, key) for one in inner])
    return _leaf(key, inner)


def _within(plain: Plain, group: str) -> str:
    """A rule as one of several: in parentheses where it would be taken apart otherwise."""
    (key, inner), *_ = plain.items()
    told = _rule(plain)
    binds = key in {"all", "any"} and len(inner) > 1 and not (group == "any" and key == "all")
    return f"({told})" if binds else told


def _negated(rules: list[Plain]) -> str:
    if len(rules) > 1:
        return f"({' or '.join([_within(one, 'any') for one in rules])})"
    (key, inner), *_ = rules[0].items()
    told = _within(rules[0], "any")
    return f"({told})" if key == "any" or (key == "all" and len(inner) > 1) else told


def _leaf(key: str, leaf: Plain) -> str:
    match key:
        case "events":
            return _events(leaf)
        case "sequence":
            return _sequence(leaf)
        case "fact":
            currency = f"({leaf['currency']})" if "currency" in leaf else ""
            return f"fact.{leaf['name']}{currency} {_compared(leaf)}"
        case "profile":
            return f"profile.{_bare(leaf['field'])} {_compared(leaf)}"
        case "identifier":
            namespace = f"/{_bare(leaf['namespace'])}" if "namespace" in leaf else ""
            return f"identifier.{leaf['kind']}{namespace} {_compared(leaf)}"
        case "consent":
            channel = f".{_part(leaf['channel'])}" if "channel" in leaf else ""
            return f"consent.{_part(leaf['purpose'])}{channel} {leaf['is']}"
        case "segment":
            return f"in segment {leaf['code']}"
        case "industry":
            return f"industry {_compared(leaf)}"
        case _ if key in WORK:
            compared = _compared({"is": leaf["is"], "value": leaf["count"]})
            return f"count({key}s{_where(leaf)}) {compared}"
        case _:
            return f"{key}.{leaf['what']} {_compared(leaf)}"


def _events(leaf: Plain) -> str:
    chosen = _choice(leaf)
    measure = leaf.get("measure", "count")
    if measure == "count":
        if (leaf["is"], leaf["value"]) == (">=", 1):
            return f"exists({chosen})"
        if (leaf["is"], leaf["value"]) == ("=", 0):
            return f"no({chosen})"
    head = "days since" if measure == "days" else measure
    field = f"{leaf['field']}, " if "field" in leaf else ""
    return f"{head}({field}{chosen}) {_compared(leaf)}"


def _sequence(leaf: Plain) -> str:
    first, *others = leaf["steps"]
    told = [_choice(first)]
    for step in others:
        within = f" within {step['within']}" if "within" in step else ""
        told.append(f"then {_choice(step)}{within}")
    if "without" in leaf:
        told.append(f"without {_choice(leaf['without'])}")
    if "absent" in leaf:
        told.append(f"then no {_choice(leaf['absent'])} within {leaf['absent']['within']}")
    return f"sequence({' '.join(told)}{_window(leaf)})"


def _choice(chosen: Plain) -> str:
    types = chosen["types"]
    return (types if isinstance(types, str) else " | ".join(types)) + _where(chosen) + _window(chosen)


def _where(chosen: Plain) -> str:
    told = [f"{one['field']} {_compared(one)}" for one in chosen.get("where", ())]
    return f" where {' and '.join(told)}" if told else ""


def _window(chosen: Plain) -> str:
    if "window" not in chosen:
        return ""
    (kind, bound), *_ = chosen["window"].items()
    if kind == "last":
        return f" in last {bound}"
    if kind == "between":
        return f" between {_value(bound[0])} and {_value(bound[1])}"
    return f" {kind} {_value(bound)}"


def _compared(leaf: Plain) -> str:
    is_, value = leaf["is"], leaf.get("value")
    match is_:
        case "known" | "unknown":
            return str(is_)
        case "within last":
            return f"in last {value}"
        case "within next":
            return f"in next {value}"
        case "more than ago":
            return f"more than {value} ago"
        case "anniversary":
            return f"anniversary in {value}"
        case _:
            return f"{is_} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"({', '.join([_value(one) for one in value])})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(repr(value)):f}"
    if isinstance(value, int):
        return str(value)
    bare = is_moment(value) and (DAY.fullmatch(value) or _BARE_MOMENT.fullmatch(value))
    return str(value) if bare else _quoted(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _bare(word: str) -> str:
    return word if _BARE.fullmatch(word) else _quoted(word)


def _part(word: str) -> str:
    return word if _PART.fullmatch(word) else _quoted(word)
