"""How does a change of an aggregate become an event of the catalogue? As if it had come in at the door: checked by
its type, split into public and personal, with the digest that the same CloudEvent would have.

It is not made into a whole CloudEvent first, which would be read twice: who and what it is about is checked once for
each distinct set, the content by its type alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec
from pydantic import ValidationError

from domain.catalogue.registry import Catalogue, problems_of
from domain.errors import BadInput, Problem, UnknownType
from domain.event import CORRECTIONS, About, DataModel, Event, digested, parse_json
from domain.identifiers import Identifier, Ref
from domain.work import SOURCE, Work

__all__ = ["Change", "cloud_event", "event_id", "event_of", "source_of"]

Change = Work.Begun | Work.Happened
"""An event of an aggregate."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


def source_of(change: Change) -> str:
    """`storyline/KIND`; the first ref of an aggregate's events names the aggregate itself."""
    return SOURCE + change.refs[0].kind


def event_id(change: Change) -> str:
    """The event's id within its source: whose change it is, and which."""
    return f"{change.originator_id.hex}.{change.originator_version}"


def event_of(change: Change, catalogue: Catalogue) -> Event:
    """The event that a change is. Raises BadInput for what its type, or the door, would not let in."""
    event_type = catalogue.get(change.type)
    if event_type is None:
        raise UnknownType([Problem("type", "is not in the catalogue.", "GET /v1/types lists the known ones.")])
    attributes = parse_json(_encode(_attributes(change)))
    public, personal, direction = event_type.read(attributes["data"]["content"], event_type.version)
    return Event(
        source=source_of(change),
        id=event_id(change),
        type=change.type,
        version=event_type.version,
        time=attributes["time"],
        senttime=None,
        who=change.who,
        parties=(),
        refs=change.refs,
        about=change.about,
        actor=change.actor,
        channel=event_type.channel,
        direction=direction,
        public=public,
        personal=personal,
        extensions={},
        content=digested(attributes),
    )


def cloud_event(change: Change) -> dict[str, Any]:
    """The CloudEvent that a change stands for, as a channel would publish it."""
    named = {"specversion": "1.0", "source": source_of(change), "id": event_id(change)}
    read: dict[str, Any] = parse_json(_encode({**named, **_attributes(change)}))
    return read


def _attributes(change: Change) -> dict[str, Any]:
    own, *others = change.refs
    _known_kind(own.kind)
    around = _around(change.who, tuple(others), change.about, change.actor)
    refs = [{"kind": own.kind, "value": own.value}, *around.get("refs", ())]
    data = {**around, "refs": refs, "content": change.content}
    return {"type": change.type, "time": change.timestamp.isoformat(), "data": data}


@lru_cache(maxsize=64)
def _known_kind(kind: str) -> None:
    """An aggregate's own ref is its id, and of a kind that the door knows."""
    _check({"refs": [{"kind": kind, "value": "0"}]})


@lru_cache(maxsize=4096)
def _around(
    who: tuple[Identifier, ...], refs: tuple[Ref, ...], about: tuple[About, ...], actor: str | None
) -> dict[str, Any]:
    """All of `data` but the content and the aggregate's own ref, checked once for all that have the same."""
    found: dict[str, Any] = {}
    if who:
        found["who"] = [_part(one) for one in who]
    if refs:
        found["refs"] = [_part(one) for one in refs]
    if about:
        found["about"] = [{"relation": one.relation, "source": one.source, "id": one.id} for one in about]
    if actor is not None:
        kind, _, code = actor.partition(":")
        found["actor"] = {"kind": kind, "code": code}
    _check(found)
    if any(one.relation in CORRECTIONS.values() for one in about):
        raise BadInput([Problem("data.about", "corrects an event.", "A change of a deal or ticket corrects none.")])
    return found


def _check(data: dict[str, Any]) -> None:
    try:
        DataModel.model_validate(data)
    except ValidationError as error:
        raise BadInput(problems_of(error, "data")) from None


def _part(one: Identifier | Ref) -> dict[str, str]:
    kind, value, namespace = one
    return {"kind": kind, "value": value, "namespace": namespace} if namespace else {"kind": kind, "value": value}
