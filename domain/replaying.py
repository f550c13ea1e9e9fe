"""Which public fields of an event become columns of a replay, and of which kind is each? By the schemas of the types.

A field within another is called by its path with `_` between; one that would be called like a column that every event
has gets `content_` before it. Lists and open objects are columns of JSON text. Where two types mean different kinds
by one name the column is JSON text, but for whole numbers beside others, which are decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from domain.catalogue.registry import EventType

__all__ = ["Field", "Kind", "fields_of", "value_at"]

Kind = Literal["text", "whole", "decimal", "flag", "moment", "json"]
_SIMPLE: Final[Mapping[str, Kind]] = {"string": "text", "integer": "whole", "number": "decimal", "boolean": "flag"}


class Field(NamedTuple):
    """A column out of the public content: its name, the path to its value, and the kind of that."""

    name: str
    path: tuple[str, ...]
    kind: Kind


def fields_of(types: Iterable[EventType], taken: frozenset[str]) -> tuple[Field, ...]:
    """The columns of these types' public fields, in the order of the schemas. taken: names of other columns."""
    found: dict[tuple[str, ...], Kind] = {}
    for one in types:
        schema = one.schema()
        for path, kind in _leaves(schema, schema.get("$defs", {}), (), False):
            found[path] = kind if path not in found else _both(found[path], kind)
    named: dict[str, Field] = {}
    for path, kind in found.items():
        name = "_".join(path)
        if name in taken or name in named:
            name = "content_" + name
        while name in named or name in taken:
            name += "_"
        named[name] = Field(name, path, kind)
    return tuple(named.values())


def value_at(content: Any, path: Iterable[str]) -> Any:
    """What stands at a path of a content; None where nothing does."""
    for name in path:
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def _both(one: Kind, other: Kind) -> Kind:
    if one == other:
        return one
    return "decimal" if {one, other} == {"whole", "decimal"} else "json"


def _leaves(
    node: Mapping[str, Any], defined: Mapping[str, Any], path: tuple[str, ...], public: bool
) -> Iterator[tuple[tuple[str, ...], Kind]]:
    """Public fields below an object, each with its kind."""
    for name, child in node.get("properties", {}).items():
        its_path, is_public = (*path, name), public or bool(child.get("x-public"))
        inner = _object_in(child, defined)
        if inner is not None and len(its_path) < 8:
            yield from _leaves(inner, defined, its_path, is_public)
        elif is_public:
            yield its_path, _kind(child, defined)
        elif _holds_public(child, defined, 0):
            yield its_path, "json"


def _choices(node: Mapping[str, Any], defined: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a value may be, null left aside."""
    if "$ref" in node:
        node = defined.get(str(node["$ref"]).rpartition("/")[2], {})
    if "anyOf" in node:
        return [choice for one in node["anyOf"] for choice in _choices(one, defined)]
    types = node.get("type")
    if isinstance(types, list):
        return [{**node, "type": one} for one in types if one != "null"]
    return [] if types == "null" else [node]


def _object_in(node: Mapping[str, Any], defined: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The object that a value is, if it is one with named fields."""
    choices = _choices(node, defined)
    return choices[0] if len(choices) == 1 and choices[0].get("properties") else None


def _holds_public(node: Mapping[str, Any], defined: Mapping[str, Any], depth: int) -> bool:
    """Are there public fields within the items of a list?"""
    for one in _choices(node, defined):
        inner = one.get("items")
        if isinstance(inner, Mapping):
            for item in _choices(inner, defined):
                fields = item.get("properties", {}).values()
                if any(
                    field.get("x-public") or (depth < 8 and _holds_public(field, defined, depth + 1))
                    for field in fields
                ):
                    return True
    return False


def _kind(node: Mapping[str, Any], defined: Mapping[str, Any]) -> Kind:
    choices = _choices(node, defined)
    kinds = {str(one.get("type", "")) for one in choices}
    if kinds in ({"number", "string"}, {"integer", "number"}):
        return "decimal"  # how a schema says that an exact number may be written as text, too
    if len(kinds) != 1:
        values = [value for one in choices for value in one.get("enum", [])]
        return "text" if values and all(isinstance(value, str) for value in values) else "json"
    kind = kinds.pop()
    if kind == "string" and all(one.get("format") == "date-time" for one in choices):
        return "moment"
    return _SIMPLE.get(kind, "json")
