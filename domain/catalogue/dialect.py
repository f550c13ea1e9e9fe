"""Which part of JSON Schema may a deployment's own type use, and how is a content checked against it?

The part is chosen so that no schema and no content can make checking slow: no reference leaves the schema or comes
back to itself, no keyword tries alternatives, and patterns are of the `regex` crate's language (no look-around, no
back-references), whose matching takes time in proportion to the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, InvalidOperation
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import StringConstraints, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic_core import SchemaError as PatternError

from domain.catalogue.trouble import field_path
from domain.errors import Misconfigured, Problem

if TYPE_CHECKING:
    from jsonschema import ValidationError

# jsonschema is loaded where a schema is at hand: most deployments add no types.

__all__ = ["KEYWORDS", "MAX_DEPTH", "MAX_PATTERN", "MAX_SUBSCHEMAS", "compile_schema", "problems_in", "resolved"]

KEYWORDS: Final = frozenset(
    "$schema $comment $defs $ref title description default examples format deprecated readOnly writeOnly x-public "
    "type enum const properties required additionalProperties minProperties maxProperties items minItems maxItems "
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern".split()
)
MAX_DEPTH: Final = 16
MAX_SUBSCHEMAS: Final = 1000
MAX_PATTERN: Final = 200
_MOST_PROBLEMS: Final = 20
_DIGITS: Final = 200


def resolved(schema: Any, origin: str) -> dict[str, Any]:
    """The schema with its local references put in place. Raises Misconfigured (which names `origin`) for what is no
    JSON Schema 2020-12 or leaves the part that is allowed."""
    if not isinstance(schema, dict):
        raise Misconfigured(f"{origin}: the schema is not an object.")
    exact = _exactly(schema)
    whole = _resolve(exact, exact, origin, "schema", (), [MAX_SUBSCHEMAS])
    if whole.get("type") != "object":
        raise Misconfigured(f'{origin}: the schema describes no object; give it "type": "object".')
    whole.pop("$defs", None)
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    try:
        Draft202012Validator.check_schema(whole)
    except SchemaError as error:
        place = field_path("schema", tuple(error.absolute_path))
        raise Misconfigured(f"{origin}: {place} is no JSON Schema 2020-12: {error.message[:200]}.") from None
    return whole


def _exactly(value: Any) -> Any:
    """Fractions as exact decimals, as those of a content are."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {name: _exactly(item) for name, item in value.items()}
    return [_exactly(item) for item in value] if isinstance(value, list) else value


def _resolve(
    node: Any, root: dict[str, Any], origin: str, place: str, within: tuple[str, ...], budget: list[int]
) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise Misconfigured(f"{origin}: {place} is not an object; write a JSON Schema there.")
    budget[0] -= 1
    if budget[0] < 0 or place.count("/") > MAX_DEPTH:
        limits = f"at most {MAX_SUBSCHEMAS} schemas in all, references counted, and {MAX_DEPTH} levels"
        raise Misconfigured(f"{origin}: the schema is too large or too deep; keep to {limits}.")
    if "$ref" in node:
        target, name = _target(node["$ref"], root, origin, place)
        if name in within:
            raise Misconfigured(f"{origin}: {place} refers to itself; write out how deep it may go.")
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return {**_resolve(target, root, origin, place, (*within, name), budget), **beside}
    if unknown := node.keys() - KEYWORDS:
        told = ", ".join(sorted(unknown))
        raise Misconfigured(f"{origin}: {place} uses {told}, which is not allowed here; see docs/event-types.md.")
    found = dict(node)
    if isinstance(node.get("pattern"), str):
        _check_pattern(node["pattern"], origin, place)
    if "properties" in node:
        if not isinstance(node["properties"], dict):
            raise Misconfigured(f"{origin}: {place}/properties is not an object.")
        found["properties"] = {
            name: _resolve(child, root, origin, f"{place}/{name}", within, budget)
            for name, child in node["properties"].items()
        }
    for keyword in ("items", "additionalProperties"):
        if isinstance(node.get(keyword), dict):
            found[keyword] = _resolve(node[keyword], root, origin, f"{place}/{keyword}", within, budget)
    return found


