"""How do other systems learn the event types? By JSON Schemas and an AsyncAPI document made of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from domain.catalogue.base import DIALECT, Content, Public, nested_model
from domain.catalogue.registry import Catalogue, EventType
from domain.event import CloudEvent

__all__ = ["asyncapi", "event_schema", "mark_public", "schema_path"]

_CONTENT_TYPE: Final = "application/cloudevents+json"
_BATCH_TYPE: Final = "application/cloudevents-batch+json"


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


def schema_path(name: str) -> str:
    """Where the API serves a type's schema."""
    return f"/v1/types/{name}/schema"


def event_schema(event_type: EventType) -> dict[str, Any]:
    """JSON Schema 2020-12 of a type's `data.content`, in its current version."""
    held = {key: value for key, value in event_type.schema().items() if key not in {"$schema", "$id", "title"}}
    return {
        "$schema": DIALECT,
        "$id": schema_path(event_type.name),
        "title": event_type.name,
        "x-version": event_type.version,
        "x-category": event_type.category,
        **held,
        "description": event_type.doc,
    }


def _embedded(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema as a component of another document: its own `$defs` are reached by the way of the component."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        inside = {key: moved(item) for key, item in value.items()}
        if isinstance(value.get("$ref"), str):
            inside["$ref"] = f"#/components/schemas/{name}{value['$ref'][1:]}"
        return inside

    found: dict[str, Any] = moved({key: value for key, value in schema.items() if key not in {"$schema", "$id"}})
    return found


def _message(event_type: EventType) -> dict[str, Any]:
    name = event_type.name
    return {
        "name": name,
        "title": name,
        "summary": event_type.doc.split("\n")[0],
        "contentType": _CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/cloudevent"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": name},
                        "data": {
                            "type": "object",
                            "properties": {"content": {"$ref": f"#/components/schemas/{name}"}},
                        },
                    },
                },
            ]
        },
        "tags": [{"name": event_type.category}],
    }


def _channels(names: list[str]) -> dict[str, Any]:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    return {
        "events": {
            "address": "/v1/events",
            "title": "Publishing over HTTP",
            "description": "POST one event, or a batch in which one refused item refuses all. 202 means durable.",
            "messages": messages,
        },
        "inbox": {
            "address": "inbox.{channel}",
            "title": "Publishing straight to Kafka",
            "description": "One topic for each channel; what is bad is parked, sealed, with its reason.",
            "parameters": {"channel": {"description": "The channel's name, as the settings bind it"}},
            "messages": messages,
        },
    }


def _operation(channel: str, names: list[str], summary: str) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def asyncapi(catalogue: Catalogue, version: str = "1") -> dict[str, Any]:
    """The AsyncAPI 3.0.0 document of a deployment: how to publish each type over HTTP and on an inbox topic.

    `version` is that of the document; each type carries its own as `x-version`.
    """
    types = sorted((one for one in catalogue if one.category != "system"), key=lambda one: one.name)
    names = [one.name for one in types]
    http = _operation("events", names, "Publish events over HTTP")
    http["bindings"] = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Storyline",
            "version": version,
            "description": "The touchpoints and record events that channels publish, as CloudEvents 1.0 in JSON.",
        },
        "defaultContentType": _CONTENT_TYPE,
        "channels": _channels(names),
        "operations": {
            "publishOverHttp": http,
            "publishToInbox": _operation("inbox", names, "Publish events on a channel's inbox topic"),
        },
        "components": {
            "messages": {one.name: _message(one) for one in types},
            "schemas": {
                "cloudevent": _embedded(CloudEvent.model_json_schema(), "cloudevent"),
                "headers": _headers(),
                **{one.name: _embedded(event_schema(one), one.name) for one in types},
            },
        },
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "HTTP headers, or those of the Kafka record",
        "properties": {
            "content-type": {
                "type": "string",
                "enum": [_CONTENT_TYPE, _BATCH_TYPE, "application/json"],
                "description": "application/json is binary mode: the attributes stand in ce- (Kafka: ce_) headers",
            }
        },
        "required": ["content-type"],
    }
