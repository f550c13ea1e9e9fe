"""How does a colleague leave a note on a customer, a deal or whatever else has a ref? By an event on the log.

A note has no state, so no aggregate: it is published. With an idempotency key its time and its id are written down
first, so that what is sent again is the same event, and a repeat of it on the log is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from psycopg.types.json import Jsonb

from commands.publishing import Publisher, Receipt, Rights
from commands.working_desk import Actor, Desk, Key, another_request
from domain.errors import BadInput, Problem
from domain.identifiers import Identifier, Ref
from eventlog.port import Position

__all__ = ["NOTES", "Noted", "Notes"]

NOTES: Final = "storyline/note"
"""The source of every note that is added here."""
_RIGHTS: Final = Rights(system=True)
_SPACE: Final = UUID("7d0c4c1e-9a53-5f0e-8b61-8f2b6f6c1a10")


class Noted(NamedTuple):
    """A note on the log. name: of its event. repeated: it was added before, under the same key."""

    id: str
    name: str
    position: Position
    repeated: bool


class Notes:
    """Adds notes. Thread-safe; blocks on the durable tables, the key store and the log."""

    def __init__(self, desk: Desk, publisher: Callable[[], Publisher]) -> None:
        self._desk, self._publisher = desk, publisher

    def add_note(
        self,
        text: str,
        *,
        mentions: Sequence[str] = (),
        who: tuple[Identifier, ...] = (),
        refs: tuple[Ref, ...] = (),
        actor: Actor,
        key: Key | None = None,
    ) -> Noted:
        """Add a note. mentions: colleagues who are to see it, by code. Durable when it returns. Raises BadInput for a
        mention of nobody who works here, for a note on nothing, and for a key that stands for another request."""
        if not who and not refs:
            raise BadInput(
                [Problem("customer", "is missing.", "Say whom or what it is about: customer, who or refs.")]
            )
        if set(mentions) - self._desk.people(mentions).keys():
            way_out = "GET /v1/users lists the colleagues."
            raise BadInput([Problem("mentions", "names somebody who does not work here.", way_out)])
        id, at, before = self._begin(key)
        if before is not None:
            return before
        data: dict[str, Any] = {"content": {"text": text, "mentions": list(mentions)}, "actor": _plain_actor(actor)}
        data |= {"who": [_plain(one) for one in who]} if who else {}
        data |= {"refs": [_plain(one) for one in refs]} if refs else {}
        named = {"specversion": "1.0", "source": NOTES, "id": id, "type": "note.added", "time": at.isoformat()}
        receipt = self._publisher().publish([{**named, "data": data}], _RIGHTS)[0]
        self._end(key, receipt)
        return Noted(id, receipt.name, receipt.position, False)

    def _begin(self, key: Key | None) -> tuple[str, datetime, Noted | None]:
        """(id, time, the note if it is there already)."""
        at = self._desk.clock()
        if key is None:
            return self._desk.fresh().hex, at, None
        id = uuid5(_SPACE, f"{key.scope}\n{key.value}").hex
        self._desk.ask("begin_note", {**key.row, "answer": Jsonb({}), "at": at})
        request, answer, began = self._desk.ask("answered", key.row)[0]
        if bytes(request) != key.row["request"]:
            raise another_request()
        known = answer.get("note")
        return id, began, Noted(id, known[0], Position(known[1], known[2]), True) if known else None

    def _end(self, key: Key | None, receipt: Receipt) -> None:
        if key is not None:
            told = {"note": [receipt.name, *receipt.position]}
            self._desk.ask("end_note", {**key.row, "answer": Jsonb(told)})


def _plain(one: Identifier | Ref) -> dict[str, str]:
    kind, value, namespace = one
    return {"kind": kind, "value": value, "namespace": namespace} if namespace else {"kind": kind, "value": value}


def _plain_actor(actor: Actor) -> dict[str, str]:
    kind, _, code = actor.code.partition(":")
    return {"kind": kind, "code": code}
