"""Where does the token for SASL/OAUTHBEARER come from? A file that somebody renews, or a token server.

A broker that states `connections.max.reauth.ms`, or a token that ends, makes the client log in again: then a token is
asked for once more. Both sources give one that is good now.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import json
import math
import re
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
from kafka.net.sasl.oauth import AbstractTokenProvider

from domain.errors import Misconfigured, Unavailable

__all__ = ["ClientCredentials", "TokenFile"]

_PATIENCE: Final = 5.0
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
"""RFC 6750, 2.1; anything else could reach into the message around it."""


class TokenFile(AbstractTokenProvider):
    """A file that holds the token, renewed by a helper beside this process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str:
        """Raises Unavailable: the file may be there in a moment."""
        try:
            text = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
        if not _TOKEN.fullmatch(text):
            raise Unavailable("STORYLINE_KAFKA_TOKEN_FILE names a file that cannot be read, or that holds no token.")
        if _ends_at(text) <= time.time():
            # a broker may take it and then hang up without a word
            raise Unavailable("The token in STORYLINE_KAFKA_TOKEN_FILE has expired. Does its renewal still run?")
        return text


def _ends_at(token: str) -> float:
    """When a JWT says that it ends, in seconds since 1970; never, where it does not say."""
    part = token.split(".")[1:2]
    try:
        claims = json.loads(urlsafe_b64decode(part[0] + "==")) if part else {}
        return float(claims.get("exp", math.inf))
    except (ValueError, TypeError, AttributeError):
        return math.inf


class ClientCredentials(AbstractTokenProvider):
    """Tokens from a token server, by the client's own credentials (RFC 6749, 4.4). Thread-safe.

    A token is used until four fifths of its life are over. The secret's file is read anew for each request.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: str | Path,
        scope: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._client_id, self._secret, self._scope, self._clock = url, client_id, secret, scope, clock
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def token(self) -> str:
        """Raises Misconfigured where the server refuses the credentials, Unavailable where it does not answer."""
        with self._lock:
            if not self._token or self._clock() >= self._good_until:
                answer = self._ask()
                self._token = answer["access_token"]
                self._good_until = self._clock() + 0.8 * answer["expires_in"]
            return self._token

    def _ask(self) -> dict[str, Any]:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        try:
            answer = httpx.post(self._url, data=form, auth=(self._client_id, self._read()), timeout=_PATIENCE)
        except httpx.HTTPError as error:
            raise Unavailable(f"The token server does not answer ({type(error).__name__}).") from None
        if answer.status_code in {400, 401, 403}:
            raise Misconfigured(
                f"The token server refuses the credentials (status {answer.status_code}): check "
                "STORYLINE_KAFKA_CLIENT_ID, the client's secret and STORYLINE_KAFKA_SCOPE."
            )
        try:
            found = answer.json() if answer.status_code == 200 else {}
            token, life = str(found["access_token"]), float(found.get("expires_in", 60))
        except (ValueError, TypeError, KeyError):
            token, life = "", 0.0
        if not _TOKEN.fullmatch(token):
            raise Unavailable(f"The token server gives no token (status {answer.status_code}).")
        return {"access_token": token, "expires_in": life}

    def _read(self) -> str:
        if isinstance(self._secret, str):
            return self._secret
        try:
            return self._secret.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise Misconfigured("STORYLINE_KAFKA_CLIENT_SECRET_FILE names a file that cannot be read.") from None
