"""Which dead letters are of an erased person? Each is opened, and what it says of `who` and `parties` is hashed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from commands.letters import Inside
from commands.messages import events_of
from domain.errors import Poison, StorylineError
from domain.identifiers import KINDS, Identifier
from eventlog.record import decode
from eventlog.tokens import Hasher

__all__ = ["LetterSearch"]

_SHORTEST: Final = 6
"""A shorter value stands in many a text by chance."""
_DEEPEST: Final = 20


class LetterSearch:
    """Finds letters of the person who had `nodes`, and by generation 0 had `bases`, until the moment `before`.

    values: her identifiers in their normalised spelling, as far as they are still known: what cannot be read as
    events is searched for them as text.
    """

    def __init__(
        self,
        hasher: Hasher,
        nodes: Collection[UUID],
        bases: Collection[str],
        values: Collection[str],
        before: datetime,
    ) -> None:
        self._hasher = hasher
        self._nodes = {node.hex for node in nodes}
        self._bases = set(bases)
        self._values = [value.casefold() for value in values if len(value) >= _SHORTEST]
        self._before = before

    def finds(self, inside: Inside, parked_at: datetime) -> bool:
        """Does a letter name the person? A message that was parked later is of whoever came back."""
        if inside.kind == "record":
            return any(token[-32:] in self._nodes for tokens, _ in _people(inside.value) for token in tokens)
        if parked_at > self._before:
            return False
        try:
            found = events_of(inside.headers, inside.value)
        except StorylineError:
            return self._in_text(inside)
        return any(self._named_in(event) for event in found)

    def strays(self, record: bytes) -> set[UUID]:
        """Evidences that a parked record is sealed under and that begin with an erased identifier: it stands on the
        log, and no read model ever knew them."""
        return {UUID(evidence) for tokens, evidence in _people(record) if tokens[0][-32:] in self._nodes}

    def _named_in(self, event: Any) -> bool:
        data = event.get("data") if isinstance(event, dict) else None
        if not isinstance(data, dict):
            return False
        return any(
            token is not None and token[-32:] in self._bases
            for part in ("who", "parties")
            for identifier in _identifiers(data.get(part))
            for token in [self._hasher.token(identifier)]
        )

    def _in_text(self, inside: Inside) -> bool:
        text = inside.value.decode("utf-8", "replace").casefold()
        return any(value in text for value in self._values)


def _people(value: bytes) -> Iterator[tuple[tuple[str, ...], str]]:
    """(tokens, evidence) of everybody in a record."""
    try:
        head = decode(value).head
    except Poison:
        return
    if head.tokens:
        yield head.tokens, head.evidence
    for party in head.parties:
        if party.tokens:
            yield party.tokens, party.evidence


def _identifiers(value: Any, depth: int = 0) -> Iterator[Identifier]:
    """What may be meant as an identifier, however wrongly it was put: it may be parked for that very reason."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        yield from _meant_by(value)
        for one in value.values():
            yield from _identifiers(one, depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _identifiers(one, depth + 1)
    elif isinstance(value, str):
        yield from (Identifier(kind, value) for kind in KINDS)


def _meant_by(value: Mapping[Any, Any]) -> Iterator[Identifier]:
    kind, said, namespace = value.get("kind"), value.get("value"), value.get("namespace", "")
    if isinstance(said, (str, int, float)) and isinstance(namespace, str) and namespace:
        yield from (Identifier(one, str(said), namespace) for one in ([kind] if kind in KINDS else KINDS))
    elif isinstance(said, (int, float)):
        yield from (Identifier(one, str(said)) for one in KINDS)
