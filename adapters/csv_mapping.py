"""What may stand in a mapping file of `import csv`? A TOML file, checked by these models.

`docs/importing.md` explains it; `docs/mapping.schema.json` is its JSON Schema, made of the models below.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from domain.errors import BadInput, Problem

__all__ = [
    "Cell",
    "Columns",
    "Conversion",
    "IdRule",
    "Mapping",
    "RefKind",
    "Rule",
    "Shaping",
    "SkipRule",
    "TimeRule",
    "ValueRule",
    "WhoKind",
    "Zone",
    "content_rules",
    "mapping_schema",
    "problems_of_mapping",
    "read_mapping",
    "read_toml",
]


class Rule(BaseModel):
    """A part of a mapping: what it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", title=None)


def _encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("is no encoding that is known; examples: utf-8, cp1252, iso-8859-15, utf-16") from None
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone that is known; examples: UTC, Europe/London, Europe/Berlin") from None
    return name


WhoKind = Literal["customer_no", "external", "email", "phone", "social", "device", "cookie"]
RefKind = Literal["order", "invoice", "ticket", "deal", "product", "campaign", "organisation", "conversation"]
Zone = Annotated[str, AfterValidator(_zone)]
Column = Annotated[str, Field(min_length=1, description="A column, by its name in the first row")]


class FileRule(Rule):
    """How the file is read."""

    encoding: Annotated[str, AfterValidator(_encoding)] = Field(
        default="utf-8", description="Encoding of the text; a byte order mark is left out"
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="Between cells; found out of the first row if not given"
    )
    decimal_comma: bool = Field(default=False, description="1.234,50 instead of 1,234.50")


class Columns(Rule):
    """One column, or several."""

    column: Column | None = None
    columns: list[Column] = Field(default=[], description="Several columns instead, such as date and time")

    @model_validator(mode="after")
    def _one_of_two(self) -> Columns:
        if (self.column is None) == (not self.columns):
            raise ValueError("give either column or columns")
        return self

    @property
    def names(self) -> list[str]:
        return [self.column] if self.column is not None else self.columns


class Shaping(Rule):
    """What is done to the text that a rule finds."""

    join: str = Field(default=" ", description="What stands between several values")
    strip: bool = Field(default=True, description="Leave out blanks at both ends")
    case: Literal["lower", "upper"] | None = None
    values: dict[str, str] | None = Field(default=None, description="What each value becomes; others are refused")
    default: str | None = Field(default=None, description="What stands for an empty value")
    required: bool = Field(default=False, description="Refuse a row in which it is empty")


class Conversion(Rule):
    """What becomes of the text in a field of the content."""

    as_: Literal["text", "decimal", "integer", "boolean"] = Field(default="text", alias="as")
    split: str | None = Field(default=None, min_length=1, description="Make a list: cut the value at this text")


class Cell(Columns, Shaping):
    """A value out of one column, or of several that are joined; those that are empty are left out."""


class ValueRule(Cell, Conversion):
    """A field of the content, with its conversion."""


class IdRule(Rule):
    """The event's id: out of columns, or a hash of the row with its number."""

    column: Column | None = None
    columns: list[Column] = []
    join: str = "-"
    hash: bool = Field(default=False, description="A hash of the row's cells and its number in the file")

    @model_validator(mode="after")
    def _one_of_three(self) -> IdRule:
        if (self.column is not None) + bool(self.columns) + self.hash != 1:
            raise ValueError("give one of column, columns and hash = true")
        return self

    @property
    def names(self) -> list[str]:
        return [self.column] if self.column is not None else self.columns


class TimeRule(Columns):
    """When it happened; several columns are joined with a blank."""

    format: str | None = Field(default=None, description="As strptime has it, e.g. %d.%m.%Y %H:%M; else ISO 8601")
    zone: Zone = Field(default="UTC", description="IANA time zone of times without an offset")


class WhoRule(Cell):
    """One identifier. It is left out where the cell is empty."""

    kind: WhoKind
    namespace: str = ""


class RefRule(Cell):
    """One ref. It is left out where the cell is empty."""

    kind: RefKind
    namespace: str = ""


class PartyRule(Rule):
    """Someone else who took part. Left out where all identifiers are empty."""

    role: str
    who: list[WhoRule] = Field(min_length=1)


