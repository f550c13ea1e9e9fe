"""Who may use a route? A guard per route asks for a key with one of its scopes, before a body is read."""

from __future__ import annotations

from typing import Annotated, Final

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.services import services
from commands.access import Caller

__all__ = ["Guard", "LocalGuard"]

_bearer = HTTPBearer(auto_error=False, bearerFormat="sl_ID_SECRET", description="An API key")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


class Guard:
    """A dependency that gives the caller, if its key has one of `scopes`; Unauthenticated or Forbidden if not."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request, _credentials: _Credentials) -> Caller:
        caller = await _authenticate(request)
        caller.require(*self.scopes)
        return caller


class LocalGuard:
    """Open on the loopback address, where a scraper beside us sits; from elsewhere a key is needed."""

    def __init__(self, *scopes: str) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request, _credentials: _Credentials) -> None:
        if request.client is None or request.client.host not in _LOOPBACK:
            (await _authenticate(request)).require(*self.scopes)


async def _authenticate(request: Request) -> Caller:
    """The caller; without a hop to a thread where the key was seen a moment ago."""
    held = services(request)
    header = request.headers.get("authorization")
    caller = held.parts.access.recall(header)
    if caller is None:
        caller = await to_thread.run_sync(held.parts.access.authenticate, header, limiter=held.asking)
    return caller
