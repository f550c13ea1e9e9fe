"""Which values identify a person, and which two spellings are the same value?

A *kind* says what an identifier is; `KINDS` lists them in order of priority. `normalise` gives the one spelling
that is hashed into a token, or None for a *blocked* value (blank, `null`, `guest` …), which gets no token:
a blocked value that is not refused merges thousands of people.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import phonenumbers

__all__ = ["KINDS", "REF_KINDS", "Identifier", "Ref", "normalise", "priority"]

KINDS = ("customer_no", "external", "email", "phone", "social", "device", "cookie")
"""Kinds of identifiers, in order of priority: the first that an event carries names its owner."""

REF_KINDS = ("order", "invoice", "ticket", "deal", "product", "campaign", "organisation", "conversation")
"""Kinds of refs: what an event is about. They never make two people one."""

_PRIORITY = {kind: place for place, kind in enumerate(KINDS)}

_BLOCKED_WORDS = frozenset(
    "null|none|nil|nan|undefined|anonymous|anon|guest|test|unknown|n/a|na|not set|(not set)|[object object]"
    "|not provided|false|true|no-reply|noreply".split("|")
)
_ZEROS = re.compile(r"[0\W_]*")
_BLOCKED_MAILBOXES = _BLOCKED_WORDS | {"donotreply", "do-not-reply", "mailer-daemon"}


class Identifier(NamedTuple):
    """One identifier as sent. `namespace` keeps equal values of two systems apart ("" where there is one)."""

    kind: str
    value: str
    namespace: str = ""


class Ref(NamedTuple):
    """One thing that an event is about, by its code."""

    kind: str
    value: str
    namespace: str = ""


def priority(kind: str) -> int:
    """Place of a kind in `KINDS`; the lowest wins."""
    return _PRIORITY[kind]


def _plain(value: str) -> str:
    """One width, one composition, no control or format characters, single blanks, none at the ends."""
    if value.isascii() and value.isprintable():
        return " ".join(value.split()) if " " in value else value
    folded = unicodedata.normalize("NFKC", value)
    kept = "".join(c for c in folded if unicodedata.category(c) not in {"Cc", "Cf"} or c.isspace())
    return " ".join(kept.split())


def _email(value: str) -> str | None:
    value = value.removeprefix("mailto:").strip("<>").casefold()
    local, at, host = value.rpartition("@")
    if not at or not local or not host or " " in value:
        return value or None
    if local in _BLOCKED_MAILBOXES:
        return None
    return f"{local}@{host.rstrip('.')}"


def _phone(value: str, region: str) -> str | None:
    try:
        parsed = phonenumbers.parse(value.removeprefix("tel:"), region)
    except phonenumbers.NumberParseException:
        # Not a number by any plan (an extension, a short code): kept as it stands, without its ornaments.
        return re.sub(r"[\s().\-/]", "", value).casefold() or None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(maxsize=65_536)
def normalise(kind: str, value: str, region: str = "GB") -> str | None:
    """The spelling of an identifier's value that is hashed, or None if the value is blocked.

    `region` is the ISO 3166 country that phone numbers without a country code are read in. Version 1 of the
    normaliser: a later version adds aliases beside these and leaves tokens that were made alone.
    """
    plain = _plain(value)
    if not plain or plain.casefold() in _BLOCKED_WORDS or _ZEROS.fullmatch(plain):
        return None
    if kind == "email":
        return _email(plain)
    if kind == "phone":
        return _phone(plain, region)
    if kind in {"social", "device", "cookie"}:
        return plain if kind == "cookie" else plain.casefold()
    # A company's own numbers: "17850.0" and "C-17" are codes, compared without regard to case.
    return plain.casefold()
