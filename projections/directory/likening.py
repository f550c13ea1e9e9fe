"""Which names may somebody have meant who misspelt one? Those of words that share letters with the typed ones; pure.

Three letters in a row say which words are worth comparing; how many letters have to be changed, dropped, added or
swapped says how alike they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final, NamedTuple

from rapidfuzz.distance import OSA

__all__ = ["Span", "misspelt", "spans"]

_LEAST: Final = 0.6
_LIKELY: Final = 8
_BEGUN: Final = 0.9
"""How alike a word is to one that it merely begins: the last one may not be typed to its end."""
_SHORT: Final = 3
"""Letters of a word from which on it can be misspelt; a shorter one is not typed to its end."""
_END: Final = "!"
"""Follows the blank, so that `zoe!` is behind `zoe` and all that begins with `zoe `, and before everything else."""
_LAST: Final = "\U0010ffff"
"""The last letter of all, so that it is behind everything that begins so."""


class Span(NamedTuple):
    """Terms from `low` on, before `high`; likeness: 0 to 1."""

    low: str
    high: str
    likeness: float


def misspelt(typed: Sequence[str]) -> list[str]:
    """The words that are long enough to be misspelt."""
    return [word for word in typed if len(word) >= _SHORT]


def spans(typed: Sequence[str], likely: Iterable[tuple[str, str]]) -> list[Span]:
    """Where the names stand that one word, or the first and the last of several, may mean, the likeliest first.
    `likely`: (typed word, word that some name holds)."""
    # What is too short to be misspelt may be the beginning of a word.
    candidates: list[dict[str, float]] = [{word: _BEGUN} if len(word) < _SHORT else {} for word in typed]
    for word, other in likely:
        for place, one in enumerate(typed):
            if one == word and (likeness := _likeness(one, other)) >= _LEAST:
                candidates[place][other] = likeness
    best = [sorted(one.items(), key=lambda pair: (-pair[1], pair[0]))[:_LIKELY] for one in candidates]
    found: dict[str, float] = {}
    for chosen in product(*best):
        likeness = sum(one for _, one in chosen) / len(chosen)
        for words in (chosen, chosen[::-1]):
            name = " ".join(word for word, _ in words)
            found[name] = max(likeness, found.get(name, 0.0))
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Span(name, name + _end(typed, name), likeness) for name, likeness in ranked]


def _end(typed: Sequence[str], name: str) -> str:
    last = name.rpartition(" ")[2]
    return _LAST if last in typed and len(last) < _SHORT else _END


def _likeness(typed: str, word: str) -> float:
    return max(OSA.normalized_similarity(typed, word), _BEGUN if word.startswith(typed) else 0.0)
