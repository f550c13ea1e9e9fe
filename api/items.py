"""How does a row of the timeline become what a person reads? Decoded, unsealed, its line drawn up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from api.shapes import About, Correction, Identifier, Item, Party, Price
from domain.catalogue.registry import Catalogue
from domain.errors import Misconfigured, Poison, StorylineError, Tampered, UnknownKey
from eventlog.keyring import Keyring
from eventlog.record import Head, Record, decode
from eventlog.sealing import Opened, keys_of, open_record
from projections.timeline.reader import Row

__all__ = ["Renderer", "holds"]

_Keys = Mapping[str, AESGCM | None]
_REASONS: Mapping[type[StorylineError], str] = {
    Tampered: "tampered: the sealed part does not belong to this record",
    UnknownKey: "unknown key: the key store does not have it",
    Misconfigured: "master key: the one that wraps this key is not at hand",
    Poison: "poison: the bytes are no record of a known version",
}
_CLOSED = (Tampered, UnknownKey, Misconfigured)


_Read = tuple[Record | None, Opened | None, bool, str | None]
"""A record as far as it could be read: the record, what was opened (None where it is sealed, erased or unreadable),
whether it was erased, and why it could not be read. A plain tuple, since a page makes one for each row."""


class Renderer:
    """Makes items out of rows. Blocks on the key store, so call it from a worker thread."""

    def __init__(self, keyring: Keyring, catalogue: Catalogue) -> None:
        self._keyring, self._catalogue = keyring, catalogue

    def items(self, rows: Sequence[Row], unseal: bool) -> list[Item]:
        """One item per row, in order. `unseal` False leaves out what is personal.

        What cannot be read is shown as such; Unavailable where the key store does not answer.
        """
        records = _records(rows)
        return self._items(rows, self._read(records, unseal))

    def recalled(self, rows: Sequence[Row]) -> list[Item] | None:
        """Like `items`, unsealed, where every key is in the cache: None where the key store has to be asked.

        Never blocks, and so needs no thread: for the few rows of a page a hop costs more than the work.
        """
        records = _records(rows)
        keys = self._keyring.recall(keys_of([one for one in records if one is not None]))
        return None if keys is None else self._items(rows, [self._open(one, keys) for one in records])

    def _items(self, rows: Sequence[Row], found: Iterable[_Read]) -> list[Item]:
        read = iter(found)
        items = [self._item(row, next(read)) for row in rows]
        for row, item in zip(rows, items, strict=True):
            if row.roles:
                item.party = list(row.roles)
            if row.corrections:
                item.corrections = [
                    self._correction(one.relation, one.name.hex, next(read)) for one in row.corrections
                ]
        return items

    def _read(self, records: Sequence[Record | None], unseal: bool) -> list[_Read]:
        if not unseal:
            return [(one, None, False, None if one else _REASONS[Poison]) for one in records]
        good = [one for one in records if one is not None]
        try:
            keys: _Keys | None = self._keyring.keys(keys_of(good))
        except _CLOSED:
            keys = None  # one bad key must not hide the other rows: each is looked up by itself
        return [self._open(one, keys) for one in records]

    def _open(self, record: Record | None, keys: _Keys | None) -> _Read:
        if record is None:
            return None, None, False, _REASONS[Poison]
        try:
            own = self._keyring.keys(keys_of([record])) if keys is None else keys
            opened = open_record(record, own)
        except _CLOSED as error:
            return record, None, False, _REASONS[type(error)]
        return record, opened, opened is None, None

    def _item(self, row: Row, read: _Read) -> Item:
        name, happened_at, recorded_at, future, partition, offset, _, customer, _, _ = row
        record, opened, erased, unreadable = read
        position = f"{partition}:{offset}"
        if record is None:
            return Item(
                name=name.hex,
                happened_at=happened_at,
                recorded_at=recorded_at,
                position=position,
                future=future,
                unreadable=unreadable,
            )
        head = record.head
        content, line, money = self._catalogue.show(
            head.type, head.version, head.public, None if opened is None else opened.content
        )
        known = self._catalogue.get(head.type)
        return Item(
            name=head.name,
            id=opened.id if opened else "",
            happened_at=happened_at,
            recorded_at=recorded_at,
            time=head.time,
            type=head.type,
            version=head.version,
            category=known.category if known else "",
            channel=head.channel,
            direction=head.direction,
            line=line,
            money=Price(str(money.amount), money.currency) if money else None,
            content=content or None,
            customer=customer.hex if customer else None,
            who=opened.who if opened else [],
            refs=_refs(head, opened) if head.refs else [],
            parties=_parties(head, opened) if head.parties else [],
            about=[About(one.relation, one.name) for one in head.about] if head.about else [],
            actor=head.actor,
            source=head.source,
            extensions=opened.extensions if opened else {},
            position=position,
            future=future,
            erased=erased,
            unreadable=unreadable,
        )

    def _correction(self, relation: str, name: str, read: _Read) -> Correction:
        record, opened, erased, unreadable = read
        if record is None:
            return Correction(relation=relation, name=name, unreadable=unreadable)
        head = record.head
        personal = None if opened is None else opened.content
        content, line, _ = self._catalogue.show(head.type, head.version, head.public, personal)
        return Correction(
            relation=relation,
            name=head.name,
            type=head.type,
            source=head.source,
            time=head.time,
            recorded_at=record.recorded_at,
            line=line,
            content=content or None,
            erased=erased,
            unreadable=unreadable,
        )


def _records(rows: Sequence[Row]) -> list[Record | None]:
    """The records of rows, then those of what corrects them."""
    records = [_decoded(row.record) for row in rows]
    records += [_decoded(one.record) for row in rows for one in row.corrections]
    return records


def _decoded(value: bytes) -> Record | None:
    try:
        return decode(value)
    except Poison:
        return None


def _refs(head: Head, opened: Opened | None) -> list[Identifier]:
    """The refs; conversations by their value where it was opened, else by its hash."""
    found = []
    hidden = opened is not None and bool(opened.refs)
    for ref in head.refs:
        kind, _, value = ref.partition(":")
        kind, _, namespace = kind.partition("/")
        if not (hidden and kind == "conversation"):
            found.append(Identifier(kind, value, namespace))
    if opened is not None and hidden:
        found += [Identifier(one["kind"], one["value"], one.get("namespace", "")) for one in opened.refs]
    return found


def _parties(head: Head, opened: Opened | None) -> list[Party]:
    if opened is None:
        return [Party(party.role) for party in head.parties]
    return [Party(party.role, who, who is None) for party, who in zip(head.parties, opened.parties, strict=True)]


def holds(item: Item, needle: str) -> bool:
    """Does an item's text hold the needle (casefolded)? Its line, its content, who and what it is about."""
    if needle in item.line.casefold():
        return True
    parts: tuple[Any, ...] = (item.content, item.who, [party.who for party in item.parties], item.extensions)
    if any(needle in text.casefold() for text in _texts(parts)):
        return True
    return any(needle in ref.value.casefold() for ref in item.refs)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)
