"""What may stand in a mapping file of `import xes`? A TOML file, checked by these models.

`docs/importing.md` explains it; `docs/xes-mapping.schema.json` is its JSON Schema, made of the models below. Its
rules are those of `import csv`, with attributes in the place of columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from adapters.csv_mapping import (
    Conversion,
    RefKind,
    Rule,
    Shaping,
    WhoKind,
    Zone,
    content_rules,
    problems_of_mapping,
    read_toml,
)
from domain.errors import BadInput

__all__ = [
    "CASE",
    "TRACE",
    "ActivityRule",
    "IdRule",
    "Mapping",
    "Named",
    "SkipRule",
    "Text",
    "ValueRule",
    "read_xes_mapping",
    "xes_mapping_schema",
]

CASE: Final = "case:"
"""What stands before the name of a trace's attribute."""
TRACE: Final = "@trace"
"""The trace itself, as FILE:NUMBER, for traces that have no name; the number is 0 outside any trace."""

Name = Annotated[
    str,
    Field(
        min_length=1,
        description="An attribute of the event; after case: one of its trace; after a / one within it; @trace is the "
        "trace by its file and number",
    ),
]


class FileRule(Rule):
    """How the file is read."""

    globals: bool = Field(
        default=True, description="Let the file's globals stand for attributes that are missing, but never for a time"
    )


class Named(Rule):
    """One attribute, or several."""

    attribute: Name | None = None
    attributes: list[Name] = Field(default=[], description="Several attributes instead")

    @model_validator(mode="after")
    def _one_of_two(self) -> Named:
        if (self.attribute is None) == (not self.attributes):
            raise ValueError("give either attribute or attributes")
        return self

    @property
    def names(self) -> list[str]:
        return [self.attribute] if self.attribute is not None else self.attributes


class Text(Named, Shaping):
    """A value out of one attribute, or of several that are joined; those that are empty are left out."""


class ValueRule(Text, Conversion):
    """A field of the content, with its conversion."""


class IdRule(Named):
    """The event's id: attributes that are joined, and the event's position in its trace."""

    join: str = "-"
    position: bool = Field(default=True, description="Add # and the event's position in its trace, from 1")


class TimeRule(Named):
    """When it happened; several attributes are joined with a blank."""

    format: str | None = Field(default=None, description="As strptime has it, e.g. %d.%m.%Y %H:%M; else ISO 8601")
    zone: Zone = Field(default="UTC", description="IANA time zone of times without an offset")


class ActorRule(Text):
    """Who acted for the company, by code. It is left out where the attribute is empty."""

    kind: Literal["user", "team", "automation"] = "user"


class WhoRule(Text):
    """One identifier. It is left out where the attribute is empty."""

    kind: WhoKind
    namespace: str = ""


class RefRule(Text):
    """One ref. It is left out where the attribute is empty."""

    kind: RefKind
    namespace: str = ""


class PartyRule(Rule):
    """Someone else who took part. Left out where all identifiers are empty."""

    role: str
    who: list[WhoRule] = Field(min_length=1)


class EventRule(Rule):
    """What holds for every event."""

    source: str = Field(min_length=1, description="Who publishes; with the id it is the event's name")
    id: IdRule = IdRule(attribute="case:concept:name")
    activity: Text = Field(default=Text(attribute="concept:name"), description="What was done")
    transition: Text = Field(default=Text(attribute="lifecycle:transition"), description="Its step in the life-cycle")
    time: TimeRule = TimeRule(attribute="time:timestamp")
    actor: ActorRule | None = None
    channel: str | Text | None = None
    who: list[WhoRule] = Field(default=[])
    parties: list[PartyRule] = Field(default=[])
    refs: list[RefRule] = Field(default=[])
    content: dict[str, Any] = Field(
        default={},
        description="The content's fields: a constant, a table with attribute (and as, values, …), or a table or "
        "list of such fields",
    )


class ActivityRule(Rule):
    """What an activity becomes. The first rule that fits counts; one without conditions fits every event."""

    names: list[str] = Field(default=[], description="Activities that it is for; all of them if not given")
    transitions: list[str] = Field(default=[], description="Life-cycle transitions that it is for; else all")
    when: dict[str, list[str]] = Field(default={}, description="Values that further attributes must have")
    type: str = Field(min_length=1, description="The event type")
    channel: str | Text | None = None
    content: dict[str, Any] = Field(default={}, description="Fields of the content besides those of event.content")


class OrderRule(Rule):
    """What becomes of events with the time of the one before, and of copies of the one before."""

    ties: Literal["spread", "keep"] = Field(
        default="spread",
        description="spread: a microsecond later than the one before, so that timelines keep the order of the trace; "
        "keep: the time as it stands, in an order of its own among equal times",
    )
    copies: Literal["keep", "fold"] = Field(
        default="keep", description="keep: each is an event; fold: left out, and reported as exact_copy"
    )


class SkipRule(Rule):
    """Events that are left out; the report lists them under `skipped`."""

    attribute: Name
    values: list[str] = Field(default=[], description="Leave the event out where the attribute is one of these")
    empty: bool = Field(default=False, description="Leave the event out where the attribute is empty")

    @model_validator(mode="after")
    def _one_of_two(self) -> SkipRule:
        if bool(self.values) == self.empty:
            raise ValueError("give either values or empty = true")
        return self


class Mapping(Rule):
    """A mapping file of `storyline import xes`."""

    file: FileRule = FileRule()
    event: EventRule
    order: OrderRule = OrderRule()
    activity: list[ActivityRule] = Field(min_length=1, description="What activities become, in this order")
    skip: list[SkipRule] = Field(default=[])

    @model_validator(mode="after")
    def _named_apart(self) -> Mapping:
        if self.order.copies == "keep" and not self.event.id.position:
            raise ValueError(
                "two copies would have one name: set order.copies to fold, or let event.id have its position"
            )
        return self


_VALUE: Final = TypeAdapter(ValueRule)
_MARKS: Final = ("attribute", "attributes")


def read_xes_mapping(path: Path) -> Mapping:
    """The mapping out of a TOML file. BadInput names each field that is wrong, and what may stand there."""
    raw = read_toml(path)
    try:
        mapping = Mapping.model_validate(raw)
    except ValidationError as error:
        raise BadInput(problems_of_mapping(error, "")) from None
    shared = content_rules(mapping.event.content, "event.content", _VALUE, _MARKS)
    rules = []
    for place, rule in enumerate(mapping.activity):
        own = content_rules(rule.content, f"activity[{place}].content", _VALUE, _MARKS)
        rules.append(rule.model_copy(update={"content": {**shared, **own}}))
    event = mapping.event.model_copy(update={"content": shared})
    return mapping.model_copy(update={"event": event, "activity": rules})


def xes_mapping_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a mapping file."""
    schema = Mapping.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
