"""Was this text met before? An answer in 16 bytes of memory a text, and no more than a stated number of them."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import Final

__all__ = ["MOST", "Seen"]

_FIRST: Final = 2**10
_MOST_AGAIN: Final = 200_000
MOST: Final = 2**22
"""How many slots there are at most: 32 MB, for 3 million texts."""


class Seen:
    """A set of texts by hashes of 64 bits, with the number of times that each came again.

    Two texts with one hash are as likely as 1 in 4 million among 3 million texts. What comes when all slots are in
    use is not remembered, and of texts that come again 200,000 are counted; a third time of others is told as 2.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._slots = array("Q", bytes(8 * min(_FIRST, most)))
        self._used = 0
        self._again: dict[int, int] = {}

    def times(self, text: str) -> int:
        """How often the text was asked for, this time included."""
        hashed = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") or 1
        if self._is_new(hashed):
            return 1
        if hashed not in self._again and len(self._again) == _MOST_AGAIN:
            return 2
        self._again[hashed] = self._again.get(hashed, 1) + 1
        return self._again[hashed]

    def _is_new(self, hashed: int) -> bool:
        place = self._place(hashed)
        if self._slots[place] == hashed:
            return False
        if 4 * (self._used + 1) > 3 * len(self._slots):
            if 2 * len(self._slots) > self._most:
                return True
            self._grow()
            place = self._place(hashed)
        self._slots[place] = hashed
        self._used += 1
        return True

    def _place(self, hashed: int) -> int:
        """Where the hash is, or would be."""
        last = len(self._slots) - 1
        place = hashed & last
        while self._slots[place] not in {0, hashed}:
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for hashed in old:
            if hashed:
                self._slots[self._place(hashed)] = hashed
