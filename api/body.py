"""How does a body come in? Bounded in bytes, inflated bytes and time, of a known content type."""

from __future__ import annotations

import asyncio
import zlib
from email.message import Message
from typing import Any, Final, NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from api.problems import SlowBody
from api.services import services
from domain.catalogue.registry import problems_of
from domain.errors import BadInput, Problem, TooLarge, WrongMediaType
from domain.event import parse_json

__all__ = ["MediaType", "check_media_type", "media_type", "read_body", "read_model"]

_Model = TypeVar("_Model", bound=BaseModel)
_MAX_SMALL: Final = 64 * 1024
_CHARSETS: Final = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_STEP: Final = 256 * 1024


class MediaType(NamedTuple):
    """A content type in lower case, and its charset ("" where none is named)."""

    name: str
    charset: str


def media_type(header: str) -> MediaType:
    """The parts of a Content-Type header."""
    name, _, rest = header.partition(";")
    charset = ""
    if rest:
        message = Message()
        message["content-type"] = header
        charset = str(message.get_param("charset") or "").strip().lower()
    return MediaType(name.strip().lower(), charset)


def check_media_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The body's media type. Raises WrongMediaType unless it is allowed and in UTF-8."""
    found = media_type(request.headers.get("content-type", ""))
    if found.name not in allowed:
        raise WrongMediaType(f"Send one of {', '.join(allowed)} as Content-Type.")
    if found.charset not in _CHARSETS:
        raise WrongMediaType("Send the body in UTF-8, and name no other charset.")
    return found.name


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The body, inflated, of at most `limit` bytes.

    The caller lets go of its bytes with `services(request).door.let_go(len(body))`. Raises TooLarge as soon as the
    limit is passed, SlowBody after `seconds`, WrongMediaType for an encoding other than gzip, TooMany where all
    requests together hold too much.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise _too_large(limit)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", ""}:
        raise WrongMediaType("Send the body as it is, or with Content-Encoding: gzip.")
    collected = _Collector(request, limit, encoding == "gzip")
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                collected.take(chunk)
        return collected.whole()
    except TimeoutError:
        collected.drop()
        raise SlowBody(f"The body did not arrive within {seconds:g} seconds. Send smaller batches.") from None
    except ClientDisconnect:
        collected.drop()
        raise BadInput([Problem("body", "ended too early.", "Send it again.")]) from None
    except BaseException:
        collected.drop()
        raise


class _Collector:
    """The bytes of one body, counted at the door as they come."""

    def __init__(self, request: Request, limit: int, packed: bool) -> None:
        self._door = services(request).door
        self._limit, self._size = limit, 0
        self._parts: list[bytes] = []
        self._inflate = zlib.decompressobj(31) if packed else None

    def take(self, chunk: bytes) -> None:
        if self._inflate is None:
            self._keep(chunk)
            return
        while chunk:
            try:
                self._keep(self._inflate.decompress(chunk, _STEP))
            except zlib.error:
                raise _not_gzip() from None
            if self._inflate.eof and self._inflate.unused_data:
                raise _not_gzip()
            chunk = self._inflate.unconsumed_tail

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        if self._size + len(part) > self._limit:
            raise _too_large(self._limit)
        self._door.hold(len(part))
        self._size += len(part)
        self._parts.append(part)

    def whole(self) -> bytes:
        if self._inflate is not None and not self._inflate.eof:
            raise _not_gzip()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def drop(self) -> None:
        self._door.let_go(self._size)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body has more than {limit} bytes. Send smaller batches.")


def _not_gzip() -> BadInput:
    return BadInput([Problem("body", "is not one whole gzip stream.", "Send it without Content-Encoding.")])


async def read_model(request: Request, model: type[_Model], limit: int = _MAX_SMALL) -> _Model:
    """A JSON body of at most `limit` bytes as a model. Raises BadInput and what `read_body` and `check_media_type`
    raise."""
    check_media_type(request, ("application/json",))
    body = await read_body(request, limit, services(request).limits.body_seconds)
    services(request).door.let_go(len(body))
    raw: Any = parse_json(body)
    if b"\\u0000" in body:  # only so does JSON write one
        _refuse_nul(raw)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise BadInput(problems_of(error, "")) from None
    except RecursionError:
        raise BadInput([Problem("body", "is nested too deeply.", "Send what /docs shows.")]) from None


def _refuse_nul(raw: Any) -> None:
    """Raise BadInput that names the fields of texts with a NUL character, which no table takes."""
    found, left = [], [("", raw)]
    while left:
        path, value = left.pop()
        if isinstance(value, str) and "\0" in value:
            found.append(Problem(path or "body", "holds a NUL character.", "Leave the character out."))
        elif isinstance(value, dict):
            left += [(f"{path}.{name}" if path else name, one) for name, one in value.items()]
        elif isinstance(value, list):
            left += [(f"{path}[{place}]", one) for place, one in enumerate(value)]
    if found:
        raise BadInput(found[::-1])
