"""How does an error reach the caller? As problem details (RFC 9457); the one place that maps errors to HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from domain import errors
from domain.errors import Problem, StorylineError

__all__ = [
    "PROBLEM_TYPE",
    "NoCondition",
    "SlowBody",
    "install",
    "internal",
    "problem_response",
    "response_of",
    "responses",
]

PROBLEM_TYPE: Final = "application/problem+json"
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
MAX_SHOWN: Final = 100


class SlowBody(StorylineError):
    """The body did not arrive in time."""


class NoCondition(StorylineError):
    """A change says not which revision it is a change of."""


class _Kind(NamedTuple):
    status: int
    slug: str
    title: str


_KINDS: Final[dict[type[StorylineError], _Kind]] = {
    errors.BadInput: _Kind(422, "bad-input", "What was sent is not right"),
    errors.TooLarge: _Kind(413, "too-large", "Too large"),
    errors.TooMany: _Kind(429, "too-many", "Too many at once"),
    errors.WrongMediaType: _Kind(415, "wrong-media-type", "This content type is not understood"),
    errors.Unauthenticated: _Kind(401, "unauthenticated", "Who is calling?"),
    errors.Forbidden: _Kind(403, "forbidden", "This key may not do that"),
    errors.NotFound: _Kind(404, "not-found", "There is no such thing"),
    errors.Refused: _Kind(409, "refused", "A rule forbids that"),
    errors.Stale: _Kind(412, "stale", "It was changed since you read it"),
    NoCondition: _Kind(428, "no-condition", "Which revision do you change?"),
    errors.NotYet: _Kind(503, "not-yet", "Not visible yet"),
    errors.Unavailable: _Kind(503, "unavailable", "A part that is needed does not answer"),
    errors.LogDamaged: _Kind(503, "log-damaged", "The log is not the one that was"),
    errors.Erased: _Kind(410, "erased", "It was destroyed by an erasure"),
    SlowBody: _Kind(408, "slow-body", "The body did not arrive in time"),
}
_INTERNAL: Final = _Kind(500, "internal", "Something went wrong on our side")

_WORDS: Final = {
    400: "The request cannot be read.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope or the right.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "A rule forbids it: which one, what is missing, and what may be done now.",
    410: "It was destroyed by an erasure.",
    412: "It was changed since it was read: its revision now, and what was done since.",
    413: "A limit of size was met.",
    415: "The content type is not understood.",
    422: "What was sent is wrong: field, trouble and way out of each problem.",
    428: "A change needs If-Match: the ETag of what was read, or `*`.",
    429: "A limit of what goes on at once was met; see Retry-After.",
    500: "Something went wrong on our side.",
    503: "A part that is needed does not answer; see Retry-After.",
}


def kind_of(error: StorylineError) -> _Kind:
    """The kind of the nearest class of an error that has one."""
    return next((_KINDS[one] for one in type(error).__mro__ if one in _KINDS), _INTERNAL)


def problem_response(
    kind: _Kind,
    detail: str,
    problems: tuple[Problem, ...] = (),
    headers: dict[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """One answer in RFC 9457 form."""
    body: dict[str, Any] = {
        "type": f"urn:storyline:problem:{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    if problems:
        body["errors"] = [_plain(problem) for problem in problems[:MAX_SHOWN]]
    body |= more or {}
    return Response(_encode(body), kind.status, headers, PROBLEM_TYPE)


def _plain(problem: Problem) -> dict[str, Any]:
    plain: dict[str, Any] = {} if problem.item is None else {"item": problem.item}
    return plain | {
        "field": _printable(problem.field),
        "trouble": _printable(problem.trouble),
        "way_out": _printable(problem.way_out),
    }


def _printable(text: str) -> str:
    """A field's path holds names that a caller chose: half a surrogate pair in one must not break the answer."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def response_of(error: StorylineError) -> Response:
    """The answer to one of our errors."""
    kind = kind_of(error)
    headers: dict[str, str] = {}
    if kind.status in {429, 503}:
        headers["Retry-After"] = str(getattr(error, "retry_after", 1))
    if isinstance(error, errors.Stale):
        headers["ETag"] = f'"{error.revision}"'
    if kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="storyline"'
    detail = error.detail if kind is not _INTERNAL else "The error was logged; try again, then tell the operators."
    return problem_response(kind, _printable(detail), getattr(error, "problems", ()), headers, _more(error))


