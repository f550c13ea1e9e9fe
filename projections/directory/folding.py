"""Under which words is a person found? Names and identifiers without case, accents and double blanks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

__all__ = ["LONGEST", "TYPED_KINDS", "digits_of", "folded", "name_terms", "term_of", "words_of"]

LONGEST: Final = 200
"""Characters of a term; what is longer is cut."""
TYPED_KINDS: Final = frozenset({"customer_no", "external", "email", "phone", "social"})
"""Kinds of identifiers that a person types. Nobody types a cookie; it is found whole, by its hash."""
_MOST_WORDS: Final = 6
# Letters that Unicode does not take apart, though people leave their strokes out.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
)
_APART: Final = str.maketrans(dict.fromkeys(",;", " "))


def folded(text: str) -> str:
    """One spelling for all that look alike to who types: "Łukasz  Müller" and "lukasz muller" are the same."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
        text = "".join([letter for letter in apart if not unicodedata.combining(letter)]).translate(_PLAIN)
    # Whatever is no letter to Postgres or to an eye is a blank; NUL, which it refuses, among them.
    shown = text if text.isprintable() else "".join([letter if letter.isprintable() else " " for letter in text])
    return " ".join(shown.lower().split())[:LONGEST].rstrip()


def words_of(name: str) -> list[str]:
    """The words of a name, folded, without the points and commas around them."""
    return [word for part in folded(name.translate(_APART)).split() if (word := part.strip(".'\"()"))]


def name_terms(name: str) -> set[tuple[str, str]]:
    """(kind, term) of a name: as it is written, and `turned`, with each further word in front: "lindqvist zoe"."""
    words = words_of(name)
    if not words:
        return set()
    found = {("name", " ".join(words))}
    for place in range(1, min(len(words), _MOST_WORDS)):
        found.add(("turned", " ".join((words[place], *words[:place], *words[place + 1 :]))))
    return found


def term_of(kind: str, value: str) -> str | None:
    """The term of a normalised identifier, or None for a kind that nobody types. A phone's are its digits."""
    if kind not in TYPED_KINDS:
        return None
    if kind == "phone":
        return digits_of(value.partition(";ext=")[0])[:LONGEST] or folded(value)
    return folded(value) or None


def digits_of(text: str) -> str:
    """What is left of a number: 442079460958."""
    return "".join(_only_digits(text))


def _only_digits(text: str) -> Iterable[str]:
    return (letter for letter in text if "0" <= letter <= "9")