class SkipRule(Rule):
    """Rows that are left out; the report lists them under `skipped`."""

    column: Column
    values: list[str] = Field(default=[], description="Leave the row out where the cell is one of these")
    empty: bool = Field(default=False, description="Leave the row out where the cell is empty")

    @model_validator(mode="after")
    def _one_of_two(self) -> SkipRule:
        if bool(self.values) == self.empty:
            raise ValueError("give either values or empty = true")
        return self


class EventRule(Rule):
    """Which event a row becomes."""

    source: str = Field(min_length=1, description="Who publishes; with the id it is the event's name")
    id: IdRule
    type: str | Cell = Field(description="An event type, or the column that says which")
    time: TimeRule
    channel: str | Cell | None = None
    who: list[WhoRule] = []
    parties: list[PartyRule] = []
    refs: list[RefRule] = []
    content: dict[str, Any] = Field(
        default={},
        description="The content's fields: a constant, a table with column (and as, values, …), or a table or list "
        "of such fields",
    )


class Mapping(Rule):
    """A mapping file of `storyline import csv`."""

    file: FileRule = FileRule()
    event: EventRule
    skip: list[SkipRule] = []


_VALUE: Final = TypeAdapter(ValueRule)
_DEPTH: Final = 8


def read_mapping(path: Path) -> Mapping:
    """The mapping out of a TOML file. BadInput names each field that is wrong, and what may stand there."""
    raw = read_toml(path)
    try:
        mapping = Mapping.model_validate(raw)
    except ValidationError as error:
        raise BadInput(problems_of_mapping(error, "")) from None
    content = content_rules(mapping.event.content, "event.content", _VALUE, ("column", "columns"))
    return mapping.model_copy(update={"event": mapping.event.model_copy(update={"content": content})})


def read_toml(path: Path) -> dict[str, Any]:
    """What stands in a TOML file. BadInput for a file that is none."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise _bad(path.name, f"cannot be read: {error.strerror}.", "See that the path is right.") from None
    except UnicodeDecodeError:
        raise _bad(path.name, "is not UTF-8.", "Save the mapping as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise _bad(path.name, f"is not TOML: {error}.", "docs/importing.md has examples.") from None


def content_rules(value: Any, where: str, rule: TypeAdapter[Any], marks: tuple[str, ...], depth: int = _DEPTH) -> Any:
    """The content's tree with each table that has one of the `marks` (such as `column`) as its `rule`."""
    if depth == 0:
        raise _bad(where, "is nested too deeply.", f"Use at most {_DEPTH} levels.")
    if isinstance(value, dict):
        if any(mark in value for mark in marks):
            try:
                return rule.validate_python(value)
            except ValidationError as error:
                raise BadInput(problems_of_mapping(error, where)) from None
        below = {name: (f"{where}.{name}", one) for name, one in value.items()}
        return {name: content_rules(one, at, rule, marks, depth - 1) for name, (at, one) in below.items()}
    if isinstance(value, list):
        return [content_rules(one, f"{where}[{at}]", rule, marks, depth - 1) for at, one in enumerate(value)]
    if isinstance(value, (str, int, float, bool)):
        return value
    raise _bad(where, "is a date or time.", "Write it as a text in quotes.")


def _bad(field: str, trouble: str, way_out: str) -> BadInput:
    return BadInput([Problem(field, trouble, way_out)])


_ALIVE: Final = re.compile(r"^(Value error, )?")


def problems_of_mapping(error: ValidationError, prefix: str) -> list[Problem]:
    """pydantic's errors in words about a mapping; several errors of one field count once."""
    found: dict[str, Problem] = {}
    for item in error.errors(include_url=False, include_input=False)[:20]:
        parts = [part for part in item["loc"] if part not in {"Cell", "Text", "str"}]
        path = prefix
        for part in parts:
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
        path = path.lstrip(".") or "the mapping"
        found.setdefault(path, Problem(path, *_words(item["type"], item["msg"], item.get("ctx", {}))))
    return list(found.values())


def _words(kind: str, message: str, context: dict[str, Any]) -> tuple[str, str]:
    if kind == "missing":
        return "is missing.", "Add it; docs/importing.md has examples."
    if kind == "extra_forbidden":
        return "is nothing that a mapping knows.", "See the spelling; docs/importing.md lists what may stand here."
    if kind == "literal_error":
        return "is none of the words that are known.", f"Use {context.get('expected', 'one of those in the guide')}."
    sentence = _ALIVE.sub("", message)
    return f"is not right: {sentence[:1].lower()}{sentence[1:].rstrip('.')}.", "docs/importing.md has examples."


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a mapping file."""
    schema = Mapping.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