def _target(reference: Any, root: dict[str, Any], origin: str, place: str) -> tuple[Any, str]:
    name = str(reference).removeprefix("#/$defs/")
    definitions = root.get("$defs")
    if name == reference or not isinstance(definitions, dict) or name not in definitions:
        raise Misconfigured(f"{origin}: {place} refers to what is not in $defs of this file; only #/$defs/… may be.")
    return definitions[name], name


def _check_pattern(pattern: str, origin: str, place: str) -> None:
    way_out = f"use at most {MAX_PATTERN} characters, no look-around, no back-references"
    try:
        if len(pattern) > MAX_PATTERN:
            raise ValueError
        _matcher(pattern)
    except (ValueError, PatternError):
        raise Misconfigured(f"{origin}: {place}/pattern is not a pattern that is safe to run; {way_out}.") from None


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> TypeAdapter[str]:
    return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])


def _wrong(keyword: str) -> ValidationError:
    from jsonschema import ValidationError as Wrong  # noqa: PLC0415

    return Wrong(keyword)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str):
        try:
            _matcher(pattern).validate_python(instance, strict=True)
        except PydanticError:
            yield _wrong("pattern")


_exact = Context(prec=_DIGITS, traps=[InvalidOperation])


def _multiple_of(_: Any, step: int | Decimal, instance: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(instance, bool) or not isinstance(instance, (int, float, Decimal)):
        return
    try:
        whole = _exact.remainder(Decimal(str(instance)), Decimal(str(step))) == 0
    except (ArithmeticError, ValueError):
        whole = False  # more digits than any number of a content needs
    if not whole:
        yield _wrong("multipleOf")


@cache
def _validators() -> Any:
    """The class of validators, with patterns and steps of our own."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    extend: Any = validators.extend
    return extend(Draft202012Validator, {"pattern": _pattern, "multipleOf": _multiple_of})


def compile_schema(schema: Mapping[str, Any]) -> Any:
    """A validator of a schema that `resolved` gave; thread-safe."""
    return _validators()(schema)


def problems_in(validator: Any, content: Any, prefix: str) -> list[Problem]:
    """What is wrong with a content, at most 20 problems; never the value."""
    found: dict[Problem, None] = {}
    for error in islice(validator.iter_errors(content), _MOST_PROBLEMS):
        for problem in _in_words(error, field_path(prefix, tuple(error.absolute_path))):
            found.setdefault(problem)
    return list(found)[:_MOST_PROBLEMS]


_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "type": ("is not of the right type.", "Send {rule}."),
    "enum": ("is none of the known values.", "Send one of {rule}."),
    "const": ("is not the value that it must be.", "Send {rule}."),
    "minimum": ("is less than {rule}.", "Send {rule} or more."),
    "maximum": ("is more than {rule}.", "Send {rule} or less."),
    "exclusiveMinimum": ("is not more than {rule}.", "Send more than {rule}."),
    "exclusiveMaximum": ("is not less than {rule}.", "Send less than {rule}."),
    "multipleOf": ("is not a multiple of {rule}.", "Round it."),
    "minLength": ("is too short.", "Send at least {rule} characters."),
    "maxLength": ("is longer than {rule} characters.", "Shorten it."),
    "pattern": ("does not have the form that is asked for.", "Send what matches {rule}"),
    "minItems": ("has fewer than {rule} items.", "Send at least {rule}."),
    "maxItems": ("has more than {rule} items.", "Send at most {rule}."),
    "minProperties": ("has too few fields.", "Send at least {rule}."),
    "maxProperties": ("has too many fields.", "Send at most {rule}."),
}


def _in_words(error: ValidationError, field: str) -> list[Problem]:
    rule: Any = error.validator_value
    sent: Any = error.instance
    schema: Any = error.schema
    if error.validator == "required":
        return [Problem(f"{field}.{name}", "is missing.", "Add it.") for name in rule if name not in sent]
    if error.validator == "additionalProperties":
        unknown = [name for name in sent if name not in schema.get("properties", {})][:_MOST_PROBLEMS]
        way_out = "Leave it out, or see the type's schema for the fields it has."
        return [Problem(field_path(field, (name,)), "is no field here.", way_out) for name in unknown]
    trouble, way_out = _WORDS.get(str(error.validator), ("is not right.", "See the type's schema."))
    told = (", ".join(map(str, rule)) if isinstance(rule, list) else str(rule))[:200]
    return [Problem(field, trouble.format(rule=told), way_out.format(rule=told))]
