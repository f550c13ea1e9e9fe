"""Which record events take an earlier event back, or put it right? What they name is in `about`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue

from domain.catalogue.base import PUBLIC, Code, Direction, Money, Record, Text
from domain.catalogue.registry import BuiltIn, Category, EventType
from domain.catalogue.wording import joined
from domain.errors import BadInput, Problem

__all__ = ["Amendment", "EventAmended", "EventRetracted"]


class EventRetracted(Record):
    """An event that should never have been published was taken back; `about` names it as `retracts`."""

    TYPE = "event.retracted"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was said about it")

    def line(self) -> str:
        return joined("Retracted an earlier event", self.reason)


class EventAmended(Record):
    """An event's content was put right; `about` names it as `corrects`, `content` replaces its content whole."""

    TYPE = "event.amended"

    type: Annotated[Code, PUBLIC] = Field(description="Type of the event that is put right")
    version: Annotated[int | None, Field(ge=1, le=10**6), PUBLIC] = Field(
        default=None, description="Version of that type that the content is in; left out: the newest"
    )
    content: dict[str, JsonValue] = Field(default={}, description="The right content, in full")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    comment: Text = Field(default="", description="What was said about it")


_UNAMENDABLE: Final = ("event.", "identity.")


class Amendment:
    """The type `event.amended`: the content inside it is checked and split as its own type would."""

    def __init__(self, types: Mapping[str, EventType]) -> None:
        self._outer = BuiltIn(EventAmended)
        self._types = types
        self.name, self.version, self.doc = self._outer.name, self._outer.version, self._outer.doc
        self.category: Category = self._outer.category
        self.channel = self._outer.channel

    def read(self, content: Any, version: int) -> tuple[dict[str, Any], dict[str, Any], Direction | None]:
        """The inner content's public and personal parts go into `content` of the public and the personal part."""
        self._outer.read(content, version)
        inner = self._types.get(content["type"])
        if inner is None or inner.category == "system" or inner.name.startswith(_UNAMENDABLE):
            way_out = "Name the type of the event that is put right; corrections and rulings are retracted instead."
            raise BadInput([Problem("data.content.type", "is not a type that can be amended.", way_out)])
        sent_in = content.get("version") or inner.version
        if sent_in > inner.version:
            way_out = f"Known: 1 to {inner.version}."
            raise BadInput([Problem("data.content.version", "is not a version of that type.", way_out)])
        try:
            public, personal, direction = inner.read(content.get("content", {}), sent_in)
        except BadInput as error:
            raise BadInput(
                [
                    Problem(one.field.replace("data.content", "data.content.content", 1), one.trouble, one.way_out)
                    for one in error.problems
                ]
            ) from None
        outer_public, outer_personal, _ = self._outer.read({**content, "content": {}}, version)
        return (
            {**outer_public, "version": inner.version, "content": public},
            {**outer_personal, "content": personal},
            direction,
        )

    def raise_to_current(self, content: Any, version: int) -> Any:
        """The amended content too is given in the current version of its type."""
        inner = self._types.get(content["type"]) if isinstance(content, dict) and "type" in content else None
        if inner is None or version != self.version:
            return content
        raised = inner.raise_to_current(content.get("content", {}), content.get("version") or inner.version)
        return {**content, "version": inner.version, "content": raised}

    def show(self, content: Any) -> tuple[str, Money | None]:
        """The line of the right content; its money is None, because the event that is put right has it."""
        if not isinstance(content, dict) or (inner := self._types.get(content.get("type", ""))) is None:
            return "Put right an earlier event", None
        return f"Put right: {inner.show(content.get('content', {}))[0]}", None

    def schema(self) -> dict[str, Any]:
        """The schema of the outer content; `content` has the schema of the type that it names."""
        return self._outer.schema()
