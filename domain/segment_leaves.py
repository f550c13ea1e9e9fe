"""What can a rule of a segment ask of a customer? The leaves of its tree, one model each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from domain.configuration.base import Code, Duration, Path, Setting, Wrong, meant
from domain.segment_parts import (
    ANNIVERSARY,
    RELATIVE,
    Comparison,
    Kind,
    PlainText,
    Selection,
    Value,
    Window,
    comparison_astray,
    field_astray,
)

__all__ = [
    "WORK_FIELDS",
    "Absent",
    "ConsentLeaf",
    "EventsLeaf",
    "FactLeaf",
    "IdentifierLeaf",
    "IndustryLeaf",
    "PlaceLeaf",
    "ProfileLeaf",
    "RfmLeaf",
    "SegmentLeaf",
    "SequenceLeaf",
    "Step",
    "WorkLeaf",
    "WorkWhere",
]

_ITEM: Final[dict[str, Kind]] = {
    "status": "text", "assignee": "text", "team": "text", "reason": "text", "source": "text", "native": "any",
    "changed_at": "moment", "closed_at": "moment",
}  # fmt: skip
WORK_FIELDS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "deal": {
        **_ITEM, "pipeline": "text", "stage": "text", "stage_since": "moment", "amount": "number",
        "currency": "text", "probability": "number", "products": "list", "expected_close": "moment",
        "next_step_on": "moment", "origin": "text", "created_at": "moment",
    },
    "ticket": {
        **_ITEM, "state": "text", "state_since": "moment", "priority": "text", "queue": "text", "category": "text",
        "product": "text", "channel": "text", "service_level": "text", "level": "number", "opened_at": "moment",
        "responded_at": "moment", "resolved_at": "moment", "reopened": "number", "respond_by": "moment",
        "resolve_by": "moment", "due": "moment",
    },
    "task": {
        **_ITEM, "kind": "text", "priority": "text", "due": "moment", "remind_at": "moment", "created_at": "moment",
    },
    "lead": {
        **_ITEM, "origin": "text", "campaign": "text", "product": "text", "country": "text", "industry": "text",
        "captured_at": "moment",
    },
}  # fmt: skip
"""What deals, tickets, tasks and leads can be asked for, and what kind of value each is."""
Measure = Literal["count", "sum", "min", "max", "first", "last", "days"]
_MEASURED: Final[dict[str, Kind]] = {
    "count": "count", "sum": "number", "min": "number", "max": "number", "days": "number",
}  # fmt: skip
_SINGLE: Final = ("channel", "direction", "source", "actor")


class EventsLeaf(Selection, Comparison):
    """Events of these types that fulfil all conditions, in a window: how many, or the sum, least or greatest of a
    number of theirs, what the first or last says (without `field`: when it happened), or how many whole days ago the
    last was. A sum over none is 0; the others are unknown then."""

    window: Window | None = None
    measure: Measure = "count"
    field: Annotated[str, Field(max_length=300)] | None = Field(default=None, description="`content.NAME`")

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        Wrong.raise_any([*self._field_astray(), *self._compared_astray()])
        return self

    def _field_astray(self) -> Iterator[tuple[Path, str]]:
        if self.measure in {"count", "days"}:
            if self.field is not None:
                yield ("field",), f"has no place beside {self.measure}; leave it out"
        elif self.field is None:
            if self.measure in {"sum", "min", "max"}:
                yield (
                    ("field",),
                    f"is missing; say what of the events the {self.measure} is of, such as content.amount",
                )
        else:
            yield from field_astray(self.field)
            if not self.field.startswith("content.") and (
                self.measure in {"sum", "min", "max"} or self.field not in _SINGLE
            ):
                yield ("field",), f"has no {self.measure}; name a public field, content.NAME"
            if self.measure in {"sum", "min", "max"} and self.field.endswith(".amount") and not self._one_currency():
                yield (
                    ("where",),
                    "does not say which currency; amounts of several are not added up: "
                    'add content.currency = "GBP", or the one that you mean',
                )

    def _one_currency(self) -> bool:
        return any(one.field == "content.currency" and one.is_ == "=" for one in self.where)

    def _compared_astray(self) -> Iterator[tuple[Path, str]]:
        kind: Kind = _MEASURED.get(self.measure) or ("moment" if self.field is None else "any")
        further = RELATIVE if self.measure in {"first", "last"} else ()
        if self.measure == "sum" and self.is_ in {"known", "unknown"}:
            yield ("is",), "is never so of a sum, which over no event is 0; compare it with a number"
        else:
            yield from self.astray(kind, further=further)


class Step(Selection):
    """One step of a sequence. `within`: how long after the step before it at most."""

    within: Duration | None = None


class Absent(Selection):
    """What must not have come, for so long after the last step."""

    within: Duration


class SequenceLeaf(Setting):
    """Events one after the other: each step after the one before it, nothing of `without` between the first and the
    last, all of it in `window`, and nothing of `absent` for its time after the last, which is over."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=5)]
    without: Selection | None = None
    window: Window | None = None
    absent: Absent | None = None

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        if len(self.steps) == 1 and self.absent is None:
            raise Wrong((("steps",), "has one step; add a second one, or `absent`, or ask for events instead"))
        if self.steps[0].within is not None:
            raise Wrong((("steps", 0, "within"), "has no step before it; leave it out"))
        if len(self.steps) == 1 and self.without is not None:
            raise Wrong((("without",), "has no two steps to lie between; leave it out"))
        return self


