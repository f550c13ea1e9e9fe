"""How are many rows carried from the reader's process to Postgres? Packed once, in the binary COPY format.

Rows keep the *mark* of their event beside them (its name and its position), so that the few that turn out to be
known already can be taken out without unpacking the rest.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import psycopg

__all__ = ["MARK_SIZE", "NAME_SIZE", "Packed", "copy_in", "mark", "pack"]

NAME_SIZE = 16
MARK_SIZE = 28
_PLACE = struct.Struct("!iq")
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows in COPY format. `marks`: 28 bytes a row; `ends`: where each row ends in `body`."""

    marks: bytes
    ends: array[int]
    body: bytes

    def __len__(self) -> int:
        return len(self.ends)

    def rows(self) -> Iterator[bytes]:
        """Each row."""
        start = 0
        for end in self.ends:
            yield self.body[start:end]
            start = end

    def names(self) -> set[bytes]:
        """The names of the events in it."""
        return {self.marks[place : place + NAME_SIZE] for place in range(0, len(self.marks), MARK_SIZE)}

    def stream(self) -> bytes:
        """What COPY reads."""
        return b"".join((_HEADER, self.body, _END))

    def split(self, chosen: Collection[bytes], width: int) -> tuple[Packed, Packed]:
        """(the rest, the rows whose mark begins with one of `chosen`, each `width` bytes long)."""
        if not chosen:
            return self, pack(())
        rows: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = ([], [])
        start = 0
        for place, end in enumerate(self.ends):
            its_mark = self.marks[place * MARK_SIZE : (place + 1) * MARK_SIZE]
            rows[its_mark[:width] in chosen].append((its_mark, self.body[start:end]))
            start = end
        return pack(rows[0]), pack(rows[1])

    def with_(self, other: Packed) -> Packed:
        """These rows, then the other's."""
        if not len(other):
            return self
        ends = array("q", self.ends)
        ends.extend(end + len(self.body) for end in other.ends)
        return Packed(self.marks + other.marks, ends, self.body + other.body)


def mark(name: bytes, partition: int, offset: int) -> bytes:
    """The mark of an event: its name first."""
    return name + _PLACE.pack(partition, offset)


def pack(rows: Iterable[tuple[bytes, bytes]]) -> Packed:
    """Rows of (mark of the event, the row in COPY format)."""
    pairs = list(rows)
    bodies = [body for _, body in pairs]
    return Packed(
        b"".join([its_mark for its_mark, _ in pairs]), array("q", accumulate(map(len, bodies))), b"".join(bodies)
    )


def copy_in(cursor: psycopg.Cursor[Any], statement: Any, packed: Packed) -> None:
    """Copy the rows, if there are any, by a `COPY … FROM STDIN (FORMAT BINARY)`."""
    if len(packed):
        with cursor.copy(statement) as copy:
            copy.write(packed.stream())
