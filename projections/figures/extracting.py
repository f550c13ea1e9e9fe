"""What does an event add to the figures beside the facts of its customer? Rows by table, in the COPY format.

Only public fields are read. A content that makes no sense adds nothing, or what of it makes sense.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any, Final

import msgspec

from domain.catalogue.registry import BuiltIn, Catalogue, EventType
from domain.facts import exact_amount
from projections.columns import LENGTH, LONGEST_CODE, NULL, cut, hash16, numeric
from projections.lines import Line, More, ref_kind
from projections.packing import NAME_SIZE

__all__ = ["OrderLine", "figure_rows", "figure_types", "mentions", "naming_types", "order_lines", "speaks"]

_TRADES: Final = frozenset({"purchase.made", "refund.made"})
_THINGS: Final = {
    "product.described": ("product", ("category", "price", "cost", "currency")),
    "campaign.described": ("campaign", ("channel", "category", "cost", "currency")),
    "organisation.described": ("organisation", ("industry",)),
}
"""Of what kind of thing these types tell, and the public fields that are kept of it."""
_NUMBERS: Final = frozenset({"price", "cost"})
_TYPES: Final = _TRADES | {"survey.answered", "review.posted", "touchpoint.enriched"} | _THINGS.keys()
_MOST_TOPICS: Final = 50
_EXACT: Final = Context(prec=60)
_PRODUCT: Final = b'"product"'

_NAME = struct.Struct("!hi16s")
_LINE = struct.Struct("!hi16siiiq")  # name, place, happened_at; then the rest
_TIMES = struct.Struct("!iqiq")  # happened_at, recorded_at
_TARGET = struct.Struct("!hi16si16s")  # name, target
_ARRAY = struct.Struct("!iiIii")  # dimensions, nulls, type of the items, length, first index
_EMPTY_ARRAY = struct.pack("!iiI", 0, 0, 25)
_REFUND = {refund: struct.pack("!i?", 1, refund) for refund in (False, True)}
_encode = msgspec.json.Encoder().encode

Rows = tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes], Sequence[bytes], Sequence[bytes]]
"""Rows of `lines`, `scores`, `moods`, `mentions` and `things`."""
_NOTHING: Final[Rows] = ((), (), (), (), ())


def figure_types(catalogue: Catalogue) -> frozenset[str]:
    """The types whose content adds to a figure, whatever it says."""
    return frozenset(one.name for one in catalogue if one.name in _TYPES)


def naming_types(catalogue: Catalogue) -> frozenset[str]:
    """The types of touchpoints that may name a product in a public field."""
    return frozenset(one.name for one in catalogue if one.category == "touchpoint" and _may_name(one))


def _may_name(one: EventType) -> bool:
    if isinstance(one, BuiltIn) and "product" not in one.model.model_fields:
        return False  # without making its schema: of all types that takes half a second, in each process
    return bool(one.schema().get("properties", {}).get("product", {}).get("x-public"))


def mentions(line: Line) -> bool:
    """Does an event name a product by a ref?"""
    return any(ref_kind(ref) == "product" for ref in line.refs)


def speaks(line: Line) -> bool:
    """May an event of one of the `naming_types` name a product in its content? Told without reading it."""
    return _PRODUCT in bytes(line.public)


def figure_rows(one: More, public: Any, touch: bool) -> Rows:
    """What one event adds. public: the content as it counts, in the current version; any JSON value. touch: it is a
    touchpoint."""
    if not isinstance(public, Mapping):
        return _NOTHING
    type = one.line.type
    if type in _TRADES:
        return _line_rows(one, public), (), (), (), ()
    if type in _THINGS:
        return (), (), (), (), _thing_rows(one, public)
    if type == "touchpoint.enriched":
        return (), (), _mood_rows(one, public), (), ()
    named = list(_mention_rows(one, public)) if touch else ()
    scoring = _SCORING.get(type)
    return (), [scoring(one, public)] if scoring else (), (), named, ()


def _line_rows(one: More, public: Mapping[str, Any]) -> list[bytes]:
    """What was bought or given back, line by line."""
    total, currency = exact_amount(public.get("amount")), public.get("currency")
    if total is None or not isinstance(currency, str) or not currency:
        return []
    type, head = one.line.type, one.mark[:NAME_SIZE]
    rest = cut(currency), _REFUND[type == "refund.made" or total < 0]
    return [
        b"".join(
            (
                _LINE.pack(9, 16, head, 4, place, 8, one.times[0]),
                cut(product),
                cut(category),
                numeric(quantity),
                NULL if amount is None else numeric(amount),
                *rest,
            )
        )
        for place, product, category, quantity, amount in order_lines(type, public)
    ]


OrderLine = tuple[int, str | None, str | None, Decimal, Decimal | None]
"""(place, product, category, quantity, amount), the last two negative where something was given back."""


def order_lines(type: str, public: Mapping[str, Any]) -> Iterator[OrderLine]:
    """The lines of a purchase or a refund, as far as they make sense; none of other types."""
    lines = public.get("lines")
    if type not in _TRADES or not isinstance(lines, list):
        return
    for place, line in enumerate(lines):
        if isinstance(line, Mapping):
            quantity, amount = _counted(line)
            if type == "refund.made":
                quantity, amount = -quantity, None if amount is None else -amount
            yield place, _text(line.get("product")), _text(line.get("category")), quantity, amount


def _counted(line: Mapping[str, Any]) -> tuple[Decimal, Decimal | None]:
    """How many, and what the line comes to, as far as it says so."""
    quantity = exact_amount(line.get("quantity", 1))
    quantity = Decimal(1) if quantity is None else quantity
    amount = exact_amount(line.get("amount"))
    if amount is None:
        price = exact_amount(line.get("unit_price"))
        amount = None if price is None else _EXACT.multiply(quantity, price)
    return quantity, amount


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _code(value: Any) -> bytes:
    return cut(_text(value))


def _number(value: Any) -> bytes:
    amount = exact_amount(value)
    return NULL if amount is None else numeric(amount)


def _evidence(line: Line) -> bytes:
    return LENGTH.pack(16) + hash16(line.evidence) if line.tokens else NULL


def _survey_row(one: More, public: Mapping[str, Any]) -> bytes:
    measure = public.get("measure", "other")
    told = measure if isinstance(measure, str) and measure else "other"
    return _score_row(one, told, public.get("score"), public.get("best"), public.get("survey"), _named(one.line))


def _review_row(one: More, public: Mapping[str, Any]) -> bytes:
    product = public.get("product")
    product = product if isinstance(product, str) and product else _named(one.line)
    return _score_row(one, "review", public.get("rating"), public.get("best"), public.get("site"), product)


_SCORING: Final[Mapping[str, Callable[[More, Mapping[str, Any]], bytes]]] = {
    "survey.answered": _survey_row,
    "review.posted": _review_row,
}


def _score_row(one: More, measure: str, score: Any, best: Any, code: Any, product: str | None) -> bytes:
    line = one.line
    return b"".join(
        (
            _NAME.pack(11, 16, one.mark[:NAME_SIZE]),
            _evidence(line),
            _TIMES.pack(8, one.times[0], 8, one.times[1]),
            cut(measure),
            _number(score),
            _number(best),
            _code(code),
            cut(product),
            cut(line.channel),
            cut(line.actor),
        )
    )


def _mood_rows(one: More, public: Mapping[str, Any]) -> list[bytes]:
    """What was derived from a touchpoint's text; of several that are named the first."""
    target = min((about.name[-32:] for about in one.line.about if about.relation == "enriches"), default=None)
    if target is None:
        return []
    topics = public.get("topics")
    told = [cut(topic) for topic in topics if isinstance(topic, str)] if isinstance(topics, list) else []
    packed = _topics(told[:_MOST_TOPICS])
    return [
        b"".join(
            (
                _TARGET.pack(8, 16, one.mark[:NAME_SIZE], 16, hash16(target)),
                _TIMES.pack(8, one.times[0], 8, one.times[1]),
                _code(public.get("language")),
                _number(public.get("sentiment")),
                LENGTH.pack(len(packed)) + packed,
                _code(public.get("method")),
            )
        )
    ]


