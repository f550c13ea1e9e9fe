"""How does a good event become an entry of the log? Named, hashed, sealed, stamped."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import BadInput, Erased, Problem
from domain.event import Event
from domain.identifiers import Identifier, Ref, normalise
from domain.identity_rules import Blocked
from eventlog.keyring import Keyring
from eventlog.port import Entry
from eventlog.record import MAX_RECORD, AboutHead, Head, PartyHead, encode, head_of, stamp
from eventlog.sealing import seal_blob
from eventlog.tokens import Hasher

__all__ = ["Sealer"]

_CACHED_IDENTIFIERS = 4


class _Subject(NamedTuple):
    """The person (or, without a token, the thing) under whose key something is sealed."""

    tokens: tuple[str, ...]
    evidence: str
    key_id: str


class Sealer:
    """Makes entries out of events. Thread-safe; blocks on the key store for subjects it has not met lately."""

    def __init__(
        self,
        keyring: Keyring,
        hasher: Hasher,
        *,
        blocked: Blocked | None = None,
        cache_size: int = 100_000,
        cache_seconds: float = 60,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._keyring, self.hasher, self._blocked = keyring, hasher, blocked
        self._subjects: OrderedDict[tuple[Identifier, ...], tuple[float, _Subject]] = OrderedDict()
        self._lock = threading.Lock()
        self._cache_size, self._cache_seconds = cache_size, cache_seconds
        self._clock, self._random = clock, random

    def seal(self, events: Sequence[Event], recorded_at: datetime) -> list[Entry]:
        """One entry per event, in order. Keys are committed on return. Raises BadInput for one that is too large."""
        people = {event.who for event in events}
        people.update(party.who for event in events for party in event.parties)
        try:
            return self._seal(events, recorded_at, people)
        except Erased:
            # Somebody came back after an erasure, sooner than the cache forgot who that was: now it is someone new.
            self._forget(people)
            return self._seal(events, recorded_at, people)

    def _seal(
        self, events: Sequence[Event], recorded_at: datetime, people: Iterable[tuple[Identifier, ...]]
    ) -> list[Entry]:
        hasher = self.hasher
        subjects = self._subjects_of(people)
        names = [hasher.name(event.source, event.id) for event in events]
        owners = [self._owner(event, name, subjects[event.who]) for event, name in zip(events, names, strict=True)]
        ids = {
            subjects[event.who].key_id or hasher.orphan(owner) for event, owner in zip(events, owners, strict=True)
        }
        for event, name in zip(events, names, strict=True):
            for index, party in enumerate(event.parties):
                ids.add(subjects[party.who].key_id or hasher.orphan(f"party.{index}.{name}"))
        keys = self._keyring.make(ids)
        stamped = stamp(recorded_at)
        return [
            self._entry(item, event, name, owner, subjects, keys, stamped)
            for item, (event, name, owner) in enumerate(zip(events, names, owners, strict=True))
        ]

    def _subjects_of(self, people: Iterable[tuple[Identifier, ...]]) -> dict[tuple[Identifier, ...], _Subject]:
        now = self._clock()
        found: dict[tuple[Identifier, ...], _Subject] = {}
        unknown: list[tuple[Identifier, ...]] = []
        known = self._subjects
        with self._lock:
            for who in people:
                entry = known.get(who)
                if entry is not None and entry[0] > now:
                    found[who] = entry[1]
                else:
                    unknown.append(who)
        if unknown:
            made = self._make_subjects(unknown)
            self._remember(made, now + self._cache_seconds)
            found.update(made)
        return found

    def _make_subjects(self, people: Sequence[tuple[Identifier, ...]]) -> dict[tuple[Identifier, ...], _Subject]:
        kept = {who: self._without_blocked(who) for who in people}
        base = {who: self.hasher.tokens(those) for who, those in kept.items()}
        generations = self._keyring.generations({token for tokens in base.values() for token in tokens})
        made = {}
        for who, first in base.items():
            tokens = self.hasher.raised(kept[who], generations) if generations else first
            evidence = self.hasher.evidence(tokens) if tokens else ""
            made[who] = _Subject(tokens, evidence, evidence)
        return made

    def _without_blocked(self, who: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        """The identifiers that this deployment does not block; the blocked ones are sealed, and get no token."""
        blocked = self._blocked
        if not blocked:
            return who
        values = [(one, normalise(one.kind, one.value, self.hasher.region)) for one in who]
        return tuple([one for one, value in values if value is None or not blocked.blocks(one.kind, value)])

    def _remember(self, subjects: dict[tuple[Identifier, ...], _Subject], until: float) -> None:
        """Keep them under what was sent, which spares the next event all hashing; long lists would take much room."""
        with self._lock:
            for who, subject in subjects.items():
                if len(who) <= _CACHED_IDENTIFIERS:
                    self._subjects[who] = (until, subject)
                    self._subjects.move_to_end(who)
            while len(self._subjects) > self._cache_size:
                self._subjects.popitem(last=False)

    def _forget(self, people: Iterable[tuple[Identifier, ...]]) -> None:
        with self._lock:
            for who in people:
                self._subjects.pop(who, None)

    def _owner(self, event: Event, name: str, subject: _Subject) -> str:
        """The token of highest priority, else the lowest ref, else the name; it gives the log's key."""
        if subject.tokens:
            return subject.tokens[0]
        if event.refs:
            return "ref." + min(self.hasher.ref(ref) for ref in event.refs)
        return "event." + name

    def _entry(
        self,
        item: int,
        event: Event,
        name: str,
        owner: str,
        subjects: dict[tuple[Identifier, ...], _Subject],
        keys: dict[str, AESGCM],
        stamped: str,
    ) -> Entry:
        hasher = self.hasher
        subject = subjects[event.who]
        parties = []
        for index, party in enumerate(event.parties):
            other = subjects[party.who]
            key_id = other.key_id or hasher.orphan(f"party.{index}.{name}")
            parties.append(PartyHead(role=party.role, key=key_id, tokens=other.tokens, evidence=other.evidence))
        head = Head(
            v=1,
            name=f"{event.source}#{name}",
            source=event.source,
            type=event.type,
            version=event.version,
            time=event.time,
            senttime=event.senttime,
            digest=hasher.digest(event),
            owner=owner,
            tokens=subject.tokens,
            evidence=subject.evidence,
            refs=tuple([self._ref_in_clear(ref) for ref in event.refs]),
            parties=tuple(parties),
            about=tuple(
                [AboutHead(one.relation, f"{one.source}#{hasher.name(one.source, one.id)}") for one in event.about]
            ),
            actor=event.actor,
            channel=event.channel,
            direction=event.direction,
            public=event.public,
            key=subject.key_id or hasher.orphan(owner),
        )
        head_bytes = head_of(head)
        blobs = [seal_blob(keys[head.key], _personal(event), head_bytes, 0, self._random)]
        for index, party in enumerate(event.parties, start=1):
            part = {"who": _plain(party.who)}
            blobs.append(seal_blob(keys[parties[index - 1].key], part, head_bytes, index, self._random))
        value = encode(head_bytes, tuple(blobs), stamped)
        if len(value) > MAX_RECORD:
            way_out = "Send large content as a reference with digest, size and type."
            raise BadInput([Problem("data", f"is larger than {MAX_RECORD} bytes on the log.", way_out, item)])
        return Entry(owner.encode(), value)

    def _ref_in_clear(self, ref: Ref) -> str:
        value = self.hasher.ref(ref) if ref.kind == "conversation" else ref.value
        return f"{ref.kind}/{ref.namespace}:{value}" if ref.namespace else f"{ref.kind}:{value}"


def _plain(parts: Sequence[Identifier | Ref]) -> list[dict[str, str]]:
    return [
        {"kind": kind, "value": value, "namespace": namespace} if namespace else {"kind": kind, "value": value}
        for kind, value, namespace in parts
    ]


def _personal(event: Event) -> dict[str, Any]:
    part: dict[str, Any] = {"id": event.id}
    if event.who:
        part["who"] = _plain(event.who)
    if event.personal:
        part["content"] = event.personal
    hidden = [ref for ref in event.refs if ref.kind == "conversation"]
    if hidden:
        part["refs"] = _plain(hidden)
    if event.extensions:
        part["extensions"] = event.extensions
    return part
