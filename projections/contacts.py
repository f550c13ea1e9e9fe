"""How are contacts counted? Summed per evidence, type, channel and direction where a batch is decoded, so that
Postgres adds a few sums instead of many ones."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

from projections.columns import cut
from projections.packing import MARK_SIZE, Packed, pack

__all__ = ["NAME", "TEXTS", "TOUCH", "contact_kind", "evidence_of", "happened_at", "recounted", "summed"]

_SUM = struct.Struct("!iqiqiq")  # touchpoints, first_at, last_at
_HEAD = struct.Struct("!hi16s")  # evidence, then type, channel and direction
_MICROS = struct.Struct("!q")
_PADDING = bytes(MARK_SIZE - 16)

# Where the columns of a packed row of `events` stand; see `decoding.py`.
NAME = slice(6, 22)
_EVIDENCE, _HAPPENED, TOUCH, TEXTS = 26, 46, 75, 76 + 20 + 8 + 12


def contact_kind(type: str, channel: str | None, direction: str | None) -> bytes:
    """The key of a kind of contact: its three columns as they are packed."""
    return cut(type) + cut(channel or "") + cut(direction or "")


def summed(contacts: Iterable[tuple[bytes, int]]) -> Packed:
    """Rows of `contacts`, marked by their evidence, of (evidence and kind, happened_at) of each touchpoint."""
    sums: dict[bytes, list[int]] = {}
    for key, micros in contacts:
        known = sums.get(key)
        if known is None:
            sums[key] = [1, micros, micros]
            continue
        known[0] += 1
        if micros < known[1]:
            known[1] = micros
        elif micros > known[2]:
            known[2] = micros
    return pack(
        [
            (
                key[:16] + _PADDING,
                b"".join((_HEAD.pack(7, 16, key[:16]), key[16:], _SUM.pack(8, count, 8, first, 8, last))),
            )
            for key, (count, first, last) in sorted(sums.items())
        ]
    )


def recounted(contacts: Packed, evidences: Collection[bytes], events: Packed) -> Packed:
    """The sums, those of these evidences made anew of these events alone: others of the batch turned out not to be
    new, or not to count."""
    rest, _ = contacts.split(evidences, 16)
    return rest.with_(summed(_touchpoints(events, evidences)))


def evidence_of(row: bytes) -> bytes | None:
    """Whom a packed row of `events` is about."""
    return row[_EVIDENCE : _EVIDENCE + 16] if row[_EVIDENCE - 4 : _EVIDENCE] == b"\0\0\0\x10" else None


def happened_at(row: bytes) -> int:
    """When an event happened, by its packed row of `events`, as Postgres counts microseconds."""
    at: int = _MICROS.unpack_from(row, _HAPPENED)[0]
    return at


def _touchpoints(events: Packed, evidences: Collection[bytes]) -> Iterable[tuple[bytes, int]]:
    """(evidence and kind, happened_at) of the touchpoints of these evidences among packed rows of `events`."""
    for row in events.rows():
        evidence = evidence_of(row)
        if evidence is not None and evidence in evidences and row[TOUCH]:
            yield evidence + _kind_in(row), happened_at(row)


def _kind_in(row: bytes) -> bytes:
    """The kind of contact out of a packed row: its type, channel and direction."""
    place, parts = TEXTS, []
    for _ in range(3):
        size = int.from_bytes(row[place : place + 4], "big", signed=True)
        end = place + 4 + max(size, 0)
        parts.append(row[place:end] if size >= 0 else bytes(4))
        place = end
    return b"".join(parts)
