"""Which values identify a person, and which two spellings are the same value?

A *kind* says what an identifier is; `KINDS` lists them in order of priority. `normalise` gives the one spelling
that is hashed into a token, or None for a *blocked* value (blank, `null`, `guest` …), which gets no token:
a blocked value that is not refused merges thousands of people. Look-alikes of other scripts stay apart (a Cyrillic
U+0430 is no Latin "a"): two people that are one can be merged later, one that was never two is harder to tell.
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

REF_KINDS = tuple("order invoice ticket deal product campaign organisation conversation task lead user".split())
"""Kinds of refs: what an event is about. They never make two people one."""

_PRIORITY = {kind: place for place, kind in enumerate(KINDS)}

_BLOCKED_WORDS = frozenset(
    "null|none|nil|nan|undefined|anonymous|anon|guest|test|unknown|n/a|na|not set|(not set)|[object object]"
    "|not provided|false|true|no-reply|noreply".split("|")
)
_INVISIBLE = frozenset({"Cc", "Cf"})
_IN_BRACKETS = re.compile(r"<\s*([^<>]*?)\s*>\s*$")
_ORNAMENTS = re.compile(r"[\s().\-/]")
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
    kept = "".join(c if c.isspace() else "" if unicodedata.category(c) in _INVISIBLE else c for c in value)
    return " ".join(unicodedata.normalize("NFKC", kept).split())


def _folded(value: str) -> str:
    """Without regard to case, and again in one composition: folding may take characters apart."""
    if value.isascii():
        return value.lower()
    return _plain(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).casefold())


def _email(value: str) -> str | None:
    found = _IN_BRACKETS.search(value)
    value = _folded(found.group(1) if found else value)
    while value.startswith("mailto:"):
        value = value.removeprefix("mailto:").strip()
    local, at, host = value.rpartition("@")
    if not at or " " in value:
        return None if _blocked(value) else value
    host = host.rstrip(".")
    if not local or not host or local in _BLOCKED_MAILBOXES:
        return None
    return f"{local}@{host}"


def _e164(value: str, region: str) -> str | None:
    """The number in E.164, "" for a number of zeros, None where no plan knows it."""
    try:
        parsed = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if not parsed.national_number:
        return ""
    number = str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    # Colleagues behind one switchboard are told apart by their extensions.
    return f"{number};ext={parsed.extension}" if parsed.extension else number


def _phone(value: str, region: str) -> str | None:
    number = _e164(value, region)
    # A number that does not stay itself when it is read again (zeros in front of zeros) is none.
    if number is not None and (not number or _e164(number, region) == number):
        return number or None
    # Not a number by any plan (a name, a short code): kept as it stands, without its ornaments.
    shorter = _folded(_ORNAMENTS.sub("", value))
    if _blocked(shorter):
        return None
    return shorter if shorter == value else _phone(shorter, region)


def _blocked(value: str) -> bool:
    return not value or value in _BLOCKED_WORDS or _ZEROS.fullmatch(value) is not None


@lru_cache(maxsize=65_536)
def normalise(kind: str, value: str, region: str = "GB") -> str | None:
    """The spelling of an identifier's value that is hashed, or None if the value is blocked.

    `region` is the ISO 3166 country that phone numbers without a country code are read in. Version 1 of the
    normaliser: a later version adds aliases beside these and leaves tokens that were made alone.
    """
    plain = _plain(value)
    if _blocked(_folded(plain)):
        return None
    if kind == "email":
        return _email(plain)
    if kind == "phone":
        return _phone(plain, region)
    if kind == "cookie":
        return plain
    if kind == "social":
        handle = _folded(plain).lstrip("@ ")
        return None if _blocked(handle) else handle
    # A company's own numbers: "17850.0" and "C-17" are codes, compared without regard to case.
    return _folded(plain)
