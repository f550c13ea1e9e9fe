"""What does a replay look like as a table? Arrow batches with columns that every event has, those of the public
fields of the chosen types, and, for whoever may see it, what is personal.

Money and other decimals are exact, 38 digits of which 10 behind the point, moments are in UTC to the microsecond. A
value that its column cannot hold is null there, is counted, and stands in `content` as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, Final

import msgspec
import pyarrow as pa

from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Problem, SealError
from domain.event import read_time
from domain.replaying import Field, Kind, fields_of, value_at
from eventlog.keyring import Keyring
from eventlog.record import Record
from eventlog.sealing import Opened, open_blob
from projections.replaying import Replayed

__all__ = ["PERSONAL", "Columns"]

_DECIMAL: Final = pa.decimal128(38, 10)
_MOMENT: Final = pa.timestamp("us", "UTC")
_PLACES: Final = Decimal(1).scaleb(-10)
_TYPES: Final[Mapping[Kind, Any]] = {
    "text": pa.string(), "whole": pa.int64(), "decimal": _DECIMAL, "flag": pa.bool_(), "moment": _MOMENT,
    "json": pa.string(),
}  # fmt: skip
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
_decode_own: Final = msgspec.json.Decoder(Opened, float_hook=Decimal).decode
_Value = Callable[[Replayed], Any]
_HEAD: Final[Mapping[str, tuple[Any, _Value]]] = {
    "event": (pa.string(), lambda one: one.record.head.name),
    "type": (pa.string(), lambda one: one.record.head.type),
    "version": (pa.int32(), lambda one: one.version),
    "happened_at": (_MOMENT, lambda one: one.happened_at),
    "recorded_at": (_MOMENT, lambda one: one.recorded_at),
    "source": (pa.string(), lambda one: one.record.head.source),
    "channel": (pa.string(), lambda one: one.record.head.channel),
    "direction": (pa.string(), lambda one: one.record.head.direction),
    "actor": (pa.string(), lambda one: one.record.head.actor),
    "touchpoint": (pa.bool_(), lambda one: one.touch),
    "refs": (pa.list_(pa.string()), lambda one: list(one.record.head.refs)),
    "customer": (pa.string(), lambda one: one.customer.hex if one.customer else None),
    "log_partition": (pa.int32(), lambda one: one.position[0]),
    "log_offset": (pa.int64(), lambda one: one.position[1]),
    "corrected": (pa.string(), lambda one: one.corrected),
}
_CONTENT: Final = "content"
PERSONAL: Final = ("who", "personal", "erased")
"""Columns of what is sealed: identifiers as sent, personal content, and whether a key was destroyed."""
_JSON_COLUMNS: Final = frozenset({_CONTENT, "who", "personal"})


class _Unfit(ValueError):
    """A value that its column cannot hold."""


@dataclass
class Columns:
    """The columns of one replay. types: whose public fields are columns, all of the catalogue's where names are asked
    for. names: which columns, in this order; empty: all. keyring: opens what is personal; None: nobody may see it.
    `unfit`: how many values their columns could not hold. Raises BadInput for names that are none."""

    catalogue: Catalogue
    types: Sequence[str] = ()
    names: Sequence[str] = ()
    keyring: Keyring | None = None
    unfit: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        taken = frozenset({*_HEAD, _CONTENT, *PERSONAL})
        types = [one for one in map(self.catalogue.get, self.types) if one is not None]
        others = set(self.names) - taken  # schemas of all types take a second to make
        self._fields = {one.name: one for one in fields_of(types or (self.catalogue if others else ()), taken)}
        personal = PERSONAL if self.keyring is not None else ()
        known = [*_HEAD, *self._fields, _CONTENT, *personal]
        if unknown := [one for one in self.names if one not in known]:
            way_out = f"Choose of {', '.join(known)}."
            raise BadInput([Problem("columns", f"{unknown[0][:100]!r} is no column of this replay.", way_out)])
        self._chosen = list(dict.fromkeys(self.names)) or known
        self.schema = pa.schema([pa.field(name, self._type(name)) for name in self._chosen])

    @property
    def json_names(self) -> frozenset[str]:
        """Columns whose text is JSON."""
        return _JSON_COLUMNS | {name for name, one in self._fields.items() if one.kind == "json"}

    def _type(self, name: str) -> Any:
        if name in _HEAD:
            return _HEAD[name][0]
        if name == "erased":
            return pa.bool_()
        return _TYPES[self._fields[name].kind] if name in self._fields else pa.string()

    def batch(self, events: Sequence[Replayed]) -> Any:
        """These events as an Arrow record batch."""
        sealed = self._opened(events) if not set(PERSONAL).isdisjoint(self._chosen) else {}
        arrays = [pa.array(self._values(name, events, sealed), self._type(name)) for name in self._chosen]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _values(self, name: str, events: Sequence[Replayed], sealed: Mapping[str, list[Any]]) -> list[Any]:
        if name in _HEAD:
            value = _HEAD[name][1]
            return [value(one) for one in events]
        if name in sealed:
            return sealed[name]
        if name == _CONTENT:
            return [_encode(one.content).decode() for one in events]
        its = self._fields[name]
        return [self._fitted(value_at(one.content, its.path), its) for one in events]

    def _fitted(self, value: Any, its: Field) -> Any:
        if value is None:
            return None
        try:
            return _FITTED[its.kind](value)
        except (_Unfit, ValueError, TypeError, OverflowError, ArithmeticError):
            self.unfit += 1
            return None

    def _opened(self, events: Sequence[Replayed]) -> dict[str, list[Any]]:
        """Columns of what is personal."""
        records = [one.record for one in events]
        records += [one.amendment for one in events if one.amendment is not None]
        opened = _open(self.keyring, records) if self.keyring is not None else {}
        who: list[Any] = []
        personal: list[Any] = []
        erased: list[Any] = []
        for one in events:
            own, gone = opened[id(one.record)]
            said: Any = own.content if own else None
            if one.amendment is not None:
                right, gone_too = opened[id(one.amendment)]
                said, gone = (right.content.get("content") if right else None), gone or gone_too
            who.append(_encode(own.who).decode() if own and own.who else None)
            personal.append(_encode(said).decode() if said else None)
            erased.append(gone)
        return dict(zip(PERSONAL, (who, personal, erased), strict=True))


def _open(keyring: Keyring, records: Sequence[Record]) -> dict[int, tuple[Opened | None, bool]]:
    """What each record sealed of its own event, and whether the key of that was destroyed, by the record's identity.
    Raises UnknownKey: that is never taken for erased."""
    keys = keyring.keys({one.head.key for one in records})
    found: dict[int, tuple[Opened | None, bool]] = {}
    for one in records:
        key = keys[one.head.key]
        try:
            opened = None if key is None else open_blob(key, one.sealed[0], one.head_bytes, 0, _decode_own)
        except SealError:
            opened = None  # the timeline shows it as altered
        found[id(one)] = opened, key is None
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value or not -(2**63) <= value < 2**63:
        raise _Unfit
    return int(value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or (isinstance(value, str) and len(value) > 60):
        raise _Unfit
    number = Decimal(value if isinstance(value, str | int | Decimal) else str(value))
    with localcontext(prec=60):
        fitted = number.quantize(_PLACES)
    if fitted != number or fitted.adjusted() > 27:
        raise _Unfit
    return fitted


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _moment(value: Any) -> datetime:
    return read_time(_text(value)).astimezone(UTC)


_FITTED: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    "text": _text, "whole": _whole, "decimal": _decimal, "flag": _flag, "moment": _moment,
    "json": lambda value: _encode(value).decode(),
}  # fmt: skip
