"""How are events, windows, comparisons and values spelt in the text of a rule? The parts that leaves share.

E := TYPE ("|" TYPE)* ["where" C] [W]        C := FIELD op V ("and" FIELD op V)*
W := "in last" D | "since" V | "before" V | "between" V "and" V
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from domain.configuration.base import Path
from domain.errors import BadInput
from domain.segment_parts import CONTACT, is_moment
from domain.segment_tokens import Place, Token, tokens_of, trouble_at

__all__ = ["ChoiceParser"]

Plain = dict[str, Any]
_Made = TypeVar("_Made")
_UNITS: Final = {
    unit: letter
    for letter, name in {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}.items()
    for unit in (letter, name, f"{name}s")
}
_DURATION: Final = re.compile(r"([0-9]+)([a-z]*)")
_INTEGER: Final = re.compile(r"-?[0-9]+")
_FRACTION: Final = re.compile(r"-?[0-9]+\.[0-9]+")
_SIGNS: Final = ("=", "!=", ">=", "<=", ">", "<")
_OPERATORS: Final = "=, !=, >, >=, <, <=, in, not in, contains, starts with, ends with, known, unknown"
_WAY_OUT: Final = "Mend it there, or see docs/segments.md for how rules are spelt."


class ChoiceParser:
    """A cursor over the tokens of a text, with what leaves are made of. Places are kept by what stands there."""

    def __init__(self, text: str) -> None:
        self._tokens, self._at = tokens_of(text), 0
        self._places: dict[int, tuple[Any, Place]] = {}

    # The cursor

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    @property
    def place(self) -> Place:
        """Of the next token."""
        return self._token.place

    @property
    def spelling(self) -> str:
        """Of the next token."""
        return self._token.spelling

    @property
    def at_end(self) -> bool:
        """Nothing is left."""
        return self._token.kind == "end"

    def skip(self, tokens: int) -> None:
        """Go on by so many tokens."""
        self._at += tokens

    def is_word(self, spelling: str, further: int = 0) -> bool:
        """Is it this word or sign, here or so many tokens on?"""
        at = self._at + further
        return at < len(self._tokens) and self._tokens[at].kind != "text" and self._tokens[at].spelling == spelling

    def is_call(self, word: str) -> bool:
        """Does this word come with a parenthesis?"""
        return self.is_word(word) and self.is_word("(", 1)

    def is_before(self, sign: str) -> bool:
        """Does this sign come after the next token?"""
        return self.is_word(sign, 1)

    def accept(self, spelling: str) -> bool:
        """Take this word or sign, if it comes."""
        if self.is_word(spelling):
            self._at += 1
            return True
        return False

    def expect(self, spelling: str) -> None:
        """Take this word or sign. Raises BadInput."""
        if not self.accept(spelling):
            raise self.wrong(f"`{spelling}`")

    def word(self, expected: str) -> str:
        """Take a word. Raises BadInput."""
        if self._token.kind != "word":
            raise self.wrong(expected)
        return self._take().spelling

    def text(self, expected: str) -> str:
        """Take a text in quotes. Raises BadInput."""
        if self._token.kind != "text":
            raise self.wrong(expected)
        return self._take().text

    def word_or_text(self, expected: str) -> str:
        """Take either. Raises BadInput."""
        return self.text(expected) if self._token.kind == "text" else self.word(expected)

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        return token

    def wrong(self, expected: str) -> BadInput:
        """What was met here, and what was expected."""
        return trouble_at(self.place, f"met {self._token.shown} where {expected} was expected.", _WAY_OUT)

    def placed(self, made: _Made, place: Place) -> _Made:
        """Remember where something stands; gives it."""
        self._places[id(made)] = (made, place)
        return made

    def place_of(self, whole: Any, path: Path) -> Place:
        """Where the part of `whole` at a path stands, or the nearest part around it whose place is known."""
        place, part = Place(1, 1), whole
        for step in (*path, None):
            place = self._places.get(id(part), (part, place))[1]
            try:
                part = part[step]
            except (KeyError, IndexError, TypeError):
                break
        return place

    # Events

    def choice(self, windowed: bool) -> Plain:
        """Types of events with their conditions; with a window if it may have one."""
        place = self.place
        types = [self._type()]
        while self.accept("|"):
            types.append(self._type())
        found: Plain = {"types": CONTACT if types == [CONTACT] else types}
        if self.accept("where"):
            found["where"] = self.conditions(timed=False)
        if windowed and (window := self.window()) is not None:
            found["window"] = window
        return self.placed(found, place)

    def _type(self) -> str:
        return self.word(f"a type of events such as purchase.made, or {CONTACT}")

    def conditions(self, timed: bool) -> list[Plain]:
        """Conditions joined by `and`. timed: they may speak of moments from now."""
        found = [self._condition(timed)]
        while self.accept("and"):
            found.append(self._condition(timed))
        return found

    def _condition(self, timed: bool) -> Plain:
        place = self.place
        field = self.word("a field such as content.currency")
        return self.placed({"field": field, **self.comparison(timed)}, place)

    def window(self) -> Plain | None:
        """A window, if one comes."""
        place = self.place
        if self.is_word("in") and self.is_word("last", 1):
            self.skip(2)
            return self.placed({"last": self.duration()}, place)
        for name in ("since", "before"):
            if self.accept(name):
                return self.placed({name: self._moment()}, place)
        if self.accept("between"):
            first = self._moment()
            self.expect("and")
            return self.placed({"between": [first, self._moment()]}, place)
        return None

    def _moment(self) -> str:
        return self.word_or_text("a day such as 2026-01-31, or a moment with its offset")

    def duration(self) -> str:
        """A length of time in its short spelling. Raises BadInput."""
        expected = "a duration such as 90d or 90 days"
        match = _DURATION.fullmatch(self.spelling) if self._token.kind == "word" else None
        if match is None:
            raise self.wrong(expected)
        number, unit = match[1], match[2]
        if not unit:
            self.skip(1)
            unit = self.spelling
        if unit not in _UNITS or len(number) > 5:
            raise self.wrong(expected)
        self.skip(1)
        return f"{int(number)}{_UNITS[unit]}"

    # Comparisons

    def comparison(self, timed: bool) -> Plain:
        """`is` and `value`. timed: it may speak of moments from now."""
        for sign in _SIGNS:
            if self.accept(sign):
                return {"is": sign, "value": self.value()}
        for known in ("known", "unknown"):
            if self.accept(known):
                return {"is": known}
        if self.accept("contains"):
            return {"is": "contains", "value": self.value()}
        for edge in ("starts", "ends"):
            if self.accept(edge):
                self.expect("with")
                return {"is": f"{edge} with", "value": self.value()}
        if self.is_word("not") and self.is_word("in", 1):
            self.skip(2)
            return {"is": "not in", "value": self._list()}
        if self.is_word("in") and self.is_word("(", 1):
            self.skip(1)
            return {"is": "in", "value": self._list()}
        if timed and (found := self._from_now()) is not None:
            return found
        raise self.wrong(f"an operator ({_OPERATORS}{', in last, more than … ago, in next' if timed else ''})")

    def _from_now(self) -> Plain | None:
        for word, is_ in (("last", "within last"), ("next", "within next")):
            if self.is_word("in") and self.is_word(word, 1):
                self.skip(2)
                return {"is": is_, "value": self.duration()}
        if self.accept("more"):
            self.expect("than")
            length = self.duration()
            self.expect("ago")
            return {"is": "more than ago", "value": length}
        if self.accept("anniversary"):
            self.expect("in")
            return {"is": "anniversary", "value": self.duration()}
        return None

    def _list(self) -> list[Any]:
        self.expect("(")
        found = [self.value()]
        while self.accept(","):
            found.append(self.value())
        self.expect(")")
        return found

    def value(self) -> Any:
        """A text, a number, true, false, a day or a moment. Raises BadInput."""
        token = self._token
        if token.kind == "text":
            return self._take().text
        word = token.spelling
        if token.kind == "word":
            if word in {"true", "false"}:
                return self._take().spelling == "true"
            if _INTEGER.fullmatch(word) and len(word) <= 30:
                return int(self._take().spelling)
            if _FRACTION.fullmatch(word) and len(word) <= 60:
                return float(self._take().spelling)
            if is_moment(word):
                return self._take().spelling
        raise self.wrong("a value (a text in quotes, a number, true, false, a day, a moment with its offset)")
