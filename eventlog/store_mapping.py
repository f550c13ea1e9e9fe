"""How does an event of an aggregate rest in the event store, and come back? Its state is a record of the log, sealed
when it is saved, once; the relay appends those very bytes.

So a key that an erasure destroys is destroyed for the store, too: the event comes back without what was personal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent
from eventsourcing.utils import get_topic

from domain.catalogue.base import join
from domain.catalogue.registry import Catalogue
from domain.errors import Poison, Tampered
from domain.event import read_time
from domain.identifiers import Identifier, Ref
from domain.work import SOURCE, Work
from eventlog.keyring import Keyring
from eventlog.record import Head, Record, decode
from eventlog.sealer import Sealer
from eventlog.sealing import Opened, keys_of, open_record
from eventlog.store_events import event_of

__all__ = ["RecordMapper", "class_of"]


def class_of(source: str) -> type[Work]:
    """The aggregate's class of a source such as `storyline/task`. Raises Poison where there is none."""
    kind = source.removeprefix(SOURCE)
    for found in _kinds(Work):
        if kind == found.KIND:
            return found
    raise Poison(f"The event store holds an event of {source}, which this release does not know.")


def _kinds(base: type[Work]) -> Iterator[type[Work]]:
    for found in base.__subclasses__():
        yield found
        yield from _kinds(found)


class RecordMapper(Mapper[UUID]):
    """Changes to records and back, a whole save or a whole aggregate at once: keys are asked for once for all."""

    def __init__(self, catalogue: Catalogue, sealer: Sealer, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        super().__init__(JSONTranscoder())  # which is asked for nothing: a record has its own form
        self._catalogue, self._sealer, self._keyring, self._clock = catalogue, sealer, keyring, clock

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """As the library has it."""
        return self.store([domain_event])[0]

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """As the library has it."""
        return self.restore([stored_event])[0]

    def store(self, changes: Sequence[Any]) -> list[StoredEvent]:
        """Sealed events. Their keys are committed on return. Raises BadInput for what the catalogue refuses."""
        events = [event_of(change, self._catalogue) for change in changes]
        entries = self._sealer.seal(events, self._clock())
        return [
            StoredEvent(change.originator_id, change.originator_version, event.type, entry.value)
            for change, event, entry in zip(changes, events, entries, strict=True)
        ]

    def keys(self, stored: Sequence[StoredEvent]) -> dict[str, AESGCM | None]:
        """The keys of what these sealed; None for a destroyed one. Raises UnknownKey where the key store lost one."""
        return self._keyring.keys(keys_of([decode(one.state) for one in stored]))

    def restore(
        self, stored: Sequence[StoredEvent], keys: Mapping[str, AESGCM | None] | None = None
    ) -> list[DomainEventProtocol[UUID]]:
        """Events as they were saved; without what an erasure made unreadable. `keys`: those of `keys(stored)`, if
        they are at hand. Raises Tampered for one that is not what was saved there, UnknownKey as `keys` does."""
        records = [decode(one.state) for one in stored]
        keys = self._keyring.keys(keys_of(records)) if keys is None else keys
        return [self._change(one, record, keys) for one, record in zip(stored, records, strict=True)]

    def _change(
        self, stored: StoredEvent, record: Record, keys: Mapping[str, AESGCM | None]
    ) -> DomainEventProtocol[UUID]:
        id, version, head = UUID(str(stored.originator_id)), stored.originator_version, record.head
        name = self._sealer.hasher.name(head.source, f"{id.hex}.{version}")
        if head.name != f"{head.source}#{name}":
            raise Tampered("An event of the event store is not the one that was saved in its place.")
        opened = open_record(record, keys)
        cls = class_of(head.source)
        state: dict[str, Any] = {
            "originator_id": id,
            "originator_version": version,
            "timestamp": read_time(head.time),
            "type": head.type,
            "content": self._content(head, opened),
            "actor": head.actor,
            "who": () if opened is None else tuple([Identifier(**one) for one in opened.who]),
            "refs": _refs(head, opened),
            "about": (),  # the log keeps the hashes of their names alone, and no rule asks for them
        }
        if version == cls.INITIAL_VERSION:
            state["originator_topic"] = get_topic(cls)
        change: Any = object.__new__(cls.Begun if version == cls.INITIAL_VERSION else cls.Happened)
        object.__setattr__(change, "__dict__", state)
        return cast("DomainEventProtocol[UUID]", change)

    def _content(self, head: Head, opened: Opened | None) -> dict[str, Any]:
        content: dict[str, Any] = join(head.public, None if opened is None else opened.content)
        event_type = self._catalogue.get(head.type)
        if event_type is not None and head.version < event_type.version:
            content = event_type.raise_to_current(content, head.version)
        return content


def _refs(head: Head, opened: Opened | None) -> tuple[Ref, ...]:
    """Refs out of their clear form `kind[/namespace]:value`; conversations out of what was sealed."""
    hidden = iter([] if opened is None else opened.refs)
    found = []
    for ref in head.refs:
        name, _, value = ref.partition(":")
        kind, _, namespace = name.partition("/")
        if kind != "conversation":
            found.append(Ref(kind, value, namespace))
        elif (sealed := next(hidden, None)) is not None:
            found.append(Ref(**sealed))
    return tuple(found)
