"""How does a deployment rank its customers by recency, frequency and monetary value? Edges of scores, and classes.

The edges are fixed numbers and no quintiles of all customers: so the class of one depends on that one's own purchases
and the moment alone, and nobody changes class because somebody else bought.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema, model_validator

from domain.configuration.base import Code, Name, Path, Setting, Wrong

__all__ = ["Rfm", "RfmClass", "Span"]


class Span(NamedTuple):
    """Scores from `low` to `high`, both of them included."""

    low: int
    high: int


def _span(value: Any) -> Any:
    if isinstance(value, Span):
        return value
    fits = isinstance(value, list) and len(value) == 2 and all(type(one) is int and 1 <= one <= 5 for one in value)
    if not fits or value[0] > value[1]:
        raise ValueError("is no span of scores; write the lowest and the highest, of 1 to 5, such as [4, 5]")
    return Span(*value)


_Span = Annotated[
    Span,
    BeforeValidator(_span),
    PlainSerializer(list, return_type=list[int]),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 5},
            "minItems": 2,
            "maxItems": 2,
            "examples": [[4, 5]],
        }
    ),
]
_Edges = Annotated[list[Annotated[int, Field(ge=1, le=10**15)]], Field(min_length=4, max_length=4)]
_ANY: Final = Span(1, 5)
_Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class RfmClass(Setting):
    """Customers whose three scores lie in these spans. What is left out may be anything."""

    code: Code
    name: Name | None = None
    recency: _Span = Field(default=_ANY, description="The lowest and the highest score, of 1 to 5")
    frequency: _Span = Field(default=_ANY, description="The lowest and the highest score, of 1 to 5")
    monetary: _Span = Field(default=_ANY, description="The lowest and the highest score, of 1 to 5")


def _classes() -> list[RfmClass]:
    """Classes that take in every customer with a purchase."""
    return [
        RfmClass(code="champions", recency=Span(4, 5), frequency=Span(4, 5), monetary=Span(4, 5)),
        RfmClass(code="loyal", recency=Span(3, 5), frequency=Span(3, 5)),
        RfmClass(code="new", recency=Span(5, 5), frequency=Span(1, 1)),
        RfmClass(code="potential", recency=Span(4, 5), frequency=Span(2, 2)),
        RfmClass(code="promising", recency=Span(4, 4), frequency=Span(1, 1)),
        RfmClass(code="needs-attention", recency=Span(3, 3)),
        RfmClass(code="cannot-lose", recency=Span(1, 2), frequency=Span(4, 5)),
        RfmClass(code="at-risk", recency=Span(2, 2), frequency=Span(2, 3)),
        RfmClass(code="asleep", recency=Span(2, 2)),
        RfmClass(code="lost", recency=Span(1, 1)),
    ]


class Rfm(Setting):
    """What makes a customer a good one: how lately, how often, and for how much they bought."""

    currency: _Currency = Field(
        default="GBP", description="The currency of `monetary`; what is in others is left out"
    )
    recency_days: _Edges = Field(
        default=[30, 90, 180, 365],
        description="Days since the last purchase: less than the first scores 5, less than the last 2, more 1",
    )
    frequency: _Edges = Field(
        default=[2, 3, 5, 10], description="Orders: less than the first score 1, from the last on 5"
    )
    monetary: _Edges = Field(
        default=[50, 150, 400, 1000],
        description="Revenue in major units: less than the first scores 1, from the last on 5",
    )
    classes: Annotated[list[RfmClass], Field(min_length=1, max_length=50)] = Field(
        default_factory=_classes, description="In their order: the first that fits holds; left out: the built-in ones"
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        Wrong.raise_any(self._troubles())
        return self

    def _troubles(self) -> Iterator[tuple[Path, str]]:
        for name in ("recency_days", "frequency", "monetary"):
            if any(one >= other for one, other in pairwise(getattr(self, name))):
                yield (name,), "does not ascend; write four different numbers, the smallest first"
        codes = [one.code for one in self.classes]
        for index, code in enumerate(codes):
            if code in codes[:index]:
                yield ("classes", index, "code"), "is the code of a class before it; give each its own"