def _topics(topics: Sequence[bytes]) -> bytes:
    """An array of texts, as COPY has it."""
    return _ARRAY.pack(1, 0, 25, len(topics), 1) + b"".join(topics) if topics else _EMPTY_ARRAY


def _mention_rows(one: More, public: Mapping[str, Any]) -> Iterator[bytes]:
    """The products that a touchpoint speaks of, each once."""
    line = one.line
    named = [_value(ref) for ref in line.refs if ref_kind(ref) == "product"]
    product = public.get("product")
    if isinstance(product, str) and product:
        named.append(product)
    if not named:
        return
    rest = b"".join(
        (
            _evidence(line),
            _TIMES.pack(8, one.times[0], 8, one.times[1]),
            cut(line.type),
            cut(line.channel),
            cut(line.direction),
            _code(public.get("category")),
        )
    )
    head = _NAME.pack(9, 16, one.mark[:NAME_SIZE])
    for packed in dict.fromkeys(cut(product) for product in named):
        yield head + packed + rest


def _thing_rows(one: More, public: Mapping[str, Any]) -> list[bytes]:
    """What an event says of a thing; of several that are named the first."""
    kind, fields = _THINGS[one.line.type]
    ref = min((_value(ref) for ref in one.line.refs if ref_kind(ref) == kind), default=None)
    if ref is None:
        return []
    told = {name: _plain(name, public[name]) for name in fields if name in public}
    content = _encode({name: value for name, value in told.items() if value is not _ASTRAY})
    head, times = _NAME.pack(6, 16, one.mark[:NAME_SIZE]), _TIMES.pack(8, one.times[0], 8, one.times[1])
    return [b"".join((head, cut(kind), cut(ref), times, LENGTH.pack(len(content) + 1), b"\x01", content))]


_ASTRAY: Final = object()


def _plain(name: str, value: Any) -> Any:
    """A field of a thing as JSON: null where it is emptied, `_ASTRAY` for what makes no sense."""
    if value is None:
        return None
    if name in _NUMBERS:
        amount = exact_amount(value)
        return _ASTRAY if amount is None else f"{amount:f}"
    if not isinstance(value, str) or "\0" in value or not value.isprintable() or len(value.encode()) > LONGEST_CODE:
        return _ASTRAY
    return value


def _named(line: Line) -> str | None:
    """The product that an event is about, by its refs."""
    return min((_value(ref) for ref in line.refs if ref_kind(ref) == "product"), default=None)


def _value(ref: str) -> str:
    """The value of a ref in clear (`kind[/namespace]:value`)."""
    return ref[ref.find(":") + 1 :]
