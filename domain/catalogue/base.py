"""What does an event type answer? Its name, version, channel, direction, money, and the line a timeline shows.

A type is one frozen pydantic model, with class variables for what is fixed. A field is personal unless it is
marked public: `amount: Annotated[Decimal, PUBLIC]`. In a nested model each leaf is marked by itself.
Versions: `UPCASTERS[n]` raises a content of version n to n + 1; only the newest version has a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.fields import FieldInfo

__all__ = [
    "DIALECT",
    "MAX_TEXT",
    "PUBLIC",
    "Amount",
    "Code",
    "Content",
    "Count",
    "Country",
    "Currency",
    "Direction",
    "Link",
    "Money",
    "Part",
    "Public",
    "Quantity",
    "Record",
    "Seconds",
    "ShortText",
    "System",
    "Text",
    "Touchpoint",
    "join",
    "nested_model",
    "split",
]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""The JSON Schema that types are described in."""

MAX_TEXT: Final = 200_000
"""Longest free text in characters; what is larger is an attachment, by reference."""


class Public:
    """Mark of a field that stands in clear on the log, and that folds may read."""

    def __repr__(self) -> str:
        return "PUBLIC"


PUBLIC: Final = Public()

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
ShortText = Annotated[str, StringConstraints(max_length=500)]
Link = Annotated[str, StringConstraints(max_length=2000)]
# Codes stand in clear, so none may hold an address: an "@" is refused.
_CODE: Final = r"^[^@\x00-\x1f\x7f]+$"
Code = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=_CODE)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Country = Annotated[str, StringConstraints(min_length=2, max_length=60, strip_whitespace=True, pattern=_CODE)]
Amount = Annotated[Decimal, Field(max_digits=18, decimal_places=6)]
Quantity = Annotated[Decimal, Field(max_digits=18, decimal_places=6)]
Count = Annotated[int, Field(ge=0, le=10**12)]
Seconds = Annotated[int, Field(ge=0, le=10**9)]

Direction = Literal["in", "out"]


class Money(NamedTuple):
    """An amount in major units of an ISO 4217 currency; negative when it flows back to the customer."""

    amount: Decimal
    currency: str


class Part(BaseModel):
    """A part of a content, such as one line of an order. Its personal fields have defaults, see `Content.NEEDS`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=False, defer_build=True
    )


class Content(Part):
    """Content of an event. Subclasses say what their type is in class variables; instances hold `data.content`.

    A personal field always has a default, because an erased content lacks it and is shown all the same; `NEEDS`
    names the personal fields that must be there when the event is sent.
    """

    TYPE: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    CATEGORY: ClassVar[Literal["touchpoint", "record", "system"]]
    CHANNEL: ClassVar[str | None] = None
    DIRECTION: ClassVar[Direction | None] = None
    NEEDS: ClassVar[tuple[str, ...]] = ()
    UPCASTERS: ClassVar[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}

    def line(self) -> str:
        """The line a timeline shows: what happened, in a few words, with what is known of the content."""
        return self.TYPE

    def money(self) -> Money | None:
        """What this event brought (positive) or gave back (negative), if it is about money."""
        return None

    def flow(self) -> Direction | None:
        """`in` from the customer, `out` to the customer, None where neither."""
        return self.DIRECTION


class Touchpoint(Content):
    """What passes between a customer and the company. Only touchpoints count as contact."""

    CATEGORY = "touchpoint"


class Record(Content):
    """What is known or said about a customer, an event or a thing; no contact."""

    CATEGORY = "record"


class System(Content):
    """What Storyline alone publishes, from `storyline/…` sources."""

    CATEGORY = "system"


_ALL: Final = "all"
_NONE: Final = "none"
Plan = str | dict[str, Any]
_PLANS: dict[type[BaseModel], dict[str, Plan]] = {}


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside `Model`, `Model | None`, `list[Model]` or `tuple[Model, ...]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = nested_model(part)
        if found is not None:
            return found
    return None


def _plan_of_field(field: FieldInfo) -> Plan:
    if any(isinstance(mark, Public) for mark in field.metadata):
        return _ALL
    nested = nested_model(field.annotation)
    if nested is None:
        return _NONE
    plan = _plan(nested)
    return plan if any(part != _NONE for part in plan.values()) else _NONE


def _plan(model: type[BaseModel]) -> dict[str, Plan]:
    """Per field: "all" public, "none" public, or the plan of the nested model."""
    known = _PLANS.get(model)
    if known is None:
        known = {name: _plan_of_field(field) for name, field in model.model_fields.items()}
        _PLANS[model] = known
    return known


def _split(value: Any, plan: Mapping[str, Plan]) -> tuple[Any, Any]:
    if isinstance(value, list):
        pairs = [_split(item, plan) for item in value]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    public: dict[str, Any] = {}
    personal: dict[str, Any] = {}
    for name, item in value.items():
        part = plan.get(name, _NONE)
        if part == _ALL:
            public[name] = item
        elif part == _NONE or item is None:
            personal[name] = item
        else:
            public[name], personal[name] = _split(item, part)  # type: ignore[arg-type]
    return public, personal


def split(content: Content) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content as two JSON objects: (public, personal). Only what was set is kept; money stays a string."""
    plain = content.model_dump(mode="json", exclude_unset=True)
    public, personal = _split(plain, _plan(type(content)))
    return public, personal


def join(public: Any, personal: Any) -> Any:
    """The inverse of `split`: one JSON value out of the public part and the personal part (None if unknown)."""
    if not personal:
        return public
    if isinstance(public, dict) and isinstance(personal, dict):
        merged = {**personal, **public}
        for name in public:
            if name in personal:
                merged[name] = join(public[name], personal[name])
        return merged
    if isinstance(public, list) and isinstance(personal, list) and len(public) == len(personal):
        return [join(a, b) for a, b in zip(public, personal, strict=True)]
    return public
