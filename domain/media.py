"""Which media types are JSON, and which JSON stands in `data_base64`? CloudEvents' SDKs write both in several ways.

An SDK that is given bytes and not an object may send them as `data_base64`, whatever they hold; where the media type
is JSON, or none is given, they hold the same as `data` would.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, Final

from domain.errors import BadInput, Problem

__all__ = ["JSON", "from_base64", "is_json", "plain_json"]

JSON: Final = "application/json"


def is_json(media_type: str) -> bool:
    """Is this JSON, with any parameters: `application/json; charset=utf-8`, `text/json`, `application/vnd.a+json`?"""
    kind, slash, name = media_type.partition(";")[0].strip().lower().partition("/")
    return bool(kind and slash) and (name == "json" or (name.endswith("+json") and len(name) > len("+json")))


def plain_json(media_type: Any) -> Any:
    """A JSON media type by its plain name; everything else as it is."""
    return JSON if isinstance(media_type, str) and is_json(media_type) else media_type


def from_base64(text: Any) -> bytes:
    """The bytes in `data_base64`. Raises BadInput."""
    try:
        return b64decode(text, validate=True)
    except (Base64Error, TypeError, ValueError):
        raise BadInput([Problem("data_base64", "is no base64.", "Send JSON as data.")]) from None
