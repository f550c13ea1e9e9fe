"""Of which words does the text of a rule consist? Words, texts in quotes, numbers, signs, each with its place."""

from __future__ import annotations

import json
import re
from typing import Final, Literal, NamedTuple

from domain.errors import BadInput, Problem

__all__ = ["END", "Place", "Token", "tokens_of", "trouble_at"]

_TOKEN: Final = re.compile(
    r"""(?P<blank>\s+)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<word>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)|-?[A-Za-z0-9_][A-Za-z0-9_.-]*)
    |(?P<sign>>=|<=|!=|[=<>(),|/.])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
END: Final = ""
_QUOTES: Final = "'\u201c\u201d\u201e\u2018\u2019\xab\xbb"


class Place(NamedTuple):
    """Where something stands in a text, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Token(NamedTuple):
    """A piece of the text. `spelling`: as it was written; `text`: what a text in quotes says."""

    kind: Literal["word", "text", "sign", "end"]
    spelling: str
    text: str
    place: Place

    @property
    def shown(self) -> str:
        """It, in a sentence."""
        if self.kind == "end":
            return "the end"
        return f"`{self.spelling if len(self.spelling) <= 40 else self.spelling[:40] + '…'}`"


def trouble_at(place: Place, trouble: str, way_out: str) -> BadInput:
    """What is wrong at a place of the text."""
    return BadInput([Problem("rule", f"is not right at {place}: {trouble}", way_out)])


def tokens_of(text: str) -> list[Token]:
    """The text's tokens and an end. Raises BadInput."""
    found: list[Token] = []
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        place = Place(line, at - begin + 1)
        if match is None:
            raise _unreadable(text, at, place)
        spelling = match.group()
        match match.lastgroup:
            case "text":
                found.append(Token("text", spelling, _unquoted(spelling, place), place))
            case "word" | "sign" as kind:
                found.append(Token(kind, spelling, spelling, place))
        lines = spelling.count("\n")
        if lines:
            line, begin = line + lines, at + spelling.rindex("\n") + 1
        at = match.end()
    return [*found, Token("end", END, END, Place(line, at - begin + 1))]


def _unreadable(text: str, at: int, place: Place) -> BadInput:
    if text[at] == '"':
        return trouble_at(place, "a text begins that does not end.", 'Close it with a second ".')
    if text[at] in _QUOTES:
        return trouble_at(place, f"{text[at]} stands for nothing.", 'Write texts in straight quotes: "GBP".')
    return trouble_at(place, f"{text[at]!r} stands for nothing.", "Leave it out, or put what it is in into quotes.")


def _unquoted(spelling: str, place: Place) -> str:
    try:
        read: str = json.loads(spelling, strict=False)
    except ValueError:
        way_out = 'Write \\" for a quote and \\\\ for a backslash within it, as in JSON.'
        raise trouble_at(place, "this text has an escape that is none.", way_out) from None
    return read