def _more(error: StorylineError) -> dict[str, Any]:
    """What some errors tell beside a sentence: which rule, and what may be done; what was changed."""
    if isinstance(error, errors.Refused):
        allowed = [
            {"to": one, "missing": list(error.lacks[one])} if one in error.lacks else {"to": one}
            for one in error.allowed
        ]
        return {"rule": error.rule, "missing": list(error.missing), "allowed": allowed}
    if isinstance(error, errors.Stale):
        return {"revision": error.revision, "changes": [dict(one) for one in error.changes]}
    return {}


def install(app: FastAPI) -> None:
    """Map every error that a route may raise."""

    async def ours(_request: Request, error: Exception) -> Response:
        return response_of(error if isinstance(error, StorylineError) else StorylineError(""))

    async def invalid(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        return response_of(errors.BadInput([_in_parameter(one) for one in found]))

    async def http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        return _http_problem(status, headers)

    async def database(_request: Request, error: Exception) -> Response:
        return response_of(errors.Unavailable(f"The database does not answer ({type(error).__name__})."))

    app.add_exception_handler(StorylineError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(psycopg.OperationalError, database)
    app.add_exception_handler(PoolTimeout, database)


def _http_problem(status: int, headers: dict[str, str]) -> Response:
    phrase = HTTPStatus(status).phrase
    details = {404: "There is no such route; see /docs.", 405: "This route does not know that method; see Allow."}
    kind = _Kind(status, phrase.lower().replace(" ", "-"), phrase)
    return problem_response(kind, details.get(status, phrase + "."), headers=headers)


def internal() -> Response:
    """The answer to an error that is none of ours; it tells nothing of it."""
    return response_of(StorylineError(""))


def _in_parameter(found: dict[str, Any]) -> Problem:
    place = [str(part) for part in found.get("loc", ()) if part not in {"query", "path", "header"}]
    trouble = "is missing." if found.get("type") == "missing" else f"is not right: {found.get('msg', '')}."
    return Problem(".".join(place) or "request", trouble, "See /docs for what this route takes.")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI: the error statuses of a route, each with the schema of problem details."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in sorted({*statuses, 400, 401, 403, 422, 503}):
        told[status] = {"description": _WORDS[status], "content": {PROBLEM_TYPE: {"schema": _SCHEMA_REF}}}
        if status in {429, 503}:
            told[status]["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}}
    return told


_SCHEMA_REF: Final = {"$ref": "#/components/schemas/Problem"}
SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "Problem details, RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:storyline:problem:…"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for a person; never a personal value"},
        "rule": {"type": "string", "description": "With 409: the rule, by its code"},
        "missing": {"type": "array", "items": {"type": "string"}, "description": "With 409: what it asks for"},
        "allowed": {
            "type": "array",
            "description": "With 409: what may be done now, and what that still asks for",
            "items": {
                "type": "object",
                "required": ["to"],
                "properties": {
                    "to": {"type": "string"},
                    "missing": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "revision": {"type": "integer", "description": "With 412: the one that it has now"},
        "changes": {"type": "array", "items": {"type": "object"}, "description": "With 412: what was done since"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "trouble", "way_out"],
                "properties": {
                    "item": {"type": "integer", "description": "Place in the batch, from 0"},
                    "field": {"type": "string"},
                    "trouble": {"type": "string"},
                    "way_out": {"type": "string"},
                },
            },
        },
    },
}
