"""How do other systems learn the event types? By JSON Schemas and an AsyncAPI document made of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from domain.catalogue.base import Content, Public, nested_model

__all__ = ["DIALECT", "mark_public"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _models_in(model: type[BaseModel], found: dict[str, type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if model.__name__ in found:
        return
    found[model.__name__] = model
    yield model
    for field in model.model_fields.values():
        nested = nested_model(field.annotation)
        if nested is not None:
            yield from _models_in(nested, found)


def mark_public(schema: dict[str, Any], model: type[Content]) -> None:
    """Add `"x-public": true` to the public properties of a model's schema, those of nested models included."""
    definitions = schema.get("$defs", {})
    for one in _models_in(model, {}):
        properties = (schema if one is model else definitions.get(one.__name__, {})).get("properties", {})
        for name, field in one.model_fields.items():
            if name in properties and any(isinstance(mark, Public) for mark in field.metadata):
                properties[name]["x-public"] = True
