"""Who calls, and what may they do? API keys: made, listed, revoked, and recognised at every request.

A key reads `sl_ID_SECRET`; the secret has 256 random bits, is shown once, and is kept as its SHA-256 (a slow hash
protects guessable passwords; nothing guesses 256 bits).
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.publishing import Rights
from domain.errors import BadInput, Forbidden, NotFound, Problem, Unauthenticated, Unavailable
from eventlog.sql import load

__all__ = ["SCOPES", "Access", "ApiKey", "Caller", "NewKey"]

SCOPES: Final = (
    *("publish", "read", "read-sealed", "work", "manage", "log", "steward", "erase", "operate", "admin", "system"),
)
"""What a key may be allowed; none implies another. `work`: deals, tickets, tasks, leads and notes; `manage`:
colleagues and what they have. `system` adds to `publish` what Storyline alone may say."""

CACHE_SECONDS: Final = 3.0
"""How long a key that was revoked in another process may still be taken here."""

_SQL = load("commands", "access.sql")
_CACHE_SIZE: Final = 10_000
_SCHEME = "bearer "
_KEY = re.compile(r"sl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_NO_KEY = "No API key was sent. Send `Authorization: Bearer sl_…`."
_NOT_GOOD = "The API key is unknown, revoked or expired. Ask for a new one."


class ApiKey(NamedTuple):
    """A key as it is listed: everything but its secret. `user`: the colleague it belongs to, by code."""

    key_id: str
    label: str
    scopes: list[str]
    sources: list[str]
    types: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    user: str | None = None


class NewKey(NamedTuple):
    """A key that was just made, with its secret (`sl_ID_SECRET`), which is shown this once."""

    key: ApiKey
    secret: str


class Caller(NamedTuple):
    """Who calls: the key, its scopes, what it may publish, and the colleague it belongs to (by code), if to any."""

    key_id: str
    label: str
    scopes: frozenset[str]
    rights: Rights
    user: str | None = None

    def require(self, *scopes: str) -> None:
        """Raise Forbidden unless the key has at least one of these scopes."""
        if self.scopes.isdisjoint(scopes):
            raise Forbidden(f"This needs a key with the scope {' or '.join(scopes)}.")


class _Row(NamedTuple):
    key_id: str
    label: str
    scopes: list[str]
    sources: list[str]
    types: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    user: str | None
    secret_hash: bytes


class _Known(NamedTuple):
    until: float
    row: _Row | None
    caller: Caller | None


def _now() -> datetime:
    return datetime.now(UTC)


class Access:
    """API keys. Thread-safe; blocks on Postgres where a key is not in the cache (`recall` never blocks).

    pool: connections to the durable tables. A key that is revoked through this object stops at once, one that is
    revoked in another process within `cache_seconds`.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        cache_seconds: float = CACHE_SECONDS,
        clock: Callable[[], datetime] = _now,
        ticks: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._pool, self._cache_seconds = pool, cache_seconds
        self._clock, self._ticks, self._random = clock, ticks, random
        self._cache: OrderedDict[str, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def create(
        self,
        label: str,
        scopes: Sequence[str],
        *,
        sources: Sequence[str] = ("*",),
        types: Sequence[str] = ("*",),
        expires: datetime | None = None,
        user: str | None = None,
    ) -> NewKey:
        """Make a key. sources, types: what it may publish, as in `Rights`. expires: a time with an offset. user: the
        registered colleague whose key it is; what is done with it, they did.

        Raises BadInput for an unknown scope or colleague, an empty label or pattern, or an end that is past.
        """
        now = self._clock()
        _check(label, scopes, sources, types, expires, now)
        key_id = self._random(6).hex()
        secret = f"sl_{key_id}_{_text(self._random(32))}"
        given = sorted(set(scopes), key=SCOPES.index)
        key = ApiKey(key_id, label, given, list(sources), list(types), now, expires, None, user)
        row = {**key._asdict(), "secret_hash": _hash(secret)}
        del row["revoked_at"]
        made = self._run(lambda connection: connection.execute(_SQL["create"], row).rowcount)
        if not made:
            way_out = "Register them first (POST /v1/users), or leave it out."
            raise BadInput([Problem("user", "is no registered colleague.", way_out)])
        with self._lock:
            self._cache.pop(key_id, None)
        return NewKey(key, secret)

    def list(self) -> list[ApiKey]:
        """All keys, revoked ones too, oldest first."""

        def read(connection: psycopg.Connection) -> list[ApiKey]:
            with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
                return cursor.execute(_SQL["list"]).fetchall()

        keys: list[ApiKey] = self._run(read)
        return keys

    def revoke(self, key_id: str) -> ApiKey:
        """Revoke a key; harmless when repeated. Raises NotFound."""

        def update(connection: psycopg.Connection) -> ApiKey | None:
            parameters = {"key_id": key_id.replace("\0", ""), "revoked_at": self._clock()}
            with connection.cursor(row_factory=class_row(ApiKey)) as cursor:
                return cursor.execute(_SQL["revoke"], parameters).fetchone()

        key: ApiKey | None = self._run(update)
        if key is None:
            raise NotFound("There is no key of that id; GET /v1/keys lists them.")
        with self._lock:
            self._cache.pop(key_id, None)
        return key

    def recall(self, header: str | None) -> Caller | None:
        """Like `authenticate`, out of the cache alone: None where the key store has to be asked."""
        key_id, secret = _parse(header)
        known = self._known(key_id)
        return None if known is None else self._admit(known, secret)

    def authenticate(self, header: str | None) -> Caller:
        """The caller, by the value of an `Authorization` header. Raises Unauthenticated, or Unavailable."""
        key_id, secret = _parse(header)
        return self._admit(self._known(key_id) or self._learn(key_id), secret)

    def _known(self, key_id: str) -> _Known | None:
        with self._lock:
            known = self._cache.get(key_id)
        return known if known is not None and known.until > self._ticks() else None

    def _learn(self, key_id: str) -> _Known:
        def read(connection: psycopg.Connection) -> _Row | None:
            with connection.cursor(row_factory=class_row(_Row)) as cursor:
                return cursor.execute(_SQL["find"], {"key_id": key_id}).fetchone()

        # The time is taken before the read, so that a row is never taken for newer than it is.
        until = self._ticks() + self._cache_seconds
        row: _Row | None = self._run(read)
        known = _Known(until, row, None if row is None else _caller(row))
        with self._lock:
            self._cache[key_id] = known
            self._cache.move_to_end(key_id)
            while len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return known

    def _admit(self, known: _Known, secret: str) -> Caller:
        row = known.row
        # Compared even for an unknown key, so that the time taken does not tell which ids exist.
        same = hmac.compare_digest(_hash(secret), row.secret_hash if row is not None else bytes(32))
        if not same or row is None or known.caller is None or row.revoked_at is not None:
            raise Unauthenticated(_NOT_GOOD)
        if row.expires_at is not None and row.expires_at <= self._clock():
            raise Unauthenticated(_NOT_GOOD)
        return known.caller

    def _run(self, use: Callable[[psycopg.Connection], Any]) -> Any:
        try:
            with self._pool.connection() as connection:
                return use(connection)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of the API keys does not answer ({type(error).__name__}).") from None


def _caller(row: _Row) -> Caller:
    rights = Rights(tuple(row.sources), tuple(row.types), "system" in row.scopes)
    return Caller(row.key_id, row.label, frozenset(row.scopes), rights, row.user)


def _text(random: bytes) -> str:
    """32 bytes as 43 characters that need no quoting anywhere."""
    return urlsafe_b64encode(random).rstrip(b"=").decode()


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _parse(header: str | None) -> tuple[str, str]:
    """(key id, the whole key) of an `Authorization` header."""
    if header is None:
        raise Unauthenticated(_NO_KEY)
    if header[: len(_SCHEME)].lower() != _SCHEME:
        raise Unauthenticated(_NO_KEY)
    secret = header[len(_SCHEME) :].strip()
    match = _KEY.fullmatch(secret)
    if match is None:
        raise Unauthenticated(_NOT_GOOD)
    return match[1], secret


def _check(
    label: str,
    scopes: Sequence[str],
    sources: Sequence[str],
    types: Sequence[str],
    expires: datetime | None,
    now: datetime,
) -> None:
    problems = []
    if not label.strip() or len(label) > 200 or not label.isprintable():
        problems.append(Problem("label", "is empty, too long or not printable.", "Name the key in 1 to 200 letters."))
    if not scopes or not set(scopes) <= set(SCOPES):
        problems.append(Problem("scopes", "names none or an unknown one.", f"Choose of {', '.join(SCOPES)}."))
    for field, patterns in (("sources", sources), ("types", types)):
        if not 1 <= len(patterns) <= 100 or not all(_is_pattern(pattern) for pattern in patterns):
            way_out = "Give 1 to 100 names or prefixes that end in `*`; `*` alone is any."
            problems.append(Problem(field, "holds none or a bad pattern.", way_out))
    if expires is not None and (expires.tzinfo is None or expires <= now):
        problems.append(Problem("expires", "is past or has no offset.", "Give a time to come, with its offset."))
    if problems:
        raise BadInput(problems)


def _is_pattern(pattern: str) -> bool:
    return 0 < len(pattern) <= 500 and pattern.isprintable() and "*" not in pattern[:-1]
