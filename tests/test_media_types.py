"""Is JSON taken however CloudEvents' SDKs write it? As `data_base64`, and under each of its media types."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from commands.messages import events_of
from domain.catalogue import builtin
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, StorylineError, WrongMediaType
from domain.event import Event, canonical, read_event
from tests.support.story import event

CATALOGUE = Catalogue(builtin())
JSON_TYPES = ["application/json", "application/json; charset=utf-8", "Text/JSON", "application/vnd.shop.order+json"]


def read(**changes: Any) -> Event:
    raw = event(1, **changes)
    return read_event({name: value for name, value in raw.items() if value is not None}, CATALOGUE)


def in_base64(raw: bytes) -> dict[str, Any]:
    made = {**event(1), "data_base64": b64encode(raw).decode()}
    del made["data"]
    return made


@pytest.mark.parametrize("media_type", JSON_TYPES)
def test_the_media_type_of_json_makes_no_other_event(media_type: str) -> None:
    assert read(datacontenttype=media_type) == read()


@pytest.mark.parametrize("media_type", ["text/plain", "image/png", "json", "application/+json", "", "/json", 5])
def test_data_of_another_media_type_is_refused(media_type: Any) -> None:
    with pytest.raises(BadInput, match="datacontenttype"):
        read(datacontenttype=media_type)


def test_json_in_base64_is_the_same_event() -> None:
    assert read_event(in_base64(canonical(event(1)["data"])), CATALOGUE) == read()


def test_it_is_read_without_touching_what_was_given() -> None:
    raw = in_base64(b'{"content": {"subject": "x"}}')
    before = dict(raw)
    read_event(raw, CATALOGUE)
    assert raw == before


@pytest.mark.parametrize("text", ["no base64!", "eA", 5, None, ["eA=="], "é", ""])
def test_what_is_no_base64_of_json_is_refused(text: Any) -> None:
    raw = {**in_base64(b""), "data_base64": text}
    with pytest.raises(BadInput):
        read_event(raw, CATALOGUE)


def test_bytes_that_are_no_json_are_refused() -> None:
    for raw in (b"\x89PNG", b"[]", b"[" * 5000, b"null"):
        with pytest.raises(BadInput):
            read_event(in_base64(raw), CATALOGUE)


@pytest.mark.parametrize("media_type", [None, *JSON_TYPES])
def test_binary_mode_takes_json_under_each_of_its_names_or_none(media_type: str | None) -> None:
    headers = [("ce_specversion", b"1.0"), ("ce_id", "é".encode())]
    if media_type is not None:
        headers.append(("content-type", media_type.encode()))
    assert events_of(headers, b'{"a": 1}') == [{"specversion": "1.0", "id": "é", "data": {"a": 1}}]


@pytest.mark.parametrize("media_type", [None, *JSON_TYPES])
def test_an_event_without_its_content_type_is_known_by_its_version(media_type: str | None) -> None:
    headers = [] if media_type is None else [("Content-Type", media_type.encode())]
    assert events_of(headers, b'{"specversion": "1.0"}') == [{"specversion": "1.0"}]
    for value in (b"{}", b"[]", b'"specversion"', b"{", b"\xff", b""):
        with pytest.raises(WrongMediaType):
            events_of(headers, value)


def test_another_format_of_cloudevents_is_refused_with_the_way_out() -> None:
    with pytest.raises(StorylineError, match="application/cloudevents"):
        events_of([("content-type", b"application/cloudevents+protobuf")], b"\x0a")
