"""Which event types does this deployment know, and how is a content checked, split and shown?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol

from pydantic import ValidationError

from domain.catalogue.base import Content, Direction, Money, join, split
from domain.catalogue.trouble import problems_of
from domain.errors import BadInput, Misconfigured, Problem

__all__ = ["BuiltIn", "Catalogue", "Category", "Direction", "EventType", "problems_of"]

Category = Literal["touchpoint", "record", "system"]


class EventType(Protocol):
    """What a type answers, whether it is built in or registered by the deployment."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def category(self) -> Category: ...

    @property
    def doc(self) -> str:
        """First sentence: when the event is published."""

    @property
    def channel(self) -> str | None:
        """The channel that the type fixes, or None where the event says it."""

    def read(self, content: Any, version: int) -> tuple[dict[str, Any], dict[str, Any], Direction | None]:
        """Check a content as sent in `version`; give (public, personal, direction). Raises `BadInput` whose
        fields start with `data.content`."""

    def raise_to_current(self, content: Any, version: int) -> Any:
        """A stored content of an older version in the shape of the current one."""

    def show(self, content: Any) -> tuple[str, Money | None]:
        """(the line a timeline shows, money or None) of a stored content in the current version. Never fails:
        of a content that is erased or unknown it shows what is left."""

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of `data.content`; public fields carry `"x-public": true`."""


def _plain_name(name: str) -> str:
    """purchase.made as "Purchase made"."""
    return name.replace(".", " ").replace("_", " ").capitalize()


class BuiltIn:
    """An event type of the catalogue, made of its content model."""

    def __init__(self, model: type[Content]) -> None:
        self.model = model
        self.name = model.TYPE
        self.version = model.VERSION
        self.category: Category = model.CATEGORY
        self.channel = model.CHANNEL
        self.doc = (model.__doc__ or "").strip()
        # A page shows many events: each call in between counts.
        self._validate: Callable[[Any], Content] = model.__pydantic_validator__.validate_python

    def raise_to_current(self, content: Any, version: int) -> Any:
        while version < self.version and isinstance(content, dict):
            content = self.model.UPCASTERS[version](dict(content))
            version += 1
        return content

    def read(self, content: Any, version: int) -> tuple[dict[str, Any], dict[str, Any], Direction | None]:
        if version < self.version:
            content = self.raise_to_current(content, version)
        try:
            read = self.model.model_validate(content)
        except ValidationError as error:
            raise BadInput(problems_of(error, "data.content")) from None
        if missing := [name for name in self.model.NEEDS if not getattr(read, name)]:
            raise BadInput([Problem(f"data.content.{name}", "is missing.", "Add it.") for name in missing])
        public, personal = split(read)
        return public, personal, read.flow()

    def show(self, content: Any) -> tuple[str, Money | None]:
        try:
            read = self._validate(content)
            return read.line(), read.money()
        except (ValidationError, ValueError, TypeError, ArithmeticError):
            return f"{_plain_name(self.name)} (content not readable)", None

    def schema(self) -> dict[str, Any]:
        schema = self.model.model_json_schema()
        if self.model.NEEDS:
            schema["required"] = sorted({*schema.get("required", []), *self.model.NEEDS})
        _mark_public(schema, self.model)
        return schema


def _mark_public(schema: dict[str, Any], model: type[Content]) -> None:
    from domain.catalogue.schemas import mark_public  # noqa: PLC0415 - the two refer to each other

    mark_public(schema, model)


class Catalogue:
    """All types that may be published here, by name."""

    def __init__(self, types: Iterable[EventType]) -> None:
        self._types: dict[str, EventType] = {}
        for event_type in types:
            if event_type.name in self._types:
                raise Misconfigured(f"The event type {event_type.name} is registered twice; rename one.")
            self._types[event_type.name] = event_type

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def __contains__(self, name: str) -> bool:
        return name in self._types

    def get(self, name: str) -> EventType | None:
        return self._types.get(name)

    def show(self, name: str, version: int, public: Any, personal: Any) -> tuple[Any, str, Money | None]:
        """(content in the current version, line, money) of a stored event; `personal` is None if unknown."""
        event_type = self._types.get(name)
        content = join(public, personal) if public or not isinstance(personal, dict) else personal
        if event_type is None:
            return content, name, None
        if version != event_type.version:
            content = event_type.raise_to_current(content, version)
        line, money = event_type.show(content)
        return content, line, money
