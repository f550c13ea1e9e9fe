"""Which words of a touchpoint are the customer's own, in which language are they, and may they be scored as English?

Language: the letters tell scripts apart; within the Latin one the most frequent little words of nine languages are
counted, and the language that has most of them is taken if it is ahead by half. Nothing is guessed of a few words.
Certainty: (words of that language + 1) / (little words of any + 2), so that of one word nobody is sure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final, NamedTuple

__all__ = ["LONGEST", "TEXTS", "Language", "language_of", "own_words", "scorable", "texts_of"]

TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "email.received": ("subject", "text"),
    "chat.message_received": ("text",),
    "call.ended": ("transcript",),
    "call.voicemail_left": ("transcript",),
    "ticket.opened": ("subject", "comment"),
    "ticket.commented": ("comment",),
    "form.submitted": ("answers",),
    "review.posted": ("title", "text"),
    "survey.answered": ("comment", "answers"),
    "social.mentioned": ("text",),
    "referral.made": ("message",),
}
"""Types by which customers say something in words of their own, and the personal fields that hold them."""

LONGEST: Final = 5_000
"""Characters of a text that are looked at; who has not said it by then has said it all the same."""
_FEWEST: Final = 3
"""Words that an answer of a form has at least to be a sentence; a name or a number tells no mood."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_QUOTED: Final = re.compile(
    r"^\s*(-{2,}\s*(original|forwarded) message|on .{5,200} wrote:|from: .{1,200}|am .{5,200} schrieb.*:)\s*",
    re.IGNORECASE,
)
_LITTLE: Final[Mapping[str, frozenset[str]]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to is was it that you for with have this not are but be my they what would when your "
        "i'm don't can we me so very had has been from there will just if or as at by an",
        "de": "der die das und ist nicht ich sie es ein eine zu mit auf für den dem von sich auch aber wir war haben "
        "hat wie bei nach noch nur oder wenn mir mich sehr kann",
        "fr": "le la les et est une des du en que qui pas je vous nous pour dans avec sur il elle ne ce cette mais "
        "ou au aux mon votre très été suis sont plus",
        "es": "el la los las y es una de que en no un por con para se su lo como pero más muy mi me está son fue del "
        "al este esta si ya",
        "it": "il la che di e è un una per non con sono mi del della si ma ho lo gli le ha questo questa molto anche "
        "come più alla nel",
        "nl": "de het een en van is niet ik je dat met op voor zijn te aan er maar heb was ook dit wel bij nog naar "
        "mijn wij zeer geen",
        "pt": "o a os as e é um uma de que em não por com para se do da no na mas muito meu minha está foi são mais "
        "como eu você",
        "sv": "och att det är en ett som på inte jag av för med den till har de om var men så mycket min mitt vi kan",
        "pl": "i w nie się na jest to z że do jak ale o za od mi jestem bardzo po co tak był czy dla",
    }.items()
}
_SCRIPTS: Final[Mapping[str, str]] = {
    "CYRILLIC": "und-Cyrl", "GREEK": "el", "ARABIC": "und-Arab", "HEBREW": "he", "CJK": "und-Hani", "HIRAGANA": "ja",
    "KATAKANA": "ja", "HANGUL": "ko", "THAI": "th", "DEVANAGARI": "und-Deva",
}  # fmt: skip
_SURE: Final = Decimal("0.0001")


class Language(NamedTuple):
    """The language of a text as a BCP 47 code, None where it cannot be told, and how certain that is, 0 to 1."""

    code: str | None
    certainty: Decimal


def texts_of(type: str, content: Mapping[str, Any]) -> str:
    """What the customer wrote or said, out of the personal content of a touchpoint; empty where that is nothing. An
    automatic answer is nobody's words."""
    if content.get("automatic") is True:
        return ""
    found = [text for name in TEXTS.get(type, ()) for text in _in(content.get(name))]
    return own_words("\n".join(found))


def _in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value
    elif isinstance(value, Mapping):
        yield from (
            one for one in value.values() if isinstance(one, str) and len(_WORD.findall(one[:LONGEST])) >= _FEWEST
        )


def own_words(text: str) -> str:
    """A text without what it quotes of the message that it answers, cut to what is looked at."""
    kept: list[str] = []
    length = 0
    for line in text[: 4 * LONGEST].splitlines():
        if _QUOTED.match(line) and kept:
            break
        if not line.lstrip().startswith((">", "|")):
            kept.append(line)
            length += len(line) + 1
        if length > LONGEST:
            break
    return "\n".join(kept)[:LONGEST].strip()


def language_of(text: str) -> Language:
    """The language of a text, as far as it can be told."""
    script = _script(text)
    if script is not None:
        return Language(_SCRIPTS.get(script), Decimal(1) if script in _SCRIPTS else Decimal("0.5"))
    words = [word.casefold().replace("\u2019", "'") for word in _WORD.findall(text)]
    hits = Counter(language for word in words for language, little in _LITTLE.items() if word in little)
    if not hits:
        return Language(None, Decimal("0.5"))
    (first, most), (_, second) = (*hits.most_common(2), ("", 0))[:2]
    known = sum(1 for word in words if any(word in little for little in _LITTLE.values()))
    if most < 2 or 2 * most < 3 * second:
        return Language(None, Decimal("0.5"))
    return Language(first, _rounded(Decimal(most + 1) / Decimal(known + 2)))


def scorable(language: Language) -> bool:
    """Whether a text may be scored as English: it is, or it is not recognisably anything else."""
    return language.code in (None, "en")


def _rounded(share: Decimal) -> Decimal:
    return min(Decimal(1), share).quantize(_SURE, ROUND_HALF_EVEN)


def _script(text: str) -> str | None:
    """The script of most of its letters, by the first word of their names; None where that is the Latin one."""
    found = Counter(_named(letters) for letters in _letters(text))
    if not found:
        return None
    (script, number), *_ = found.most_common(1)
    return None if script == "LATIN" or 2 * number < sum(found.values()) else script


def _letters(text: str) -> Iterable[str]:
    return [letter for letter in text[:500] if letter.isalpha()]


def _named(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
