"""What may somebody mean who types a few letters? An identifier in any spelling, the number of an order, a name, or
the beginning of one; pure.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import phonenumbers

from domain.identifiers import Identifier, normalise
from projections.directory.folding import TYPED_KINDS, digits_of, folded, term_of, words_of

__all__ = ["Asked", "asked", "unseen"]

_LEAST_LETTERS: Final = 3
_LEAST_DIGITS: Final = 3
_UNTYPED: Final = ("device", "cookie")


class Asked(NamedTuple):
    """What to look for. exact: (kind, term) pairs. prefixes: beginnings of terms. code: the beginning of an order's
    number. words: of a name that may be misspelt, the first and the last. address: what an e-mail address may be like
    before its @. What is too short to tell is empty."""

    exact: list[tuple[str, str]]
    prefixes: list[str]
    code: str
    words: list[str]
    address: str


def asked(text: str, region: str) -> Asked:
    """What a text may mean. `region`: of phone numbers without a country code."""
    whole, words = folded(text), words_of(text)
    name, turned = " ".join(words), " ".join(reversed(words))
    exact = {*_identifiers(text, region), ("name", name), ("turned", name)}
    prefixes = {whole, name, *_phones(text, region), *([turned] if len(words) == 2 else [])}
    address = whole.partition("@")[0] if len(words) == 1 else ""
    return Asked(
        sorted(pair for pair in exact if pair[1]),
        sorted(filter(None, prefixes)),
        whole.lstrip("# "),
        [words[0], *words[1:][-1:]] if "@" not in name and _letters(name) >= _LEAST_LETTERS else [],
        address if _letters(address) >= _LEAST_LETTERS else "",
    )


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def unseen(text: str) -> list[Identifier]:
    """The identifiers that a text may be and that no term holds: of kinds that nobody types, but some paste."""
    return [] if " " in text.strip() else [Identifier(kind, text) for kind in _UNTYPED]


def _identifiers(text: str, region: str) -> set[tuple[str, str]]:
    found = set()
    for kind in TYPED_KINDS:
        value = normalise(kind, text, region) if _plausible(kind, text) else None
        term = term_of(kind, value) if value else None
        if term:
            found.add((kind, term))
    return found


def _plausible(kind: str, text: str) -> bool:
    if kind == "email":
        return "@" in text
    return kind != "phone" or _looks_dialled(text)


def _looks_dialled(text: str) -> bool:
    return len(digits_of(text)) >= _LEAST_DIGITS and not any(map(str.isalpha, text))


def _phones(text: str, region: str) -> set[str]:
    """The beginnings of a number: as it is dialled from abroad, and from within the region."""
    if not _looks_dialled(text):
        return set()
    digits = digits_of(text)
    found = {digits.removeprefix("00")}
    if digits.startswith("0") and not digits.startswith("00"):
        found.add(f"{phonenumbers.country_code_for_region(region)}{digits[1:]}")
    return found
