"""How is the commonest page asked for, at little cost? Its query is read here, every other one by FastAPI."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from starlette.types import Scope, Send

__all__ = ["Plain", "answer_json", "plain_query"]

# In these letters a value stands for itself; what is quoted, repeated or in another order goes the long way.
_PLAIN: Final = re.compile(rb"(?:limit=([0-9]{1,3}))?(?:(?:(?<=[0-9])&|^)(before|after)=([A-Za-z0-9_-]{1,200}))?")
_MOST: Final = 200
_DEFAULT: Final = 50


class Plain(NamedTuple):
    """A query with nothing but a limit and a cursor, both as FastAPI would have read them."""

    limit: int
    before: str | None
    after: str | None


def plain_query(scope: Scope) -> Plain | None:
    """The query of a GET if it is a plain and right one. None for all others: FastAPI reads them, and refuses the
    wrong ones."""
    found = _PLAIN.fullmatch(scope["query_string"])
    if found is None or scope["method"] != "GET":
        return None
    if any(name == b"storyline-after" for name, _ in scope["headers"]):
        return None
    digits, side, cursor = found.groups()
    limit = int(digits) if digits else _DEFAULT
    if not 1 <= limit <= _MOST:
        return None
    place = cursor.decode() if cursor else None
    return Plain(limit, place if side == b"before" else None, place if side == b"after" else None)


async def answer_json(send: Send, body: bytes) -> None:
    """A 200 with a body that is JSON already."""
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
