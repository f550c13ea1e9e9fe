"""How does the state of an aggregate become JSON values, and again a state? By the types of its dataclass.

For snapshots: what is personal stands apart, so that it can be sealed. A field that has its default is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

__all__ = ["state_from_plain", "state_to_plain"]


def state_to_plain(state: Any, personal: Collection[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a state as JSON values: (public, personal). personal: the names of the personal fields."""
    plain = _plain(state)
    return (
        {name: value for name, value in plain.items() if name not in personal},
        {name: value for name, value in plain.items() if name in personal},
    )


def state_from_plain(cls: Any, public: Mapping[str, Any], personal: Mapping[str, Any] | None = None) -> Any:
    """The state of `state_to_plain`. personal: None where it was erased; its fields have their defaults then."""
    return _reader(cls)({**(personal or {}), **public})


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        given = {one.name: getattr(value, one.name) for one in fields(value) if _differs(value, one)}
        return {name: _plain(one) for name, one in given.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _differs(state: Any, field: Any) -> bool:
    return field.default is MISSING or getattr(state, field.name) != field.default


@cache
def _reader(kind: Hashable) -> Callable[[Any], Any]:
    """What reads a JSON value as one of that type."""
    if is_dataclass(kind) and isinstance(kind, type):
        readers = {name: _reader(one) for name, one in get_type_hints(kind).items()}
        return lambda plain: kind(**{name: readers[name](value) for name, value in plain.items()})
    if kind in {date, datetime}:
        return kind.fromisoformat
    if kind is Decimal:
        return Decimal
    origin, within = get_origin(kind), [one for one in get_args(kind) if one is not NoneType and one is not ...]
    if origin in {Union, UnionType} and len(within) == 1:
        read = _reader(within[0])
        return lambda plain: None if plain is None else read(plain)
    if origin is tuple:
        each = _reader(within[0])
        return lambda plain: tuple(each(one) for one in plain)
    return lambda plain: plain