class FactLeaf(Comparison):
    """A figure of the customer, as her facts show it. `currency`: of revenue, refunds, average, and of orders if they
    are to be those of one currency."""

    name: Literal["touchpoints", "orders", "revenue", "refunds", "average", "first_at", "last_at"]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        needs = self.name in {"revenue", "refunds", "average"}
        if needs and self.currency is None:
            Wrong.raise_any([(("currency",), "is missing; amounts of several are not added up: say which one")])
        if self.currency is not None and not needs and self.name != "orders":
            Wrong.raise_any([(("currency",), f"has no place beside {self.name}; leave it out")])
        kind: Kind = "moment" if self.name in {"first_at", "last_at"} else "number" if needs else "count"
        Wrong.raise_any(self.astray(kind))
        return self


class ProfileLeaf(Comparison):
    """A field of the profile, as it is shown: `country`, `address.city`, `further.shoe_size`. `anniversary`: the day
    comes round within that time."""

    field: Annotated[PlainText, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        if "" in self.field.split(".") or self.field in {"further", "address"}:
            way_out = "name the part of it, such as address.city or further.shoe_size"
            Wrong.raise_any([(("field",), f"is no field of a profile; {way_out}")])
        Wrong.raise_any(self.astray("any", further=(ANNIVERSARY, *RELATIVE)))
        return self


class PlaceLeaf(Comparison):
    """Where the customer lives; the country also by her last purchase that says one."""

    what: Literal["country", "city", "region", "postcode"]

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        Wrong.raise_any(self.astray("text"))
        return self


class IdentifierLeaf(Setting):
    """The customer's identifiers of a kind. `namespace`: left out: of any, "": of none."""

    kind: Literal["customer_no", "external", "email", "phone", "social", "device", "cookie"]
    namespace: Annotated[PlainText, Field(max_length=100)] | None = None
    is_: Literal["known", "unknown", "=", "in", "starts with", "ends with", "contains"] = Field(alias="is")
    value: Value = None

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        Wrong.raise_any(comparison_astray(self.is_, self.value, "text"))
        return self


class ConsentLeaf(Setting):
    """What stands for a purpose on a channel (where nothing does, on every channel; "": on every channel)."""

    purpose: Annotated[PlainText, Field(min_length=1, max_length=100)]
    channel: Annotated[PlainText, Field(max_length=100)] = ""
    is_: Literal["granted", "withdrawn", "unknown"] = Field(alias="is")


class WorkWhere(Comparison):
    """A condition on one deal, ticket, task or lead."""

    field: Annotated[str, Field(max_length=100)]


class WorkLeaf(Comparison):
    """How many of the customer's deals, tickets, tasks or leads fulfil all conditions."""

    where: Annotated[tuple[WorkWhere, ...], Field(max_length=10)] = ()
    is_: Literal["=", "!=", ">", ">=", "<", "<=", "in", "not in"] = Field(alias="is")
    value: Value = Field(alias="count")

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        found = [(path if path != ("value",) else ("count",), told) for path, told in self.astray("count")]
        Wrong.raise_any(found)
        return self

    def fields_astray(self, kind: str) -> Iterator[tuple[Path, str]]:
        """What is wrong with its conditions, for this kind of item."""
        known = WORK_FIELDS[kind]
        for place, one in enumerate(self.where):
            if one.field not in known:
                yield (
                    ("where", place, "field"),
                    f"is nothing that a {kind} can be asked for; {meant(one.field, known)}",
                )
            else:
                yield from one.astray(known[one.field], at=("where", place))


class SegmentLeaf(Setting):
    """The customer is in another segment."""

    code: Code


class RfmLeaf(Comparison):
    """The class by recency, frequency and monetary value, or one of the three scores, 1 to 5."""

    what: Literal["class", "recency", "frequency", "monetary"]

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        kind: Kind = "text" if self.what == "class" else "count"
        Wrong.raise_any(self.astray(kind, further=() if self.what == "class" else ("known", "unknown")))
        return self


class IndustryLeaf(Comparison):
    """What the customer's leads, and the organisations that she is a contact of, do."""

    @model_validator(mode="after")
    def _is_right(self) -> Self:
        Wrong.raise_any(self.astray("list"))
        return self
