"""How do a name, a token, a digest and an evidence come about? Keyed hashes, the same for ever.

All are BLAKE2b with 128 bits, keyed by the hashing key (which never rotates), told apart by the `person` parameter,
over a JSON array of their parts, so that no two lists of parts have the same bytes. In text they are 32 hex
digits: what stands on the log and what a table shows as a uuid can be matched by eye.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from domain.event import Event
from domain.identifiers import Identifier, Ref, normalise, priority

__all__ = ["Hasher"]

_encode = msgspec.json.Encoder().encode


class Hasher:
    """All keyed hashes of one deployment. `key`: 32 bytes. `region`: see `domain.identifiers.normalise`."""

    def __init__(self, key: bytes, region: str = "GB") -> None:
        self._key = key
        self.region = region

    def _hash(self, person: bytes, parts: Sequence[object]) -> str:
        return blake2b(_encode(parts), digest_size=16, key=self._key, person=person).hexdigest()

    def name(self, source: str, event_id: str) -> str:
        """The hash of an event's name. It covers the source too, so it alone is unique."""
        return self._hash(b"storyline.name", (source, event_id))

    def digest(self, event: Event) -> str:
        """What tells a repeat from a name clash, without opening anything."""
        return blake2b(event.content, digest_size=16, key=self._key, person=b"storyline.digest").hexdigest()

    def token(self, identifier: Identifier, generation: int = 0) -> str | None:
        """`kind[/namespace].generation.hash`, or None for a blocked value."""
        value = normalise(identifier.kind, identifier.value, self.region)
        if value is None:
            return None
        kind, _, namespace = identifier
        hashed = self._hash(b"storyline.token", (kind, namespace, value, generation))
        return f"{kind}/{namespace}.{generation}.{hashed}" if namespace else f"{kind}.{generation}.{hashed}"

    def tokens(self, who: Iterable[Identifier]) -> tuple[str, ...]:
        """Tokens of generation 0, without repeats, in order of (priority of the kind, token)."""
        if not who:
            return ()
        found = {self.token(identifier): priority(identifier.kind) for identifier in who}
        found.pop(None, None)
        ranked = sorted((place, token) for token, place in found.items() if token is not None)
        return tuple([token for _, token in ranked])

    def raised(self, who: Iterable[Identifier], generations: dict[str, int]) -> tuple[str, ...]:
        """Like `tokens`, with the generation that `{token of generation 0: generation}` names for some."""
        found: dict[str, int] = {}
        for identifier in who:
            base = self.token(identifier)
            if base is not None:
                token = self.token(identifier, generations.get(base, 0))
                found[str(token)] = priority(identifier.kind)
        ranked = sorted((place, token) for token, place in found.items())
        return tuple([token for _, token in ranked])

    def evidence(self, tokens: Iterable[str]) -> str:
        """The hash of a set of tokens."""
        return self._hash(b"storyline.evid", sorted(tokens))

    def ref(self, ref: Ref) -> str:
        """The hash under which a ref's timeline is found."""
        return self._hash(b"storyline.ref", ref)

    def parking(self, day: str) -> str:
        """The key id of the dead letters of a day (`YYYY-MM-DD`, UTC)."""
        return self._hash(b"storyline.park", (day,))

    def orphan(self, owner: str) -> str:
        """The key id of events without a token: one per ref or, without a ref, per event."""
        return self._hash(b"storyline.orphan", (owner,))
