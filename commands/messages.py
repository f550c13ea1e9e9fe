"""How does a message on an inbox topic become raw CloudEvents? By the CloudEvents Kafka binding.

Structured mode: the content type is `application/cloudevents+json` and the value is one event; we also take
`application/cloudevents-batch+json`, an array of events. Binary mode: attributes are `ce_…` headers, the value is
`data` and its content type JSON, or absent, which means JSON.

One SDK strays from the binding and is taken all the same: `cloudevents.v1.kafka.to_structured` for Python gives a
structured message the content type of its data, or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from domain.errors import BadInput, Problem, StorylineError, TooLarge, WrongMediaType
from domain.event import parse_json
from domain.media import is_json

__all__ = ["BATCH", "MAX_MESSAGE_EVENTS", "STRUCTURED", "Headers", "event_bytes", "events_of", "reason_of"]

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
MAX_MESSAGE_EVENTS: Final = 1000
"""Most events in one message of batch mode."""

Headers = Sequence[tuple[str, bytes]]

_PREFIX: Final = "ce_"
_encode = msgspec.json.Encoder(decimal_format="number").encode


def events_of(headers: Headers, value: bytes | None) -> list[Any]:
    """Raw events, as `domain.event.read_event` takes them. Raises BadInput, TooLarge or WrongMediaType."""
    texts = _texts(headers)
    content_type = texts.get("content-type", "").partition(";")[0].strip().lower()
    if value is None:
        raise BadInput([Problem("message", "has no value.", "Send the event as the message's value.")])
    if content_type == STRUCTURED:
        return [parse_json(value)]
    if content_type == BATCH:
        return _batch(parse_json(value))
    if f"{_PREFIX}specversion" in texts:
        return [_binary(texts, content_type, value)]
    if not content_type or is_json(content_type):
        return [_unmarked(value)]
    raise _no_event()


def event_bytes(raw: Any) -> bytes:
    """One raw event in structured mode again, its numbers as exact as they came."""
    return _encode(raw)


def _batch(raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise BadInput([Problem("message", "is no array.", f"Send {BATCH} as an array of events.")])
    if len(raw) > MAX_MESSAGE_EVENTS:
        raise TooLarge(f"The message has more than {MAX_MESSAGE_EVENTS} events; send several messages.")
    return raw


def _binary(texts: dict[str, str], content_type: str, value: bytes) -> dict[str, Any]:
    if content_type and not is_json(content_type):
        raise WrongMediaType("In binary mode the header content-type is application/json; send the data as JSON.")
    event: dict[str, Any] = {
        name.removeprefix(_PREFIX): text for name, text in texts.items() if name.startswith(_PREFIX)
    }
    event["data"] = parse_json(value)
    return event


def _unmarked(value: bytes) -> Any:
    """An event whose message does not say that it is one; `specversion` says so."""
    try:
        raw = parse_json(value)
    except BadInput:
        raise _no_event() from None
    if not isinstance(raw, dict) or "specversion" not in raw:
        raise _no_event()
    return raw


def _no_event() -> WrongMediaType:
    return WrongMediaType(
        f"The message is no CloudEvent: set the header content-type to {STRUCTURED}, or send ce_ headers."
    )


def _texts(headers: Headers) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, value in headers:
        folded = name.lower()
        if value is None or not (folded == "content-type" or folded.startswith(_PREFIX)):
            continue
        try:
            texts[folded] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadInput([Problem("headers", "hold bytes that are no UTF-8.", "Send text in UTF-8.")]) from None
    return texts


def reason_of(error: StorylineError) -> str:
    """The reason code of a refusal, as dead letters carry it: `bad-input`, `forbidden`, `too-large` …"""
    name = type(error).__name__
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
