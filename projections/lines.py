"""What of a record does the projector look at? The fields that a row needs; the rest is skipped undecoded."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import msgspec

from domain.identifiers import KINDS
from projections.columns import hash16

__all__ = ["Line", "More", "Party", "check_tokens", "kind_of_token", "ref_kind"]

_KINDS = frozenset(KINDS)


class _About(msgspec.Struct, gc=False):
    relation: str
    name: str


class Party(msgspec.Struct, gc=False):
    role: str
    tokens: tuple[str, ...] = ()
    evidence: str = ""


class Line(msgspec.Struct, gc=False):
    """A record, as far as it is decoded. `public` stays JSON until it is asked for."""

    v: int
    name: str
    type: str
    version: int
    time: datetime
    digest: str
    recorded_at: datetime
    sealed: msgspec.Raw
    senttime: datetime | None = None
    tokens: tuple[str, ...] = ()
    evidence: str = ""
    refs: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    about: tuple[_About, ...] = ()
    actor: str | None = None
    channel: str | None = None
    direction: str | None = None
    public: msgspec.Raw = msgspec.Raw(b"{}")


class More(NamedTuple):
    """An event of which more follows than its own row and a contact. `times`: happened_at and recorded_at as Postgres
    counts. `unmet`: it shows an evidence, its own or a party's, that the reader has not met; `shows`: its own is new
    to the reader, or known since later; `numbered`: it has a number that a search may not know."""

    mark: bytes
    line: Line
    happened: datetime
    times: tuple[int, int]
    value: bytes
    unmet: bool
    shows: bool = True
    numbered: bool = True


def ref_kind(ref: str) -> str:
    """The kind of a ref in clear (`kind[/namespace]:value`)."""
    return ref[: ref.find(":")].partition("/")[0]


def kind_of_token(token: str) -> tuple[str, str]:
    """(kind, namespace) of a token (`kind[/namespace].generation.HASH`)."""
    kind, _, namespace = token.rsplit(".", 2)[0].partition("/")
    return kind, namespace


def check_tokens(tokens: tuple[str, ...]) -> None:
    """Raise ValueError where one of them is no token of a known kind."""
    for token in tokens:
        hash16(token)
        if kind_of_token(token)[0] not in _KINDS or token.count(".") < 2:
            raise ValueError("a token of an unknown kind")
