"""How does the list of event types in docs/event-types.md read? A test keeps the file equal to this."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from domain.catalogue.registry import Catalogue, EventType

__all__ = ["as_markdown"]


def _fields(schema: dict[str, Any], whole: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """(path, is public) of each field; `lines[].product` for those of a list's items."""
    for name, field in schema.get("properties", {}).items():
        inner, mark = _inner(field, whole)
        if inner is None:
            yield f"{prefix}{name}", field.get("x-public", False)
        else:
            yield from _fields(inner, whole, f"{prefix}{name}{mark}.")


def _inner(field: dict[str, Any], whole: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    for option in [field, *field.get("anyOf", [])]:
        reference = option.get("$ref") or option.get("items", {}).get("$ref")
        if reference:
            return whole["$defs"][reference.rpartition("/")[2]], "" if "$ref" in option else "[]"
    return None, ""


def _row(event_type: EventType) -> str:
    schema = event_type.schema()
    fields = list(_fields(schema, schema))
    public = ", ".join(f"`{path}`" for path, marked in fields if marked)
    personal = ", ".join(f"`{path}`" for path, marked in fields if not marked)
    said = event_type.doc.split("\n")[0]
    where = event_type.channel or ""
    return f"| `{event_type.name}` | {said} | {where} | {public or 'none'} | {personal or 'none'} |"


def as_markdown(catalogue: Catalogue) -> str:
    """A heading per category, a table per heading, a row per type, in order of their names."""
    ordered = sorted(catalogue, key=lambda one: (-"system record touchpoint".split().index(one.category), one.name))
    parts = []
    for category, types in groupby(ordered, key=lambda one: one.category):
        parts.append(f"### {category.capitalize()} events\n" if category != "touchpoint" else "### Touchpoints\n")
        parts.append("| type | published when | channel | public | personal |\n|---|---|---|---|---|")
        parts.append("\n".join(_row(one) for one in types) + "\n")
    return "\n".join(parts)
